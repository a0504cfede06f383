"""The lives of Telnyx port-outs: approved by silence, refused, or withdrawn."""

import random
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from aggregator.simulator.life import Life, at_hour
from aggregator.simulator.settings import Faults
from aggregator.simulator.things import CARRIERS, PEOPLE, Order, Step, identity, millis, us_numbers

USER = "40d68ba2-0847-4df2-be9c-b0e0cb673e75"
TEXT = {1001: "The line is under contract", 1002: "PIN 9876 does not match"}


def port_out(
    rng: random.Random, faults: Faults, born_at: datetime, key: int, numbers: Sequence[str] = ()
) -> list[Step]:
    """A port-out's whole script; of these numbers, where there are any."""
    own = us_numbers(rng, rng.choice((1, 1, 2, 3)))
    order = Order(identity(rng), "out", born_at, [*numbers] or own)
    nameless = rng.random() < 0.15
    order.said = {
        "status": "pending",
        "carrier": rng.choice(CARRIERS),
        "spid": f"{rng.randrange(1000):03}H",
        "person": None if nameless else rng.choice(PEOPLE),
        "city": None if nameless else "Canary City",
        "pin": f"{rng.randrange(10_000):04}",
        "support_key": f"PO_{key:06x}",
        "pon": f"PON{key:07}",
        "foc": None,
        "requested": at_hour(born_at + timedelta(days=rng.randint(2, 6)), 17),
        "reason": None,
        "code": None,
        "ported_at": None,
    }
    life = Life(rng, faults, order)
    _status(life, "pending")
    life.wait(2, 20)
    if _decided_otherwise(life):
        return life.steps
    life.wait_until(born_at + timedelta(hours=rng.uniform(24, 48)))
    _authorised(life)
    return life.steps


def _decided_otherwise(life: Life) -> bool:
    """Whether it ends before silence approves it: refused by us, or withdrawn by the gaining carrier."""
    if life.struck("unknown_types"):
        life.step("portout.moon_phase_changed", {"id": life.order.id, "moon": {"phase": "new"}})
    if life.struck("unknown_words"):
        _status(life, "awaiting-moonrise")
        life.wait(1, 8)
        _status(life, "pending")
    if life.likely(0.15):
        code = life.rng.choice(sorted(TEXT))
        refusal = {"reason": TEXT[code], "code": code}
        _status(life, "rejected-pending", **refusal)
        life.wait(2, 20)
        if life.likely(0.6):
            _status(life, "rejected", **refusal)
            return True
        _status(life, "pending", reason=None, code=None)
        life.wait(2, 10)
    if life.likely(0.1):
        _status(life, "canceled")
        return True
    return False


def _authorised(life: Life) -> None:
    """From the approval to the move, which may come up to ten days after the date."""
    rng = life.rng
    foc = at_hour(life.at + timedelta(days=rng.randint(1, 5)), 17)
    if life.likely(0.1):
        _status(life, "authorized")
        life.wait(1, 6)
        _date(life, foc)
    else:
        _status(life, "authorized", foc=foc)
    if life.likely(0.3):
        life.wait(1, 10)
        foc += timedelta(days=rng.randint(1, 2))
        _date(life, foc)
    if life.likely(0.2):
        life.wait(0.5, 4)
        _comment(life, "Gaining carrier asks to confirm the account 77-1234.", None)
        if life.likely(0.5):
            life.wait(0.5, 4)
            _comment(life, "Confirmed.", USER)
    if life.likely(0.04):
        life.wait(1, 10)
        _status(life, "canceled")
        return
    life.wait_until(foc + timedelta(hours=min(rng.expovariate(1 / 30), 239)))
    _status(life, "ported", ported_at=life.at)


def _status(life: Life, status: str, **changes: Any) -> None:
    said = life.order.said
    payload = {
        "id": life.order.id,
        "status": status,
        "phone_numbers": life.order.numbers,
        "carrier_name": said["carrier"],
        "spid": said["spid"],
        "user_id": USER,
        "subscriber_name": said["person"],
        "rejection_reason": changes.get("reason"),
        "attempted_pin": said["pin"],
    }
    life.step("portout.status_changed", payload, status=status, **changes)


def _date(life: Life, foc: datetime) -> None:
    payload = {"id": life.order.id, "user_id": USER, "foc_date": millis(foc)}
    life.step("portout.foc_date_changed", payload, foc=foc)


def _comment(life: Life, body: str, author: str | None) -> None:
    comment = {"id": identity(life.rng), "body": body, "user_id": author, "created_at": millis(life.at)}
    payload = {"id": comment["id"], "portout_id": life.order.id, "user_id": author, "comment": body}
    life.step("portout.new_comment", payload, comment=comment)

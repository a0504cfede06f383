"""The lives of Telnyx porting orders, port-outs and Fone Dynamics requests, as scripts of timed steps."""

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

from aggregator.simulator.settings import Faults, Settings
from aggregator.simulator.things import (
    CARRIERS,
    CUSTOMERS,
    PEOPLE,
    REASONS,
    Event,
    Order,
    Step,
    au_number,
    identity,
    micros,
    millis,
    us_numbers,
)


class Life:
    """One order's script in the making: a clock of its own, and helpers that add a step."""

    def __init__(self, rng: random.Random, faults: Faults, order: Order) -> None:
        self.rng, self.faults, self.order = rng, faults, order
        self.at = order.born_at
        self.steps: list[Step] = []
        self.keys: dict[str, Any] = {}

    def wait(self, low_h: float, high_h: float) -> None:
        """Let some hours pass."""
        self.at += timedelta(seconds=round(self.rng.uniform(low_h, high_h) * 3600, 3))

    def step(self, type: str | None = None, payload: dict[str, Any] | None = None, **changes: Any) -> None:
        """Change the order now, announced by an event where a type is given."""
        event = self.event(type, payload) if type else None
        self.steps.append(Step(self.at, self.order, changes, event))

    def event(self, type: str, payload: dict[str, Any] | None) -> Event:
        """An event of this moment, whose payload or listing may come later."""
        rng, faults = self.rng, self.faults
        owed = payload is not None and rng.random() < faults.empty_payload
        late = rng.random() < faults.late
        filled = self.at + timedelta(seconds=faults.empty_payload_s if owed else 0)
        visible = self.at + timedelta(seconds=rng.uniform(0, faults.late_max_s) if late else 0)
        return Event(identity(rng), type, self.order.id, self.at, payload, filled, visible)


# --- Telnyx port-in -------------------------------------------------------------------------------------


def port_in(rng: random.Random, faults: Faults, born_at: datetime, key: int) -> list[Step]:
    """A porting order from draft to its end, with the detours that real ones take."""
    count = rng.choices((1, rng.randint(2, 8), rng.randint(51, 180)), (70, 27, 3))[0]
    order = Order(identity(rng), "in", born_at, us_numbers(rng, count))
    order.said = {
        "status": "draft",
        "details": [],
        "customer": rng.choice(CUSTOMERS),
        "group": f"Group-{key % 9}",
        "carrier": rng.choice(CARRIERS),
        "person": rng.choice(PEOPLE),
        "pin": f"{rng.randrange(10_000):04}",
        "support_key": None,
        "parent_key": None,
        "foc_requested": born_at + timedelta(days=rng.randint(6, 14)),
        "foc_actual": None,
        "messaging": "not_applicable" if rng.random() < 0.4 else "pending",
        "activation": None,
        "steps": ["phone_number_verification_codes"] if rng.random() < 0.05 else [],
    }
    life = Life(rng, faults, order)
    life.step()
    life.wait(0.2, 12)
    if rng.random() < 0.04:
        life.wait(24, 400)
        deleted = {
            "id": order.id,
            "customer_reference": order.said["customer"],
            "deleted_at": micros(life.at),
        }
        life.step("porting_order.deleted", deleted, deleted=True)
        return life.steps
    keys: dict[str, Any] = {"support_key": f"sr_{key:06x}", "parent_key": f"pr_{key // 2:06x}"}
    _status(life, "in-process", **keys)
    if rng.random() < 0.15:
        life.wait(0.1, 1)
        life.step(rng.choice(("porting_order.loa_updated", "porting_order.sharing_token_expired")))
    life.wait(1, 8)
    if rng.random() < faults.unknown_words:
        _status(life, "awaiting-moonrise")
        life.wait(1, 8)
    _status(life, "submitted")
    _journey(life)
    return life.steps


def _journey(life: Life) -> None:
    """From the losing carrier to an end."""
    rng = life.rng
    while rng.random() < 0.3:
        life.wait(8, 60)
        codes = rng.sample(sorted(REASONS), rng.choices((1, 2, 0), (75, 20, 5))[0])
        _status(life, "exception", details=[{"code": code, "description": REASONS[code]} for code in codes])
        if not codes or rng.random() < 0.3:
            life.wait(0.1, 4)
            _comment(life, "admin", "Please check the account details and send the PIN 4321 again.")
        life.wait(4, 70)
        if rng.random() < 0.06:
            return _cancelled(life)
        _status(life, "submitted")
    if rng.random() < 0.05:
        life.wait(4, 30)
        return _cancelled(life)
    life.wait(12, 72)
    foc = (life.at + timedelta(days=rng.randint(2, 7))).replace(hour=15, minute=0, second=0, microsecond=0)
    _status(life, "foc-date-confirmed", foc_actual=foc, activation="Pending")
    while rng.random() < 0.2:
        life.wait(4, 30)
        foc += timedelta(days=rng.randint(1, 3))
        life.step(foc_actual=foc)
    if rng.random() < 0.08:
        life.wait(2, 20)
        details = [{"code": "FOC_REJECTED", "description": REASONS["FOC_REJECTED"]}]
        _status(life, "exception", details=details, foc_actual=None)
        life.wait(4, 40)
        _status(life, "submitted")
        life.wait(8, 40)
        foc = max(foc, life.at) + timedelta(days=2)
        _status(life, "foc-date-confirmed", foc_actual=foc)
    life.at = max(life.at, foc) + timedelta(minutes=rng.randint(0, 40), milliseconds=rng.randrange(1000))
    _status(life, "ported", activation="Active")
    if life.order.said["messaging"] != "not_applicable":
        life.wait(0.1, 1)
        _messaging(life, "activating")
        life.wait(0.2, 30)
        _messaging(life, rng.choices(("ported", "exception", "partial_port_complete"), (85, 10, 5))[0])


def _status(life: Life, value: str, details: list[dict[str, str]] | None = None, **changes: Any) -> None:
    order = life.order
    life.keys.update({name: changes[name] for name in ("support_key", "parent_key") if name in changes})
    payload = {
        "id": order.id,
        "customer_reference": order.said["customer"],
        "support_key": life.keys.get("support_key"),
        "status": {"value": value, "details": details or []},
        "updated_at": millis(life.at),
        "webhook_url": "https://example.com/porting?secret=hook-canary",
    }
    life.step("porting_order.status_changed", payload, status=value, details=details or [], **changes)


def _messaging(life: Life, value: str) -> None:
    payload = {
        "id": life.order.id,
        "customer_reference": life.order.said["customer"],
        "support_key": life.keys.get("support_key"),
        "messaging": {
            "messaging_capable": True,
            "enable_messaging": True,
            "messaging_port_status": value,
            "messaging_port_completed": value == "ported",
        },
    }
    life.step("porting_order.messaging_changed", payload, messaging=value)


def _comment(life: Life, author: str, body: str) -> None:
    comment = {"id": identity(life.rng), "body": body, "user_type": author, "inserted_at": micros(life.at)}
    user_id = None if author == "admin" else identity(life.rng)
    payload = {
        "porting_order_id": life.order.id,
        "support_key": life.keys.get("support_key"),
        "comment": {**comment, "user_id": user_id},
    }
    life.step("porting_order.new_comment", payload, comment=comment)


def _cancelled(life: Life) -> None:
    _status(life, "cancel-pending")
    life.wait(2, 30)
    _status(life, "cancelled")


def split(rng: random.Random, faults: Faults, steps: list[Step], key: int) -> list[Step]:
    """Half of an order's numbers move to a new order while it is with the losing carrier."""
    order = steps[0].order
    submitted = next((step for step in steps if step.changes.get("status") == "submitted"), None)
    if submitted is None or not 2 <= len(order.numbers) <= 50:
        return []
    life = Life(rng, faults, order)
    life.at = submitted.at + timedelta(minutes=30)
    stay, move = order.numbers[: len(order.numbers) // 2], order.numbers[len(order.numbers) // 2 :]
    child = Order(identity(rng), "in", life.at, move)
    child.said = {
        **order.said,
        "status": "submitted",
        "support_key": f"sr_{key:06x}",
        "parent_key": f"pr_{key:06x}",
    }
    child.said["parent_key"] = next(
        (s.changes["parent_key"] for s in steps if "parent_key" in s.changes), None
    )
    payload = {
        "from": {"id": order.id},
        "to": {"id": child.id},
        "porting_phone_numbers": [{"id": identity(rng)} for _ in move],
    }
    life.step("porting_order.split", payload, numbers=stay)
    born = Step(life.at, child, {})
    onward = Life(rng, faults, child)
    onward.keys = {"support_key": child.said["support_key"], "parent_key": child.said["parent_key"]}
    onward.at = life.at
    _journey(onward)
    return [*life.steps, born, *onward.steps]


# --- Telnyx port-out ------------------------------------------------------------------------------------


def port_out(rng: random.Random, faults: Faults, born_at: datetime, key: int) -> list[Step]:
    """A port-out: approved by silence, refused, or withdrawn."""
    order = Order(identity(rng), "out", born_at, us_numbers(rng, rng.choice((1, 1, 2, 3))))
    order.said = {
        "status": "pending",
        "carrier": rng.choice(CARRIERS),
        "spid": f"{rng.randrange(1000):03}H",
        "person": rng.choice(PEOPLE),
        "pin": f"{rng.randrange(10_000):04}",
        "support_key": f"PO_{key:06x}",
        "pon": f"PON{key:07}",
        "foc": None,
        "requested": born_at + timedelta(days=rng.randint(2, 6)),
        "reason": None,
        "code": None,
    }
    life = Life(rng, faults, order)
    _out(life, "pending")
    life.wait(2, 20)
    if rng.random() < 0.15:
        _out(life, "rejected-pending", reason="PIN 9876 does not match", code=1002)
        life.wait(2, 20)
        if rng.random() < 0.6:
            _out(life, "rejected", reason="PIN 9876 does not match", code=1002)
            return life.steps
        _out(life, "pending", reason=None, code=None)
        life.wait(2, 10)
    if rng.random() < 0.1:
        _out(life, "canceled")
        return life.steps
    life.at = max(life.at, born_at + timedelta(hours=rng.uniform(24, 48)))
    foc = (life.at + timedelta(days=rng.randint(1, 5))).replace(hour=17, minute=0, second=0, microsecond=0)
    _out(life, "authorized", foc=foc)
    if rng.random() < 0.3:
        life.wait(1, 10)
        foc += timedelta(days=1)
        payload: dict[str, Any] = {"id": order.id, "user_id": identity(rng), "foc_date": millis(foc)}
        life.step("portout.foc_date_changed", payload, foc=foc)
    if rng.random() < 0.2:
        life.wait(0.5, 4)
        body = "Gaining carrier asks to confirm the account 77-1234."
        comment: dict[str, Any] = {
            "id": identity(rng),
            "body": body,
            "user_id": None,
            "created_at": millis(life.at),
        }
        payload = {"id": comment["id"], "portout_id": order.id, "user_id": None, "comment": body}
        life.step("portout.new_comment", payload, comment=comment)
    life.at = foc + timedelta(hours=rng.uniform(1, 200))
    _out(life, "ported")
    return life.steps


def _out(life: Life, status: str, **changes: Any) -> None:
    said = life.order.said
    payload = {
        "id": life.order.id,
        "status": status,
        "phone_numbers": life.order.numbers,
        "carrier_name": said["carrier"],
        "spid": said["spid"],
        "user_id": "40d68ba2-0847-4df2-be9c-b0e0cb673e75",
        "subscriber_name": said["person"],
        "rejection_reason": changes.get("reason"),
        "attempted_pin": said["pin"],
    }
    life.step("portout.status_changed", payload, status=status, **changes)


# --- Fone Dynamics --------------------------------------------------------------------------------------

FONE_LIVES = (
    ("Received", "Queued", "Submitted", "Accepted", "Completed"),
    ("Received", "Queued", "Submitted", "Rejected", "Submitted", "Accepted", "Completed"),
    ("Received", "Queued", "Awaiting Telstra", "Accepted", "Completed"),
    ("Received", "Queued", "Cancelled"),
)


def fone(rng: random.Random, faults: Faults, born_at: datetime, key: int, settings: Settings) -> list[Step]:
    """A Fone Dynamics request: Fone Dynamics' words move, and the carrier's codes sometimes alone."""
    born_at = born_at.replace(microsecond=0)
    order = Order(
        f"P-{key:06}", "fone", born_at, [au_number(rng) for _ in range(rng.choice((1, 1, 1, 2, 3)))]
    )
    words = list(rng.choices(FONE_LIVES, (60, 20, 12, 8))[0])
    asap = rng.random() < 0.4
    order.said = {
        "status": words[0],
        "code": "1",
        "customer": rng.choice(CUSTOMERS),
        "carrier": rng.choice(CARRIERS),
        "person": rng.choice(PEOPLE),
        "asap": asap,
        "preferred": _midnight(born_at + timedelta(days=rng.randint(-40, 10))),
        "port_date": None,
    }
    life = Life(rng, faults, order)
    life.step()
    code = "1"
    for before, after in pairwise(words):
        life.wait(2, 40)
        life.at = life.at.replace(microsecond=0)
        if rng.random() < 0.3:
            code, old = str(int(code) + 1), code
            life.step(history=(before, before, old, code), code=code)
            life.wait(0.5, 4)
            life.at = life.at.replace(microsecond=0)
        if rng.random() < faults.unknown_words:
            after = f"Moon Phase {rng.randrange(9)}"
        date = _midnight(life.at + timedelta(days=rng.randint(3, 9)))
        moved: dict[str, Any] = {"port_date": date} if rng.random() < 0.6 else {}
        life.step(
            history=(before, after, code, code),
            status=after,
            **moved,
        )
    return life.steps


def _midnight(at: datetime) -> int:
    return int(at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0).timestamp())


def everything(settings: Settings, faults: Faults, start: datetime) -> Iterator[Step]:
    """Every step of every life in the world, unsorted."""
    span = settings.days * 86_400
    for key in range(settings.orders):
        rng = random.Random(f"{settings.seed}/in/{key}")
        steps = port_in(rng, faults, start + timedelta(seconds=rng.uniform(-0.1, 0.95) * span), key)
        yield from steps
        if rng.random() < 0.06:
            yield from split(rng, faults, steps, key + 1_000_000)
    for key in range(settings.orders // 5 + 1):
        rng = random.Random(f"{settings.seed}/out/{key}")
        yield from port_out(rng, faults, start + timedelta(seconds=rng.uniform(0, 0.97) * span), key)
    for key in range(settings.orders // 3):
        rng = random.Random(f"{settings.seed}/fone/{key}")
        yield from fone(
            rng, faults, start + timedelta(seconds=rng.uniform(0, 0.95) * span), key + 1, settings
        )


def surprise(rng: random.Random, faults: Faults, at: datetime, key: int) -> list[Step]:
    """A port-out nobody expected, born now."""
    return port_out(rng, faults, at, key)

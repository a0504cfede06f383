"""The lives of Telnyx porting orders (port-in): from draft to their end, with the detours that real ones take."""

import random
from datetime import datetime, timedelta
from typing import Any

from aggregator.simulator.life import Life, at_hour
from aggregator.simulator.port_in_events import comment, detail, messaging, status
from aggregator.simulator.settings import Faults
from aggregator.simulator.things import (
    CARRIERS,
    CUSTOMERS,
    PEOPLE,
    REASONS,
    UNPUBLISHED,
    Order,
    Step,
    chance,
    identity,
    micros,
    millis,
    us_numbers,
)

STAFF_ASKS = (
    "Please check the account details and send the PIN 4321 again.",
    "The losing carrier asks for a letter of authorization with a readable signature.",
    "The losing carrier does not answer; we have escalated it.",
)
COMMON = (
    "PASSCODE_PIN_INVALID", "ACCOUNT_NUMBER_MISMATCH", "ENTITY_NAME_MISMATCH", "LOCATION_MISMATCH",
    "OSP_IRRESPONSIVE", "FOC_REJECTED", "PHONE_NUMBER_MISMATCH",
)  # fmt: skip


def port_in(rng: random.Random, faults: Faults, born_at: datetime, key: int) -> list[Step]:
    """A porting order's whole script, and that of the order split from it."""
    count = rng.choices((1, rng.randint(2, 8), rng.randint(51, 180)), (70, 27, 3))[0]
    order = Order(identity(rng), "in", born_at, us_numbers(rng, count))
    order.said = _first(rng, born_at, key, count)
    order.said["acts"] = order.said["requirements"] != "approved" or chance(order.id, "acts") < 0.05
    life = Life(rng, faults, order)
    life.step(numbers=order.numbers)
    life.wait(0.2, 12)
    if _ends_as_draft(life):
        return life.steps
    status(life, "in-process", support_key=f"sr_{key:06x}", parent_key=f"pr_{key // 2:06x}")
    _prepared(life)
    status(life, "submitted", activation="New")
    child = _split(life, key) if len(order.numbers) in range(2, 51) and life.struck("splits") else []
    _journey(life)
    return [*life.steps, *child]


def _first(rng: random.Random, born_at: datetime, key: int, count: int) -> dict[str, Any]:
    """What a new order says."""
    capable = rng.random() < 0.6
    on_demand = rng.random() < 0.04
    return {
        "status": "draft",
        "details": [],
        "customer": rng.choice(CUSTOMERS),
        "group": f"Group-{key % 9}",
        "carrier": rng.choice(CARRIERS),
        "person": rng.choice(PEOPLE),
        "pin": f"{rng.randrange(10_000):04}",
        "support_key": None,
        "parent_key": None,
        "foc_requested": at_hour(born_at + timedelta(days=rng.randint(6, 14)), 15),
        "foc_actual": None,
        "messaging": "pending" if capable else "not_applicable",
        "activation": None,
        "lagging": {},
        "job": {"id": identity(rng), "type": "on-demand" if on_demand else "scheduled", "status": "created"},
        "steps": ["phone_number_verification_codes"] if rng.random() < 0.05 else [],
        "requirements": "requirement-info-pending" if rng.random() < 0.03 else "approved",
        "type": "partial" if count > 1 and rng.random() < 0.2 else "full",
        "fast": (count == 1 and rng.random() < 0.1)
        or on_demand,  # only a FastPort order is activated on demand
    }


def _ends_as_draft(life: Life) -> bool:
    """A draft may be deleted by its owner, or by the provider after thirty days; rarely nobody says so."""
    if life.struck("silent_deletions"):
        life.wait(24, 400)
        life.step(deleted=True)
        return True
    if not life.struck("deletions"):
        return False
    if life.likely(0.25):
        life.at = life.order.born_at + timedelta(days=30)
    else:
        life.wait(24, 400)
    id, customer = life.order.id, life.order.said["customer"]
    payload = {"id": id, "customer_reference": customer, "deleted_at": millis(life.at)}
    life.step("porting_order.deleted", {**payload, **_misplaced(life.at)}, deleted=True)
    return True


def _misplaced(at: datetime) -> dict[str, str]:
    """The published shape of this one payload holds what every other event says beside it."""
    return {"record_type": "porting_event", "created_at": micros(at), "updated_at": micros(at)}


def _prepared(life: Life) -> None:
    """While the provider has it: documents, steps and requirements, and what nobody knows."""
    if life.likely(0.15):
        life.wait(0.1, 1)
        life.step(life.rng.choice(("porting_order.loa_updated", "porting_order.sharing_token_expired")))
    if life.struck("unknown_types"):
        life.wait(0.1, 1)
        life.step("porting_order.moon_phase_changed", {"id": life.order.id, "moon": {"phase": "full"}})
    if life.order.said["requirements"] != "approved":
        life.wait(2, 30)
        life.step(requirements="requirement-info-under-review")
        life.wait(2, 20)
        life.step(requirements="approved")
    life.wait(1, 8)
    if life.order.said["steps"]:
        life.wait(1, 10)
        life.step(steps=[])
    if life.struck("unknown_words"):
        status(life, "awaiting-moonrise")
        life.wait(1, 8)


def _journey(life: Life) -> None:
    """From the losing carrier to an end."""
    while life.likely(0.3):
        life.wait(8, 60)
        _exception(life)
        life.wait(4, 120)
        if life.likely(0.06) and _cancelled(life):
            return
        if life.likely(0.2):
            life.step(foc_requested=at_hour(life.at + timedelta(days=life.rng.randint(4, 10)), 15))
        status(life, "submitted", activation="New")
    if life.likely(0.05):
        life.wait(4, 30)
        if _cancelled(life):
            return
    foc = _agreed(life)
    if life.likely(0.08):
        life.wait(2, 20)
        code = life.rng.choice(("FOC_REJECTED", "FOC_EXPIRED", "SV_CONFLICT"))
        activation = "Conflict" if code == "SV_CONFLICT" else "New"
        status(life, "exception", [detail(code)], foc_actual=None, activation=activation)
        life.wait(4, 40)
        status(life, "submitted", activation="New")
        foc = _agreed(life)
    _cut_over(life, foc)
    _messages(life)


def _exception(life: Life) -> None:
    """Refused for now, for one reason or several; without one, staff say why in a comment."""
    rng = life.rng
    pool = COMMON if life.likely(0.8) else sorted(REASONS)
    details = [detail(code) for code in rng.sample(pool, rng.choices((1, 2, 0), (75, 20, 5))[0])]
    if life.struck("unknown_codes"):
        code = rng.choice(sorted(UNPUBLISHED))
        details.append({"code": code, "description": UNPUBLISHED[code]})
    status(life, "exception", details)
    if not details or life.likely(0.3):
        life.wait(0.1, 4)
        comment(life, "admin", rng.choice(STAFF_ASKS))
        if life.likely(0.4):
            life.wait(0.2, 3)
            comment(life, "user", "We have corrected it, please send it again.")


def _agreed(life: Life) -> datetime:
    """The losing carrier agrees to a date, which may slip more than once."""
    life.wait(12, 72)
    foc = at_hour(life.at + timedelta(days=life.rng.randint(2, 7)), 15)
    status(life, "foc-date-confirmed", foc_actual=foc, activation="Pending")
    life.wait(1, 6)
    life.step(activation="Concurred")
    while life.likely(0.2):
        life.wait(4, 30)
        foc += timedelta(days=life.rng.randint(1, 3))
        life.step(foc_actual=foc)
        if life.likely(0.3):
            comment(life, "system", "The FOC date was changed by the losing carrier.")
    return foc


def _cut_over(life: Life, foc: datetime) -> None:
    """The move itself: at the date, or when the customer activates it; single numbers may lag behind."""
    order, rng = life.order, life.rng
    life.wait_until(foc)
    life.step(activation="Activate RDY")
    if order.said["job"]["type"] == "on-demand":
        life.wait(0.5, 20)
    life.step(activation="Sending", job={**order.said["job"], "status": "in-process"})
    life.at += timedelta(minutes=rng.randint(1, 40), milliseconds=rng.randrange(1000))
    lagging = {}
    if len(order.numbers) > 1 and life.likely(0.08):
        lagging = dict.fromkeys(order.numbers[-rng.randint(1, 2) :], rng.choice(("Sending", "Failed")))
    done = {**order.said["job"], "status": "failed" if "Failed" in lagging.values() else "completed"}
    status(life, "ported", activation="Active", lagging=lagging, job=done)
    if lagging:
        life.wait(1, 30)
        life.step(lagging={})


def _messages(life: Life) -> None:
    """Messaging follows the voice: in ten minutes as a rule, in days when it goes wrong."""
    if life.order.said["messaging"] == "not_applicable":
        return
    life.wait(0.05, 1)
    messaging(life, "activating")
    if life.likely(0.7):
        life.wait(0.1, 0.5)
    else:
        life.wait(4, 120)
    end = life.rng.choices(("ported", "exception", "partial_port_complete", "canceled"), (85, 9, 4, 2))[0]
    messaging(life, end)
    if end == "exception" and life.likely(0.7):
        life.wait(12, 72)
        messaging(life, "ported")


def _cancelled(life: Life) -> bool:
    """Cancelled after staff looked at it; now and then the request is taken back."""
    status(life, "cancel-pending", activation="Cancel Pending")
    life.wait(2, 30)
    if life.likely(0.05):
        return False
    status(life, "cancelled", activation="Cancelled")
    return True


def _split(life: Life, key: int) -> list[Step]:
    """Half of the numbers move to a new order while it is with the losing carrier; that order's script."""
    order = life.order
    life.at += timedelta(minutes=30)
    stay, move = order.numbers[: len(order.numbers) // 2], order.numbers[len(order.numbers) // 2 :]
    child = Order(identity(life.rng), "in", life.at, move)
    keys = {"support_key": f"sr_{key + 1_000_000:06x}", "parent_key": life.keys["parent_key"]}
    job = {**order.said["job"], "id": identity(life.rng)}
    child.said = {**order.said, **keys, "status": "submitted", "steps": [], "activation": "New", "job": job}
    child.said["requirements"] = "approved"
    onward = Life(life.rng, life.faults, child)
    onward.keys = keys
    onward.step(numbers=move)
    _journey(onward)
    payload = {
        "from": {"id": order.id},
        "to": {"id": child.id},
        "porting_phone_numbers": [{"id": identity(life.rng)} for _ in move],
    }
    life.step("porting_order.split", payload, numbers=stay)
    order.numbers = stay
    return onward.steps

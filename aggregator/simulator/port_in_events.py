"""The events of Telnyx porting orders (port-in), each with the change that it announces."""

import random
from datetime import datetime
from typing import Any

from aggregator.simulator.life import HOUR, Life
from aggregator.simulator.settings import Faults
from aggregator.simulator.things import REASONS, Order, Step, identity, millis


def detail(code: str) -> dict[str, str]:
    """A reason, with its published words."""
    return {"code": code, "description": REASONS[code]}


def status(life: Life, value: str, details: list[dict[str, str]] | None = None, **changes: Any) -> None:
    """The order gets this status, for these reasons."""
    life.keys.update({name: changes[name] for name in life.keys if name in changes})
    payload = {
        "id": life.order.id,
        "customer_reference": life.order.said["customer"],
        "support_key": life.keys["support_key"],
        "status": {"value": value, "details": details or []},
        "updated_at": millis(life.at),
        "webhook_url": "https://example.com/porting?secret=hook-canary",
    }
    life.step("porting_order.status_changed", payload, status=value, details=details or [], **changes)


def messaging(life: Life, value: str) -> None:
    """Messaging gets this status."""
    payload = {
        "id": life.order.id,
        "customer_reference": life.order.said["customer"],
        "support_key": life.keys["support_key"],
        "messaging": {
            "messaging_capable": True,
            "enable_messaging": True,
            "messaging_port_status": value,
            "messaging_port_completed": value == "ported",
        },
    }
    life.step("porting_order.messaging_changed", payload, messaging=value)


def comment(life: Life, author: str, body: str) -> None:
    """Staff, user or system says something."""
    said = {"id": identity(life.rng), "body": body, "user_type": author, "inserted_at": millis(life.at)}
    user_id = identity(life.rng) if author == "user" else None
    payload = {
        "porting_order_id": life.order.id,
        "support_key": life.keys["support_key"],
        "comment": {**said, "user_id": user_id},
    }
    life.step("porting_order.new_comment", payload, comment=said)


def cancellation(order: Order, rng: random.Random, faults: Faults, at: datetime) -> list[Step]:
    """What follows when somebody asks to cancel: pending at once, cancelled a day later."""
    life = Life(rng, faults, order)
    life.at, life.keys = at, {"support_key": order.said["support_key"], "parent_key": None}
    status(life, "cancel-pending", activation="Cancel Pending")
    life.at += 24 * HOUR
    status(life, "cancelled", activation="Cancelled")
    return life.steps

"""The world's state at the simulated present, kept by applying steps as the clock moves, and its truth."""

import random
from bisect import bisect_left, bisect_right
from datetime import datetime
from typing import Any

from aggregator.simulator.clock import Clock
from aggregator.simulator.lives import everything, surprise
from aggregator.simulator.settings import Faults, Settings
from aggregator.simulator.things import Event, Order, Step, identity, millis


class World:
    """Every order and event of both providers."""

    def __init__(self, settings: Settings, faults: Faults, clock: Clock) -> None:
        self.settings, self.faults, self.clock = settings, faults, clock
        self.steps = sorted(everything(settings, faults, clock.start), key=lambda step: step.at)
        self.applied = 0
        self.orders: dict[str, dict[str, Order]] = {"in": {}, "out": {}, "fone": {}}
        self.events: dict[str, list[Event]] = {"in": [], "out": []}
        self.times: dict[str, list[datetime]] = {"in": [], "out": []}
        self.by_id: dict[str, Event] = {}
        self.surprises = 0

    def now(self) -> datetime:
        """The present, with every step up to it applied."""
        now = self.clock.now()
        while self.applied < len(self.steps) and self.steps[self.applied].at <= now:
            self._apply(self.steps[self.applied])
            self.applied += 1
        return now

    def _apply(self, step: Step) -> None:
        order, changes = step.order, dict(step.changes)
        if not order.alive:
            order.alive = True
            self.orders[order.kind][order.id] = order
        order.updated_at = step.at
        order.numbers = changes.pop("numbers", order.numbers)
        order.deleted = changes.pop("deleted", order.deleted)
        if comment := changes.pop("comment", None):
            order.comments.append(comment)
        if history := changes.pop("history", None):
            names = ("FdxStatusFrom", "FdxStatusTo", "CarrierPortingStatusFrom", "CarrierPortingStatusTo")
            order.history.append(
                {**dict(zip(names, history, strict=True)), "Created": int(step.at.timestamp())}
            )
        order.said.update(changes)
        if step.event is not None:
            self.events[order.kind].append(step.event)
            self.times[order.kind].append(step.event.created_at)
            self.by_id[step.event.id] = step.event

    def window(self, kind: str, since: datetime | None, until: datetime | None) -> list[Event]:
        """The events listed now whose `created_at` lies in the window, both ends inclusive."""
        now, times = self.now(), self.times[kind]
        first = bisect_left(times, since) if since else 0
        last = bisect_right(times, until) if until else len(times)
        return [event for event in self.events[kind][first:last] if event.visible_at <= now]

    def there(self, kind: str) -> list[Order]:
        """The orders that exist now, oldest first."""
        self.now()
        return [order for order in self.orders[kind].values() if not order.deleted]

    def find(self, kind: str, id: str) -> Order | None:
        """One order, if it exists now."""
        self.now()
        order = self.orders[kind].get(id)
        return None if order is None or order.deleted else order

    def surprise(self) -> str:
        """A port-out nobody expected, born now; returns its id."""
        now = self.now()
        self.surprises += 1
        rng = random.Random(f"{self.settings.seed}/surprise/{self.surprises}")
        steps = surprise(rng, self.faults, now, 900_000 + self.surprises)
        self.steps = sorted([*self.steps[self.applied :], *steps], key=lambda step: step.at)
        self.applied = 0
        self.now()
        return steps[0].order.id

    def cancel(self, order: Order) -> None:
        """Somebody asks to cancel: pending now, cancelled a day later; what the script held is dropped."""
        now = self.now()
        ahead = [step for step in self.steps[self.applied :] if step.order is not order]
        event = Event(
            identity(random.Random(f"{order.id}/cancel")),
            "porting_order.status_changed",
            order.id,
            now,
            {},
            now,
            now,
        )
        event.payload = {
            "id": order.id,
            "status": {"value": "cancel-pending", "details": []},
            "updated_at": millis(now),
        }
        self.steps, self.applied = (
            [Step(now, order, {"status": "cancel-pending", "details": []}, event), *ahead],
            0,
        )
        self.now()

    def truth(self) -> dict[str, Any]:
        """What is so, for whoever checks a client against us."""
        now = self.now()
        listed = {
            kind: [event.id for event in events if event.visible_at <= now]
            for kind, events in self.events.items()
        }
        return {
            "now": millis(now),
            "telnyx": {
                "porting_orders": {id: _in_truth(order) for id, order in self.orders["in"].items()},
                "portouts": {
                    id: {"status": order.said["status"], "numbers": order.numbers}
                    for id, order in self.orders["out"].items()
                },
                "porting_events": listed["in"],
                "portout_events": listed["out"],
            },
            "fonedynamics": {
                "requests": {
                    id: {
                        "Status": order.said["status"],
                        "numbers": dict.fromkeys(order.numbers, order.said["status"]),
                    }
                    for id, order in self.orders["fone"].items()
                },
                "history": [
                    [id, number, *entry.values()]
                    for id, order in self.orders["fone"].items()
                    for entry in order.history
                    for number in order.numbers
                ],
            },
        }


def _in_truth(order: Order) -> dict[str, Any]:
    said = order.said
    return {
        "status": said["status"],
        "details": [detail["code"] for detail in said["details"]],
        "numbers": order.numbers,
        "deleted": order.deleted,
        "foc_datetime_actual": said["foc_actual"] and millis(said["foc_actual"]),
        "foc_datetime_requested": millis(said["foc_requested"]),
        "messaging": said["messaging"],
        "support_key": said["support_key"],
        "comments": len(order.comments),
    }

"""One order's script in the making: a clock of its own, and helpers that add a step."""

import random
from datetime import datetime, timedelta
from typing import Any

from aggregator.simulator.settings import Faults
from aggregator.simulator.things import Event, Order, Step, chance, identity

HOUR = timedelta(hours=1)


class Life:
    """Tells an order's life in order of time. Faults are read when the order is born."""

    def __init__(self, rng: random.Random, faults: Faults, order: Order) -> None:
        self.rng, self.faults, self.order = rng, faults, order
        self.at = order.born_at
        self.steps: list[Step] = []
        self.keys: dict[str, Any] = {"support_key": None, "parent_key": None}

    def wait(self, low_h: float, high_h: float) -> None:
        """Let some hours pass."""
        self.at += timedelta(seconds=round(self.rng.uniform(low_h, high_h) * 3600, 3))

    def wait_until(self, at: datetime) -> None:
        """Let the time pass until then, if it has not come already."""
        self.at = max(self.at, at)

    def likely(self, share: float) -> bool:
        """Whether something happens that befalls so many."""
        return self.rng.random() < share

    def struck(self, knob: str) -> bool:
        """Whether a fault befalls this order; drawn apart, so that the rest of its life stays as it is."""
        share: float = getattr(self.faults, knob)
        return share > 0 and chance(self.order.id, knob) < share

    def step(self, type: str | None = None, payload: dict[str, Any] | None = None, **changes: Any) -> None:
        """Change the order now, announced by an event where a type is given."""
        event = None
        if type is not None:
            feed, id = self.order.kind, self.order.id
            event = Event(identity(self.rng), feed, type, id, self.at, payload, self.at, self.at)
        self.steps.append(Step(self.at, self.order, changes, event, script=self.order.script))


def at_hour(day: datetime, hour: int) -> datetime:
    """This hour of that day."""
    return day.replace(hour=hour, minute=0, second=0, microsecond=0)

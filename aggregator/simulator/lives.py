"""Who is born when: the births of every order in the world, each with the script of its life."""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from aggregator.simulator.fone_lives import fone
from aggregator.simulator.port_in import port_in
from aggregator.simulator.port_out import port_out
from aggregator.simulator.settings import Faults, Settings
from aggregator.simulator.things import Step

TELL: dict[str, Callable[[random.Random, Faults, datetime, int], list[Step]]] = {
    "in": port_in,
    "out": port_out,
    "fone": fone,
}


@dataclass(frozen=True, slots=True)
class Birth:
    """An order is born at this time; its life is told then, under the faults of that moment."""

    at: datetime
    kind: str
    key: int
    seed: str
    numbers: Sequence[str] = ()
    """The numbers that leave; without any, the port-out has some of its own."""

    def tell(self, faults: Faults) -> list[Step]:
        """The script of its life."""
        rng = random.Random(self.seed)
        if self.numbers:
            return port_out(rng, faults, self.at, self.key, self.numbers)
        return TELL[self.kind](rng, faults, self.at, self.key)


def births(settings: Settings, start: datetime) -> Iterator[Birth]:
    """Every birth of the world, unsorted. A tenth of the porting orders is there from the start."""
    counts = {
        "in": (settings.orders, -0.1, 0.95),
        "out": (settings.orders // 5 + 1, 0.0, 0.97),
        "fone": (settings.orders // 3, 0.0, 0.95),
    }
    for kind, (count, low, high) in counts.items():
        rng = random.Random(f"{settings.seed}/{kind}")
        for key in range(1, count + 1):
            at = start + timedelta(days=settings.days) * rng.uniform(low, high)
            yield Birth(at, kind, key, f"{settings.seed}/{kind}/{key}")


def surprise(settings: Settings, number: int, at: datetime, numbers: Sequence[str] = ()) -> Birth:
    """A port-out nobody expected, of these numbers, made now."""
    return Birth(at, "out", 900_000 + number, f"{settings.seed}/surprise/{number}", numbers)

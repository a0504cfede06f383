"""The lives of Fone Dynamics requests. Two of its words are published; the others are what the field says.

Each number has its own status and history. The request takes a word when the last of its numbers has it, so
that for a while they differ. The date is set around acceptance, mostly stays, and slips forward if at all.
"""

import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from aggregator.simulator.life import HOUR, Life
from aggregator.simulator.settings import Faults
from aggregator.simulator.things import CARRIERS, CUSTOMERS, PEOPLE, Line, Order, Step, au_numbers

DAY = 86_400


class _Request(Life):
    """A request's life: times in whole seconds, moves of single numbers, codes of the upstream carrier."""

    def __init__(self, rng: random.Random, faults: Faults, order: Order) -> None:
        super().__init__(rng, faults, order)
        self.code = 1

    def pause(self, low_h: float, high_h: float) -> None:
        """Let some hours pass, to the full second."""
        self.wait(low_h, high_h)
        self.at = self.at.replace(microsecond=0)

    def move(
        self, word: str | None, numbers: Sequence[str], code: int | None = None, **changes: object
    ) -> None:
        """Some numbers take a word, a carrier code, or both."""
        moves = tuple((number, word, None if code is None else str(code)) for number in numbers)
        self.steps.append(Step(self.at, self.order, dict(changes), None, moves))

    def take(self, word: str, **changes: object) -> None:
        """Every number takes the word: together, or some a while after the others."""
        numbers = self.order.numbers
        early = numbers[: self.rng.randint(1, len(numbers))] if self.likely(0.3) else numbers
        if self.likely(0.5):
            self.code += 1
        if len(early) < len(numbers):
            self.move(word, early, self.code)
            self.pause(0.1, 24)
        self.move(word, [n for n in numbers if n not in early] or numbers, self.code, status=word, **changes)

    def code_alone(self) -> None:
        """The carrier's code moves while the word stays, which makes an entry too."""
        self.code += 1
        self.move(None, self.order.numbers, self.code)


def fone(rng: random.Random, faults: Faults, born_at: datetime, key: int) -> list[Step]:
    """A request's whole script."""
    born_at = born_at.replace(microsecond=0)
    order = Order(f"P-{key:06}", "fone", born_at, au_numbers(rng, rng.choice((1, 1, 1, 1, 2, 3, 6))))
    order.lines = {number: Line("Received", "1") for number in order.numbers}
    asap = rng.random() < 0.4
    early = rng.random() < 0.05  # the published example wants a day long before it was created
    order.said = {
        "status": "Received",
        "customer": rng.choice(CUSTOMERS),
        "carrier": rng.choice(CARRIERS),
        "person": rng.choice(PEOPLE),
        "asap": asap,
        "preferred": _midnight(born_at) + DAY * (-44 if early else rng.randint(5, 14)),
        "port_date": None,
    }
    life = _Request(rng, faults, order)
    life.step()
    life.pause(0.3, 6)
    provisional = {"port_date": _midnight(born_at) + 7 * DAY} if life.likely(0.1) else {}
    life.take("Queued", **provisional)
    life.pause(2, 40)
    if life.likely(0.07):
        life.take("Cancelled", port_date=None)
        return life.steps
    _with_carrier(life)
    return life.steps


def _with_carrier(life: _Request) -> None:
    """Lodged, refused and lodged again, accepted with a date, and moved on that day."""
    if life.struck("unknown_words"):
        life.take(f"Moon Phase {life.rng.randrange(9)}")
        life.pause(1, 10)
    life.take("Awaiting Telstra" if life.likely(0.12) else "Submitted")
    while life.likely(0.22):
        life.pause(6, 60)
        life.take("Rejected", port_date=None)
        life.pause(6, 140)
        if life.likely(0.1):
            life.take("Cancelled")
            return
        life.take("Submitted")
    if life.likely(0.3):
        life.pause(1, 10)
        life.code_alone()
    life.pause(8, 60)
    _accepted(life)


def _accepted(life: _Request) -> None:
    order, rng = life.order, life.rng
    soonest = _midnight(life.at) + rng.randint(1, 4) * DAY
    date = soonest if order.said["asap"] else max(soonest, order.said["preferred"])
    life.take("Accepted", port_date=date)
    while life.likely(0.15):
        life.pause(2, 12)
        date += rng.randint(1, 5) * DAY
        life.code += 1
        numbers = order.numbers if life.likely(0.7) else []  # without an entry no window shows the new date
        life.move(None, numbers, life.code, port_date=date)
    # Standard hours in Sydney, on the day that the date names there.
    life.wait_until(datetime.fromtimestamp(date, UTC) + timedelta(seconds=rng.randint(0, 6 * 3600)) - HOUR)
    if len(order.numbers) > 1 and life.likely(0.1):
        _one_refused(life)
        return
    life.take("Completed")
    if life.likely(0.02):
        life.pause(0.5, 4)
        life.take("Reversed")  # an emergency return; no published word for it


def _one_refused(life: _Request) -> None:
    """The last number is refused at the cutover: tried again a day later, or given up."""
    *moved, last = life.order.numbers
    life.move("Completed", moved, life.code)
    life.move("Rejected", [last], life.code + 1)
    life.code += 1
    life.pause(6, 30)
    end = "Completed" if life.likely(0.7) else "Cancelled"
    life.move(end, [last], life.code, status="Completed")


def _midnight(at: datetime) -> int:
    return int(at.timestamp()) // DAY * DAY

"""Where an order's rows say something else than its facts do now: what a replay finds, a line for each."""

from collections.abc import Iterator
from dataclasses import dataclass

from aggregator.core.diff import as_text
from aggregator.core.standing import COPIED, NUMBER_FIELDS, ORDER_FIELDS, Held, Standing, Value


@dataclass(frozen=True, slots=True)
class Difference:
    """One derived value that differs: what the row says and what the facts say. `number_key` is '' for the
    order's own."""

    order_id: str
    number_key: str
    field: str
    old: str | None
    new: str | None

    def __str__(self) -> str:
        whose = f"{self.order_id} {self.number_key}".rstrip()
        old, new = ("(none)" if value is None else value for value in (self.old, self.new))
        return f"{whose}: {self.field}: {old} → {new}"


def differing(order_id: str, before: Standing, after: Standing) -> Iterator[Difference]:
    """What differs between an order's rows and its facts. What a number only copies from its order is told
    once, with the order."""
    same = before.order == after.order

    def told(field: str, old: Value, new: Value, key: str = "") -> Difference:
        return Difference(order_id, key, field, as_text(old), as_text(new))

    for name in ORDER_FIELDS:
        old, new = getattr(before.order, name), getattr(after.order, name)
        if old != new:
            yield told(name, old, new)
    for key, number in after.numbers.items():
        stood = before.numbers.get(key)
        if stood is None:
            yield told("number_key", None, key, key)
            continue
        for name in NUMBER_FIELDS:
            old, new = getattr(stood, name), getattr(number, name)
            if old != new and (number.own or same or name not in COPIED):
                yield told(name, old, new, key)
    for held in before.reasons:
        if held not in after.reasons:
            yield told("reason", _spoken(held), None, held.number_key)
    for held in after.reasons:
        if held not in before.reasons:
            yield told("reason", None, _spoken(held), held.number_key)


def _spoken(held: Held) -> str:
    until = f" until {as_text(held.until)}" if held.until else ""
    return f"{held.code} ({held.raw_code}, {held.waiting_on}) from {as_text(held.since)}{until}"

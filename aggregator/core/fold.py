"""Facts → the order as it stands.

For each facet the fact with the latest stamp wins, so a fold is commutative, associative and idempotent:
pages may arrive late, twice, in any order, from two processes, and the end is the same.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import fields
from typing import TypeVar

from aggregator.core.model import NOT_TOLD, Fact, Moment, NumberSaid, Source, Status, Whole
from aggregator.core.rollup import derive
from aggregator.core.standing import NumberTold, Stamp, Standing, Told

T = TypeVar("T")
Trail = list[tuple[Stamp, T]]


def stamp(fact: Fact) -> Stamp:
    """The place of a fact in the one order of facts."""
    return (fact.as_of, fact.read_at, int(fact.source is Source.EVENT), fact.source_id)


def fold(before: Standing | None, facts: Iterable[Fact]) -> Standing:
    """The order after these (normalised) facts. All must speak of one order; at least one is needed."""
    draft = _Draft(before.told if before else None)
    ref = before.ref if before else None
    for fact in facts:
        ref = fact.order
        draft.add(fact)
    if ref is None:
        raise ValueError("an order stands on at least one fact")
    told = draft.told()
    return Standing(ref, told, *derive(ref, told))


class _Draft:
    """The mutable inside of one fold."""

    def __init__(self, told: Told | None) -> None:
        self.facets: dict[str, tuple[Stamp, object]] = dict(told.facets) if told else {}
        self.statuses: Trail[Status] = list(told.statuses) if told else []
        self.confirmed: Trail[Moment | None] = list(told.confirmed) if told else []
        self.lists: Trail[frozenset[str]] = list(told.lists) if told else []
        self.existence: Trail[bool] = list(told.existence) if told else []
        self.numbers: dict[str, NumberTold] = dict(told.numbers) if told else {}
        self.comments: set[str] = set(told.comments) if told else set()

    def told(self) -> Told:
        return Told(
            self.facets,
            tuple(self.statuses),
            tuple(self.confirmed),
            tuple(self.lists),
            tuple(self.existence),
            self.numbers,
            frozenset(self.comments),
        )

    def add(self, fact: Fact) -> None:
        at = stamp(fact)
        for name, value in _facets(fact):
            newest(self.facets, name, at, value)
        if fact.status is not None:
            insert(self.statuses, at, fact.status)
        if fact.dates is not None and fact.dates.confirmed is not NOT_TOLD:
            insert(self.confirmed, at, fact.dates.confirmed)
        if fact.deleted is not None:
            insert(self.existence, at, fact.deleted)
        if fact.comment is not None:
            self.comments.add(fact.comment.id)
        if fact.numbers is not None:
            for said in fact.numbers.numbers:
                self.numbers[said.key] = _number(self.numbers.get(said.key), said, at)
            if isinstance(fact.numbers, Whole):
                insert(self.lists, at, frozenset(said.key for said in fact.numbers.numbers))


def newest(facets: dict[str, tuple[Stamp, object]], name: str, at: Stamp, value: object) -> None:
    """Keep the value with the latest stamp."""
    standing = facets.get(name)
    if standing is None or standing[0] < at:
        facets[name] = (at, value)


def insert(trail: Trail[T], at: Stamp, value: T) -> None:
    """Put a value into its place in a trail; one that is there already changes nothing."""
    place = bisect_left(trail, at, key=lambda entry: entry[0])
    if place == len(trail) or trail[place][0] != at:
        trail.insert(place, (at, value))


def _facets(fact: Fact) -> Iterator[tuple[str, object]]:
    for name in ("status", "messaging", "activation", "steps", "numbers_total"):
        value = getattr(fact, name)
        if value is not None:
            yield name, value
    for group in (fact.dates, fact.carriers, fact.references):
        if group is not None:
            for column in fields(group):
                value = getattr(group, column.name)
                if value is not NOT_TOLD:
                    yield column.name, value
    if fact.link is not None and fact.link.child == fact.order.id:
        yield "parent", fact.link.parent


def _number(before: NumberTold | None, said: NumberSaid, at: Stamp) -> NumberTold:
    facets = dict(before.facets) if before else {}
    statuses = list(before.statuses) if before else []
    newest(facets, "raw", at, (said.raw, said.e164))
    if said.status is not NOT_TOLD:
        insert(statuses, at, said.status)
    for name in ("activation", "messaging", "carrier_status", "requirement"):
        value = getattr(said, name)
        if value is not NOT_TOLD:
            newest(facets, name, at, value)
    first = min(before.first, at) if before else at
    last = max(before.last, at) if before else at
    return NumberTold(facets, first, last, tuple(statuses))

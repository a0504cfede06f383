"""Facts → the order as it stands.

For each facet the fact with the latest stamp wins, so a fold is commutative, associative and idempotent:
pages may arrive late, twice, in any order, from two processes, and the end is the same.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields
from datetime import UTC, datetime
from operator import itemgetter
from typing import Any

from aggregator.core.model import (
    NOT_TOLD,
    Carrier,
    Carriers,
    Dates,
    Fact,
    NumberSaid,
    References,
    Source,
    Terms,
    Whole,
)
from aggregator.core.rollup import derive
from aggregator.core.standing import Gone, NumberTold, Stamp, Standing, Told, Trail

ORDER_TRAILS = frozenset({"status", "confirmed", "messaging", "steps", "task", "existence", "list", "dated"})
NUMBER_TRAILS = frozenset({"status", "requirement"})
"""The facets whose history counts: what follows from them is computed from all that was ever said."""

NUMBER_FACET = "number."
"""What the facets of numbers are called among those of an order: `number.status`."""

FOR_EVER = datetime.max.replace(tzinfo=UTC)

_PLAIN = (
    *("status", "messaging", "activation", "steps", "numbers_total", "requirements_met", "missing"),
    *("task", "listed"),
)
_GROUPS = tuple(
    (group, tuple(column.name for column in fields(kind)))
    for group, kind in (
        ("dates", Dates),
        ("carriers", Carriers),
        ("references", References),
        ("terms", Terms),
    )
)
_NUMBER = ("status", "activation", "messaging", "carrier_status", "requirement", "portability")
_place = itemgetter(0)


def stamp(fact: Fact) -> Stamp:
    """The place of a fact in the one order of facts."""
    return (fact.as_of, fact.read_at, int(fact.source is Source.EVENT), fact.ordinal, fact.source_id)


def facet_stamp(fact: Fact, facet: str) -> Stamp:
    """The place of what a fact says about one facet: a document's own time, unless an event spoke of it since."""
    at = stamp(fact)
    if fact.said_at is None:
        return at
    return (dict(fact.facets_at).get(facet, fact.said_at), *at[1:])


def begun_by(fact: Fact, moment: datetime) -> bool:
    """Whether something of what a fact says was so by a moment."""
    if fact.said_at is None:
        return fact.as_of <= moment
    return any(facet_stamp(fact, facet)[0] <= moment for facet in facets_of(fact))


def fold(before: Standing | None, facts: Iterable[Fact], until: datetime = FOR_EVER) -> Standing:
    """The order after these (normalised) facts. All must speak of one order; at least one is needed. Of a document
    whose facets have places of their own, only what was so by `until` counts."""
    draft = _Draft(before.told if before else Told(), until)
    ref = before.ref if before else None
    for fact in facts:
        ref = fact.order
        draft.add(fact)
    if ref is None:
        raise ValueError("an order stands on at least one fact")
    told = draft.told()
    return Standing(ref, told, *derive(ref, told, before))


def said_of_order(fact: Fact) -> Iterator[tuple[str, object]]:
    """What a fact says about its order, by facet."""
    for name in _PLAIN:
        value = getattr(fact, name)
        if value is not None:
            yield name, value
    for group, names in _GROUPS:
        values = getattr(fact, group)
        if values is not None:
            for name in names:
                value = getattr(values, name)
                if value is NOT_TOLD or (name == "created" and value is None):
                    continue
                if group == "carriers":
                    yield from _carrier(name, value)
                else:
                    yield name, value
    if fact.deleted is not None:
        yield "existence", _gone(fact)
    if fact.asked:
        yield "asked", True
    if isinstance(fact.numbers, Whole):
        yield "list", len(fact.numbers.numbers)
    if fact.link is not None and fact.link.child == fact.order.id:
        yield "parent", fact.link.parent
    if fact.said_at is not None and (fact.status is not None or fact.numbers is not None):
        yield "dated", None


def _carrier(name: str, carrier: Carrier | None) -> Iterator[tuple[str, object]]:
    """A carrier's name and its SPID, each a facet of its own; of None both are said to be none."""
    for column, value in (("name", carrier and carrier.name), ("spid", carrier and carrier.spid)):
        if value is not NOT_TOLD:
            yield f"{name}_{column}", value


def _gone(fact: Fact) -> Gone | None:
    """How a fact shows that its order is gone; None where it is there."""
    if not fact.deleted:
        return None
    by_look = "absent" if fact.absent else "not_found"
    return Gone("event" if fact.source is Source.EVENT else by_look, fact.deleted_at)


def said_of_number(said: NumberSaid) -> Iterator[tuple[str, object]]:
    """What a fact says about one of its numbers, by facet."""
    yield "raw", (said.raw, said.e164)
    for name in _NUMBER:
        value = getattr(said, name)
        if value is not NOT_TOLD:
            yield name, value


def facets_of(fact: Fact) -> frozenset[str]:
    """The facets that a fact speaks of; whatever it says of numbers bears on the list of them."""
    numbers = fact.numbers.numbers if fact.numbers else ()
    of_numbers = {NUMBER_FACET + name for said in numbers for name, _ in said_of_number(said)}
    return frozenset(
        [*(name for name, _ in said_of_order(fact)), *of_numbers, *(["list"] if numbers else [])]
    )


class _Facets:
    """The mutable inside of one fold, for an order or for one of its numbers."""

    def __init__(
        self,
        facets: Mapping[str, tuple[Stamp, object]],
        trails: Mapping[str, Trail[Any]],
        kept: frozenset[str],
    ) -> None:
        self.facets = dict(facets)
        self.frozen = trails
        self.trails: dict[str, list[tuple[Stamp, Any]]] = {}
        self.kept = kept

    def add(self, at: Stamp, said: Iterable[tuple[str, object]]) -> None:
        """Keep the newest word of each facet, and every word of those whose history counts."""
        for name, value in said:
            standing = self.facets.get(name)
            if standing is None or standing[0] < at:
                self.facets[name] = (at, value)
            if name in self.kept:
                trail = self.trails.get(name)
                if trail is None:
                    trail = self.trails[name] = list(self.frozen.get(name, ()))
                insert(trail, at, value)

    def told(self) -> tuple[Mapping[str, tuple[Stamp, object]], Mapping[str, Trail[Any]]]:
        """Both, to be kept."""
        added = {name: tuple(trail) for name, trail in self.trails.items()}
        return self.facets, {**self.frozen, **added} if added else self.frozen


def insert(trail: list[tuple[Stamp, Any]], at: Stamp, value: object) -> None:
    """Put a value into its place in a trail; one that is there already changes nothing."""
    place = len(trail) if not trail or trail[-1][0] < at else bisect_left(trail, at, key=_place)
    if place == len(trail) or trail[place][0] != at:
        trail.insert(place, (at, value))


class _Draft:
    """The mutable inside of one fold."""

    def __init__(self, told: Told, until: datetime) -> None:
        self.before, self.until = told, until
        self.order = _Facets(told.facets, told.trails, ORDER_TRAILS)
        self.numbers: dict[str, tuple[Stamp, Stamp, _Facets]] = {}
        self.comments, self.documents = told.comments, told.documents

    def add(self, fact: Fact) -> None:
        if fact.said_at is not None and (fact.facets_at or fact.said_at != fact.as_of):
            self._add_apart(fact)
            return
        at = stamp(fact)
        self.order.add(at, said_of_order(fact))
        if fact.comment is not None:
            self.comments |= {fact.comment.id}
        if fact.documents_changed:
            self.documents |= {fact.source_id}
        for said in fact.numbers.numbers if fact.numbers else ():
            self._mentioned(said, at).add(at, said_of_number(said))

    def _add_apart(self, fact: Fact) -> None:
        """A document whose facets have places of their own."""
        for name, value in said_of_order(fact):
            self._add_at(self.order, facet_stamp(fact, name), name, value)
        listed = facet_stamp(fact, "list")
        for said in fact.numbers.numbers if fact.numbers and listed[0] <= self.until else ():
            facets = self._mentioned(said, listed)
            for name, value in said_of_number(said):
                # Without its writing there is no number, whenever it was first written.
                at = listed if name == "raw" else facet_stamp(fact, NUMBER_FACET + name)
                self._add_at(facets, at, name, value)

    def _add_at(self, facets: _Facets, at: Stamp, name: str, value: object) -> None:
        if at[0] <= self.until:
            facets.add(at, ((name, value),))

    def _mentioned(self, said: NumberSaid, at: Stamp) -> _Facets:
        """The facets of a number that is mentioned under this stamp."""
        first, last, facets = self._number(said.key, at)
        self.numbers[said.key] = (min(first, at), max(last, at), facets)
        return facets

    def _number(self, key: str, at: Stamp) -> tuple[Stamp, Stamp, _Facets]:
        draft = self.numbers.get(key)
        if draft is not None:
            return draft
        told = self.before.numbers.get(key)
        if told is None:
            return at, at, _Facets({}, {}, NUMBER_TRAILS)
        return told.first, told.last, _Facets(told.facets, told.trails, NUMBER_TRAILS)

    def told(self) -> Told:
        spoken_of = {
            key: NumberTold(first, last, *facets.told())
            for key, (first, last, facets) in self.numbers.items()
        }
        return Told(
            *self.order.told(),
            {**self.before.numbers, **spoken_of} if spoken_of else self.before.numbers,
            self.comments,
            self.documents,
        )

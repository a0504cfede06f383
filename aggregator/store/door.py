"""The door: which facts are new, and what place they get. Decided once, stored, never again.

An event is new when its id is, or when its payload has come since. A snapshot is new when its document
differs from the newest stored one; an equal one is a fact only where something newer contradicts it: an event
told more than five minutes before this look, or a tombstone.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, bindparam, select

from aggregator.core.account import Words
from aggregator.core.fold import facets_of, stamp
from aggregator.core.history import shows
from aggregator.core.model import Fact, OrderRef, Part, Source
from aggregator.core.rollup import COUNT_DIFFERS
from aggregator.store.absence import MISSES
from aggregator.store.facts import decoded
from aggregator.store.rows import digest
from aggregator.store.statements import several, table_of
from aggregator.store.tables import EventRow, FactRow

SETTLED = timedelta(minutes=5)
"""How long after an event the provider's own order may still show the time before it."""
NEXT = timedelta(microseconds=1)  # the finest step of time
_BESIDE = {"steps": "status", "number.requirement": "status"}
"""Facets that mean something only beside another one, whose place they take."""
_STATUSES = frozenset({"status", "number.status", *_BESIDE})

_EVENT, _FACT = table_of(EventRow), table_of(FactRow)
_EVENTS = select(_EVENT.c.feed, _EVENT.c.provider_event_id, _EVENT.c.payload_complete).where(
    _EVENT.c.account_id == bindparam("account_id")
)
_SOURCES = select(_FACT.c.source_id).where(_FACT.c.account_id == bindparam("account_id"))
_SAME = (
    select(_FACT.c.id)
    .where(_FACT.c.order_pk == bindparam("pk"), _FACT.c.as_of == bindparam("at"))
    .where(_FACT.c.part == bindparam("part"), _FACT.c.document == bindparam("document"))
    .limit(1)
)
_SINCE = select(_FACT).where(_FACT.c.order_pk == bindparam("pk"), _FACT.c.as_of > bindparam("at"))


class Door:
    """One transaction's door. `complete` holds the events that are stored, and whether with their payload."""

    def __init__(self, tx: Connection, account_id: int, facts: Iterable[Fact], words: Words) -> None:
        facts = tuple(facts)
        self.words = words
        self.complete = dict[tuple[str, str], bool]()
        ours = {"account_id": account_id}
        keys = {said.announced.key for said in facts if said.announced}
        for row in several(tx, _EVENTS, _EVENT.c.provider_event_id, keys, **ours):
            self.complete[row.feed, row.provider_event_id] = row.payload_complete
        self.stored = frozenset(self.complete)
        ids = {said.source_id for said in facts if said.announced is None}
        self.known = {row.source_id for row in several(tx, _SOURCES, _FACT.c.source_id, ids, **ours)}
        self.tx = tx
        self.newest = dict[tuple[OrderRef, Part], datetime]()
        for said in facts:
            if said.source is Source.SNAPSHOT:
                place = (said.order, said.part)
                self.newest[place] = max(self.newest.get(place, said.as_of), said.as_of)

    def knows(self, fact: Fact) -> bool:
        """Whether an event is stored already, and brings no payload that is still owed."""
        said = fact.announced
        if said is None:
            return False
        complete = self.complete.get((said.feed, said.key))
        return complete is not None and (complete or not said.complete)

    def admit(self, fact: Fact, order: Mapping[str, Any] | None) -> Fact | None:
        """The fact as it is to be stored, or None when it says nothing new. `order` is the order's row."""
        if fact.announced is not None:
            return self._event(fact)
        if fact.source_id in self.known:
            return None
        self.known.add(fact.source_id)
        if fact.part not in (Part.ORDER, Part.NUMBERS) or fact.source is Source.EVENT:
            return fact  # a thing of its own, named by what it says
        return self._look(fact, order or {})

    def _event(self, fact: Fact) -> Fact | None:
        said = fact.announced
        assert said is not None
        if self.knows(fact):
            return None
        self.complete[said.feed, said.key] = said.complete
        return fact if said.complete else replace(fact, source_id=f"{fact.source_id}/bare")

    def _look(self, fact: Fact, order: Mapping[str, Any]) -> Fact | None:
        looked_at = fact.looked_at or fact.read_at
        gone_at = order.get("deleted_at")
        if fact.deleted:
            # A 404 is news only about an order we know and still believe in.
            absent = True if order.get("misses", 0) >= MISSES else None
            return replace(fact, as_of=looked_at, absent=absent) if order and gone_at is None else None
        if gone_at is not None and looked_at > gone_at:
            if looked_at <= gone_at + SETTLED:
                return None
            return self._placed(replace(fact, as_of=looked_at), looked_at, order)
        kind = "document" if fact.part is Part.ORDER else "numbers_document"
        stands_at: datetime | None = order.get(f"{kind}_as_of")
        said_at: datetime | None = order.get(f"{kind}_said_at")
        event_at: datetime | None = order.get("event_as_of")
        same = order.get(kind) == digest(fact.document or "")
        # Beside a look that the provider calls newer, an older one shows what was so, whenever it was taken.
        newest = fact.as_of >= self.newest[fact.order, fact.part]
        apart = newest
        if event_at is not None and event_at > fact.as_of and newest:
            fact = _after(fact, event_at, looked_at)
        elif newest and stands_at is not None and said_at is not None and said_at <= fact.as_of < stands_at:
            # What stands was placed where its reply was, by a clock ahead of this word, which is as new or newer.
            fact = replace(fact, as_of=max(stands_at, looked_at))
        else:
            apart = False
        if (
            stands_at is not None
            and fact.as_of < stands_at
            and not fact.asked
            and self._is_stored(fact, order)
        ):
            return None
        if stands_at is not None and not fact.asked and same and fact.as_of >= stands_at:
            confirmed = event_at is not None and stands_at < event_at <= fact.as_of
            counted = fact.listed is not None or order.get("disagreement") == COUNT_DIFFERS
            if not (counted if fact.part is Part.NUMBERS else confirmed):
                return None
        # The same words, earlier, are news too: since when they hold.
        return self._placed(fact, looked_at, order, None if same else stands_at) if apart else fact

    def _placed(
        self, fact: Fact, looked_at: datetime, order: Mapping[str, Any], not_before: datetime | None = None
    ) -> Fact:
        """A look that was placed after something newer than its own word: what nothing newer spoke of is so since
        that word. A status that was announced since is so from the announcement on at the earliest (and from
        `not_before`, when another document was seen), for nobody knows since when it is another."""
        said_at = fact.said_at
        if said_at is None:
            return fact
        events, looks = self._since(order.get("id"), fact, said_at)
        places: dict[str, datetime] = {}
        for name in sorted(facets_of(fact)):
            at, event_at, shown_at = said_at, events.get(_BESIDE.get(name, name)), looks.get(name)
            status = name in _STATUSES
            if event_at is not None and looked_at > event_at + SETTLED:
                at = min(max(event_at + NEXT, not_before or said_at), looked_at) if status else looked_at
            elif event_at is not None and shows(said_at, event_at):
                at = event_at
            if shown_at is not None and shown_at > at:
                at = shown_at if status else max(shown_at, looked_at)
            if at != said_at:
                places[name] = at
        return replace(fact, facets_at=tuple(places.items()))

    def _since(
        self, pk: int | None, fact: Fact, said_at: datetime
    ) -> tuple[dict[str, datetime], dict[str, datetime]]:
        """Where the newest word about each facet stands, of those after a document's own: of what was announced,
        and of looks whose document is not newer."""
        events: dict[str, datetime] = {}
        looks: dict[str, datetime] = {}
        for row in self.tx.execute(_SINCE, {"pk": pk, "at": said_at}) if pk is not None else ():
            told = decoded(
                fact.order, row.source, row.source_id, row.part, row.as_of, row.read_at, row.said, self.words
            )
            if told.source is Source.EVENT:
                found, here = events, dict.fromkeys(facets_of(told), told.as_of)
            elif told.said_at is None:
                found, here = looks, dict.fromkeys(facets_of(told), told.as_of)
            elif told.said_at <= said_at:
                found, here = looks, dict(told.facets_at)
            else:
                continue
            for name, at in here.items():
                found[name] = max(found.get(name, at), at)
        return events, looks

    def _is_stored(self, fact: Fact, order: Mapping[str, Any]) -> bool:
        """Whether an older document is one that was stored for the same moment already."""
        said = {"part": fact.part, "document": digest(fact.document or "")}
        return self.tx.execute(_SAME, {"pk": order.get("id"), "at": fact.as_of, **said}).first() is not None


def _after(fact: Fact, event_at: datetime, looked_at: datetime) -> Fact:
    """A look whose own time lies before an event's, at its place. Taken well after the event it shows what is
    so after it, whatever `updated_at` says; and a time written in whole seconds or milliseconds may mean any
    moment of them, so an event of the same one is part of what it shows."""
    if looked_at > event_at + SETTLED:
        return replace(fact, as_of=looked_at)
    return replace(fact, as_of=event_at) if shows(fact.as_of, event_at) else fact


def first_looks(facts: Iterable[Fact]) -> tuple[dict[str, tuple[Fact, ...]], set[str]]:
    """Of facts about orders that nobody knows yet: for each first look at one the history that came in the
    same reply, by the look's id, and the ids of all that is absorbed so. The first sight of an order is one:
    such history is folded with it, and told by the events alone."""
    told: dict[OrderRef, list[Fact]] = {}
    for fact in facts:
        told.setdefault(fact.order, []).append(fact)
    absorbing: dict[str, tuple[Fact, ...]] = {}
    absorbed: set[str] = set()
    for together in told.values():
        for look in together:
            if look.source is not Source.SNAPSHOT or look.part is not Part.ORDER:
                continue
            here = [one for one in together if one.read_at == look.read_at and stamp(one) < stamp(look)]
            if all(one.source is Source.EVENT for one in here):
                absorbing[look.source_id] = tuple(here)
                absorbed.update(one.source_id for one in here)
    return absorbing, absorbed

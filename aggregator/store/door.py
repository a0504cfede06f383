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

from aggregator.core.fold import stamp
from aggregator.core.model import Fact, OrderRef, Part, Source
from aggregator.store.absence import MISSES
from aggregator.store.rows import digest
from aggregator.store.statements import several, table_of
from aggregator.store.tables import EventRow, FactRow

SETTLED = timedelta(minutes=5)
"""How long after an event the provider's own order may still show the time before it."""

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


class Door:
    """One transaction's door. `complete` holds the events that are stored, and whether with their payload."""

    def __init__(self, tx: Connection, account_id: int, facts: Iterable[Fact]) -> None:
        facts = tuple(facts)
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
            return replace(fact, as_of=looked_at) if looked_at > gone_at + SETTLED else None
        kind = "document" if fact.part is Part.ORDER else "numbers_document"
        stands_at: datetime | None = order.get(f"{kind}_as_of")
        said_at: datetime | None = order.get(f"{kind}_said_at")
        event_at: datetime | None = order.get("event_as_of")
        # Beside a look that the provider calls newer, an older one shows what was so, whenever it was taken.
        newest = fact.as_of >= self.newest[fact.order, fact.part]
        if event_at is not None and event_at > fact.as_of and newest:
            fact = _after(fact, event_at, looked_at)
        elif newest and stands_at is not None and said_at is not None and said_at <= fact.as_of < stands_at:
            # What stands was placed where its reply was, by a clock ahead of this word, which is as new or newer.
            fact = replace(fact, as_of=max(stands_at, looked_at))
        if (
            stands_at is not None
            and fact.as_of < stands_at
            and not fact.asked
            and self._is_stored(fact, order)
        ):
            return None
        if stands_at is None or fact.asked or order.get(kind) != digest(fact.document or ""):
            return fact
        if fact.as_of < stands_at:
            return fact  # the same words, earlier: since when they hold is news
        confirmed = event_at is not None and stands_at < event_at <= fact.as_of
        return fact if confirmed and fact.part is Part.ORDER else None

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
    micros = fact.as_of.microsecond
    unit = 1_000_000 if micros == 0 else 1_000 if micros % 1_000 == 0 else 1
    shown = event_at < fact.as_of + timedelta(microseconds=unit)
    return replace(fact, as_of=event_at) if shown else fact


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

"""Retention: what nothing that stands rests on goes by age, where the configuration says so, in small steps.

    a look ahead (no lock) → one short transaction as any writer's → how far it came, kept with what it did

What goes: the bodies of documents, the payloads of events, the rows of the change feed (with them `floor` moves,
in the same transaction), and what went wrong once and has been settled. Age counts from the moment we learned
it. Nothing of an order goes while it is open, while its messages are, or while it was so lately. Facts, orders,
numbers, reasons and comments never go: so a replay finds all it reads, whatever was pruned.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Protocol

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Engine,
    Table,
    and_,
    exists,
    func,
    or_,
    select,
    true,
    update,
)

from aggregator.store import engine as engines
from aggregator.store.statements import Model, remove, table_of
from aggregator.store.tables import (
    BackfillRow,
    ChangeRow,
    DocumentRow,
    EventRow,
    FeedIdentityRow,
    OrderRow,
    QuarantineRow,
)

EVERY = timedelta(hours=1)  # from the end of one walk over all orders to the next
LATELY = timedelta(hours=48)  # an order that ended is left alone for so long at least
LOOK, ORDERS, ROWS = 2_000, 50, 500
"""In one step: the orders looked at, those pruned, and the rows of each kind that may go."""

_ORDER, _DOCUMENT, _EVENT = table_of(OrderRow), table_of(DocumentRow), table_of(EventRow)
_CHANGE, _IDENTITY = table_of(ChangeRow), table_of(FeedIdentityRow)
_QUARANTINE, _BACKFILL = table_of(QuarantineRow), table_of(BackfillRow)


class Ages(Protocol):
    """How long each kind is kept; None is for ever."""

    @property
    def documents(self) -> timedelta | None: ...
    @property
    def events(self) -> timedelta | None: ...
    @property
    def runs(self) -> timedelta | None: ...
    @property
    def changes(self) -> timedelta | None: ...


@dataclass(frozen=True, slots=True)
class Pruned:
    """What went, and how far the walk over the orders is; `share` of 1 is its end."""

    documents: int = 0
    payloads: int = 0
    changes: int = 0
    runs: int = 0
    until: int = 0
    share: float = 0.0

    @property
    def done(self) -> bool:
        """Whether every order has been looked at."""
        return self.share >= 1.0

    def __add__(self, later: "Pruned") -> "Pruned":
        counts = {name: getattr(self, name) + getattr(later, name) for name in COUNTS}
        return replace(later, **counts)

    def __str__(self) -> str:
        said = zip(COUNTS, ("documents", "payloads of events", "changes", "records of polls"), strict=True)
        return ", ".join(f"{getattr(self, name)} {what}" for name, what in said)


COUNTS = ("documents", "payloads", "changes", "runs")


def due(engine: Engine, now: datetime) -> int | None:
    """Where the walk goes on that is due; None when the last one ended a short while ago."""
    with engines.translated(), engine.connect() as tx:
        row = tx.execute(select(_IDENTITY.c.pruned_until, _IDENTITY.c.pruned_at)).one()
    recent = row.pruned_at is not None and timedelta(0) <= now - row.pruned_at < EVERY
    return None if recent and row.pruned_until == 0 else int(row.pruned_until)


def step(engine: Engine, ages: Ages, now: datetime, after: int) -> Pruned:
    """The next step of a walk that has come to the order `after`."""
    with engines.translated(), engine.connect() as tx:
        old = Old(ages, now, quiet(tx, now))
        orders, until, newest = _ahead(tx, old, after)
    with engines.writing(engine) as tx:
        pruned = _prune(tx, old, orders)
        runs = _runs(tx, old) if after == 0 else 0
        full = ROWS in (pruned.documents, pruned.payloads, pruned.changes)
        until = after if full else until
        ended = not full and until >= newest
        came: dict[str, Any] = {"pruned_until": 0, "pruned_at": now} if ended else {"pruned_until": until}
        tx.execute(update(_IDENTITY).values(came))
    return replace(pruned, runs=runs, until=until, share=1.0 if ended else min(until / newest, 0.999))


def quiet(tx: Connection, now: datetime) -> datetime:
    """The moment since which nothing may have changed about an order of which something goes: for as long as an
    ended order can be on the work list."""
    keep_ended = tx.execute(select(_IDENTITY.c.keep_ended_s)).scalar() or 0
    return now - max(LATELY, timedelta(seconds=keep_ended))


@dataclass(frozen=True, slots=True)
class Kind:
    """What ages: its table, when we learned a row of it, which rows count, and which of those may go now."""

    name: str
    table: Table
    learned: Column[Any]
    there: ColumnElement[bool]
    ripe: ColumnElement[bool]


@dataclass(frozen=True, slots=True)
class Old:
    """What is old enough to go, as conditions."""

    ages: Ages
    now: datetime
    quiet: datetime

    def settled(self) -> ColumnElement[bool]:
        """An order that needs nothing more: nothing is open, and nothing has changed for a while."""
        return ~_ORDER.c.is_open & ~_ORDER.c.messaging_open & (_ORDER.c.last_changed_at < self.quiet)

    def age(self, kind: str) -> timedelta | None:
        """How long a kind is kept."""
        ages = {"documents": self.ages.documents, "payloads": self.ages.events, "changes": self.ages.changes}
        return ages[kind]

    def everything(self) -> Iterator[Kind]:
        """Every kind that belongs to orders."""
        # The newest row always stays: a reader that has read everything must find its place.
        newest = select(_IDENTITY.c.newest_seq).scalar_subquery()
        yield self._kind("documents", _DOCUMENT, _DOCUMENT.c.read_at, true())
        yield self._kind("payloads", _EVENT, _EVENT.c.first_seen_at, _EVENT.c.payload.is_not(None))
        yield self._kind("changes", _CHANGE, _CHANGE.c.observed_at, true(), _CHANGE.c.seq < newest)

    def _kind(
        self, name: str, table: Table, learned: Column[Any], there: ColumnElement[bool], *but: Any
    ) -> Kind:
        old = learned < self.now - (self.age(name) or timedelta(0))
        return Kind(name, table, learned, there, and_(old, there, *but))

    def ageing(self) -> list[Kind]:
        """Those kinds that are not kept for ever."""
        return [kind for kind in self.everything() if self.age(kind.name) is not None]


def _ahead(tx: Connection, old: Old, after: int) -> tuple[list[int], int, int]:
    """The next orders of which something is to go, up to which order that is all, and the newest one."""
    newest = tx.execute(select(func.max(_ORDER.c.id))).scalar() or 0
    next_ones = select(_ORDER.c.id).where(_ORDER.c.id > after).order_by(_ORDER.c.id).limit(LOOK)
    until = tx.execute(select(func.max(next_ones.subquery().c.id))).scalar() or newest
    having = [exists().where(kind.table.c.order_pk == _ORDER.c.id, kind.ripe) for kind in old.ageing()]
    if not having:
        return [], newest, newest
    here = select(_ORDER.c.id).where(_ORDER.c.id > after, _ORDER.c.id <= until, old.settled(), or_(*having))
    found = list(tx.execute(here.order_by(_ORDER.c.id).limit(ORDERS)).scalars())
    return found, found[-1] if len(found) == ORDERS else until, newest


def _prune(tx: Connection, old: Old, orders: list[int]) -> Pruned:
    """What is old of these orders, those that were taken up again meanwhile left out."""
    if not orders:
        return Pruned()
    here = list(tx.execute(select(_ORDER.c.id).where(_ORDER.c.id.in_(orders), old.settled())).scalars())
    counts = dict.fromkeys(COUNTS, 0)
    for kind in old.ageing():
        keys = kind.table.primary_key.columns
        ripe = select(*keys).where(kind.table.c.order_pk.in_(here), kind.ripe)
        gone = [row._asdict() for row in tx.execute(ripe.order_by(*keys).limit(ROWS))]
        counts[kind.name] = len(gone)
        if kind.name == "documents":
            remove(tx, DocumentRow, tuple(keys.keys()), gone)
        elif kind.name == "payloads":
            ids = [row["id"] for row in gone]
            tx.execute(update(_EVENT).where(_EVENT.c.id.in_(ids)).values(payload=None))
        elif gone:
            remove(tx, ChangeRow, ("seq",), gone)
            floor = gone[-1]["seq"] + 1
            tx.execute(update(_IDENTITY).where(_IDENTITY.c.floor < floor).values(floor=floor))
    return Pruned(**counts)


def _runs(tx: Connection, old: Old) -> int:
    """What could not be read once and has been since, and walks through history that came to their end. How each
    feed's last poll went is one row that is written over."""
    if old.ages.runs is None:
        return 0
    before = old.now - old.ages.runs
    ended = (_BACKFILL.c.done_until >= _BACKFILL.c.until) & (_BACKFILL.c.started_at < before)
    resolved = _QUARANTINE.c.resolved_at < before
    return _gone(tx, QuarantineRow, resolved) + _gone(tx, BackfillRow, ended)


def _gone(tx: Connection, model: Model, aged: ColumnElement[bool]) -> int:
    keys = table_of(model).primary_key.columns
    rows = [row._asdict() for row in tx.execute(select(*keys).where(aged).limit(ROWS))]
    remove(tx, model, tuple(keys.keys()), rows)
    return len(rows)

"""The store as the poller sees it: what stands, what is wanted, and one way to record."""

import secrets
from collections.abc import Callable, Iterable, Mapping, Set
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import Connection, Engine, Row, and_, bindparam, select, update

from aggregator.core.account import Account
from aggregator.core.findings import Backfill, Findings, Mark, Progress, Recorded, Replayed
from aggregator.core.fold import stamp
from aggregator.core.model import Direction, Skipped, Want
from aggregator.core.states import FINAL_BASES, TERMINAL
from aggregator.errors import ConfigError
from aggregator.store import absence, lease, moves, progress, schema, wal, wanted, writable
from aggregator.store import accounts as known
from aggregator.store import engine as engines
from aggregator.store import prune as pruning
from aggregator.store.prune import Ages, Pruned
from aggregator.store.record import record
from aggregator.store.remembered import Remembered
from aggregator.store.replay import describe, replay
from aggregator.store.statements import table_of
from aggregator.store.tables import (
    AccountRow,
    FeedIdentityRow,
    FeedRow,
    OrderRow,
)
from aggregator.store.texts import due as texts_due

GRACE = timedelta(hours=48)
"""How long an ended order is still read again: an Australian cutover can be given back."""

_ONE = select(1)
_ACCOUNT, _FEED, _ORDER = table_of(AccountRow), table_of(FeedRow), table_of(OrderRow)
_AGENDA = select(_FEED, _ACCOUNT.c.name, _ACCOUNT.c.paused_reason, _ACCOUNT.c.paused_until).join(_ACCOUNT)
_MEMORY = _AGENDA.where(known.NAMED)
_IS_FINAL = and_(
    _ORDER.c.state.in_([*TERMINAL]), _ORDER.c.mapping_basis.in_([*FINAL_BASES]), ~_ORDER.c.messaging_open
)
_TO_READ = (
    select(_ORDER.c.provider_order_id, _ORDER.c.created_at)
    .where(_ORDER.c.account_id == bindparam("account_id"), _ORDER.c.direction == bindparam("direction"))
    .where(_ORDER.c.deleted_at.is_(None), ~_IS_FINAL | (_ORDER.c.ended_at > bindparam("recent")))
    .order_by(_ORDER.c.id)
)


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to write an account, as long as its epoch is the newest."""

    account: str
    account_id: int
    epoch: int


class Memory(NamedTuple):
    """What is remembered of an account: the marks of its feeds; why and until when it pauses, if it does."""

    marks: dict[str, Mark]
    paused: tuple[str, datetime] | None


NOTHING = Memory({}, None)


def open_store(url: str, schema_name: str = "porting") -> "Store":
    """Open the database to write. An empty SQLite file gets its schema; any other state that is not this
    version's raises SchemaError with the command to type."""
    engine = engines.connect(url, schema_name)
    if (folder := engines.missing_folder(engine)) is not None:
        raise ConfigError(f"database.url: there is no folder {folder}; type: mkdir -p {folder}")
    try:
        if engine.dialect.name == "sqlite" and schema.is_empty(engine):
            schema.upgrade(engine)
        schema.require(engine)
    except BaseException:
        engines.close(engine)
        raise
    return Store(engine)


class Store:
    """One database, written by one process for each account at a time."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.me = lease.holder()
        self.committed: Callable[[str], None] = lambda account: None
        """Told the account after each slice that was recorded."""
        self.remembered = Remembered()

    def close(self) -> None:
        """End cleanly: leave the file so that readers need no write access."""
        engines.close(self.engine)

    def _writing(self) -> AbstractContextManager[Connection]:
        return engines.writing(self.engine)

    # --- accounts and leases ----------------------------------------------------------------------------

    def sync(
        self, accounts: Iterable[Account], keep_ended: timedelta, now: datetime, broken: Iterable[str] = ()
    ) -> None:
        """Make the database know the accounts and feeds of the configuration; others are marked. Those that are
        `broken` stay as they are."""
        with self._writing() as tx:
            known.sync(tx, accounts, keep_ended, now, broken)

    def restored(self) -> str:
        """A new name for the change feed: whoever read on from the old one would miss what a restored backup
        has not got."""
        feed_id = secrets.token_hex(8)
        with self._writing() as tx:
            tx.execute(update(FeedIdentityRow).values(feed_id=feed_id))
        return feed_id

    def take(self, account: str, now: datetime) -> Lease | None:
        """Take an account over, or None while another living process holds it."""
        with self._writing() as tx:
            account_id = known.id_of(tx, account)
            assert account_id is not None, "sync knows every account that is polled"
            epoch = lease.take(tx, account_id, self.me, now)
        return None if epoch is None else Lease(account, account_id, epoch)

    def renew(self, held: Lease, now: datetime) -> bool:
        """Say that we still live; False when somebody else has taken over."""
        return not self.renew_all([held], now)

    def renew_all(self, held: Iterable[Lease], now: datetime) -> list[str]:
        """The same for several accounts at once; returns those that somebody else has taken over."""
        held = tuple(held)
        if not held:
            return []
        with self._writing() as tx:
            return [one.account for one in held if not lease.renew(tx, one.account_id, one.epoch, now)]

    def release(self, held: Lease) -> None:
        """Let an account go at a clean end."""
        with self._writing() as tx:
            lease.release(tx, held.account_id, held.epoch)

    def pause(self, held: Lease, reason: str, now: datetime) -> datetime:
        """A refused key: pause the account, longer each time; returns until when."""
        with self._writing() as tx:
            return known.pause(tx, held.account_id, reason, now)

    def unpause(self, account: str) -> None:
        """Forget that a key was refused or missing: it was changed, or somebody wants it tried again at once."""
        with self._writing() as tx:
            known.unpause(tx, account)

    # --- what stands ------------------------------------------------------------------------------------

    def agenda(self) -> dict[str, Memory]:
        """What is remembered of every account."""
        with engines.translated(), self.engine.connect() as connection:
            return _memories(connection.execute(_AGENDA))

    def memory(self, account: str) -> Memory:
        """What is remembered of one account."""
        with engines.translated(), self.engine.connect() as connection:
            return _memories(connection.execute(_MEMORY, {"account": account})).get(account, NOTHING)

    def marks(self, account: str) -> Mapping[str, Mark]:
        """What is remembered of each feed of an account."""
        return self.memory(account).marks

    def probe(self) -> None:
        """Raise StoreError when the database does not answer."""
        with engines.translated(), self.engine.connect() as connection:
            connection.execute(_ONE)

    def require_writable(self) -> None:
        """Raise StoreError when the database answers but nothing can be written to it."""
        writable.require(self.engine)

    def shorten_wal(self) -> str | None:
        """Keep SQLite's write-ahead log short; returns what is wrong when a reader prevents that."""
        return wal.shorten(self.engine)

    def wants(self, held: Lease, now: datetime | None) -> tuple[Want, ...]:
        """What must still be asked and is not pausing at `now`, oldest first."""
        with engines.translated(), self.engine.connect() as connection:
            return wanted.pending(connection, held.account_id, now)

    def lists_owed(self, held: Lease) -> Set[Direction]:
        """The directions of which only another whole list tells what is open: an order that the last one lacked,
        or a number that came or went since."""
        with engines.translated(), self.engine.connect() as connection:
            return moves.open_in(connection, held.account_id) | absence.open_in(connection, held.account_id)

    def open_orders(
        self, held: Lease, direction: Direction, now: datetime
    ) -> tuple[tuple[str, ...], datetime | None]:
        """The provider's ids of the orders to read again, and the birth of the oldest: those that are open (for
        messaging too), ended a short while ago, or ended by a word that is not documented."""
        here = {"account_id": held.account_id, "direction": direction, "recent": now - GRACE}
        with engines.translated(), self.engine.connect() as connection:
            rows = connection.execute(_TO_READ, here).all()
        births = [row.created_at for row in rows if row.created_at is not None]
        return tuple(row.provider_order_id for row in rows), min(births) if births else None

    def texts_due(self, held: Lease, now: datetime) -> bool:
        """Whether it is time to ask what the provider says that its reasons mean."""
        with engines.translated(), self.engine.connect() as connection:
            return texts_due(connection, held.account_id, now)

    def take_texts(
        self, account: Account, held: Lease, texts: Mapping[str, str] | None, now: datetime
    ) -> None:
        """Keep what the provider says that its reasons mean; None where that could not be read."""
        with self._writing() as tx:
            describe(tx, account, held.account_id, held.epoch, texts, now)

    # --- recording --------------------------------------------------------------------------------------

    def record(
        self,
        account: Account,
        held: Lease,
        findings: Findings,
        progress_made: Progress | None = None,
        *,
        backfill: Backfill | None = None,
    ) -> Recorded:
        """Record one slice in one transaction; Fenced when the account is not ours any more.

        `backfill` says how far a walk through history is with it. A fact that the database cannot hold is set
        aside: the slice is tried again in halves, the older one first, down to that fact alone.
        """
        try:
            here = (account, held.account_id, held.epoch, findings, progress_made, backfill)
            with self._writing() as tx:
                recorded, stands = record(tx, *here, self.remembered)
            self.remembered.keep(stands)
            self.committed(account.name)
            return recorded
        except (engines.Unstorable, ValueError, ArithmeticError) as error:
            if not findings.facts:
                raise
            older, newer = _halved(findings, error)
        before = replace(backfill, done_until=backfill.since) if backfill else None
        done = self.record(account, held, older, backfill=before) if older else Recorded()
        return done + self.record(account, held, newer, progress_made, backfill=backfill)

    def replay(self, account: Account, held: Lease, now: datetime) -> Replayed:
        """Rebuild the next slice of an account's derived rows from its facts, in one transaction; Fenced when the
        account is not ours any more."""
        with self._writing() as tx:
            return replay(tx, account, held.account_id, held.epoch, now)

    def prune(self, ages: Ages, now: datetime, after: int) -> Pruned:
        """One small step of the walk over all orders that takes away what is too old, from the order behind
        `after` on."""
        return pruning.step(self.engine, ages, now, after)

    def prune_if_due(self, ages: Ages, now: datetime) -> Pruned | None:
        """The next step of the walk that is due, from where it stopped; None when none is."""
        after = pruning.due(self.engine, now)
        return None if after is None else self.prune(ages, now, after)

    # --- walks through history --------------------------------------------------------------------------

    def backfills(self, account: str) -> Mapping[str, Backfill]:
        """How far the walk through the history of each of an account's feeds is, ended ones too."""
        with engines.translated(), self.engine.connect() as connection:
            account_id = known.id_of(connection, account)
            return {} if account_id is None else progress.backfills(connection, account_id)

    def begin_backfill(
        self, held: Lease, feed: str, since: datetime, until: datetime, now: datetime
    ) -> Backfill:
        """The walk through a feed's history from `since` to `until`: the one that was interrupted, where it
        has come past `since` already, else a new one."""
        with self._writing() as tx:
            walk = progress.backfills(tx, held.account_id).get(feed)
            if walk is None or walk.done or not walk.since <= since <= walk.done_until:
                walk = Backfill(feed, since, until, done_until=since, started_at=now)
            walk = replace(walk, until=until)
            progress.begin(tx, held.account_id, walk)
            return walk


def _halved(findings: Findings, error: Exception) -> tuple[Findings | None, Findings]:
    """The older half of a slice and the rest; of a single fact nothing but the note that it was set aside."""
    facts = sorted(findings.facts, key=stamp)
    if len(facts) == 1:
        ref = facts[0].announced.key if facts[0].announced else facts[0].order.id
        what = str(error) if isinstance(error, engines.Unstorable) else type(error).__name__
        aside = Skipped(_storable(ref), f"cannot be stored: {what}")
        return None, replace(findings, facts=(), skipped=(*findings.skipped, aside))
    facts_of = [tuple(facts[: len(facts) // 2]), tuple(facts[len(facts) // 2 :])]
    first = {fact.source_id for fact in facts_of[0]}
    with_first = tuple(want for want in findings.wants if want.because in first)
    rest = tuple(want for want in findings.wants if want.because not in first)
    older = replace(findings, facts=facts_of[0], wants=with_first, skipped=(), answered=(), failed=())
    return older, replace(findings, facts=facts_of[1], wants=rest)


def _storable(ref: str) -> str:
    return ref[:200].encode("utf-8", "replace").decode().replace("\0", "?")


def _memories(rows: Iterable[Row[Any]]) -> dict[str, Memory]:
    memories: dict[str, Memory] = {}
    for row in rows:
        if row.name not in memories:
            memories[row.name] = Memory({}, row.paused_until and (row.paused_reason, row.paused_until))
        memories[row.name].marks[row.feed] = progress.mark(row)
    return memories

"""Derived rows again, from the stored facts with the present words: a slice of orders in each transaction.

A slice commits how far the replay is with what it wrote, so it can be stopped at any time and goes on where it
was. Facts, events, comments and the changes that were written before are never touched; an order whose facts
were pruned is left as it is, and counted.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from itertools import islice
from typing import Any

from sqlalchemy import Connection, Engine, delete, func, select
from sqlmodel import col

from aggregator import __version__
from aggregator.core.account import Account
from aggregator.core.findings import Findings, Replayed
from aggregator.store import engine as engines
from aggregator.store import texts
from aggregator.store.record import Recording, fence
from aggregator.store.statements import alter, insert, remove, several, table_of, upsert
from aggregator.store.tables import AccountRow, OrderRow, ReasonRow, ReasonTextRow, ReplayRow

SLICE = 200  # orders in one transaction


def replay(tx: Connection, account: Account, account_id: int, epoch: int, at: datetime) -> Replayed:
    """The next slice, written. A replay with other words, or of another version of this program, begins anew.
    Raises Fenced, and so writes nothing, when another process has taken the account."""
    fence(tx, account, account_id, epoch)
    version = f"{__version__} {account.words.version}"
    here = col(ReplayRow.account_id) == account_id
    row = tx.execute(select(table_of(ReplayRow)).where(here)).one_or_none()
    before = Replayed()
    if row is not None and row.version == version:
        before = Replayed(row.done_until, row.orders, row.sealed, row.differing, row.changes)
    recording = Recording(tx, account, account_id, Findings("replay", at))
    after = _slice(tx, recording, account_id, before)
    recording.keep()
    if after.done:
        tx.execute(delete(ReplayRow).where(here))
    else:
        counts = {"orders": after.orders, "sealed": after.sealed, "changes": after.changes}
        progress = {"done_until": after.done_until, "differing": after.differing, **counts}
        upsert(tx, ReplayRow, ("account_id",), [{"account_id": account_id, "version": version, **progress}])
    return after


def compare(engine: Engine, account: Account, at: datetime) -> Iterator[Replayed]:
    """The same, slice by slice, but only looked at. Each slice is seen as it was at one moment, so a process
    that polls meanwhile does no harm."""
    if engine.dialect.name == "postgresql":
        engine = engine.execution_options(isolation_level="REPEATABLE READ")
    name = select(col(AccountRow.id)).where(col(AccountRow.name) == account.name)
    seen = Replayed()
    while not seen.done:
        with engines.translated(), engine.connect() as tx:
            account_id = tx.execute(name).scalar()
            if account_id is None:
                return
            recording = Recording(tx, account, account_id, Findings("replay", at))
            seen = _slice(tx, recording, account_id, seen)
        yield seen


def _slice(tx: Connection, recording: Recording, account_id: int, before: Replayed) -> Replayed:
    table = table_of(OrderRow)
    ours = table.c.account_id == account_id
    ahead = select(table).where(ours, table.c.id > before.done_until).order_by(table.c.id)
    orders: list[dict[str, Any]] = [row._asdict() for row in tx.execute(ahead.limit(SLICE))]
    sealed = recording.replay(orders)
    newest = tx.execute(select(func.max(table.c.id)).where(ours)).scalar() or 0
    until = orders[-1]["id"] if orders else newest
    differences = tuple(recording.differences)
    recorded = recording.recorded()
    return Replayed(
        done_until=until,
        orders=before.orders + len(orders),
        sealed=before.sealed + sealed,
        differing=before.differing + len({one.order_id for one in differences}),
        changes=before.changes + recorded.changes,
        newest_seq=recorded.newest_seq,
        share=until / newest if newest else 1.0,
        done=until >= newest,
        differences=differences,
    )


# --- what the provider's reasons mean -------------------------------------------------------------------


def describe(
    tx: Connection,
    account: Account,
    account_id: int,
    epoch: int,
    told: Mapping[str, str] | None,
    at: datetime,
) -> None:
    """Keep what the provider says that its reasons mean (None: it could not be read) in place of what was kept,
    and read the orders again that had a reason for which there is another text now. Raises Fenced, and so writes
    nothing, when another process has taken the account."""
    fence(tx, account, account_id, epoch)
    asked = at if told is not None else at - texts.EVERY + texts.AGAIN
    alter(tx, AccountRow, ("id",), [{"id": account_id, "described_at": asked}], only=("described_at",))
    known = texts.of(tx, account_id)
    if told is None or told == known:
        return
    remove(tx, ReasonTextRow, ("account_id",), [{"account_id": account_id}])
    rows = [
        {"account_id": account_id, "code": code, "text": text, "read_at": at} for code, text in told.items()
    ]
    insert(tx, ReasonTextRow, rows)
    changed = {code for code in {*known, *told} if known.get(code) != told.get(code)}
    _read_again(tx, account, account_id, changed, at)


def _read_again(tx: Connection, account: Account, account_id: int, codes: set[str], at: datetime) -> None:
    order, reason = table_of(OrderRow), table_of(ReasonRow)
    query = select(reason.c.order_pk).join(order, order.c.id == reason.c.order_pk)
    query = query.where(order.c.account_id == account_id)
    ids = iter(sorted({row.order_pk for row in several(tx, query, reason.c.raw_code, codes)}))
    while some := list(islice(ids, SLICE)):
        recording = Recording(tx, account, account_id, Findings("texts", at))
        recording.replay(row._asdict() for row in several(tx, select(order), order.c.id, some))
        recording.keep()

"""How the polls go: the run record and cursor of each feed, and what had to be set aside."""

from collections.abc import Iterable
from dataclasses import fields
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select, update
from sqlmodel import col

from aggregator.core.account import Account
from aggregator.core.due import next_due
from aggregator.core.findings import Backfill, Findings, Mark, Progress, Recorded
from aggregator.core.model import Direction, Fact, Skipped
from aggregator.store import absence, wanted
from aggregator.store.statements import several, table_of, upsert
from aggregator.store.tables import BackfillRow, FeedRow, QuarantineRow

_BACKFILL = table_of(BackfillRow)
_WALK = tuple(column.name for column in fields(Backfill))


def covered(tx: Connection, account_id: int) -> dict[str, datetime]:
    """For each direction, the start of the last complete listing that showed every order of it."""
    rows = tx.execute(
        select(col(FeedRow.covers), col(FeedRow.covered_at))
        .where(col(FeedRow.account_id) == account_id, col(FeedRow.covered_at).is_not(None))
        .order_by(col(FeedRow.covered_at))
    )
    return {row.covers: row.covered_at for row in rows}


def mark(row: Any) -> Mark:
    """What the poller needs of a feed's row."""
    return Mark(
        cursor=row.cursor_at,
        last_attempt_at=row.last_attempt_at,
        last_complete_at=row.last_complete_at,
        deep_at=row.deep_at,
        not_before=row.not_before,
        failures=row.consecutive_failures,
        skew_s=row.skew_s,
        pages=row.pages,
    )


def advance(
    tx: Connection, account: Account, account_id: int, progress: Progress, anything_new: bool
) -> None:
    """Update the run record in place; the cursor only ever goes forward, and only with a complete sweep."""
    here = (col(FeedRow.account_id) == account_id, col(FeedRow.feed) == progress.feed)
    if progress.complete and progress.cursor is not None:
        forward = col(FeedRow.cursor_at).is_(None) | (col(FeedRow.cursor_at) < progress.cursor)
        tx.execute(update(FeedRow).where(*here, forward).values(cursor_at=progress.cursor))
    if progress.partial:
        return
    row = tx.execute(select(table_of(FeedRow)).where(*here)).one()
    failures = 0 if progress.complete else row.consecutive_failures + 1
    feed = account.feeds[progress.feed]
    at = progress.attempted_at
    values: dict[str, Any] = {
        "last_attempt_at": at,
        "last_outcome": progress.outcome,
        "last_error": progress.error,
        "consecutive_failures": failures,
        "failing_since": None if progress.complete else row.failing_since or at,
        "not_before": progress.not_before,
        "next_due_at": next_due(feed, at, failures, progress.not_before),
    }
    if progress.complete:
        values["last_complete_at"] = at
    if anything_new:
        values["last_new_at"] = at
    if progress.deep and progress.complete:
        values["deep_at"] = at
    if progress.skew_s is not None:
        values["skew_s"] = progress.skew_s
    if progress.pages:
        values["pages"] = progress.pages
    if progress.complete and progress.covers is not None and progress.started_at is not None:
        values |= {"covers": progress.covers, "covered_at": progress.started_at}
        _covered(tx, account_id, progress.covers, progress.started_at, progress.seen, at)
    tx.execute(update(FeedRow).where(*here).values(values))


def _covered(
    tx: Connection,
    account_id: int,
    direction: Direction,
    started_at: datetime,
    seen: frozenset[str] | None,
    at: datetime,
) -> None:
    """A complete run has shown every order of a direction, and so answers what was wanted before it; but what a
    whole list does not show is wanted from the order itself."""
    if seen is None:
        wanted.listed(tx, account_id, direction, started_at)
        return
    missing, ask = absence.missed(tx, account_id, direction, started_at, seen)
    kept = absence.asked(tx, account_id, direction, missing)
    wanted.listed(tx, account_id, direction, started_at)
    absence.ask(tx, account_id, direction, ask, kept, started_at, at)


def quarantine(tx: Connection, account_id: int, findings: Findings, given_up: Iterable[Skipped] = ()) -> None:
    """Name and count what could not be read; what has been read since is resolved."""
    skipped = (*findings.skipped, *given_up)
    read = {ref for fact in findings.facts if (ref := _read_whole(fact)) is not None}
    table = table_of(QuarantineRow)
    here = select(table).where(table.c.account_id == account_id, table.c.feed == findings.feed)
    refs = read | {one.ref for one in skipped}
    known = {row.ref: row._asdict() for row in several(tx, here, table.c.ref, refs)}
    written: dict[str, dict[str, Any]] = {}
    for one in skipped:
        before = written.get(one.ref) or known.get(one.ref)
        written[one.ref] = {
            "account_id": account_id,
            "feed": findings.feed,
            "ref": one.ref,
            "error": one.error,
            "first_seen_at": before["first_seen_at"] if before else findings.at,
            "last_seen_at": findings.at,
            "count": before["count"] + 1 if before else 1,
            "resolved_at": None,
        }
    for ref in read & known.keys() - written.keys():
        if known[ref]["resolved_at"] is None:
            written[ref] = {**known[ref], "resolved_at": findings.at}
    upsert(tx, QuarantineRow, ("account_id", "feed", "ref"), list(written.values()))


def _read_whole(fact: Fact) -> str | None:
    """What a fact shows to be readable; an event whose payload is still owed shows nothing."""
    if fact.announced is None:
        return fact.order.id
    return fact.announced.key if fact.announced.complete else None


# --- walks through history ------------------------------------------------------------------------------


def backfills(tx: Connection, account_id: int) -> dict[str, Backfill]:
    """How far the walk through each feed's history is."""
    rows = tx.execute(select(_BACKFILL).where(_BACKFILL.c.account_id == account_id)).mappings()
    return {row["feed"]: Backfill(**{name: row[name] for name in _WALK}) for row in rows}


def begin(tx: Connection, account_id: int, walk: Backfill) -> None:
    """Note a walk that begins, in place of any before it."""
    row = {name: getattr(walk, name) for name in _WALK}
    upsert(tx, BackfillRow, ("account_id", "feed"), [{"account_id": account_id, **row}])


def walked(tx: Connection, account_id: int, walk: Backfill, recorded: Recorded) -> None:
    """Count what a slice of a walk brought; how far it is only ever goes forward."""
    here = (_BACKFILL.c.account_id == account_id, _BACKFILL.c.feed == walk.feed)
    counts = {name: _BACKFILL.c[name] + getattr(recorded, name) for name in ("orders", "events", "changes")}
    tx.execute(update(_BACKFILL).where(*here).values(counts))
    forward = _BACKFILL.c.done_until < walk.done_until
    tx.execute(update(_BACKFILL).where(*here, forward).values(done_until=walk.done_until))

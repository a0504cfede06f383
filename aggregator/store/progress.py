"""How the polls go: the run record and cursor of each feed, and what had to be set aside."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select, update
from sqlmodel import col

from aggregator.core.account import Account
from aggregator.core.due import next_due
from aggregator.core.findings import Findings, Mark, Progress
from aggregator.core.model import Skipped
from aggregator.store import wanted
from aggregator.store.rows import upsert
from aggregator.store.tables import FeedRow, QuarantineRow


def covered(tx: Connection, account_id: int) -> dict[str, datetime]:
    """For each direction, the start of the last complete listing that showed every order of it."""
    rows = tx.execute(
        select(col(FeedRow.covers), col(FeedRow.covered_at)).where(
            col(FeedRow.account_id) == account_id, col(FeedRow.covered_at).is_not(None)
        )
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
    row = tx.execute(select(FeedRow.__table__).where(*here)).one()  # type: ignore[attr-defined]
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
        wanted.listed(tx, account_id, progress.covers, progress.started_at)
    tx.execute(update(FeedRow).where(*here).values(values))
    if progress.complete and progress.cursor is not None:
        forward = col(FeedRow.cursor_at).is_(None) | (col(FeedRow.cursor_at) < progress.cursor)
        tx.execute(update(FeedRow).where(*here, forward).values(cursor_at=progress.cursor))


def quarantine(tx: Connection, account_id: int, findings: Findings, given_up: Iterable[Skipped] = ()) -> None:
    """Name and count what could not be read; what has been read since is resolved."""
    here = (col(QuarantineRow.account_id) == account_id, col(QuarantineRow.feed) == findings.feed)
    rows = tx.execute(select(QuarantineRow.__table__).where(*here))  # type: ignore[attr-defined]
    known = {row.ref: row._asdict() for row in rows}
    written: dict[str, dict[str, Any]] = {}
    for skipped in (*findings.skipped, *given_up):
        before = written.get(skipped.ref) or known.get(skipped.ref)
        written[skipped.ref] = {
            "account_id": account_id,
            "feed": findings.feed,
            "ref": skipped.ref,
            "error": skipped.error,
            "first_seen_at": before["first_seen_at"] if before else findings.at,
            "last_seen_at": findings.at,
            "count": before["count"] + 1 if before else 1,
            "resolved_at": None,
        }
    if known:
        read = {fact.announced.key if fact.announced else fact.order.id for fact in findings.facts}
        for ref in read & known.keys() - written.keys():
            if known[ref]["resolved_at"] is None:
                written[ref] = {**known[ref], "resolved_at": findings.at}
    upsert(tx, QuarantineRow, ["account_id", "feed", "ref"], list(written.values()))

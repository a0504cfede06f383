"""How the polls go: the run record and cursor of each feed, and what had to be set aside."""

from collections.abc import Container, Iterable, Iterator, Mapping, Set
from dataclasses import fields
from datetime import datetime
from operator import attrgetter
from typing import Any

from sqlalchemy import Connection, Row, bindparam, select, update

from aggregator.core.account import Account, Feed
from aggregator.core.due import next_due
from aggregator.core.findings import HOST_SILENT, Backfill, Findings, Mark, Progress, Recorded
from aggregator.core.model import Fact, Part, Skipped
from aggregator.core.quiet import longest_quiet
from aggregator.store import absence
from aggregator.store.statements import alter, several, table_of, upsert
from aggregator.store.tables import BackfillRow, FeedRow, QuarantineRow

_FEED, _QUARANTINE, _BACKFILL = table_of(FeedRow), table_of(QuarantineRow), table_of(BackfillRow)
_RUNS = select(_FEED).where(_FEED.c.account_id == bindparam("account_id"))
_ASIDE = select(_QUARANTINE).where(
    _QUARANTINE.c.account_id == bindparam("account_id"), _QUARANTINE.c.feed == bindparam("feed")
)
_ALONE = _ASIDE.where(_QUARANTINE.c.resolved_at.is_(None))
_UNREAD_FIELDS = _ASIDE.where(_QUARANTINE.c.resolved_at.is_(None), _QUARANTINE.c.ref.contains("/"))
_WALKS = select(_BACKFILL).where(_BACKFILL.c.account_id == bindparam("account_id"))
_WALKED = update(_BACKFILL).where(
    _BACKFILL.c.account_id == bindparam("ours"), _BACKFILL.c.feed == bindparam("walked")
)
_COUNTED = ("orders", "events", "changes")
_COUNT = _WALKED.values({name: _BACKFILL.c[name] + bindparam(f"more_{name}") for name in _COUNTED})
_FORWARD = _WALKED.where(_BACKFILL.c.done_until < bindparam("walked_until")).values(
    done_until=bindparam("walked_until")
)
WANTED = "wanted"
"""Under this name stands what was asked for by itself, beside the feeds."""
_WALK = tuple(column.name for column in fields(Backfill))


def runs(tx: Connection, account_id: int) -> dict[str, Row[Any]]:
    """The run record of each feed of an account."""
    return {row.feed: row for row in tx.execute(_RUNS, {"account_id": account_id})}


def covered(runs: Mapping[str, Row[Any]], feeds: Container[str] | None = None) -> dict[str, datetime]:
    """For each direction, the start of the last complete run (of one of these feeds) that showed every order of it,
    or every open one."""
    listed = [
        row for name, row in runs.items() if row.covered_at is not None and (feeds is None or name in feeds)
    ]
    return {row.covers: row.covered_at for row in sorted(listed, key=attrgetter("covered_at"))}


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
        outcome=row.last_outcome,
        place=row.list_place,
    )


def advance(tx: Connection, account: Account, run: Row[Any], progress: Progress, anything_new: bool) -> None:
    """Update a feed's run record (`run`, as it stands in this transaction) in place; the cursor only ever goes
    forward, and only with a complete sweep."""
    values: dict[str, Any] = {}
    if not progress.partial:
        values |= _ended(account.feeds[progress.feed], run, progress)
        if anything_new:
            values["last_new_at"] = at = progress.attempted_at
            quiet = longest_quiet(run.longest_quiet_s, run.last_new_at, run.last_complete_at, at)
            values["longest_quiet_s"] = quiet
    cursor = progress.cursor if progress.complete else None
    if cursor is not None and (run.cursor_at is None or run.cursor_at < cursor):
        values["cursor_at"] = cursor
    if "covers" in values:
        _covered(tx, run.account_id, progress)
    if values:
        here = {"account_id": run.account_id, "feed": progress.feed}
        alter(tx, FeedRow, tuple(here), [{**here, **values}], only=tuple(values))


def _ended(feed: Feed, run: Row[Any], progress: Progress) -> dict[str, Any]:
    """What a run that is at its end leaves in the record."""
    asked = progress.outcome != HOST_SILENT
    failures = 0 if progress.complete or progress.goes_on else run.consecutive_failures + asked
    at = progress.attempted_at
    values: dict[str, Any] = {
        "last_attempt_at": at,
        "last_outcome": progress.outcome,
        "last_error": progress.error,
        "consecutive_failures": failures,
        "failing_since": None if progress.complete or progress.goes_on else run.failing_since or at,
        "list_place": progress.place,
        "not_before": progress.not_before,
        "next_due_at": next_due(feed, at, failures, progress.not_before, progress.outcome),
    }
    if progress.skew_s is not None:
        values["skew_s"] = progress.skew_s
    if progress.pages:
        values["pages"] = progress.pages
    if progress.complete:
        values["last_complete_at"] = at
        if progress.deep:
            values["deep_at"] = at
        if progress.covers is not None and progress.started_at is not None:
            values |= {"covers": progress.covers, "covered_at": progress.started_at}
    return values


def _covered(tx: Connection, account_id: int, progress: Progress) -> None:
    """What a whole list does not show is wanted from the order itself. Wants are answered by looks alone, each by
    the one at its own order (see `wanted.py`)."""
    direction, started_at, seen = progress.covers, progress.started_at, progress.seen
    assert direction is not None and started_at is not None
    if seen is not None:
        ask = absence.missed(tx, account_id, direction, started_at, seen)
        absence.ask(tx, account_id, direction, ask, started_at, progress.attempted_at)


def quarantine(tx: Connection, account_id: int, findings: Findings, given_up: Iterable[Skipped] = ()) -> None:
    """Name and count what could not be read; what has been read since is resolved."""
    skipped = (*findings.skipped, *given_up)
    read = {ref for fact in findings.facts if (ref := _read_whole(fact)) is not None}
    refs, here = read | {one.ref for one in skipped}, {"account_id": account_id, "feed": findings.feed}
    known = {row.ref: row._asdict() for row in several(tx, _ASIDE, _QUARANTINE.c.ref, refs, **here)}
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
    # What was wrong inside of an item is resolved once the item is read without it.
    looked = {_read_whole(fact) for fact in findings.facts if fact.part is Part.ORDER}
    for row in tx.execute(_UNREAD_FIELDS, here) if looked else ():
        if row.ref.partition("/")[0] in looked:
            known[row.ref] = row._asdict()
            read.add(row.ref)
    for ref in read & known.keys() - written.keys():
        if known[ref]["resolved_at"] is None:
            written[ref] = {**known[ref], "resolved_at": findings.at}
    rows = [*written.values(), *_read_since(tx, account_id, findings, looked)]
    upsert(tx, QuarantineRow, ("account_id", "feed", "ref"), rows)


def _read_since(
    tx: Connection, account_id: int, findings: Findings, looked: Set[str | None]
) -> Iterator[dict[str, Any]]:
    """Orders that could not be read when each was asked for by itself, and came with a feed."""
    if findings.feed != WANTED and looked:
        for row in tx.execute(_ALONE, {"account_id": account_id, "feed": WANTED}):
            if row.ref in looked:
                yield {**row._asdict(), "resolved_at": findings.at}


def _read_whole(fact: Fact) -> str | None:
    """What a fact shows to be readable; an event whose payload is still owed shows nothing."""
    if fact.announced is None:
        return fact.order.id
    return fact.announced.key if fact.announced.complete else None


# --- walks through history ------------------------------------------------------------------------------


def backfills(tx: Connection, account_id: int) -> dict[str, Backfill]:
    """How far the walk through each feed's history is."""
    rows = tx.execute(_WALKS, {"account_id": account_id}).mappings()
    return {row["feed"]: Backfill(**{name: row[name] for name in _WALK}) for row in rows}


def begin(tx: Connection, account_id: int, walk: Backfill) -> None:
    """Note a walk that begins, in place of any before it."""
    row = {name: getattr(walk, name) for name in _WALK}
    upsert(tx, BackfillRow, ("account_id", "feed"), [{"account_id": account_id, **row}])


def walked(tx: Connection, account_id: int, walk: Backfill, recorded: Recorded) -> None:
    """Count what a slice of a walk brought; how far it is only ever goes forward."""
    here = {"ours": account_id, "walked": walk.feed}
    tx.execute(_COUNT, {**here, **{f"more_{name}": getattr(recorded, name) for name in _COUNTED}})
    tx.execute(_FORWARD, {**here, "walked_until": walk.done_until})

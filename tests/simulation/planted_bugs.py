"""Bugs that the simulation must find: each patches the product while a life is lived, none is in the product.

cursor first        the cursor is committed, then what came before it
cursor per page     every page moves the cursor, before the sweep is over
two transactions    what was learned is committed, then what follows from it
lookback 0          a sweep begins at the cursor, though events may be listed late
local clock         the cursor is the host's time
no fencing          who was taken over writes on
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from datetime import datetime
from typing import Any
from unittest.mock import patch

from sqlalchemy import Connection

from aggregator import poll
from aggregator.core.account import Account, Feed
from aggregator.core.findings import Findings, Mark, Progress, Recorded
from aggregator.core.model import Page, Request, Window
from aggregator.slices import Outcome
from aggregator.store import record as records
from aggregator.store.rows import CHANGE
from aggregator.store.statements import insert
from aggregator.store.store import Lease, Store
from aggregator.store.tables import ChangeRow
from aggregator.windows import Part

Bug = Callable[[], AbstractContextManager[None]]


@contextmanager
def cursor_first() -> Iterator[None]:
    record = Store.record

    def wrong(
        self: Store,
        account: Account,
        held: Lease,
        findings: Findings,
        progress: Progress | None = None,
        **rest: Any,
    ) -> Recorded:
        if progress is not None and progress.cursor is not None:
            early = replace(progress, partial=True)
            record(self, account, held, Findings(findings.feed, findings.at), early)
        return record(self, account, held, findings, progress, **rest)

    with patch.object(Store, "record", wrong):
        yield


@contextmanager
def cursor_per_page() -> Iterator[None]:
    window_of = poll.Polling._window

    def wrong(self: poll.Polling, feed: Feed, window: Window, progress: Any) -> Outcome:
        fetch = self.fetch

        def recorded(request: Request) -> Page:
            page = fetch(request)
            facts = self.account.adapter.read(page, self.account.options).facts
            if newest := max((fact.as_of for fact in facts if fact.announced), default=None):
                at = page.fetched_at
                early = Progress(feed.name, "complete", at, complete=True, cursor=newest, partial=True)
                self.store.record(self.account, self.held, Findings(feed.name, at, facts), early)
            return page

        self.fetch = recorded
        try:
            return window_of(self, feed, window, progress)
        finally:
            self.fetch = fetch

    with patch.object(poll.Polling, "_window", wrong):
        yield


@contextmanager
def two_transactions() -> Iterator[None]:
    write, record = records.Recording._write, Store.record
    later: list[tuple[Any, ...]] = []

    def without_changes(self: records.Recording) -> None:
        later.extend(self.rows.changes)
        self.rows.changes.clear()
        write(self)

    def wrong(self: Store, *arguments: Any, **named: Any) -> Recorded:
        later.clear()
        recorded = record(self, *arguments, **named)
        if later:
            with self._writing() as tx:
                insert(tx, ChangeRow, later, CHANGE)
        return recorded

    with (
        patch.object(records.Recording, "_write", without_changes),
        patch.object(Store, "record", wrong),
    ):
        yield


@contextmanager
def no_lookback() -> Iterator[None]:
    def wrong(self: poll.Polling, feed: Feed, mark: Mark, now: datetime, deep: bool) -> datetime:
        return poll._start(feed, now) if mark.cursor is None else mark.cursor

    with patch.object(poll.Polling, "_since", wrong):
        yield


@contextmanager
def local_clock() -> Iterator[None]:
    def wrong(part: Part) -> datetime | None:
        return part.found.at

    with patch.object(Part, "newest", property(wrong)):
        yield


@contextmanager
def no_fencing() -> Iterator[None]:
    def wrong(tx: Connection, account: Account, account_id: int, epoch: int) -> None:
        """Whoever comes may write."""

    with patch.object(records, "fence", wrong):
        yield


BUGS: dict[str, Bug] = {
    "cursor first": cursor_first,
    "cursor per page": cursor_per_page,
    "two transactions": two_transactions,
    "lookback 0": no_lookback,
    "cursor from the local clock": local_clock,
    "no fencing": no_fencing,
}

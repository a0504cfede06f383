"""A walk through an account's history, beside its polls: windows of every event feed, the older first.

Each window is complete in itself and commits how far the walk is with what it brought, so that a walk can be
stopped at any time and goes on where it was. It never moves a feed's cursor. What must still be asked is only
noted; a listing answers it at the end.
"""

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Protocol, TypeVar

from aggregator.core.account import Account, Feed, FeedKind
from aggregator.core.findings import Backfill, Findings, Mark, Progress, Recorded
from aggregator.core.model import Part, Window
from aggregator.errors import AggregatorError, PollFailed, ProviderError
from aggregator.poll import EDGE, Polling, skew
from aggregator.slices import Outcome, slices, word
from aggregator.slices import Store as Polled
from aggregator.sweep import Fetch, Sweep
from aggregator.windows import in_parts

L = TypeVar("L", contravariant=True)

Told = Callable[[float, int, int, int], None]
"""What a progress bar is told: the share of the time walked, and the orders, events and changes so far."""


class Store(Polled[L], Protocol[L]):
    """What a walk needs of the store beside what a poll needs."""

    def begin_backfill(
        self, held: L, feed: str, since: datetime, until: datetime, now: datetime
    ) -> Backfill: ...
    def record(
        self,
        account: Account,
        held: L,
        findings: Findings,
        progress_made: Progress | None = None,
        *,
        backfill: Backfill | None = None,
    ) -> Recorded: ...


def backfill(
    account: Account,
    since: datetime,
    until: datetime | None,
    store: Store[L],
    held: L,
    fetch: Fetch,
    clock: Callable[[], datetime],
    *,
    stop: threading.Event | None = None,
    tell: Told = lambda share, orders, events, changes: None,
) -> tuple[Outcome, ...]:
    """Walk every event feed from `since` to `until` (up to now, where it is None), then list what is wanted.
    Each feed's outcome; the last one is `interrupted` when `stop` was set, and tells the error of one that
    could not go on. Calling again goes on where it was."""
    walk = _Walking(account, store, held, fetch, clock, stop or threading.Event(), tell)
    outcomes: list[Outcome] = []
    for feed in walk.begin(since, until):
        outcomes.append(walk.through(feed))
        if not outcomes[-1].complete:
            return tuple(outcomes)
    return (*outcomes, *walk.listings())


class _Walking:
    """One walk, or what is left of it."""

    def __init__(
        self,
        account: Account,
        store: Store[L],
        held: L,
        fetch: Fetch,
        clock: Callable[[], datetime],
        stop: threading.Event,
        tell: Told,
    ) -> None:
        self.account = account
        self.store: Store[L] = store
        self.held = held
        self.fetch = fetch
        self.clock = clock
        self.stop = stop
        self.tell = tell
        self.walks: dict[str, Backfill] = {}

    def begin(self, since: datetime, until: datetime | None) -> list[Feed]:
        """The feeds to walk, each with how far it is."""
        now = self.clock()
        marks = self.store.marks(self.account.name)
        feeds = [feed for feed in self.account.feeds.values() if feed.defaults.kind is FeedKind.EVENTS]
        for feed in feeds:
            ahead = skew(marks.get(feed.name, Mark()))
            newest = max(now, now + ahead) - EDGE
            end = newest if until is None else min(until, newest)
            self.walks[feed.name] = self.store.begin_backfill(self.held, feed.name, since, end, now)
        return feeds

    def through(self, feed: Feed) -> Outcome:
        """Walk one feed's history to its end, or to where it can go on another time. What nobody foresaw ends this
        feed's walk as an error of the provider does."""
        try:
            return self._through(feed)
        except AggregatorError:
            raise
        except Exception as error:
            failed = PollFailed.of(feed.name, error)
            return Outcome(feed.name, word(failed), False, Recorded(), failed)

    def _through(self, feed: Feed) -> Outcome:
        walk, recorded = self.walks[feed.name], Recorded()
        if walk.done:
            return Outcome(feed.name, "complete", True)

        def keep(found: Sweep, reached: datetime | None = None) -> None:
            nonlocal recorded
            *before, last = slices(feed.name, found, found.at or self.clock(), initial=True)
            for findings in before:
                recorded += self._record(feed, findings, None)
            recorded += self._record(feed, last, reached)

        window = Window(feed.name, walk.done_until, walk.until)
        for part in in_parts(self.account, feed.defaults, window, self.fetch, keep):
            found = part.found
            keep(found, part.window.until if found.complete else None)
            if not found.complete and not part.halved:
                return self._cut_short(feed, found.incomplete, found.error or found.refusal, recorded)
            if self.stop.is_set() and not part.last:
                return Outcome(feed.name, "interrupted", False, recorded)
        return Outcome(feed.name, "complete", True, recorded)

    def _cut_short(
        self, feed: Feed, incomplete: str | None, error: ProviderError | None, recorded: Recorded
    ) -> Outcome:
        if self.stop.is_set():  # whoever stops may close the connections too
            return Outcome(feed.name, "interrupted", False, recorded)
        return Outcome(feed.name, incomplete or word(error), False, recorded, error)

    def _record(self, feed: Feed, findings: Findings, reached: datetime | None) -> Recorded:
        walk = self.walks[feed.name]
        recorded = self.store.record(
            self.account, self.held, findings, backfill=replace(walk, done_until=reached or walk.done_until)
        )
        self.walks[feed.name] = replace(
            walk,
            done_until=reached or walk.done_until,
            orders=walk.orders + recorded.orders,
            events=walk.events + recorded.events,
            changes=walk.changes + recorded.changes,
        )
        self._tell()
        return recorded

    def _tell(self) -> None:
        walks = self.walks.values()
        shares = [
            (walk.done_until - walk.since) / (walk.until - walk.since) for walk in walks if not walk.done
        ]
        done = sum(walk.done for walk in walks)
        self.tell(
            (sum(shares) + done) / len(walks),
            sum(walk.orders for walk in walks),
            sum(walk.events for walk in walks),
            sum(walk.changes for walk in walks),
        )

    def listings(self) -> list[Outcome]:
        """Answer what was noted: a listing for each direction of which orders are wanted."""
        polling = Polling(self.account, self.store, self.held, self.fetch, self.clock, initial=True)
        outcomes: list[Outcome] = []
        for feed in self.account.feeds.values():
            if feed.defaults.kind is not FeedKind.LISTING or not feed.enabled:
                continue
            wanted = self.store.wants(self.held, None)
            owed = any(w.part is Part.ORDER and w.direction is feed.defaults.direction for w in wanted)
            if owed and self.stop.is_set():
                outcomes.append(Outcome(feed.name, "interrupted", False))
            elif owed:
                outcomes.append(polling.feed(feed))
        return outcomes

"""One poll of one account: the only place where the steps meet.

    mark → window → sweep → record in slices → the last slice moves the cursor

A plain, synchronous function. Network and store are arguments; the daemon, the one-shot and the tests call
the same one. An error of the provider never escapes: it ends its sweep, is recorded, and shows in the
outcome. `Fenced` and other faults of the store are the caller's.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Protocol, TypeVar

from aggregator.core.account import Account, Feed, FeedKind
from aggregator.core.findings import Findings, Mark, Progress, Recorded
from aggregator.core.fold import stamp
from aggregator.core.model import Direction, Fact, Listing, Orders, Part, Source, Want, Window
from aggregator.core.model import Events as EventsAsk
from aggregator.core.normalise import gathered
from aggregator.errors import AccessDenied, PageChanged, ProviderError, RateLimited, Refused
from aggregator.sweep import Fetch, Sweep, drifted, first_page, merged, sweep

L = TypeVar("L", contravariant=True)

SLICE = 1_000  # facts in one transaction
LARGEST_WINDOW = 2_500  # items; a larger one is halved, so that each part finishes and moves the cursor
SMALLEST_SPAN = timedelta(seconds=2)
SMALLEST_REFUSED = timedelta(days=1)
EDGE = timedelta(seconds=5)  # how far before now a window ends that must have an end
DAY = timedelta(days=1)
BEGINNING = datetime(2010, 1, 1, tzinfo=UTC)
BATCH = 50


class Store(Protocol[L]):
    """What a poll needs of the store; the lease is the store's own affair."""

    def marks(self, account: str) -> Mapping[str, Mark]: ...
    def wants(self, held: L, now: datetime | None) -> tuple[Want, ...]: ...
    def open_orders(
        self, held: L, direction: Direction, now: datetime
    ) -> tuple[tuple[str, ...], datetime | None]: ...
    def record(
        self, account: Account, held: L, findings: Findings, progress_made: Progress | None = None
    ) -> Recorded: ...


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a feed's poll (or the answering of wants) went."""

    feed: str
    outcome: str
    complete: bool
    recorded: Recorded = Recorded()
    error: ProviderError | None = None


def poll_account(
    account: Account,
    feeds: Sequence[Feed],
    store: Store[L],
    held: L,
    fetch: Fetch,
    clock: Callable[[], datetime],
) -> tuple[Outcome, ...]:
    """Poll these feeds, event feeds first, then ask for what is still wanted. A refused key ends it."""
    polling = _Polling(account, store, held, fetch, clock)
    outcomes: list[Outcome] = []
    for feed in sorted(feeds, key=lambda feed: feed.defaults.kind is not FeedKind.EVENTS):
        outcomes.append(polling.feed(feed))
        if isinstance(outcomes[-1].error, AccessDenied | RateLimited):
            return tuple(outcomes)
    outcomes.extend(polling.wants([outcome.feed for outcome in outcomes]))
    return tuple(outcomes)


def poll_events(
    account: Account, feed: str, ids: tuple[str, ...], store: Store[L], held: L, fetch: Fetch, now: datetime
) -> tuple[Sweep, Recorded]:
    """Fetch provider events by id and take them in."""
    found = sweep(account, EventsAsk(feed, ids), fetch)
    findings = Findings(feed, now, tuple(found.facts), tuple(found.wants), tuple(found.skipped))
    return found, store.record(account, held, findings)


class _Polling:
    """One poll of one account."""

    def __init__(
        self, account: Account, store: Store[L], held: L, fetch: Fetch, clock: Callable[[], datetime]
    ) -> None:
        self.account = account
        self.store: Store[L] = store
        self.held = held
        self.fetch = fetch
        self.clock = clock
        self.marks = dict(store.marks(account.name))
        self.first_look = any(self._mark(name).last_complete_at is None for name in account.feeds)

    def _mark(self, feed: str) -> Mark:
        return self.marks.get(feed, Mark())

    def feed(self, feed: Feed) -> Outcome:
        """Poll one feed from its mark to a recorded end."""
        try:
            if feed.defaults.kind is FeedKind.EVENTS:
                return self._events(feed)
            if feed.defaults.kind is FeedKind.LISTING:
                return self._listing(feed)
            return self._open_orders(feed)
        except ProviderError as error:
            return self._failed(feed, error)

    # --- event feeds ------------------------------------------------------------------------------------

    def _events(self, feed: Feed) -> Outcome:
        mark, now = self._mark(feed.name), self.clock()
        corrected = now + timedelta(seconds=mark.skew_s)
        deep = feed.defaults.deep is not None and (
            mark.deep_at is None or not now - DAY < mark.deep_at <= now
        )
        since = self._since(feed, mark, corrected, deep)
        until = None if feed.defaults.frozen_by_date else max(corrected - EDGE, since + timedelta(seconds=1))
        return self._window(feed, Window(feed.name, since, until), deep)

    def _since(self, feed: Feed, mark: Mark, now: datetime, deep: bool) -> datetime:
        if mark.cursor is None:
            return _start(feed, now)
        back = feed.defaults.deep if deep and feed.defaults.deep else feed.lookback
        return mark.cursor - max(back, feed.lookback)

    def _window(self, feed: Feed, window: Window, deep: bool, last_part: bool = True) -> Outcome:
        """Read a window whole, then record it; a large or refused one in halves, the older first, so that
        each part is complete in itself. Nothing later is read before an earlier part is complete."""
        try:
            first = first_page(self.account, window, self.fetch)
        except Refused as refusal:
            if refusal.status != 400 or _span(window) <= SMALLEST_REFUSED:
                raise
            return self._halves(feed, window, deep, last_part)
        page, reading = first
        if window.until is None and reading.more:
            # More than one page: freeze the window at the provider's own time, so that no row is added to it.
            return self._window(feed, replace(window, until=page.at), deep, last_part)
        if (reading.total or 0) > LARGEST_WINDOW and _span(window) > SMALLEST_SPAN:
            return self._halves(feed, window, deep, last_part)
        found = self._steady(feed, window, first)
        if (
            found.incomplete in ("page cap", "no progress")
            and _span(window) > SMALLEST_SPAN
            and found.pages > 2
        ):
            self._record(feed, found, None)
            return self._halves(feed, window, deep, last_part)
        return self._record(feed, found, self._event_progress(feed, found, window, deep and last_part))

    def _halves(self, feed: Feed, window: Window, deep: bool, last_part: bool) -> Outcome:
        until = window.until or self.clock()
        middle = window.since + (until - window.since) / 2
        older = self._window(feed, replace(window, until=middle), deep, False)
        if not older.complete:
            return older
        newer = self._window(feed, replace(window, since=middle), deep, last_part)
        return replace(newer, recorded=older.recorded + newer.recorded)

    def _steady(self, feed: Feed, window: Window, first: tuple[object, object] | None) -> Sweep:
        """Sweep a window again while its pages do not fit together."""
        sweeps = [sweep(self.account, window, self.fetch, first)]  # type: ignore[arg-type]
        while sweeps[-1].complete and drifted(sweeps[-1], feed.defaults.trust_totals):
            if len(sweeps) > feed.defaults.resweeps:
                if feed.defaults.trust_totals:
                    sweeps[-1].incomplete = "drift"
                break
            sweeps.append(sweep(self.account, window, self.fetch))
        return merged(sweeps)

    def _event_progress(self, feed: Feed, found: Sweep, window: Window, deep: bool) -> Progress:
        """The cursor is the newest time the provider gave in a complete sweep, within the frozen window."""
        newest = max((fact.as_of for fact in found.facts if fact.source is Source.EVENT), default=None)
        if newest is not None and window.until is not None:
            newest = min(newest, window.until)
        return replace(self._progress(feed, found), cursor=newest, deep=deep)

    # --- listings and open orders -----------------------------------------------------------------------

    def _listing(self, feed: Feed) -> Outcome:
        """Read a whole list, recording as the pages come; only a complete one answers wants."""
        recorded = Recorded()

        def drain(found: Sweep) -> None:
            nonlocal recorded
            if len(found.facts) >= SLICE:
                recorded += self._slice(feed, found, tuple(found.facts), None)
                found.facts.clear()
                found.wants.clear()
                found.skipped.clear()

        found = sweep(self.account, Listing(feed.name), self.fetch, each_page=drain)
        progress = replace(self._progress(feed, found), covers=feed.defaults.direction, pages=found.pages)
        outcome = self._record(feed, found, progress)
        return replace(outcome, recorded=recorded + outcome.recorded)

    def _open_orders(self, feed: Feed) -> Outcome:
        """Ask for every order that is not over, by its number; once a day look through a wide window."""
        mark, now = self._mark(feed.name), self.clock()
        until = now + timedelta(seconds=mark.skew_s) - EDGE
        ids, oldest = self.store.open_orders(self.held, feed.defaults.direction, now)
        deep = mark.deep_at is None or not now - DAY < mark.deep_at <= now
        done = Recorded()
        found = Sweep(started_at=until, at=now)
        for at in range(0, len(ids), BATCH):
            batch = ids[at : at + BATCH]
            ask = Orders(feed.defaults.direction, batch, since=oldest, until=until)
            found = sweep(self.account, ask, self.fetch, asked=frozenset(batch))
            if not found.complete:
                break
            done += self._slice(feed, found, tuple(found.facts), None)
            found.facts.clear()
        if deep and found.complete:
            window = Window(feed.name, _start(feed, until), until)
            found = self._steady(feed, window, None)
        progress = replace(self._progress(feed, found), deep=deep, covers=feed.defaults.direction)
        progress = replace(progress, started_at=until)
        outcome = self._record(feed, found, progress)
        return replace(outcome, recorded=done + outcome.recorded)

    # --- wants ------------------------------------------------------------------------------------------

    def wants(self, polled: Iterable[str]) -> Iterable[Outcome]:
        """Ask for what is wanted: by a listing where that is shorter, else one by one."""
        polled = set(polled)
        pending = self.store.wants(self.held, self.clock())
        for feed in self.account.feeds.values():
            owed = sum(
                want.part is Part.ORDER and want.direction is feed.defaults.direction for want in pending
            )
            listed = feed.defaults.kind is FeedKind.LISTING and feed.enabled and feed.name not in polled
            if listed and owed > max(1, self._mark(feed.name).pages):
                yield self.feed(feed)
                pending = self.store.wants(self.held, self.clock())
        if pending:
            yield self._ask_for(pending)

    def _ask_for(self, pending: Sequence[Want]) -> Outcome:
        done, failed = Recorded(), None
        for want in pending:
            found = sweep(self.account, _ask(want), self.fetch)
            facts = tuple(found.facts)
            if want.part is Part.NUMBERS and found.complete:
                facts = gathered(facts)
            # An event whose payload is still owed is a want that the store keeps; the poll is complete.
            answered, in_vain = ((want,), ()) if found.complete else ((), (want,))
            findings = Findings(
                want.feed or "wanted",
                found.at or self.clock(),
                facts,
                tuple(found.wants),
                tuple(found.skipped),
                answered=answered,
                failed=in_vain,
                initial=self.first_look,
            )
            done += self.store.record(self.account, self.held, findings)
            if not found.complete:
                failed = found.error or PageChanged(f"{want.part} {want.id}: {found.incomplete}")
                if isinstance(failed, AccessDenied | RateLimited):
                    break
        return Outcome("wanted", _word(failed), failed is None, done, failed)

    # --- recording --------------------------------------------------------------------------------------

    def _progress(self, feed: Feed, found: Sweep) -> Progress:
        outcome = found.incomplete or _word(found.error)
        error = found.error
        return Progress(
            feed=feed.name,
            outcome=outcome,
            attempted_at=found.at or self.clock(),
            complete=found.complete,
            started_at=found.started_at,
            skew_s=found.skew_s,
            not_before=error.until if isinstance(error, RateLimited) else None,
            error=str(error) if error else found.incomplete,
        )

    def _record(self, feed: Feed, found: Sweep, progress: Progress | None) -> Outcome:
        """Record a sweep in slices, oldest first; the last one carries the progress."""
        facts = sorted(found.facts, key=stamp)
        slices = [tuple(facts[at : at + SLICE]) for at in range(0, len(facts), SLICE)] or [()]
        recorded = Recorded()
        wants, skipped = found.wants, found.skipped
        for number, facts_here in enumerate(slices):
            last = number == len(slices) - 1
            here = {fact.source_id for fact in facts_here}
            found.wants = [want for want in wants if want.because in here or (last and want.because is None)]
            found.skipped = skipped if last else []
            recorded += self._slice(feed, found, facts_here, progress if last else None)
        outcome = progress.outcome if progress else "incomplete"
        return Outcome(feed.name, outcome, found.complete, recorded, found.error)

    def _slice(
        self, feed: Feed, found: Sweep, facts: tuple[Fact, ...], progress: Progress | None
    ) -> Recorded:
        findings = Findings(
            feed.name,
            found.at or self.clock(),
            facts,
            tuple(found.wants),
            tuple(found.skipped),
            initial=self._mark(feed.name).last_complete_at is None,
        )
        return self.store.record(self.account, self.held, findings, progress)

    def _failed(self, feed: Feed, error: ProviderError) -> Outcome:
        found = Sweep(error=error, at=self.clock())
        return self._record(feed, found, self._progress(feed, found))


def _ask(want: Want) -> Orders | EventsAsk:
    if want.part is Part.EVENT:
        return EventsAsk(want.feed or "", (want.id,))
    return Orders(want.direction or Direction.PORT_IN, (want.id,), want.part)


def _span(window: Window) -> timedelta:
    return timedelta(0) if window.until is None else window.until - window.since


def _start(feed: Feed, now: datetime) -> datetime:
    """How far back the first look goes."""
    if isinstance(feed.start, datetime):
        return feed.start
    return BEGINNING if feed.start is None else now - feed.start


def _word(error: ProviderError | None) -> str:
    """An outcome in one word."""
    if error is None:
        return "complete"
    names = {
        RateLimited: "rate_limited",
        AccessDenied: "denied",
        PageChanged: "page_changed",
        Refused: "refused",
    }
    return names.get(type(error), "unreachable")

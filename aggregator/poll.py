"""One poll of one account: the only place where the steps meet.

    mark → window → sweep → record in slices → the last slice moves the cursor

A plain, synchronous function. Network and store are arguments; the daemon, the one-shot and the tests call
the same one. An error of the provider never escapes: it ends its sweep, is recorded, and shows in the
outcome. `Fenced` and other faults of the store are the caller's.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Protocol, TypeVar

from aggregator.core.account import Account, Feed, FeedKind
from aggregator.core.findings import Findings, Mark, Progress, Recorded
from aggregator.core.fold import stamp
from aggregator.core.model import Direction, Fact, Listing, Orders, Part, Source, Want, Window
from aggregator.core.model import Events as EventsAsk
from aggregator.core.normalise import gathered
from aggregator.errors import (
    AccessDenied,
    AdapterFailed,
    FetchError,
    PageChanged,
    ProviderError,
    RateLimited,
    Refused,
)
from aggregator.sweep import BUDGET, SMALLEST_REFUSED, Fetch, Sweep, in_parts, steady, sweep
from aggregator.sweep import Part as Read

L = TypeVar("L", contravariant=True)

SLICE = 1_000  # facts in one transaction
EDGE = timedelta(seconds=5)  # how far before now a window ends that must have an end
DAY = timedelta(days=1)
BEGINNING = datetime(2010, 1, 1, tzinfo=UTC)
BATCH = 50
ROUNDS = 3  # of lists and single questions in one poll
FAILURES = 3  # in a row: then the provider is down, and what is wanted is left for the next poll


class Store(Protocol[L]):
    """What a poll needs of the store; the lease is the store's own affair."""

    def marks(self, account: str) -> Mapping[str, Mark]: ...
    def wants(self, held: L, now: datetime | None) -> tuple[Want, ...]: ...
    def lists_owed(self, held: L) -> Set[Direction]: ...
    def open_orders(
        self, held: L, direction: Direction, now: datetime
    ) -> tuple[tuple[str, ...], datetime | None]: ...
    def record(
        self, account: Account, held: L, findings: Findings, progress_made: Progress | None = None
    ) -> Recorded: ...


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a feed's poll (or the answering of wants) went. `drift` counts the rows by which its list grew (or
    shrank) while it was read."""

    feed: str
    outcome: str
    complete: bool
    recorded: Recorded = Recorded()
    error: ProviderError | None = None
    drift: int = 0


def poll_account(
    account: Account,
    feeds: Sequence[Feed],
    store: Store[L],
    held: L,
    fetch: Fetch,
    clock: Callable[[], datetime],
) -> tuple[Outcome, ...]:
    """Poll these feeds, event feeds first, then ask for what is still wanted, unless nothing could be reached.
    A refused key or a rate limit ends it: the feeds that were to follow are recorded as ended by it."""
    polling = Polling(account, store, held, fetch, clock)
    outcomes: list[Outcome] = []
    ahead = sorted(feeds, key=lambda feed: feed.defaults.kind is not FeedKind.EVENTS)
    while ahead:
        outcomes.append(polling.feed(ahead.pop(0)))
        error = outcomes[-1].error
        if isinstance(error, AccessDenied | RateLimited):
            outcomes.extend(polling.failed(feed, error) for feed in ahead)
            return tuple(outcomes)
    if not outcomes or not all(isinstance(outcome.error, FetchError) for outcome in outcomes):
        outcomes.extend(polling.wants([outcome.feed for outcome in outcomes]))
    return tuple(outcomes)


def poll_events(
    account: Account, feed: str, ids: tuple[str, ...], store: Store[L], held: L, fetch: Fetch, now: datetime
) -> tuple[Sweep, Recorded]:
    """Fetch provider events by id and take them in."""
    found = sweep(account, EventsAsk(feed, ids), fetch)
    findings = Findings(feed, now, tuple(found.facts), tuple(found.wants), tuple(found.skipped))
    return found, store.record(account, held, findings)


class Polling:
    """One poll of one account. `initial`: what it finds is history, as at a first look."""

    def __init__(
        self,
        account: Account,
        store: Store[L],
        held: L,
        fetch: Fetch,
        clock: Callable[[], datetime],
        initial: bool = False,
    ) -> None:
        self.account = account
        self.store: Store[L] = store
        self.held = held
        self.fetch = fetch
        self.clock = clock
        self.initial = initial
        self.marks = dict(store.marks(account.name))
        self.first_look = not any(mark.last_complete_at for mark in self.marks.values())
        self.polled: dict[str, Progress] = {}
        self.skew_s: float | None = None

    def mark(self, feed: str) -> Mark:
        """What is remembered of a feed."""
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
            return self.failed(feed, error)

    def failed(self, feed: Feed, error: ProviderError) -> Outcome:
        """Record that a feed could not be polled."""
        found = Sweep(error=error, at=self.clock())
        return self.record(feed, found, self._progress(feed, found))

    # --- event feeds ------------------------------------------------------------------------------------

    def _events(self, feed: Feed) -> Outcome:
        mark, now = self.mark(feed.name), self.clock()
        corrected = now + self._skew(mark)
        deep = feed.defaults.deep is not None and _once_a_day(mark, now)
        since = self._since(feed, mark, corrected, deep)
        until = None if feed.defaults.frozen_by_date else max(corrected - EDGE, since + timedelta(seconds=1))

        def progress(part: Read) -> Progress:
            return replace(
                self._progress(feed, part.found),
                cursor=part.newest,
                deep=deep and part.last,
                partial=part.found.complete and not part.last,
            )

        return self._window(feed, Window(feed.name, since, until), progress)

    def _skew(self, mark: Mark) -> timedelta:
        """How far the provider's clock is ahead of ours: as a reply of this poll shows it, else as remembered."""
        return timedelta(seconds=mark.skew_s if self.skew_s is None else self.skew_s)

    def _since(self, feed: Feed, mark: Mark, now: datetime, deep: bool) -> datetime:
        if mark.cursor is None:
            return _start(feed, now)
        back = feed.defaults.deep if deep and feed.defaults.deep else feed.lookback
        return mark.cursor - max(back, feed.lookback)

    def _window(self, feed: Feed, window: Window, progress: Callable[[Read], Progress | None]) -> Outcome:
        """Read a window, recording each part before the next one is read."""
        recorded = Recorded()
        for part in in_parts(self.account, feed.defaults, window, self.fetch):
            outcome = self.record(feed, part.found, None if part.halved else progress(part))
            recorded += outcome.recorded
        return replace(outcome, recorded=recorded)

    # --- listings and open orders -----------------------------------------------------------------------

    def _listing(self, feed: Feed) -> Outcome:
        """Read a whole list, recording as the pages come; only a complete one answers wants."""
        recorded = Recorded()

        def drain(found: Sweep) -> None:
            nonlocal recorded
            if len(found.facts) >= SLICE:
                recorded += self.record(feed, found, None).recorded
                found.facts, found.wants, found.skipped = [], [], []

        found = steady(self.account, Listing(feed.name), self.fetch, feed.defaults, each_page=drain)
        pages, seen = (found.pages, frozenset(found.seen)) if found.complete else (0, None)
        progress = replace(
            self._progress(feed, found), covers=feed.defaults.direction, pages=pages, seen=seen
        )
        outcome = self.record(feed, found, progress)
        return replace(outcome, recorded=recorded + outcome.recorded)

    def _open_orders(self, feed: Feed) -> Outcome:
        """Ask for every order that is not over, by its number; once a day look through a wide window. The
        run covers what is open only if every order that was asked for came."""
        mark, now = self.mark(feed.name), self.clock()
        until = now + self._skew(mark) - EDGE
        ids, oldest = self.store.open_orders(self.held, feed.defaults.direction, now)
        asks = [
            Orders(feed.defaults.direction, ids[at : at + BATCH], since=oldest or BEGINNING, until=until)
            for at in range(0, len(ids), BATCH)
        ]
        found, recorded, owed = Sweep(at=now), Recorded(), set(ids)
        while asks and found.complete:
            ask = asks.pop(0)
            found = sweep(self.account, ask, self.fetch, asked=frozenset(ask.ids))
            if isinstance(found.error, Refused) and (halves := _narrower(ask, found.error)):
                asks[:0], found = halves, Sweep(at=now)
            elif found.complete:
                recorded += self.record(feed, found, None).recorded
                found.facts, found.skipped = [], []
                owed -= found.seen

        def progress(found: Sweep, deep: bool) -> Progress:
            covers = None if owed else feed.defaults.direction
            return replace(self._progress(feed, found), deep=deep, covers=covers, started_at=until)

        if found.complete and _once_a_day(mark, now):
            window = Window(feed.name, _start(feed, until), until)
            outcome = self._window(
                feed,
                window,
                lambda part: progress(part.found, True) if part.last or not part.found.complete else None,
            )
        else:
            outcome = self.record(feed, found, progress(found, False))
        return replace(outcome, recorded=recorded + outcome.recorded)

    # --- wants ------------------------------------------------------------------------------------------

    def wants(self, polled: Iterable[str]) -> Iterator[Outcome]:
        """Ask for what is wanted: by a listing where that is shorter, or where only a whole list can tell, else
        one by one. And again as long as lists are read: one may miss an order that must then be asked for, and
        an order lack a number that another one in the list may have."""
        listed = set(polled)
        for turn in range(ROUNDS):
            pending, owed = self.store.wants(self.held, self.clock()), self.store.lists_owed(self.held)
            lists = [feed for feed in self.account.feeds.values() if feed.defaults.kind is FeedKind.LISTING]
            here = [feed for feed in lists if feed.enabled and self._to_list(feed, listed, pending, owed)]
            if not here and (turn or not pending):
                return
            for feed in here:
                outcome = self.feed(feed)
                yield outcome
                if isinstance(outcome.error, AccessDenied | RateLimited):
                    return
                listed.add(feed.name)
            if here:
                pending = self.store.wants(self.held, self.clock())
            if pending:
                yield self._ask_for(pending)

    def _to_list(self, feed: Feed, listed: Set[str], pending: Sequence[Want], owed: Set[Direction]) -> bool:
        """Whether a whole list answers what is open, sooner than its schedule or than single questions."""
        if feed.defaults.direction in owed and not self._fails(feed):
            return True
        asked = sum(want.part is Part.ORDER and want.direction is feed.defaults.direction for want in pending)
        return feed.name not in listed and asked > max(1, self.mark(feed.name).pages)

    def _fails(self, feed: Feed) -> bool:
        """Whether the feed's last poll, this one or an earlier one, did not come to its end."""
        polled = self.polled.get(feed.name)
        return self.mark(feed.name).failures > 0 if polled is None else not polled.complete

    def _ask_for(self, pending: Sequence[Want]) -> Outcome:
        """Ask one by one, as long as the provider answers and time is left; the rest stays wanted."""
        done, failed, in_a_row = Recorded(), None, 0
        began = self.clock()
        for want in pending:
            found = sweep(self.account, _ask(want), self.fetch)
            done += self._answer(want, found)
            if found.complete:
                in_a_row = 0
            else:
                failed = found.error or PageChanged(f"{want.part} {want.id}: {found.incomplete}")
                in_a_row += isinstance(failed, FetchError)
                if isinstance(failed, AccessDenied | RateLimited) or in_a_row == FAILURES:
                    break
            if not timedelta(0) <= self.clock() - began <= BUDGET:
                break
        if isinstance(failed, RateLimited):
            self._hold_off(failed.until)
        return Outcome("wanted", word(failed), failed is None, done, failed)

    def _answer(self, want: Want, found: Sweep) -> Recorded:
        """Record what came for a want. An event whose payload is still owed is a want that the store keeps;
        a number list is whole only when all of its pages came and fit together, and it is asked for only where
        there are numbers."""
        if want.part is Part.NUMBERS and found.complete and (found.short or not found.came):
            found.incomplete = "drift" if found.short else "contradiction"
        facts = tuple(found.facts)
        if want.part is Part.NUMBERS and found.complete:
            facts = gathered(facts)
        findings = Findings(
            want.feed or "wanted",
            found.at or self.clock(),
            facts,
            tuple(found.wants),
            tuple(found.skipped),
            answered=(want,) if found.complete else (),
            failed=() if found.complete else (want,),
            initial=self.first_look,
        )
        return self.store.record(self.account, self.held, findings)

    def _hold_off(self, until: datetime) -> None:
        """The provider asks us to wait, though every feed is done: remember it with the feeds."""
        for name, progress in self.polled.items():
            if progress.complete:
                findings = Findings(name, progress.attempted_at)
                self.store.record(self.account, self.held, findings, replace(progress, not_before=until))

    # --- recording --------------------------------------------------------------------------------------

    def _progress(self, feed: Feed, found: Sweep) -> Progress:
        outcome = found.incomplete or word(found.error)
        error = found.error
        if found.skew_s is not None:
            self.skew_s = found.skew_s
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

    def record(self, feed: Feed, found: Sweep, progress: Progress | None) -> Outcome:
        """Record a sweep in slices; the last one carries the progress."""
        recorded = Recorded()
        initial = self.initial or self.mark(feed.name).last_complete_at is None
        *before, last = slices(feed.name, found, found.at or self.clock(), initial)
        for findings in before:
            recorded += self.store.record(self.account, self.held, findings)
        recorded += self.store.record(self.account, self.held, last, progress)
        if progress is not None:
            self.polled[feed.name] = progress
        outcome = progress.outcome if progress else "incomplete"
        return Outcome(feed.name, outcome, found.complete, recorded, found.error, found.grown)


def slices(feed: str, found: Sweep, at: datetime, initial: bool) -> list[Findings]:
    """What a sweep brought, in pieces for one transaction each, oldest first; at least one. The history that came
    with a look at its order stays with it, so that a first look is told as one."""
    looks = {fact.order: stamp(fact) for fact in found.facts if fact.source is Source.SNAPSHOT}
    pieces: list[list[Fact]] = [[]]
    for fact in sorted(found.facts, key=lambda f: (looks.get(f.order, stamp(f)), f.order.id, stamp(f))):
        piece = pieces[-1]
        if len(piece) >= SLICE and not (fact.order in looks and fact.order == piece[-1].order):
            pieces.append([])
        pieces[-1].append(fact)
    findings = [Findings(feed, at, tuple(told), _wants_of(found, told), initial=initial) for told in pieces]
    without_cause = tuple(want for want in found.wants if want.because is None)
    last = findings[-1]
    findings[-1] = replace(last, wants=(*last.wants, *without_cause), skipped=tuple(found.skipped))
    return findings


def _wants_of(found: Sweep, told: Iterable[Fact]) -> tuple[Want, ...]:
    """The wants that these facts cause, to be stored with them."""
    here = {fact.source_id for fact in told}
    return tuple(want for want in found.wants if want.because in here)


def _ask(want: Want) -> Orders | EventsAsk:
    if want.part is Part.EVENT:
        return EventsAsk(want.feed or "", (want.id,))
    return Orders(want.direction or Direction.PORT_IN, (want.id,), want.part)


def _narrower(ask: Orders, refusal: Refused) -> list[Orders]:
    """A refused ask over a shorter time, in halves; empty when it cannot be the length."""
    assert ask.since is not None and ask.until is not None
    if refusal.status != 400 or ask.until - ask.since <= SMALLEST_REFUSED:
        return []
    middle = ask.since + (ask.until - ask.since) / 2
    return [replace(ask, until=middle), replace(ask, since=middle)]


def _once_a_day(mark: Mark, now: datetime) -> bool:
    return mark.deep_at is None or not now - DAY < mark.deep_at <= now


def _start(feed: Feed, now: datetime) -> datetime:
    """How far back the first look goes."""
    if isinstance(feed.start, datetime):
        return feed.start
    return BEGINNING if feed.start is None else now - feed.start


def word(error: ProviderError | None) -> str:
    """An outcome in one word."""
    if error is None:
        return "complete"
    names = {
        RateLimited: "rate_limited",
        AccessDenied: "denied",
        PageChanged: "page_changed",
        AdapterFailed: "adapter_failed",
        Refused: "refused",
    }
    return names.get(type(error), "unreachable")

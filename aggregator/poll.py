"""One poll of one account: the only place where the steps meet.

    mark → window → sweep → record in slices → the last slice moves the cursor

A plain, synchronous function. Network and store are arguments; the daemon, the one-shot and the tests call
the same one. An error of the provider, or one that nobody foresaw, never escapes: it ends its feed, is recorded,
and shows in the outcome. `Fenced` and other faults of the store are the caller's.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from aggregator.core.account import Account, Feed, FeedKind
from aggregator.core.due import GOES_ON
from aggregator.core.findings import Findings, Mark, Progress, Recorded
from aggregator.core.model import (
    CLOCK_DOUBT,
    Events,
    Listing,
    Orders,
    Page,
    Part,
    Request,
    Skipped,
    Want,
    Window,
)
from aggregator.errors import (
    AccessDenied,
    AggregatorError,
    FetchError,
    PollFailed,
    ProviderError,
    RateLimited,
    Refused,
    Spent,
    TooLarge,
)
from aggregator.places import Place, Shown, digests, place_of
from aggregator.slices import Outcome, Store, full, slices, word
from aggregator.sweep import ASIDE, Fetch, Sweep, otherwise, steady, sweep
from aggregator.wants import QUESTIONS, Asking
from aggregator.windows import SMALLEST_REFUSED, TOO_MUCH_REFUSED, in_parts
from aggregator.windows import Part as Read

L = TypeVar("L", contravariant=True)

EDGE = timedelta(seconds=5)  # how far before now a window ends that must have an end
DAY = timedelta(days=1)
BEGINNING = datetime(2000, 1, 1, tzinfo=UTC)  # no order is older, and no cursor
BATCH = 50
REQUESTS = 3_000  # of one poll: four whole lists, 300 questions, and room for what is asked in pieces
LONGEST = timedelta(minutes=25)
LATE = 50  # pages of a list: one that breaks off behind them goes on there


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
        outcomes.extend(Asking(polling).again([outcome.feed for outcome in outcomes]))
    return tuple(outcomes)


def poll_events(
    account: Account, feed: str, ids: tuple[str, ...], store: Store[L], held: L, fetch: Fetch, now: datetime
) -> tuple[Sweep, Recorded]:
    """Fetch provider events by id and take them in."""
    found = sweep(account, Events(feed, ids), fetch)
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
        self.clock = clock
        self.fetch = self._within(fetch)
        self.initial = initial
        self.marks = dict(store.marks(account.name))
        self.first_look = not any(mark.last_complete_at for mark in self.marks.values())
        self.polled: dict[str, Progress] = {}
        self.skew_s: float | None = None

    def _within(self, fetch: Fetch) -> Fetch:
        """One budget for all requests of this poll, whatever they are for: no account keeps a worker for ever."""
        began, made = self.clock(), 0

        def bounded(request: Request) -> Page:
            nonlocal made
            made += 1
            if made > REQUESTS:
                raise Spent(f"{REQUESTS} requests in one poll; the next one goes on")
            if self.clock() - began > LONGEST:
                raise Spent(f"{LONGEST.total_seconds() / 60:g} minutes in one poll; the next one goes on")
            return fetch(request)

        return bounded

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
        except AggregatorError:  # of the store, the key or a stop: for whoever polls
            raise
        except Exception as error:
            return self.failed(feed, PollFailed.of(feed.name, error))

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
        latest = max(now, corrected) - EDGE
        until = None if feed.defaults.frozen_by_date else max(latest, since + timedelta(seconds=1))

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
        return skew(mark) if self.skew_s is None else timedelta(seconds=self.skew_s)

    def _since(self, feed: Feed, mark: Mark, now: datetime, deep: bool) -> datetime:
        if mark.cursor is None:
            return _start(feed, now)
        back = feed.defaults.deep if deep and feed.defaults.deep else feed.lookback
        return _before(mark.cursor, max(back, feed.lookback))

    def _window(self, feed: Feed, window: Window, progress: Callable[[Read], Progress | None]) -> Outcome:
        """Read a window, recording each part before the next one is read."""
        recorded = Recorded()

        def keep(found: Sweep) -> None:
            nonlocal recorded
            recorded += self.record(feed, found, None).recorded

        for part in in_parts(self.account, feed.defaults, window, self.fetch, keep):
            outcome = self.record(feed, part.found, None if part.halved else progress(part))
            recorded += outcome.recorded
        return replace(outcome, recorded=recorded)

    # --- listings and open orders -----------------------------------------------------------------------

    def _listing(self, feed: Feed) -> Outcome:
        """Read a whole list, recording as the pages come; only a complete one answers wants."""
        recorded = Recorded()

        def drain(found: Sweep) -> None:
            nonlocal recorded
            if full(found):
                recorded += self.record(feed, found, None).recorded
                found.let_go()

        ask, place = Listing(feed.name), place_of(self.mark(feed.name).place)
        if place is None:
            found = steady(self.account, ask, self.fetch, feed.defaults, each_page=drain)
        else:
            found = _going_on(
                sweep(self.account, ask, self.fetch, each_page=drain, start=place.request), place
            )
        was_refused = found.refusal is not None
        found = otherwise(self.account, found, self.fetch, drain)
        if was_refused and found.refusal is not None:  # what no other way showed either
            self._ask_for_open(feed, found)
        pages = found.pages if found.complete and not place else 0
        seen = Shown(place.shown if place else frozenset(), found.seen) if found.complete else None
        progress = replace(
            self._progress(feed, found), covers=feed.defaults.direction, pages=pages, seen=seen
        )
        progress = _with_place(progress, found, place)
        if progress.goes_on:
            progress = self._reread(feed, found, progress)
        outcome = self.record(feed, found, progress)
        return replace(outcome, recorded=recorded + outcome.recorded)

    def _ask_for_open(self, feed: Feed, found: Sweep) -> None:
        """Want the open orders that a refused list did not show, each by itself."""
        now = self.clock()
        ids, _ = self.store.open_orders(self.held, feed.defaults.direction, now)
        for id in ids:
            if id not in found.seen:
                found.wants.append(Want(Part.ORDER, id, feed.defaults.direction, since=found.at or now))

    def _reread(self, feed: Feed, found: Sweep, progress: Progress) -> Progress:
        """While a list goes on, the open orders are asked for by id, so many in each poll: it may be long until the
        list shows them."""
        place, now = place_of(progress.place), self.clock()
        ids, _ = self.store.open_orders(self.held, feed.defaults.direction, now)
        if place is None or not ids:
            return progress
        at = place.reread % len(ids)
        due = [id for id in (*ids[at:], *ids[:at])[:QUESTIONS] if id not in found.seen]
        found.wants += [Want(Part.ORDER, id, feed.defaults.direction, since=found.at or now) for id in due]
        return replace(progress, place=replace(place, reread=at + min(len(ids), QUESTIONS)).written())

    def _open_orders(self, feed: Feed) -> Outcome:
        """Ask for every order that is not over, by its number; once a day look through a wide window. The
        run covers what is open only if every order that was asked for came."""
        mark, now = self.mark(feed.name), self.clock()
        theirs = now + self._skew(mark) - EDGE
        until = max(theirs, now - EDGE)
        ids, oldest = self.store.open_orders(self.held, feed.defaults.direction, now)
        since = max(oldest or BEGINNING, BEGINNING)
        asks = [
            Orders(feed.defaults.direction, ids[at : at + BATCH], since=since, until=until)
            for at in range(0, len(ids), BATCH)
        ]
        found, recorded, owed = Sweep(at=now), Recorded(), set(ids)
        while asks and found.complete:
            ask = asks.pop(0)
            found = sweep(self.account, ask, self.fetch, asked=frozenset(ask.ids))
            if isinstance(found.error, Refused) and (halves := _narrower(ask, found.error)):
                asks[:0], found = halves, Sweep(at=now)
                continue
            if isinstance(found.error, TooLarge):
                asks[:0] = _apart(ask, found)
            if found.complete:
                recorded += self.record(feed, found, None).recorded
                found.facts, found.skipped = [], []
                owed -= found.seen

        def progress(found: Sweep, deep: bool) -> Progress:
            covers = None if owed else feed.defaults.direction
            return replace(self._progress(feed, found), deep=deep, covers=covers, started_at=theirs)

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
            error=found.trouble or found.doubt,
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
        return Outcome(
            feed.name, outcome, found.complete, recorded, found.error or found.refusal, found.grown
        )


def _going_on(found: Sweep, place: Place) -> Sweep:
    """The rest of a list that ended at this place in an earlier poll. Where nothing of the page there is left, or the
    rows do not add up, some may have moved past us: then it is incomplete, and begins anew."""
    if not found.pages:
        return found
    rows = place.rows + found.came - len(found.seen & place.ids)
    if not found.seen & place.ids or (found.complete and place.total is not None and rows < place.total):
        found.incomplete, found.error, found.last = "drift", None, None
    found.started_at = place.started_at
    return found


def _with_place(progress: Progress, found: Sweep, before: Place | None) -> Progress:
    """Where a list goes on at the next poll, if it does: one that was too long for this one, or broke off late."""
    late = before is not None or found.pages >= LATE
    is_long = found.incomplete in ("page cap", "time budget") or isinstance(found.error, Spent)
    if found.last is None or not (is_long or (late and found.error is not None)):
        broke = before is not None and not found.pages and isinstance(found.error, FetchError)
        return replace(progress, place=before.written() if before and broke else None)
    request, ids = found.last
    rows = found.came + (before.rows - len(found.seen & before.ids) if before else 0)
    total = before.total if before else found.totals[0] if found.totals else None
    shown = digests(found.seen) | (before.shown if before else frozenset())
    place = Place(request, ids, rows, total, found.started_at, shown, before.reread if before else 0)
    if not is_long:
        return replace(progress, place=place.written())
    told = f"{rows:,} of {total:,} rows read" if total is not None else f"{rows:,} rows read"
    return replace(
        progress, place=place.written(), outcome=GOES_ON, error=f"{told}; the list goes on", goes_on=True
    )


def _apart(ask: Orders, found: Sweep) -> list[Orders]:
    """Orders that are too large for one reply, in halves, the error taken for told; one by itself is set aside."""
    middle = len(ask.ids) // 2
    if not middle:
        found.skipped.append(Skipped(ask.ids[0], f"{ASIDE} ({found.error})"))
    found.error = found.incomplete = None
    halves = (ask.ids[:middle], ask.ids[middle:]) if middle else ()
    return [replace(ask, ids=ids) for ids in halves]


def _narrower(ask: Orders, refusal: Refused) -> list[Orders]:
    """A refused ask over a shorter time, in halves; empty when it cannot be the length."""
    assert ask.since is not None and ask.until is not None
    if refusal.status not in TOO_MUCH_REFUSED or ask.until - ask.since <= SMALLEST_REFUSED:
        return []
    middle = ask.since + (ask.until - ask.since) / 2
    return [replace(ask, until=middle), replace(ask, since=middle)]


def skew(mark: Mark) -> timedelta:
    """How far the provider's clock was ahead of ours when it was last seen, where that can be believed."""
    ahead = timedelta(seconds=mark.skew_s)
    return ahead if abs(ahead) <= CLOCK_DOUBT else timedelta(0)


def _once_a_day(mark: Mark, now: datetime) -> bool:
    return mark.deep_at is None or not now - DAY < mark.deep_at <= now


def _start(feed: Feed, now: datetime) -> datetime:
    """How far back the first look goes."""
    if isinstance(feed.start, datetime):
        return feed.start
    return BEGINNING if feed.start is None else _before(now, feed.start)


def _before(at: datetime, span: timedelta) -> datetime:
    """So long before a moment, but not before everything."""
    return max(at, BEGINNING) - min(span, max(at, BEGINNING) - BEGINNING)

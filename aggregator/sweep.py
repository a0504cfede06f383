"""One sweep: all pages that answer one request's chain. It ends well, or says why it did not; never forever.

A chain is followed by `next`, best way first. A page that brings nothing fresh makes the sweep try the other
ways that the page before it offered; only then it ends. A page that is too large is asked for again with fewer
rows. Paging faults are mended here, once, for every provider.
"""

import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import PurePath
from weakref import WeakSet

from aggregator import paging
from aggregator.core.account import Account, FeedDefaults, FeedKind
from aggregator.core.asked import requested
from aggregator.core.model import Ask, Fact, Listing, Page, Reading, Request, Skipped, Source, Want
from aggregator.core.received import received
from aggregator.core.typed import mistyped
from aggregator.errors import AdapterFailed, ProviderError, Refused, Stopped, TooLarge

MAX_PAGES = 500
BUDGET = timedelta(minutes=10)
LARGEST_WINDOW = 2_500  # items; a larger one is halved, so that each part finishes and moves the cursor
HELD_MOST = 32 * 1024 * 1024  # bytes of pages whose facts one sweep holds, and
HELD_OVER_ALL = 128 * 1024 * 1024  # all sweeps of this process together
MOST_ASIDE = 50  # so many items that are too large are no single ones; nor are
FIRST_ASIDE = 4  # so many before anything could be read

REFUSED, ASIDE = "page refused", "one item is too large"

_lock, _live = threading.Lock(), WeakSet["Sweep"]()

Fetch = Callable[[Request], Page]
First = tuple[Page, Reading]


@dataclass(slots=True, weakref_slot=True, eq=False)
class Sweep:
    """What a sweep brought, and how it ended. `incomplete` says in one word why it cannot be relied on, `refusal`
    which page was refused; `came` counts the items without those that came twice; `held` are the bytes of the pages
    whose facts are here, `last` the newest page and its ids, `let_go_at` the times of events that were recorded meanwhile;
    `doubt` says why the provider's clock does not count, where it does not."""

    facts: list[Fact] = field(default_factory=list)
    wants: list[Want] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)
    totals: list[int] = field(default_factory=list)
    came: int = 0
    pages: int = 0
    repeated: bool = False
    incomplete: str | None = None
    error: ProviderError | None = None
    refusal: Refused | None = None
    held: int = 0
    last: tuple[Request, frozenset[str]] | None = None
    let_go_at: list[datetime] = field(default_factory=list)
    aside: int = 0
    started_at: datetime | None = None
    skew_s: float | None = None
    began_at: datetime | None = None
    at: datetime | None = None
    doubt: str | None = None
    texts: dict[str, str] = field(default_factory=dict)

    def add(self, page: Page, reading: Reading) -> bool:
        """Take one page in; returns whether it brought anything fresh."""
        again = len(reading.ids & self.seen)
        self.facts.extend(reading.facts)
        self.wants.extend(reading.wants)
        self.skipped.extend(reading.skipped)
        self.texts.update(reading.texts)
        self.repeated |= again > 0
        self.seen |= reading.ids
        self.came += reading.items - again
        self.pages += 1
        self.held += len(page.body)
        self.last = (page.request, reading.ids)
        if reading.total is not None:
            self.totals.append(reading.total)
        if self.began_at is None:
            self.began_at, self.started_at = page.fetched_at, page.at
        self.at = page.fetched_at
        self.doubt = page.doubt
        if page.dated is not None:
            self.skew_s = (page.dated - page.fetched_at).total_seconds()
        return again < len(reading.ids)

    def set_aside(self, ref: str, error: str) -> None:
        """Take note of an item that cannot be had at all."""
        self.skipped.append(Skipped(ref, error))
        self.seen.add(ref)
        self.came += 1
        self.aside += 1

    def let_go(self) -> None:
        """Forget what has been recorded, but when its events were."""
        self.let_go_at = [*self.event_times]
        self.facts, self.wants, self.skipped, self.held = [], [], [], 0

    @property
    def event_times(self) -> Iterator[datetime]:
        """The times of all events it brought, as their provider gave them."""
        yield from self.let_go_at
        for fact in self.facts:
            if fact.source is Source.EVENT and fact.looked_at is None:
                yield fact.as_of

    @property
    def is_heavy(self) -> bool:
        """Whether more is held than one sweep may, or than its share of what all may."""
        if self.held > HELD_MOST:
            return True
        with _lock:
            live = list(_live)
        return sum(one.held for one in live) > HELD_OVER_ALL and self.held * len(live) > HELD_OVER_ALL

    @property
    def trouble(self) -> str | None:
        """Why it cannot be relied on, in words."""
        if self.error is not None:
            return str(self.error)
        if self.refusal is None:
            return self.incomplete
        total = f" of {self.totals[0]:,}" if self.totals else ""
        return f"{self.incomplete} ({self.refusal}); {self.came:,}{total} rows read"

    @property
    def complete(self) -> bool:
        """Whether everything there was to read has been read."""
        return self.incomplete is None and self.error is None

    @property
    def short(self) -> bool:
        """Whether less came than the provider counted at first: rows have moved from page to page."""
        return bool(self.totals) and self.came < self.totals[0]

    @property
    def grown(self) -> int:
        """How many rows came (or went) while the pages were read."""
        return self.totals[-1] - self.totals[0] if self.totals else 0

    def drifted(self, feed: FeedDefaults) -> bool:
        """Whether the pages did not fit together. A listing may grow while it is read, a window may not; a
        total that cannot be relied on shows drift only by moving, and rows show it by coming twice."""
        if feed.kind is FeedKind.LISTING:
            return self.short
        moved = len(set(self.totals)) > 1
        return moved or (self.short if feed.trust_totals else self.repeated)


# --- one sweep ------------------------------------------------------------------------------------------


def sweep(
    account: Account,
    ask: Ask,
    fetch: Fetch,
    first: First | None = None,
    asked: frozenset[str] = frozenset(),
    each_page: Callable[[Sweep], None] | None = None,
    most: int | None = None,
    start: Request | None = None,
) -> Sweep:
    """Follow every chain of an ask to its end. An error of the provider ends it, incomplete, with what came.
    `first` is its first page, where that was fetched already; `asked` the ids whose arrival is enough; `most` how
    many items may come before it is better asked in pieces; `start` the page to begin with, in place of the first."""
    found = Sweep()
    with _lock:
        _live.add(found)
    try:
        begin = first[0].request if first else start
        chains = _plan(account, ask) if begin is None else (begin,)
    except ProviderError as error:
        found.error = error
        return found
    for chain in chains:
        try:
            found.incomplete = _Chain(account, fetch, found, asked, each_page, most).follow(chain, first)
        except ProviderError as error:
            found.error = error.with_traceback(None)  # whose frames hold the page
        if not found.complete:
            break
    return found


def otherwise(account: Account, found: Sweep, fetch: Fetch, each_page: Callable[[Sweep], None]) -> Sweep:
    """The rest of a list of which a later page was refused, asked for in the other ways that the adapter knows.
    Complete only where as many came as the provider counts; else it says how many, and is refused still."""
    ways = account.adapter.otherwise
    if found.incomplete != REFUSED or found.last is None or ways is None:
        return found
    with _ours(found.last[0].path, ways):
        requests = ways(found.last[0])
        if requests and (wrong := next(requested(requests), None)) is not None:
            raise Misread(wrong)
    total = found.totals[0] if found.totals else None
    for request in requests:
        more = sweep(account, Listing(""), fetch, each_page=each_page, start=request)
        found.facts += more.facts
        found.wants += more.wants
        found.skipped += more.skipped
        found.held += more.held
        found.seen |= more.seen
        found.pages += more.pages
        found.at = more.at or found.at
        if more.error is not None and not isinstance(more.error, Refused):
            found.error = more.error
            break
    found.came = len(found.seen)
    if found.error is None and total is not None and found.came >= total:
        found.incomplete = found.refusal = None
    return found


def first_page(account: Account, ask: Ask, fetch: Fetch) -> Reading:
    """What the first page of an ask says; no other is asked for. Raises what is wrong as a ProviderError."""
    (request, *_) = _plan(account, ask)
    return _page(account, request, fetch)[1]


def opened(account: Account, ask: Ask, fetch: Fetch) -> First:
    """The first page of an ask that has one chain."""
    return _page(account, _plan(account, ask)[0], fetch)


def _page(account: Account, request: Request, fetch: Fetch) -> First:
    try:
        page = fetch(request)
    except Refused as refusal:
        milder = _milder(account, request)
        if refusal.status != 400 or not milder:
            raise
        page = fetch(milder)
    return page, read(account, page)


def _plan(account: Account, ask: Ask) -> tuple[Request, ...]:
    plan = account.adapter.plan
    with _ours(type(ask).__name__, plan):
        requests = plan(ask, account.options)
        if (wrong := next(requested(requests), None)) is not None:
            raise Misread(wrong)
        return tuple(requests)


def _milder(account: Account, request: Request) -> Request | None:
    if (milder := account.adapter.milder) is None:
        return None
    with _ours(request.path, milder):
        if (wrong := mistyped(found := milder(request), Request | None)) is not None:  # type: ignore[arg-type]
            raise Misread(wrong)
        return found


def read(account: Account, page: Page) -> Reading:
    """What a page says, as the account's adapter reads it and as it is taken in."""
    read = account.adapter.read
    with _ours(page.request.path, read):
        try:
            reading = read(page, account.options)
        except TooLarge as error:
            error.at = page.at
            raise
        if (wrong := mistyped(reading, Reading)) is not None:
            raise Misread(wrong)
        return received(reading, page, account.words)


class Misread(ValueError):
    """An adapter gave what is not of the type that it promises."""


@contextmanager
def _ours(where: str, called: Callable[..., object]) -> Iterator[None]:
    """An adapter that breaks costs its own sweep, never the polls of other accounts; named by its own file and line.
    Whatever it raises: only an interrupt of the main thread is the operator's."""
    try:
        yield
    except (ProviderError, Stopped):
        raise
    except Misread as error:
        code = getattr(called, "__code__", None)
        line = f"{_file(code.co_filename)}:{code.co_firstlineno}" if code else repr(called)
        raise AdapterFailed(f"{where}: the adapter failed ({error}, at {line})") from None
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt) and threading.current_thread() is threading.main_thread():
            raise
        line = _place(error, called)
        raise AdapterFailed(f"{where}: the adapter failed ({type(error).__name__} at {line})") from None


def _place(error: BaseException, called: Callable[..., object]) -> str:
    """The last line of the adapter's own code that led to an error."""
    frames = traceback.extract_tb(error.__traceback__)
    code = getattr(called, "__code__", None)
    folder = PurePath(code.co_filename).parent if code else None
    own = [frame for frame in frames if folder in PurePath(frame.filename).parents]
    last = (own or frames)[-1]
    return f"{_file(last.filename)}:{last.lineno}"


def _file(name: str) -> str:
    path = PurePath(name)
    return "/".join(path.parts[-2:]) if path.name == "__init__.py" else path.name


class _Chain:
    """One chain of pages."""

    def __init__(
        self,
        account: Account,
        fetch: Fetch,
        found: Sweep,
        asked: frozenset[str],
        each_page: Callable[[Sweep], None] | None,
        most: int | None,
    ) -> None:
        self.account, self.fetch, self.found = account, fetch, found
        self.asked, self.each_page, self.most = asked, each_page, most
        self.paging = account.adapter.paging
        self.ways: list[Request] = []
        self.way_ended = self.emptied = False

    def follow(self, start: Request, first: First | None) -> str | None:
        """Follow it to its end; returns None when it is complete, else why not."""
        found, made = self.found, set[Request]()
        self.ways = [start]
        while self.ways:
            request = self.ways.pop(0)
            if request in made:
                continue
            if found.pages >= MAX_PAGES:
                return "page cap"
            made.add(request)
            try:
                known = first if first and request == first[0].request else None
                page, reading = known or _later(self.account, request, self.fetch, request == start)
            except Refused as refusal:
                if request == start:
                    raise
                if self.ways or self.way_ended or self.emptied:
                    continue  # another way of paging that this server does not know
                found.refusal = refusal
                return REFUSED
            except TooLarge as error:
                self._less(request, error.with_traceback(None))
                continue
            if self._takes(page, reading, paging.size(start, self.paging)):
                return None
            if (why := self._ends(page)) is not None:
                return why
        if found.totals and max(found.totals) > 0 and not found.came:
            return "contradiction"
        reached = bool(found.totals) and found.came >= max(found.totals)
        return None if reached or self.way_ended or self.emptied else "no progress"

    def _takes(self, page: Page, reading: Reading, largest: int) -> bool:
        """Take a page in; returns whether it ends the chain for good."""
        found = self.found
        again = len(reading.ids & found.seen)
        if 0 < again < len(reading.ids):
            # Rows that came before count once: an offset after this page must not skip what is still to come.
            request = replace(page.request, received=page.request.received - again)
            reading = read(self.account, replace(page, request=request))
        fresh = found.add(page, reading)
        if self.each_page is not None:
            self.each_page(found)
        if _over(reading, found, fresh, bool(self.ways), self.asked):
            return True
        self.emptied |= reading.done and not reading.ids
        self.way_ended |= reading.last
        if fresh:
            self.ways = [paging.wider(request, self.paging, largest) for request in reading.next]
        return False

    def _ends(self, page: Page) -> str | None:
        """Why the chain is to be left before its end, if it is."""
        found = self.found
        if found.began_at and page.fetched_at - found.began_at > BUDGET:
            return "time budget"
        if self.most is not None and self.ways and (found.came > self.most or found.is_heavy):
            return "too many"
        return None

    def _less(self, request: Request, error: TooLarge) -> None:
        """Ask for fewer rows of what was too large; a single row that is too large is set aside, named by the one
        before it. Raises the error where neither can be done."""
        smaller = paging.narrower(request, self.paging)
        after = paging.beyond(request, self.paging) if smaller is None and self.paging else None
        found = self.found
        named = bool(self.asked)  # then fewer are asked for by name
        alone = after is not None and paging.size(request, self.paging) == 1 and not named
        if smaller is None and alone and found.aside < (MOST_ASIDE if found.pages else FIRST_ASIDE):
            found.set_aside(f"{request.path} after {_newest(found)}", f"{ASIDE} ({error})")
            smaller = after
        if smaller is None:
            raise error
        self.ways.insert(0, smaller)


def _newest(found: Sweep) -> str:
    """What came last, by name."""
    if found.skipped and found.skipped[-1].error.startswith(ASIDE):
        return found.skipped[-1].ref
    if not found.facts:
        return "the beginning"
    fact = found.facts[-1]
    return fact.announced.key if fact.announced else fact.order.id


def _later(account: Account, request: Request, fetch: Fetch, is_first: bool) -> First:
    """A page; one after the first that is "not found" is a page that the provider does not give."""
    if is_first:
        return _page(account, request, fetch)
    page = fetch(request)
    if page.status == 404:
        raise Refused(f"{request.path}: status 404 for a later page", 404)
    return page, read(account, page)


def _over(reading: Reading, found: Sweep, fresh: bool, other_ways: bool, asked: frozenset[str]) -> bool:
    """Whether this page ends its chain for good."""
    if asked and asked <= found.seen:
        return True
    if not reading.done:
        return False
    if reading.ids:
        return fresh or not reading.next
    # An empty page is the strongest end, unless the total promises more and there is another way to ask.
    return not (other_ways and found.totals and len(found.seen) < max(found.totals))


# --- until its pages fit together -----------------------------------------------------------------------


def steady(
    account: Account,
    ask: Ask,
    fetch: Fetch,
    feed: FeedDefaults,
    first: First | None = None,
    each_page: Callable[[Sweep], None] | None = None,
    most: int | None = None,
) -> Sweep:
    """Sweep again while the pages do not fit together; what any of the sweeps brought is kept. When the last
    one does not settle it, it is incomplete, unless the provider's totals mean nothing anyway."""
    found = sweep(account, ask, fetch, first, each_page=each_page, most=most)
    settled = False
    for _ in range(feed.resweeps):
        if not found.complete or not found.drifted(feed):
            return found
        again = sweep(account, ask, fetch, each_page=each_page, most=most)
        settled = _settles(again, found.seen)
        again.facts[:0], again.wants[:0], again.skipped[:0] = found.facts, found.wants, found.skipped
        again.seen |= found.seen
        again.held += found.held
        again.let_go_at += found.let_go_at
        found = again
    if found.complete and found.drifted(feed) and feed.trust_totals and not settled:
        found.incomplete = "drift"
    return found


def _settles(again: Sweep, known: set[str]) -> bool:
    """Whether a second look at drifting pages leaves nothing to doubt: its total stood still, and together
    with the first all were seen, or it showed nothing new (then the list itself has rows twice)."""
    if len(set(again.totals)) > 1:
        return False
    return again.seen <= known or len(again.seen | known) >= max(again.totals, default=0)

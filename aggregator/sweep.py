"""One sweep: all pages that answer one request's chain. It ends well, or says why it did not; never forever.

A chain is followed by `next`, best way first. A page that brings nothing fresh makes the sweep try the other
ways that the page before it offered; only then it ends. A window of an event feed is read in parts, the older
first, each complete in itself. Paging faults are mended here, once, for every provider.
"""

import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import PurePath

from aggregator.core.account import Account, FeedDefaults, FeedKind
from aggregator.core.model import Ask, Fact, Page, Reading, Request, Skipped, Source, Want, Window
from aggregator.core.received import received
from aggregator.errors import AdapterFailed, ProviderError, Refused

MAX_PAGES = 500
BUDGET = timedelta(minutes=10)
LARGEST_WINDOW = 2_500  # items; a larger one is halved, so that each part finishes and moves the cursor
SMALLEST_SPAN = timedelta(seconds=2)
SMALLEST_REFUSED = timedelta(days=1)
TOO_LONG = ("page cap", "no progress", "time budget")
"""Ends that a shorter window may not have."""

Fetch = Callable[[Request], Page]
First = tuple[Page, Reading]


@dataclass(slots=True)
class Sweep:
    """What a sweep brought, and how it ended. `incomplete` says in one word why it cannot be relied on;
    `came` counts the items without those that came twice;
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
    started_at: datetime | None = None
    skew_s: float | None = None
    began_at: datetime | None = None
    at: datetime | None = None
    doubt: str | None = None

    def add(self, page: Page, reading: Reading) -> bool:
        """Take one page in; returns whether it brought anything fresh."""
        again = len(reading.ids & self.seen)
        self.facts.extend(reading.facts)
        self.wants.extend(reading.wants)
        self.skipped.extend(reading.skipped)
        self.repeated |= again > 0
        self.seen |= reading.ids
        self.came += reading.items - again
        self.pages += 1
        if reading.total is not None:
            self.totals.append(reading.total)
        if self.began_at is None:
            self.began_at, self.started_at = page.fetched_at, page.at
        self.at = page.fetched_at
        self.doubt = page.doubt
        if page.dated is not None:
            self.skew_s = (page.dated - page.fetched_at).total_seconds()
        return again < len(reading.ids)

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


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a window as it was read. `halved`: what came is worth keeping, its halves follow."""

    window: Window
    found: Sweep
    last: bool
    halved: bool = False

    @property
    def newest(self) -> datetime | None:
        """How far the feed is known complete: the newest time of an event that the provider gave, within the
        window (an open one ends with the provider's time of its page, which knows no parts of a second)."""
        found = self.found
        end = self.window.until or (found.started_at and found.started_at + timedelta(seconds=1))
        told = (fact.as_of for fact in found.facts if fact.source is Source.EVENT and fact.looked_at is None)
        since = self.window.since
        return max((at for at in told if since <= at and (end is None or at <= end)), default=None)


# --- one sweep ------------------------------------------------------------------------------------------


def sweep(
    account: Account,
    ask: Ask,
    fetch: Fetch,
    first: First | None = None,
    asked: frozenset[str] = frozenset(),
    each_page: Callable[[Sweep], None] | None = None,
) -> Sweep:
    """Follow every chain of an ask to its end. An error of the provider ends it, incomplete, with what came.
    `first` is its first page, where that was fetched already; `asked` the ids whose arrival is enough."""
    found = Sweep()
    try:
        chains = _plan(account, ask) if first is None else (first[0].request,)
    except ProviderError as error:
        found.error = error
        return found
    for chain in chains:
        try:
            found.incomplete = _chain(account, chain, fetch, found, first, asked, each_page)
        except ProviderError as error:
            found.error = error
        if not found.complete:
            break
    return found


def first_page(account: Account, ask: Ask, fetch: Fetch) -> Reading:
    """What the first page of an ask says; no other is asked for. Raises what is wrong as a ProviderError."""
    (request, *_) = _plan(account, ask)
    return _page(account, request, fetch)[1]


def _page(account: Account, request: Request, fetch: Fetch) -> First:
    try:
        page = fetch(request)
    except Refused as refusal:
        milder = account.adapter.milder and account.adapter.milder(request)
        if refusal.status != 400 or not milder:
            raise
        page = fetch(milder)
    return page, read(account, page)


def _plan(account: Account, ask: Ask) -> tuple[Request, ...]:
    with _ours(type(ask).__name__):
        return account.adapter.plan(ask, account.options)


def read(account: Account, page: Page) -> Reading:
    """What a page says, as the account's adapter reads it and as it is taken in."""
    with _ours(page.request.path):
        return received(account.adapter.read(page, account.options), page, account.words)


@contextmanager
def _ours(where: str) -> Iterator[None]:
    """An adapter that breaks costs its own sweep, never the polls of other accounts."""
    try:
        yield
    except ProviderError:
        raise
    except Exception as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        line = f"{PurePath(place.filename).name}:{place.lineno}"
        raise AdapterFailed(f"{where}: the adapter failed ({type(error).__name__} at {line})") from None


def _chain(
    account: Account,
    start: Request,
    fetch: Fetch,
    found: Sweep,
    first: First | None,
    asked: frozenset[str],
    each_page: Callable[[Sweep], None] | None,
) -> str | None:
    """Follow one chain of pages; returns None when it is complete, else why not."""
    ways, made = [start], set[Request]()
    way_ended = emptied = False
    while ways:
        request = ways.pop(0)
        if request in made:
            continue
        if found.pages >= MAX_PAGES:
            return "page cap"
        made.add(request)
        try:
            page, reading = first if first and request == first[0].request else _page(account, request, fetch)
        except Refused:
            if request == start or not (ways or way_ended or emptied):
                raise
            continue  # another way of paging that this server does not know
        again = len(reading.ids & found.seen)
        if 0 < again < len(reading.ids):
            # Rows that came before count once: an offset after this page must not skip what is still to come.
            request = replace(page.request, received=page.request.received - again)
            reading = read(account, replace(page, request=request))
        fresh = found.add(page, reading)
        if each_page is not None:
            each_page(found)
        if _over(reading, found, fresh, bool(ways), asked):
            return None
        emptied |= reading.done and not reading.ids
        way_ended |= reading.last
        if fresh:
            ways = list(reading.next)
        if found.began_at and page.fetched_at - found.began_at > BUDGET:
            return "time budget"
    if found.totals and max(found.totals) > 0 and not found.came:
        return "contradiction"
    reached = bool(found.totals) and found.came >= max(found.totals)
    return None if reached or way_ended or emptied else "no progress"


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
) -> Sweep:
    """Sweep again while the pages do not fit together; what any of the sweeps brought is kept. When the last
    one does not settle it, it is incomplete, unless the provider's totals mean nothing anyway."""
    found = sweep(account, ask, fetch, first, each_page=each_page)
    settled = False
    for _ in range(feed.resweeps):
        if not found.complete or not found.drifted(feed):
            return found
        again = sweep(account, ask, fetch, each_page=each_page)
        settled = _settles(again, found.seen)
        again.facts[:0], again.wants[:0], again.skipped[:0] = found.facts, found.wants, found.skipped
        again.seen |= found.seen
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


# --- a window in parts ----------------------------------------------------------------------------------


def in_parts(account: Account, feed: FeedDefaults, window: Window, fetch: Fetch) -> Iterator[Part]:
    """Read a window, one that is too large or refused in halves, the older first. Every part is read when
    it is asked for, so that the one before can be recorded; nothing later is read once one is incomplete."""
    ahead = [window]
    while ahead:
        window = ahead.pop()
        found = _part(account, feed, window, fetch)
        if isinstance(found, Window):
            ahead.append(found)
            continue
        if found is None:
            ahead.extend(_halves(window))
            continue
        if found.incomplete in TOO_LONG and found.pages > 1 and _span(window) > SMALLEST_SPAN:
            yield Part(window, found, last=False, halved=True)
            ahead.extend(_halves(window))
            continue
        yield Part(window, found, last=not ahead)
        if not found.complete:
            return


def _part(account: Account, feed: FeedDefaults, window: Window, fetch: Fetch) -> Sweep | Window | None:
    """A window as it was read, or as it is to be read: frozen (a window), or in halves (None)."""
    try:
        page, reading = first = _page(account, _plan(account, window)[0], fetch)
    except Refused as refusal:
        if refusal.status == 400 and _span(window) > SMALLEST_REFUSED:
            return None
        return Sweep(error=refusal)
    except ProviderError as error:
        return Sweep(error=error)
    if window.until is None and reading.more:
        # More than one page: freeze the window at the provider's own time, so that no row is added to it.
        return replace(window, until=_frozen(window, page, reading))
    if (reading.total or 0) > LARGEST_WINDOW and _span(window) > SMALLEST_SPAN:
        return None
    return steady(account, window, fetch, feed, first)


def _frozen(window: Window, page: Page, reading: Reading) -> datetime:
    """The time of a page, by the later of both clocks: a provider's that stands would leave out what is new. Its
    newest event, where that time lies before the window."""
    a_second = timedelta(seconds=1)  # smaller parts are not told
    now = page.at if page.fetched_at < page.at + a_second else page.fetched_at
    if now > window.since:
        return now
    return max((fact.as_of for fact in reading.facts), default=window.since)


def _halves(window: Window) -> tuple[Window, Window]:
    """The newer half and the older; both hold the moment between them."""
    assert window.until is not None, "only a window with an end has a middle"
    middle = window.since + (window.until - window.since) / 2
    return replace(window, since=middle), replace(window, until=middle)


def _span(window: Window) -> timedelta:
    return timedelta(0) if window.until is None else window.until - window.since

"""One sweep: all pages that answer one request's chain. It ends well, or says why it did not; never forever.

A chain is followed by `next`, best way first. A page that brings nothing fresh makes the sweep try the other
ways that the page before it offered; only then it ends. Paging faults are mended here, once, for every
provider.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from aggregator.core.account import Account
from aggregator.core.model import Ask, Fact, Page, Reading, Request, Skipped, Want
from aggregator.errors import ProviderError, Refused

MAX_PAGES = 500
BUDGET = timedelta(minutes=10)

Fetch = Callable[[Request], Page]


@dataclass(slots=True)
class Sweep:
    """What a sweep brought, and how it ended. `incomplete` says in one word why it cannot be relied on."""

    facts: list[Fact] = field(default_factory=list)
    wants: list[Want] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)
    totals: set[int] = field(default_factory=set)
    received: int = 0
    pages: int = 0
    duplicates: bool = False
    incomplete: str | None = None
    error: ProviderError | None = None
    started_at: datetime | None = None
    skew_s: float | None = None
    at: datetime | None = None

    def add(self, page: Page, reading: Reading) -> bool:
        """Take one page in; returns whether it brought anything fresh."""
        fresh = reading.ids - self.seen
        self.facts.extend(reading.facts)
        self.wants.extend(reading.wants)
        self.skipped.extend(reading.skipped)
        self.duplicates |= len(fresh) < len(reading.ids)
        self.seen |= reading.ids
        self.pages += 1
        if fresh or not reading.ids:
            self.received += reading.items
        if reading.total is not None:
            self.totals.add(reading.total)
        self.at = page.fetched_at
        if self.started_at is None:
            self.started_at = page.at
        if page.provider_at is not None:
            self.skew_s = (page.provider_at - page.fetched_at).total_seconds()
        return bool(fresh)

    @property
    def complete(self) -> bool:
        """Whether everything there was to read has been read."""
        return self.incomplete is None and self.error is None


def first_page(account: Account, ask: Ask, fetch: Fetch) -> tuple[Page, Reading]:
    """The first page of an ask with a single chain. Errors of the provider are raised."""
    return _page(account, account.adapter.plan(ask, account.options)[0], fetch)


def _page(account: Account, request: Request, fetch: Fetch) -> tuple[Page, Reading]:
    try:
        page = fetch(request)
    except Refused as refusal:
        milder = account.adapter.milder and account.adapter.milder(request)
        if refusal.status != 400 or not milder:
            raise
        page = fetch(milder)
    return page, account.adapter.read(page, account.options)


def sweep(
    account: Account,
    ask: Ask,
    fetch: Fetch,
    first: tuple[Page, Reading] | None = None,
    asked: frozenset[str] = frozenset(),
    each_page: Callable[[Sweep], None] | None = None,
) -> Sweep:
    """Follow every chain of an ask to its end. An error of the provider ends it, incomplete, with what came.
    `first` is its first page, where that was fetched already; `asked` the ids whose arrival is enough."""
    found = Sweep()
    for chain in account.adapter.plan(ask, account.options) if first is None else (first[0].request,):
        try:
            found.incomplete = _chain(account, chain, fetch, found, first, asked, each_page)
        except ProviderError as error:
            found.error = error
        if not found.complete:
            break
    return found


def _chain(
    account: Account,
    start: Request,
    fetch: Fetch,
    found: Sweep,
    first: tuple[Page, Reading] | None,
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
        fresh = found.add(page, reading)
        if each_page is not None:
            each_page(found)
        if _over(reading, found, fresh, bool(ways), asked):
            return None
        emptied |= reading.done and not reading.ids
        way_ended |= reading.last
        if fresh:
            ways = list(reading.next)
        if found.started_at and page.at - found.started_at > BUDGET:
            return "time budget"
    reached = bool(found.totals) and found.received >= max(found.totals)
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


def drifted(found: Sweep, trust_totals: bool) -> bool:
    """Whether the pages of a complete sweep did not fit together."""
    if found.pages < 2:
        return False
    if len(found.totals) > 1:
        return True
    if not trust_totals:
        return found.duplicates
    return bool(found.totals) and found.received < max(found.totals)


def merged(sweeps: Iterable[Sweep]) -> Sweep:
    """Several sweeps of one window as one: everything any of them brought, ended as the last one did."""
    every = list(sweeps)
    last = every[-1]
    for earlier in every[:-1]:
        last.facts[:0] = earlier.facts
        last.wants[:0] = earlier.wants
        last.skipped[:0] = earlier.skipped
    return last

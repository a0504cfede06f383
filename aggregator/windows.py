"""A window of an event feed, read in parts, the older first, each complete in itself.

Whatever is too much for one sweep is asked for in shorter windows: too many items, too many pages, too large a page,
a page that the provider refuses. What the shortest window still has too much of is read all the same, and recorded as
it comes; a page of it that nothing makes smaller is set aside and named, so that the feed goes on.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from aggregator import sweep as sweeping
from aggregator.core.account import Account, FeedDefaults
from aggregator.core.model import Page, Reading, Window
from aggregator.errors import ProviderError, Refused, TooLarge
from aggregator.sweep import REFUSED, Fetch, First, Sweep, opened, steady

SMALLEST_SPAN = timedelta(seconds=2)
SMALLEST_REFUSED = timedelta(days=1)
MANY = 16  # pieces of a window of which a page is too large however few rows are asked for
MOST_ASIDE = 3  # so many shortest windows in a row that are too large: then it is not what they hold
TOO_MUCH_REFUSED = (400, 413, 414, 416, 422)
"""With these a provider may refuse a first page because of the length of its window."""
TOO_LONG = ("page cap", "no progress", "time budget", "too many", REFUSED)
"""Ends that a shorter window may not have."""


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
        found, since = self.found, self.window.since
        end = self.window.until or (found.started_at and found.started_at + timedelta(seconds=1))
        times = (at for at in found.event_times if since <= at and (end is None or at <= end))
        return max(times, default=None)


def in_parts(
    account: Account,
    feed: FeedDefaults,
    window: Window,
    fetch: Fetch,
    keep: Callable[[Sweep], None] = lambda found: None,
) -> Iterator[Part]:
    """Read a window, one that is too much or refused in halves, the older first. Every part is read when
    it is asked for, so that the one before can be recorded; nothing later is read once one is incomplete. `keep`
    records what a window that cannot be shorter brought so far, should it be too much to hold."""
    ahead, aside = [window], 0
    while ahead:
        window = ahead.pop()
        found = _part(account, feed, window, fetch, keep)
        if isinstance(found, Window):
            ahead.append(found)
            continue
        if found is None:
            ahead.extend(_pieces(window, 2))
            continue
        too_large = isinstance(found.error, TooLarge)
        if too_large and not found.pages:  # whatever size was asked for: what is left is to ask for less time
            account = replace(account, adapter=replace(account.adapter, paging=None))
        if _may_be_shorter(window) and (too_large or _is_too_much(found)):
            if found.pages:
                yield Part(window, found, last=False, halved=True)
            ahead.extend(_pieces(window, MANY if too_large else 2))
            continue
        aside = aside + 1 if found.aside and not found.pages else 0
        if aside == MOST_ASIDE:
            found.error = TooLarge(
                f"{window.feed}: nothing that it says is small enough: {found.skipped[-1].error}"
            )
        yield Part(window, found, last=not ahead)
        if not found.complete:
            return


def _part(
    account: Account, feed: FeedDefaults, window: Window, fetch: Fetch, keep: Callable[[Sweep], None]
) -> Sweep | Window | None:
    """A window as it was read, or as it is to be read: frozen (a window), or in halves (None)."""
    first: First | None = None
    try:
        page, reading = first = opened(account, window, fetch)
    except Refused as refusal:
        if refusal.status in TOO_MUCH_REFUSED and _span(window) > SMALLEST_REFUSED:
            return None
        return Sweep(error=refusal)
    except TooLarge as error:
        error.with_traceback(None)  # whose frames hold the page
        if window.until is None:
            return _closed(window, error)
        if account.adapter.paging is None:
            return Sweep(error=error) if _may_be_shorter(window) else _aside(window, error)
    except ProviderError as error:
        return Sweep(error=error)
    if first is not None:
        if window.until is None and reading.more:
            # More than one page: freeze the window at the provider's own time, so that no row is added to it.
            return replace(window, until=_frozen(window, page, reading))
        if (reading.total or 0) > sweeping.LARGEST_WINDOW and _may_be_shorter(window):
            return None
    if _may_be_shorter(window):
        return steady(account, window, fetch, feed, first, most=sweeping.LARGEST_WINDOW)
    found = steady(account, window, fetch, feed, first, lambda found: _let_go(found, keep))
    return _aside(window, found.error, found) if isinstance(found.error, TooLarge) else found


def _let_go(found: Sweep, keep: Callable[[Sweep], None]) -> None:
    if found.is_heavy:
        keep(found)
        found.let_go()


def _closed(window: Window, error: TooLarge) -> Window | Sweep:
    """A window up to now whose first page is too large, with an end, so that it can be asked for in pieces."""
    if error.at is None or error.at <= window.since:
        return Sweep(error=error)
    return replace(window, until=error.at)


def _aside(window: Window, error: ProviderError, found: Sweep | None = None) -> Sweep:
    """The shortest window there is, without what nothing makes small enough."""
    found = found or Sweep()
    found.error = None
    found.set_aside(f"{window.feed} {window.since:%Y-%m-%dT%H:%M:%SZ}", f"{sweeping.ASIDE} ({error})")
    return found


def _is_too_much(found: Sweep) -> bool:
    """Whether a shorter window may be read to its end where this one was not."""
    several = found.pages > 1 or found.refusal is not None
    return found.incomplete in TOO_LONG and several


def _frozen(window: Window, page: Page, reading: Reading) -> datetime:
    """The time of a page, by the later of both clocks: a provider's that stands would leave out what is new. Its
    newest event, where that time lies before the window."""
    a_second = timedelta(seconds=1)  # smaller parts are not told
    now = page.at if page.fetched_at < page.at + a_second else page.fetched_at
    if now > window.since:
        return now
    return max((fact.as_of for fact in reading.facts), default=window.since)


def _pieces(window: Window, many: int) -> list[Window]:
    """So many shorter windows, the newest first; two neighbours hold the moment between them. None is shorter than
    half of the shortest."""
    assert window.until is not None, "only a window with an end can be shorter"
    many = min(many, max(2, _span(window) // (SMALLEST_SPAN / 2)))
    cuts = [window.since + _span(window) * number / many for number in range(many)]
    ends = [*cuts[1:], window.until]
    return [
        replace(window, since=since, until=end)
        for since, end in zip(reversed(cuts), reversed(ends), strict=True)
    ]


def _may_be_shorter(window: Window) -> bool:
    return _span(window) > SMALLEST_SPAN


def _span(window: Window) -> timedelta:
    return timedelta(0) if window.until is None else window.until - window.since

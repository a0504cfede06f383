"""What is due, from stored times. A run recorded in the future (the clock was set back) is due at once."""

from datetime import datetime, timedelta

from aggregator.core.account import Feed
from aggregator.core.findings import HOST_SILENT, Mark

LONGEST_PAUSE = timedelta(minutes=15)
"""No pause of one feed is longer, whether a provider asked for it or we chose it."""

FIRST_PAUSE = timedelta(seconds=60)
GOES_ON = "goes on"
"""How a poll of a list ended that is too long for one: no failure, and continued soon."""


def is_due(feed: Feed, mark: Mark, now: datetime) -> bool:
    """Whether a feed is to be polled at `now`. Times that only a clock set back explains are not believed."""
    if not feed.enabled:
        return False
    if mark.not_before is not None and now < mark.not_before <= now + LONGEST_PAUSE:
        return False
    if mark.last_attempt_at is None or mark.last_attempt_at > now:
        return True
    return next_due(feed, mark.last_attempt_at, mark.failures, None, mark.outcome) <= now


def next_due(
    feed: Feed, attempted_at: datetime, failures: int, not_before: datetime | None, outcome: str | None = None
) -> datetime:
    """When a feed is due again: after its interval; while it fails after growing pauses, which for a feed that
    is polled seldom are shorter than its interval; and soon where its host was silent, so that it was not
    asked, or where its list goes on."""
    first = min(feed.every, FIRST_PAUSE)
    pause = feed.every if not failures else backoff(failures, first)
    if outcome in (HOST_SILENT, GOES_ON):
        pause = first
    due = attempted_at + pause
    return due if not_before is None or not_before < due else not_before


def backoff(failures: int, first: timedelta) -> timedelta:
    """A pause that doubles with each failure, up to a quarter of an hour (or the first pause, where longer).

    >>> [backoff(n, timedelta(seconds=60)).total_seconds() for n in (1, 2, 3, 9)]
    [60.0, 120.0, 240.0, 900.0]
    """
    doubled: timedelta = first * (1 << (min(failures, 16) - 1))
    return min(doubled, max(LONGEST_PAUSE, first))

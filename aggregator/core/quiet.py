"""How long a feed has been known to bring nothing, so that a silence longer than that can be told."""

from datetime import datetime, timedelta

HALF = timedelta(days=30)
"""After so long a silence that was seen once counts for half: habits change."""


def longest_quiet(
    before: int | None, last_new_at: datetime | None, last_complete_at: datetime | None, now: datetime
) -> int | None:
    """The longest time, in seconds, in which complete polls of a feed brought nothing, as of news that came `now`;
    `before` is what it was, None as long as there was no silence between two news. Time in which nobody asked is
    no silence of the feed's.

    >>> monday, evening = datetime(2026, 6, 8, 9), datetime(2026, 6, 5, 17)
    >>> longest_quiet(None, evening, monday, monday) == 64 * 3600
    True
    """
    if last_new_at is None:
        return before
    quiet = (last_complete_at - last_new_at).total_seconds() if last_complete_at is not None else 0.0
    passed = max(timedelta(0), now - last_new_at)
    faded = (before or 0) * 0.5 ** (passed / HALF)
    return int(max(0.0, quiet, faded))

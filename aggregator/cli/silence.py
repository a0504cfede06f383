"""What nobody would notice because nothing happens: feeds that bring nothing, orders without their numbers, events
without their payload."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from aggregator.cli import output

if TYPE_CHECKING:
    from aggregator.store.queries import Reader

QUIET = "select account, feed, last_new_at from v1_feeds where is_quiet order by account, feed"


def silences(reader: "Reader") -> Iterator[str]:
    """Each in a few words, with what to look at."""
    from aggregator.config.values import some
    from aggregator.store import figures

    quiet = [
        f"{row['account']} {row['feed']} since {output.when(row['last_new_at'])}"
        for row in reader.query(QUIET, {})
    ]
    if quiet:
        yield f"nothing new for longer than ever from {some(quiet, 3)}"
    if missing := figures.numberless(reader):
        yield f"{missing} orders should have numbers and have none yet"
    owed = figures.owed(reader)
    hour, day = sum(one.hour for one in owed), sum(one.day for one in owed)
    if hour:
        yield f"{hour} events have been without their payload for more than an hour" + (
            f", {day} of them for more than a day" if day else ""
        )

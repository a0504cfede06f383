"""Accounts and feeds that are out of date, in words: those that were asked and did not answer, and those that nobody
asked, because no daemon runs and no timer polls."""

from collections.abc import Sequence
from typing import Any

from aggregator.cli import output

Row = dict[str, Any]


def late(account: str, feeds: Sequence[Row], late_ones: Sequence[Row]) -> str:
    """What is wrong with an account some of whose feeds (or all) are late, since when."""
    which = "" if len(late_ones) == len(feeds) else " " + ", ".join(row["feed"] for row in late_ones)
    complete = [row["last_complete_at"] for row in late_ones if row["last_complete_at"]]
    # All of them: the last sign of life. Some: since when the first of them is missing.
    since = output.when((min if which else max)(complete)) if complete else ""
    if not any(map(_asked_in_vain, late_ones)):
        name = f"{account}:{which}" if which else account
        return f"{name} not asked {f'since {since}' if since else 'yet'}; is the daemon running?"
    return (
        f"{account} has not answered{which} since {since}"
        if since
        else f"{account} has never answered{which} in full"
    )


def _asked_in_vain(row: Row) -> bool:
    """Whether a feed was asked after it was last read to its end."""
    attempt, complete = row["last_attempt_at"], row["last_complete_at"]
    return attempt is not None and (complete is None or attempt > complete)

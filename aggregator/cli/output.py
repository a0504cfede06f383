"""How rows are printed: JSON lines, or a table that is cut to a terminal's width and to nothing else."""

import json
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    from rich.console import Console

    from aggregator.slices import Outcome

Row = Mapping[str, Any]
UNLIMITED = 100_000
GAP = "  "
STATE_STYLES = {
    "exception": "bold red",
    "rejected": "red",
    "unknown": "bold magenta",
    "action_needed": "bold yellow",
    "draft": "yellow",
    "scheduled": "cyan",
    "ported": "green",
    "cancelled": "dim",
    "us": "bold yellow",
}
HEADINGS = {
    "customer_reference": "customer",
    "numbers_total": "numbers",
    "numbers_text": "numbers",
    "gaining_carrier": "to",
    "pon": "PON",
    "number_key": "number",
    "direction": "in/out",
    "provider_order_id": "order",
    "order_id": "order",
    "raw_status": "provider's word",
    "waiting_on": "waits for",
    "consecutive_failures": "failures",
    "last_outcome": "outcome",
    "confirmed_foc_on": "FOC",
    "foc_state": "FOC is",
    "waiting_since": "since",
    "state_since": "since",
    "deadline_at": "deadline",
    "stuck_since": "stuck since",
    "observed_at": "learned",
    "occurred_at": "happened",
    "last_complete_at": "complete",
    "next_due_at": "due",
    "first_seen_at": "first seen",
    "last_seen_at": "last seen",
    "resolved_at": "resolved",
    "deleted_at": "deleted",
}
_UNSAFE = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def console(stderr: bool = False) -> "Console":
    """Standard output (or error): as wide as the terminal, or without bounds where there is none. NO_COLOR
    leaves plain text: nothing bold or dim either."""
    from rich.console import Console

    terminal = (sys.stderr if stderr else sys.stdout).isatty()
    return Console(
        stderr=stderr,
        width=None if terminal else UNLIMITED,
        color_system="auto" if terminal and not os.environ.get("NO_COLOR") else None,
        highlight=False,
        soft_wrap=False,
    )


def lines(rows: Iterable[Row]) -> None:
    """JSON lines. What a terminal could obey, or a reader take for the end of a line, is escaped."""
    for row in rows:
        text = json.dumps(row, ensure_ascii=False, default=str)
        sys.stdout.write(_UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", text) + "\n")


def table(rows: Sequence[Row], columns: Sequence[str], empty: str, title: str | None = None) -> None:
    """A table of these columns, or one line that says what there would be. On a terminal it is made to fit."""
    if title:
        sys.stdout.write(f"{title}\n")
    if not rows:
        sys.stdout.write(f"{empty}\n")
        return
    if not sys.stdout.isatty():
        _plain(
            [
                [heading(column) for column in columns],
                *([shown(row.get(c), c) for c in columns] for row in rows),
            ]
        )
        return
    from aggregator.cli.drawing import draw

    draw(columns, rows)


def heading(column: str) -> str:
    """A column's name for people."""
    return HEADINGS.get(column, column.replace("_", " "))


def _plain(grid: Sequence[Sequence[str]]) -> None:
    from rich.cells import cell_len

    widths = [max(map(cell_len, column)) for column in zip(*grid, strict=True)]
    for line in grid:
        cells = (cell + " " * (width - cell_len(cell)) for cell, width in zip(line, widths, strict=True))
        sys.stdout.write(GAP.join(cells).rstrip() + "\n")


def shown(value: object, column: str = "") -> str:
    """A value for people: times in the zone of texts, nothing for null, no control characters."""
    if value is None or value == []:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | dict):
        said = (
            ", ".join(map(str, value)) if isinstance(value, list) else json.dumps(value, ensure_ascii=False)
        )
        return printable(said)
    if column.endswith(("_at", "_since")) and isinstance(value, str):
        return instant(value)
    if column.endswith("_on") and column != "waiting_on" and sys.stdout.isatty():
        at = date.fromisoformat(str(value))
        return f"{at:%d %b}" + ("" if at.year == _this_year() else f" {at:%Y}")
    return printable(str(value))


def instant(value: str) -> str:
    """An instant in a table, in the zone of texts: short on a terminal, whole (as ISO 8601) elsewhere."""
    at = local(value)
    if not sys.stdout.isatty():
        return value if at.utcoffset() == timedelta(0) else at.isoformat()
    year = "" if at.year == _this_year() else f" {at:%Y}"
    return f"{at:%d %b}{year} {at:%H:%M} {at.tzname()}"


def _this_year() -> int:
    return datetime.now(_ZONES[-1]).year


def when(value: str) -> str:
    """An instant in a sentence: whole, in the zone of texts, which it names."""
    at = local(value)
    return f"{at:%a %d %b %Y %H:%M} {at.tzname()}"


def day(value: str) -> str:
    """A date in a sentence.

    >>> day("2026-11-21")
    'Sat 21 Nov 2026'
    """
    return f"{date.fromisoformat(value):%a %d %b %Y}"


def _parsed(value: str) -> datetime:
    return datetime.fromisoformat(value.replace("Z", "+00:00"))


def local(value: str) -> datetime:
    """An instant of a view in the zone of texts; one at the calendar's edge as it is."""
    at = _parsed(value)
    try:
        return at.astimezone(_ZONES[-1])
    except (OverflowError, ValueError, OSError):  # a provider's year 1 has no local time everywhere
        return at


_ZONES: list[tzinfo] = [UTC]
"""The zone of texts; the last one counts."""


def tell_times_in(zone: tzinfo) -> None:
    """From now on texts for people tell times in this zone."""
    _ZONES[-1] = zone


def zone_of(configured: str | None, environ: Mapping[str, str]) -> tzinfo:
    """The zone that is configured, else that of the environment's TZ, else UTC. A TZ that names none is UTC.

    >>> zone_of(None, {"TZ": ":Australia/Sydney"}), zone_of("UTC", {"TZ": "Australia/Sydney"})
    (zoneinfo.ZoneInfo(key='Australia/Sydney'), datetime.timezone.utc)
    """
    name = configured or environ.get("TZ", "").removeprefix(":") or "UTC"
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return UTC


def printable(value: str) -> str:
    """Text in one line, without control characters, which could steer a terminal.

    >>> printable("a\\x1b[31mb\\nc")
    'a[31mb c'
    """
    flat = (" " if letter.isspace() else letter for letter in value)
    return "".join(letter for letter in flat if letter.isprintable())


@contextmanager
def busy(what: str) -> Iterator[None]:
    """A spinner on a terminal while something takes its time; nothing elsewhere."""
    if not sys.stderr.isatty():
        yield
        return
    with console(stderr=True).status(f"{what} …"):
        yield


def polled(outcomes: Sequence[tuple[str, "Outcome"]], as_json: bool) -> None:
    """How each feed's poll went; without a terminal and without --json nothing is said."""
    rows = [
        {
            "account": account,
            "feed": outcome.feed,
            "outcome": outcome.outcome,
            "events": outcome.recorded.events,
            "changes": outcome.recorded.changes,
            "set_aside": outcome.recorded.skipped,
            "drift": outcome.drift,
            "error": str(outcome.error) if outcome.error else None,
        }
        for account, outcome in outcomes
    ]
    if as_json:
        lines(rows)
    elif sys.stdout.isatty() and rows:
        table(rows, ("account", "feed", "outcome", "events", "changes", "set_aside"), "nothing was due")

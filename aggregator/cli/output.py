"""How rows are printed: JSON lines, or a table that is cut to a terminal's width and to nothing else."""

import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

    from aggregator.poll import Outcome

Row = Mapping[str, Any]
UNLIMITED = 100_000
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


def console() -> "Console":
    """Standard output: as wide as the terminal, or without bounds where there is none."""
    from rich.console import Console

    terminal = sys.stdout.isatty()
    return Console(
        width=None if terminal else UNLIMITED,
        no_color=None if terminal and not os.environ.get("NO_COLOR") else True,
        highlight=False,
        soft_wrap=False,
    )


def lines(rows: Iterable[Row]) -> None:
    """JSON lines."""
    for row in rows:
        sys.stdout.write(json.dumps(row, ensure_ascii=False, default=str) + "\n")


def table(rows: Sequence[Row], columns: Sequence[str], empty: str, title: str | None = None) -> None:
    """A table of these columns, or one line that says what there would be."""
    from rich.table import Table
    from rich.text import Text

    out = console()
    if not rows:
        out.print(empty)
        return
    grid = Table(
        box=None, title=title, title_justify="left", header_style="bold", pad_edge=False, padding=(0, 2, 0, 0)
    )
    for column in columns:
        grid.add_column(column.replace("_", " "), overflow="fold" if sys.stdout.isatty() else "ignore")
    for row in rows:
        grid.add_row(
            *(Text(shown(row.get(c), c), style=STATE_STYLES.get(str(row.get(c)), "")) for c in columns)
        )
    out.print(grid)


def shown(value: object, column: str = "") -> str:
    """A value for people: local time with its zone on a terminal, nothing for null, no control characters."""
    if value is None or value == []:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | dict):
        return (
            ", ".join(map(str, value)) if isinstance(value, list) else json.dumps(value, ensure_ascii=False)
        )
    if column.endswith(("_at", "_since")) and isinstance(value, str):
        return instant(value)
    return printable(str(value))


def instant(value: str) -> str:
    """An instant as text: in the terminal's zone, or as it is stored where there is no terminal."""
    if not sys.stdout.isatty():
        return value
    at = datetime.fromisoformat(value.replace("Z", "+00:00")).astimezone()
    return f"{at:%a %d %b %Y %H:%M} {at.tzname()}"


def printable(value: str) -> str:
    """Text without control characters, which could steer a terminal.

    >>> printable("a\\x1b[31mb")
    'a[31mb'
    """
    return "".join(letter for letter in value if letter.isprintable() or letter == " ")


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
            "error": str(outcome.error) if outcome.error else None,
        }
        for account, outcome in outcomes
    ]
    if as_json:
        lines(rows)
    elif sys.stdout.isatty() and rows:
        table(rows, ("account", "feed", "outcome", "events", "changes", "set_aside"), "nothing was due")

"""How rows are printed: JSON lines, or a table that is cut to a terminal's width and to nothing else."""

import json
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

    from aggregator.poll import Outcome

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
    "number_key": "number",
    "direction": "in/out",
    "provider_order_id": "order",
    "order_id": "order",
    "raw_status": "provider's word",
    "waiting_on": "waits for",
    "consecutive_failures": "failures",
    "last_outcome": "outcome",
    "confirmed_foc_on": "FOC",
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
TEXTS = frozenset(
    {"customer_reference", "why", "what", "error", "last_error", "raw_status", "feeds", "label"}
)
"""The columns that are folded into several lines where a terminal is too narrow."""
NARROW = 11
_UNSAFE = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
_ZONED = re.compile(r"\d\d \w{3}( \d{4})? \d\d:\d\d \S+")


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
    """JSON lines. What a terminal could obey, or a reader take for the end of a line, is escaped."""
    for row in rows:
        text = json.dumps(row, ensure_ascii=False, default=str)
        sys.stdout.write(_UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", text) + "\n")


def table(rows: Sequence[Row], columns: Sequence[str], empty: str, title: str | None = None) -> None:
    """A table of these columns, or one line that says what there would be. On a terminal, columns without
    any value are left out, and ids are shortened as far as they stay apart."""
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
    columns = [column for column in columns if any(row.get(column) not in (None, "", []) for row in rows)]
    _drawn(
        columns, [_shortened(column, [shown(row.get(column), column) for row in rows]) for column in columns]
    )


def heading(column: str) -> str:
    """A column's name for people."""
    return HEADINGS.get(column, column.replace("_", " "))


def _plain(grid: Sequence[Sequence[str]]) -> None:
    from rich.cells import cell_len

    widths = [max(map(cell_len, column)) for column in zip(*grid, strict=True)]
    for line in grid:
        cells = (cell + " " * (width - cell_len(cell)) for cell, width in zip(line, widths, strict=True))
        sys.stdout.write(GAP.join(cells).rstrip() + "\n")


def _drawn(columns: Sequence[str], values: Sequence[Sequence[str]]) -> None:
    """On a terminal: a table where it fits, else each row as a paragraph of its own."""
    from rich.cells import cell_len
    from rich.table import Table
    from rich.text import Text

    out = console()
    parts = [_one_zone(*part) for part in zip(map(heading, columns), values, strict=True)]
    widths = [max(map(cell_len, (name, *texts))) for name, texts in parts]
    least = [min(w, NARROW) if c in TEXTS else w for c, w in zip(columns, widths, strict=True)]
    if sum(least) + len(GAP) * (len(columns) - 1) > out.width:
        return _paragraphs(list(map(heading, columns)), values, out)
    grid = Table(box=None, header_style="bold", pad_edge=False, padding=(0, len(GAP), 0, 0))
    for column, (name, _) in zip(columns, parts, strict=True):
        grid.add_column(name, overflow="fold", no_wrap=column not in TEXTS)
    for row in zip(*(texts for _, texts in parts), strict=True):
        grid.add_row(*(Text(cell, style=STATE_STYLES.get(cell, "")) for cell in row))
    out.print(grid)


def _one_zone(name: str, texts: Sequence[str]) -> tuple[str, Sequence[str]]:
    """A column of times that all have one zone says so once, in its heading."""
    zones = {zone for text in texts if (zone := _ZONED.fullmatch(text) and text.rpartition(" ")[2])}
    if len(zones) != 1:
        return name, texts
    return f"{name} ({zones.pop()})", [text.rpartition(" ")[0] for text in texts]


def _paragraphs(names: Sequence[str], values: Sequence[Sequence[str]], out: "Console") -> None:
    from rich.text import Text

    for row in zip(*values, strict=True):
        text = Text()
        for name, cell in zip(names, row, strict=True):
            if cell:
                text.append(f"{name}\u00a0", "dim")
                text.append(cell, STATE_STYLES.get(cell, "bold"))
                text.append(GAP)
        out.print(text, end="\n\n")


def _shortened(column: str, texts: list[str]) -> list[str]:
    """Orders' ids by their beginnings, long enough to be told apart here; `show` takes such a beginning."""
    if column not in ("order_id", "provider_order_id", "example"):
        return texts
    ids = [text.split("/", 2)[-1] for text in texts]
    length = next(n for n in range(8, 1_000) if len({i[:n] for i in ids}) == len(set(ids)))
    return [one[:length] for one in ids]


def shown(value: object, column: str = "") -> str:
    """A value for people: local time with its zone on a terminal, nothing for null, no control characters."""
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
    """An instant in a table: short and in the terminal's zone, or as it is stored where there is no terminal."""
    if not sys.stdout.isatty():
        return value
    at = _local(value)
    year = "" if at.year == _this_year() else f" {at:%Y}"
    return f"{at:%d %b}{year} {at:%H:%M} {at.tzname()}"


def _this_year() -> int:
    return datetime.now().astimezone().year


def when(value: str) -> str:
    """An instant in a sentence: whole, with its zone; the terminal's, or UTC where there is no terminal."""
    at = _local(value) if sys.stdout.isatty() else _parsed(value)
    return f"{at:%a %d %b %Y %H:%M} {at.tzname()}"


def day(value: str) -> str:
    """A date in a sentence.

    >>> day("2026-11-21")
    'Sat 21 Nov 2026'
    """
    return f"{date.fromisoformat(value):%a %d %b %Y}"


def _parsed(value: str) -> datetime:
    return datetime.fromisoformat(value.replace("Z", "+00:00"))


def _local(value: str) -> datetime:
    at = _parsed(value)
    try:
        return at.astimezone()
    except (OverflowError, ValueError, OSError):  # a provider's year 1 has no local time everywhere
        return at


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
    from rich.console import Console

    with Console(stderr=True).status(f"{what} …"):
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
            "error": str(outcome.error) if outcome.error else None,
        }
        for account, outcome in outcomes
    ]
    if as_json:
        lines(rows)
    elif sys.stdout.isatty() and rows:
        table(rows, ("account", "feed", "outcome", "events", "changes", "set_aside"), "nothing was due")

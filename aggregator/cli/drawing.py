"""Tables on a terminal: told ever more shortly until they fit its width, and as paragraphs where nothing helps.

First what is long goes beneath its row, then times are told from now, providers by their initials, and columns
are left out, the least needed first. Words are never broken.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from aggregator.cli import output

if TYPE_CHECKING:
    from rich.console import Console

Row = Mapping[str, Any]
TEXTS = frozenset(
    {
        "customer_reference",
        "numbers_text",
        "gaining_carrier",
        "pon",
        "why",
        "what",
        "error",
        "last_error",
        "raw_status",
        "feeds",
        "label",
    }
)
"""The columns that are folded, between words, where a terminal is too narrow."""
BENEATH = frozenset({"why", "error", "last_error"})
"""The columns that get a line of their own beneath their row where that does not fit."""
LONG = 30
NARROW = 11
LONGEST_WORD = 24
SHORT = {
    "numbers_total": "nos",
    "numbers_text": "nos",
    "urgency": "!",
    "provider": "at",
    "direction": "way",
    "raw_status": "their word",
    "confirmed_foc_on": "FOC",
}
DROPPED = (
    *("late", "waiting_on", "direction", "region", "time_zone", "number_key", "numbers_total", "raw_from"),
    *("account", "deadline_at", "provider", "foc_state", "confirmed_foc_on", "stuck_since"),
)
"""The columns that are left out of a table that is too wide still, in this order."""
_ZONED = re.compile(r"\d\d \w{3}( \d{4})? \d\d:\d\d \S+")


@dataclass(frozen=True, slots=True)
class Column:
    """A column as it would be drawn."""

    name: str
    heading: str
    texts: Sequence[str]

    @property
    def width(self) -> int:
        """As wide as it would like to be."""
        return max(map(cell_len, (self.heading, *self.texts)))

    @property
    def least(self) -> int:
        """As narrow as it can be without a word being broken."""
        if self.name not in TEXTS:
            return self.width
        words = (word for text in (self.heading, *self.texts) for word in text.split(" "))
        return min(self.width, max(NARROW, *map(cell_len, words)))


def draw(columns: Sequence[str], rows: Sequence[Row]) -> None:
    """The rows as a table that fits the terminal; columns without any value are left out."""
    out = output.console()
    named = [name for name in columns if any(row.get(name) not in (None, "", []) for row in rows)]
    whole = [_column(name, rows) for name in named]
    if _room([column.width for column in whole]) <= out.width:
        return _table(whole, [], out)
    can = [column for column in whole if column.name in BENEATH]
    for beneath in ([column for column in can if max(map(cell_len, column.texts)) > LONG], can):
        beside = [column for column in whole if column not in beneath]
        for shorter in _ever_shorter(beside, rows, drop=beneath is can):
            if _room([column.least for column in shorter]) <= out.width:
                return _table(shorter, beneath, out)
    _paragraphs(whole, out)


def _room(widths: Sequence[int]) -> int:
    return sum(widths) + len(output.GAP) * (len(widths) - 1)


def _column(name: str, rows: Sequence[Row]) -> Column:
    texts = [output.shown(row.get(name), name) for row in rows]
    if name in ("order_id", "provider_order_id", "example"):
        texts = _shortened(texts)
    heading, texts = _one_zone(output.heading(name), texts)
    return Column(name, heading, texts)


def _one_zone(name: str, texts: list[str]) -> tuple[str, list[str]]:
    """A column of times that all have one zone says so once, in its heading."""
    zones = {zone for text in texts if (zone := _ZONED.fullmatch(text) and text.rpartition(" ")[2])}
    if len(zones) != 1:
        return name, texts
    return f"{name} ({zones.pop()})", [text.rpartition(" ")[0] for text in texts]


def _shortened(texts: list[str]) -> list[str]:
    """Orders' ids by their beginnings, long enough to be told apart here; `show` takes such a beginning."""
    ids = [text.split("/", 2)[-1] for text in texts]
    length = next(n for n in range(8, 1_000) if len({i[:n] for i in ids}) == len(set(ids)))
    return [one[:length] for one in ids]


# --- shorter --------------------------------------------------------------------------------------------


def _ever_shorter(columns: list[Column], rows: Sequence[Row], drop: bool) -> Iterator[list[Column]]:
    """The same columns, told more shortly each time; with `drop`, ever fewer in the end."""
    yield columns
    columns = [_from_now(column, rows) for column in columns]
    yield columns
    columns = [_in_short(column, rows) for column in columns]
    if {"last_outcome", "consecutive_failures"} <= {column.name for column in columns}:
        columns = [column for column in columns if column.name != "consecutive_failures"]
    yield columns
    columns = [_clipped(column, LONGEST_WORD) for column in columns]
    yield columns
    for name in DROPPED if drop else ():
        columns = [column for column in columns if column.name != name]
        yield columns
    if drop:
        yield [
            _clipped(column, NARROW) if column.name == "customer_reference" else column for column in columns
        ]


def _from_now(column: Column, rows: Sequence[Row]) -> Column:
    if not column.name.endswith(("_at", "_since")):
        return column
    texts = [from_now(value) if (value := row.get(column.name)) else "" for row in rows]
    return replace(column, heading=output.heading(column.name), texts=texts)


def from_now(value: str) -> str:
    """An instant by how far it is from now, in the largest unit that is full: `5m ago`, `in 3d`."""
    at = datetime.fromisoformat(value.replace("Z", "+00:00"))
    seconds = int((datetime.now(UTC) - at).total_seconds())
    away = abs(seconds)
    sizes = (("d", 2 * 86_400, 86_400), ("h", 2 * 3_600, 3_600), ("m", 120, 60), ("s", 0, 1))
    said = next(f"{away // size}{unit}" for unit, least, size in sizes if away >= least)
    return f"{said} ago" if seconds >= 0 else f"in {said}"


def _in_short(column: Column, rows: Sequence[Row]) -> Column:
    heading = SHORT.get(column.name, column.heading)
    texts = column.texts
    if column.name == "provider":
        texts = [*map(_initials, texts)]
    elif column.name == "direction":
        texts = [text.removeprefix("port_") for text in texts]
    elif column.name == "last_outcome":
        failures = [row.get("consecutive_failures") for row in rows]
        texts = [f"{t} ×{n}" if n else t for t, n in zip(texts, failures, strict=True)]
    return Column(column.name, heading, texts)


def _initials(provider: str) -> str:
    """A provider by the capitals of what it calls itself."""
    from aggregator.cli.describing import provider_name

    name = provider_name(provider)
    return "".join(letter for letter in name if letter.isupper()) or name


def _clipped(column: Column, longest: int) -> Column:
    """A column of texts whose endless words, which cannot be folded, are cut; `show` and `--json` have them
    whole."""
    if column.name not in TEXTS:
        return column

    def cut(word: str) -> str:
        return word if cell_len(word) <= longest else f"{set_cell_size(word, longest - 1).rstrip()}…"

    return replace(column, texts=[" ".join(map(cut, text.split(" "))) for text in column.texts])


# --- drawn ----------------------------------------------------------------------------------------------


def _table(columns: Sequence[Column], beneath: Sequence[Column], out: "Console") -> None:
    """A line for each row, or as many as its folded texts need; what is long, beneath it."""
    left = out.width - _room([column.least for column in columns])
    widths = []
    for column in columns:
        more = min(left, column.width - column.least)
        widths.append(column.least + more)
        left -= more
    _line([Text(column.heading, "bold") for column in columns], widths, out)
    for number in range(len(columns[0].texts)):
        cells = [column.texts[number] for column in columns]
        _line([Text(cell, output.STATE_STYLES.get(cell, "")) for cell in cells], widths, out)
        for column in beneath:
            for part in Text(column.texts[number]).wrap(out, out.width - 4):
                if part.plain:
                    out.print(Text("    ") + part, soft_wrap=True)


def _line(cells: Sequence[Text], widths: Sequence[int], out: "Console") -> None:
    folded = [cell.wrap(out, width) for cell, width in zip(cells, widths, strict=True)]
    for number in range(max(map(len, folded))):
        line = Text()
        for parts, width in zip(folded, widths, strict=True):
            part = parts[number] if number < len(parts) else Text()
            part.rstrip()
            line.append_text(part).append(" " * (width - part.cell_len + len(output.GAP)))
        line.rstrip()
        out.print(line, soft_wrap=True)


def _paragraphs(columns: Sequence[Column], out: "Console") -> None:
    for cells in zip(*(column.texts for column in columns), strict=True):
        text = Text()
        for column, cell in zip(columns, cells, strict=True):
            if cell:
                text.append(f"{column.heading}\u00a0", "dim")
                text.append(cell, output.STATE_STYLES.get(cell, "bold"))
                text.append(output.GAP)
        out.print(text, end="\n\n")

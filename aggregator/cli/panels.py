"""What the demo's screen shows, drawn: panels that are told more shortly on a narrow terminal, and hold fewer rows on a
low one, so that all of them stay in sight. Nothing is cut within a word.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from aggregator.cli import describing, output, telling
from aggregator.cli.picture import Picture, Row, Told
from aggregator.cli.remedy import remedy

STYLES = {"bad": "red", "good": "green"}
_UUID = re.compile(r"\b([0-9a-f]{8})(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b")
NARROW, WIDE = 96, 150
"""Below the one, columns are left out; from the other on, everything is told in full."""


@dataclass(frozen=True, slots=True)
class Rows:
    """How many rows each panel may hold."""

    port_outs: int = 3
    waiting: int = 10
    changes: int = 12


def _ever_fewer() -> Iterator[Rows]:
    """First the lists of what waits and what changed give rows away in turn, then the port-outs do."""
    for changes in range(12, 4, -1):
        yield Rows(3, max(changes - 2, 3), changes)
    for port_outs in (2, 1):
        for waiting, changes in ((3, 5), (3, 4), (2, 4), (2, 3), (1, 3), (1, 2), (1, 1)):
            yield Rows(port_outs, waiting, changes)


def fitted(picture: Picture, console: Console) -> RenderableType:
    """The screen with as many rows as fit the terminal's height."""
    for rows in _ever_fewer():
        whole = drawn(picture, console.width, rows)
        if len(console.render_lines(whole)) <= console.height:
            return whole
    return whole


def drawn(picture: Picture, width: int, rows: Rows | None = None, framed: bool = True) -> RenderableType:
    """The whole screen, top to bottom; in frames, or as plain lines."""
    rows = rows or Rows()
    parts: list[RenderableType] = [
        _title(picture, width),
        _port_outs(picture.portouts[: rows.port_outs], picture.now, width),
        _waiting(picture.waiting[: rows.waiting], picture.waiting_total, picture.now, width),
        _same(picture.same_state, width),
        _changes(picture.changes[-rows.changes :], width),
        Text.assemble(("outage   ", "bold"), picture.outage),
        _unknown(picture.unknown, width),
    ]
    if not framed:
        parts = [
            Group(Text(f"\n{Text.from_markup(str(part.title)).plain}"), part.renderable)
            if isinstance(part, Panel)
            else part
            for part in parts
        ]
    return Group(*parts)


def _title(picture: Picture, width: int) -> Text:
    more = "   Telnyx and Fone Dynamics, one status model" * (width >= WIDE)
    now = f"{picture.now:%a %d %b %H:%M} UTC, simulated"
    return Text.assemble(("porting aggregator", "bold"), f"{more}   {now}   poll {picture.polls}")


def _grid(*columns: str) -> Table:
    grid = Table(box=None, header_style="dim", padding=(0, 2, 0, 0), pad_edge=False)
    for column in columns:
        grid.add_column(column, overflow="fold", no_wrap=column not in ("why", "customer", "to", "what"))
    return grid


def _panel(inside: RenderableType, title: str, style: str = "none") -> Panel:
    return Panel(inside, title=title, title_align="left", border_style=style)


def _port_outs(rows: list[Row], now: datetime, width: int) -> RenderableType:
    if not rows:
        return _panel("no port-out waits for a decision", "[bold]a port-out nobody expected[/]")
    wide = width >= WIDE
    grid = _grid("number", "from", "to", "customer", "authorises itself")
    for row in rows:
        numbers = row["numbers_text"] or "not told"
        left = _left(row["deadline_at"], now) + ", unless we decide" * wide
        grid.add_row(
            output.printable(numbers if wide else numbers.replace(" more)", ")")),
            output.printable(_losing(row)),
            output.printable(row["gaining_carrier"] or "not told"),
            output.printable(row["customer_before"] or "not known"),
            Text(left, style="bold red"),
        )
    title = "a port-out nobody expected" + ": it goes through unless we decide" * (not wide)
    return _panel(grid, f"[bold red]{title}[/]", "red")


def _losing(row: Row) -> str:
    """Who loses the numbers: the carrier that the provider names, or the provider as it calls itself."""
    carrier: str = row["losing_carrier"] or row["provider"]
    return describing.provider_name(carrier) if carrier == row["provider"] else carrier


def _left(deadline: str | None, now: datetime) -> str:
    if deadline is None:
        return ""
    left = (datetime.fromisoformat(deadline.replace("Z", "+00:00")) - now).total_seconds()
    if left <= 0:
        return "any moment now"
    if left > 172_800:
        return f"in {left / 86_400:.0f} days"
    return f"in {int(left // 3600)} h {int(left % 3600 // 60):02} min"


def _waiting(rows: list[Row], total: int, now: datetime, width: int) -> RenderableType:
    narrow, wide = width < NARROW, width >= WIDE
    columns = [
        "customer",
        "nos" if narrow else "numbers",
        "at" if narrow else "provider",
        "why",
        "since",
        "deadline",
    ]
    if narrow:
        columns.remove("since")
    grid = _grid(*columns)
    for row in rows:
        name = describing.provider_name(row["provider"])
        cells: list[Text | str] = [
            output.printable(row["customer_reference"] or row["support_key"] or row["provider_order_id"]),
            str(row["numbers_total"]),
            "".join(filter(str.isupper, name)) if narrow else name,
            Text(output.printable(_short(row["why"] or "", wide)), style="yellow"),
            _ago(row["waiting_since"], now),
            _left(row["deadline_at"], now),
        ]
        if narrow:
            del cells[4]
        grid.add_row(*cells)
    return _panel(grid, f"[bold]waits for you[/] ({total} in all)")


def _short(why: str, wide: bool) -> str:
    """A reason in our words alone where there is little room, and ids by their beginnings; the provider's own words stand
    in brackets.

    >>> _short("PIN wrong (Passcode/PIN is invalid); document 59b0762a-b274-4f76-ac32-4d5cf0272e66", False)
    'PIN wrong; document 59b0762a…'
    """
    if wide:
        return why
    ours = re.sub(r" \([^()]*\)", "", why).partition("; the provider's comments")[0]
    return _UUID.sub(r"\1…", ours)


def _ago(since: str | None, now: datetime) -> str:
    if since is None:
        return ""
    hours = (now - datetime.fromisoformat(since.replace("Z", "+00:00"))).total_seconds() / 3600
    return f"{hours:.0f} h" if hours < 48 else f"{hours / 24:.0f} days"


def _same(same: tuple[str, list[tuple[str, str, int]]] | None, width: int) -> RenderableType:
    if same is None:
        return Text("")
    state, words = same
    said = ", ".join(
        f"“{output.printable(raw)}” at {describing.provider_name(provider)}"
        + f" ({orders})" * (width >= NARROW)
        for provider, raw, orders in words
    )
    lead = "one state, two words   " if width >= NARROW else "one state   "
    return Text.assemble((lead, "bold"), (telling.plain(state), "cyan"), f" = {said}")


def _changes(rows: list[Told], width: int) -> RenderableType:
    grid = _grid("", "customer", "what")
    grid.show_header = False
    for one in sorted(rows, key=lambda one: one.at or "seen last"):
        what = output.printable(_short(one.what, width >= WIDE))
        grid.add_row(when(one.at), output.printable(one.who), Text(what, STYLES.get(one.tone, "")))
    return _panel(grid, "[bold]live changes[/]")


def when(at: str | None) -> str:
    """The provider's time of a change, where it gave one."""
    return f"{datetime.fromisoformat(at.replace('Z', '+00:00')):%d %b %H:%M}" if at else "seen now"


def _unknown(rows: list[Row], width: int) -> RenderableType:
    if not rows:
        return Text("every word is known")
    row = rows[0]
    paste = "paste into the configuration:" if width >= NARROW else "paste:"
    name = describing.provider_name(row["provider"])
    return Text.assemble(
        ("a word nobody knows   ", "bold"),
        f"“{output.printable(row['word'])}” ({name}, {row['orders']} orders); {paste}\n",
        ("\n".join(remedy(rows)), "cyan"),
    )

"""The demo's screen: drawn anew on a terminal, plain lines elsewhere."""

import io
import sys
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from aggregator.cli import describing, output
from aggregator.cli.picture import Picture, Row, Told
from aggregator.cli.remedy import remedy

STYLES = {"bad": "red", "good": "green"}
CHANGES, WAITING, PORT_OUTS = 8, 7, 3
"""So many rows are shown at most."""


class Screen:
    """Shows pictures; without a terminal, only what is new in each."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or output.console()
        self.live = Live(console=self.console, auto_refresh=False) if self.console.is_terminal else None
        self._said: set[tuple[str, ...]] = set()

    def __enter__(self) -> Self:
        if self.live:
            self.live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.live:
            self.live.stop()

    def show(self, picture: Picture, last: bool = False) -> None:
        """Draw a picture; off a terminal, say what it adds, and the whole of it at the end."""
        if self.live:
            # A small screen shows fewer of the orders that wait, so that the changes below them stay in sight.
            rows = max(1, (self.console.height - 28) // 2)
            self.live.update(drawn(replace(picture, waiting=picture.waiting[:rows])), refresh=True)
            return
        for one in picture.changes:
            self._say(_when(one.at), one.who, one.what)
        self._say("outage", picture.outage)
        if last:
            self.console.print(drawn(picture, framed=False))
        sys.stdout.flush()

    def _say(self, *parts: str) -> None:
        if parts not in self._said:
            self._said.add(parts)
            self.console.print("  ".join(parts), markup=False)


def save(picture: Picture, path: Path) -> None:
    """The screen as an SVG picture, as the README shows it."""
    console = Console(record=True, width=118, file=io.StringIO(), force_terminal=True)
    console.print(drawn(picture))
    console.save_svg(str(path), title="porting-aggregator demo")


def drawn(picture: Picture, framed: bool = True) -> RenderableType:
    """The whole screen, top to bottom; in frames, or as plain lines."""
    now: datetime = picture.now
    parts: list[RenderableType] = [
        Text.assemble(
            ("porting aggregator", "bold"),
            f"   Telnyx and Fone Dynamics, one status model   {now:%a %d %b %H:%M} UTC, simulated   poll\N{NO-BREAK SPACE}{picture.polls}",
        )
    ]
    parts.append(_portouts(picture.portouts, now))
    parts.append(_waiting(picture.waiting, picture.waiting_total, now))
    parts.append(_same(picture.same_state))
    parts.append(_changes(picture.changes))
    parts.append(Text.assemble(("outage   ", "bold"), picture.outage))
    parts.append(_unknown(picture.unknown))
    if not framed:
        parts = [
            Group(Text(f"\n{Text.from_markup(str(part.title)).plain}"), part.renderable)
            if isinstance(part, Panel)
            else part
            for part in parts
        ]
    return Group(*parts)


def _grid(*columns: str) -> Table:
    grid = Table(box=None, header_style="dim", padding=(0, 2, 0, 0), pad_edge=False)
    for column in columns:
        grid.add_column(column, overflow="fold")
    return grid


def _portouts(rows: list[Row], now: datetime) -> RenderableType:
    if not rows:
        return Panel(
            "no port-out waits for a decision", title="a port-out nobody expected", title_align="left"
        )
    grid = _grid("number", "from", "to", "customer", "authorises itself")
    for row in rows[:PORT_OUTS]:
        more = f" (+{row['numbers_total'] - 1} more)" if row["numbers_total"] > 1 else ""
        grid.add_row(
            output.printable(f"{row['number_key'] or 'not told'}{more}"),
            output.printable(_losing(row)),
            output.printable(row["gaining_carrier"] or "not told"),
            output.printable(row["earlier_customer"] or ""),
            Text(f"{_left(row['deadline_at'], now)}, unless we decide", style="bold red"),
        )
    return Panel(
        grid, title="[bold red]a port-out nobody expected[/]", title_align="left", border_style="red"
    )


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


def _waiting(rows: list[Row], total: int, now: datetime) -> RenderableType:
    grid = _grid("customer", "numbers", "provider", "why", "since", "deadline")
    for row in rows[:WAITING]:
        grid.add_row(
            row["customer_reference"] or row["support_key"] or row["provider_order_id"],
            str(row["numbers_total"]),
            row["provider"],
            Text(output.printable(row["why"] or ""), style="yellow"),
            _ago(row["waiting_since"], now),
            _left(row["deadline_at"], now),
        )
    return Panel(grid, title=f"[bold]waits for you[/] ({total} in all)", title_align="left")


def _ago(since: str | None, now: datetime) -> str:
    if since is None:
        return ""
    hours = (now - datetime.fromisoformat(since.replace("Z", "+00:00"))).total_seconds() / 3600
    return f"{hours:.0f} h" if hours < 48 else f"{hours / 24:.0f} days"


def _same(same: tuple[str, list[tuple[str, str, int]]] | None) -> RenderableType:
    if same is None:
        return Text("")
    state, words = same
    said = "   ".join(f"{provider} says “{raw}” ({orders})" for provider, raw, orders in words)
    return Text.assemble(("one state, two words   ", "bold"), (state.replace("_", " "), "cyan"), f" = {said}")


def _changes(rows: list[Told]) -> RenderableType:
    grid = _grid("", "", "")
    grid.show_header = False
    for one in rows[-CHANGES:]:
        grid.add_row(_when(one.at), one.who, Text(output.printable(one.what), STYLES.get(one.tone, "")))
    return Panel(grid, title="[bold]live changes[/]", title_align="left")


def _when(at: str | None) -> str:
    """The provider's time of a change, where it gave one."""
    return f"{datetime.fromisoformat(at.replace('Z', '+00:00')):%d %b %H:%M}" if at else "seen now"


def _unknown(rows: list[Row]) -> RenderableType:
    if not rows:
        return Text("every word is known")
    row = rows[0]
    return Text.assemble(
        ("a word nobody knows   ", "bold"),
        f"{row['provider']} says “{output.printable(row['word'])}” ({row['orders']} orders). To explain it, paste into the configuration:\n",
        ("\n".join(remedy(rows)), "cyan"),
    )

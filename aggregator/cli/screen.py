"""The demo's screen: drawn anew on a terminal, plain lines elsewhere; and as a picture."""

import io
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live

from aggregator.cli import output, svg
from aggregator.cli.panels import drawn, fitted, when
from aggregator.cli.picture import Picture


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
            self.live.update(fitted(picture, self.console), refresh=True)
            return
        for one in picture.changes:
            self._say(when(one.at), one.who, one.what)
        self._say("outage", picture.outage)
        if last:
            self.console.print(drawn(picture, self.console.width, framed=False))
        sys.stdout.flush()

    def _say(self, *parts: str) -> None:
        if parts not in self._said:
            self._said.add(parts)
            self.console.print("  ".join(parts), markup=False)


def save(picture: Picture, path: Path, columns: int, rows: int) -> None:
    """What a terminal of this size shows, as an SVG picture."""
    console = Console(
        width=columns,
        height=rows,
        file=io.StringIO(),
        force_terminal=True,
        color_system="truecolor",
        _environ={},
    )
    path.write_text(svg.picture(fitted(picture, console), console), encoding="utf-8")

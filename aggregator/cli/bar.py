"""What takes long, for people: a progress bar on a terminal, and a way to stop it between two commits."""

import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from aggregator.cli import output
from aggregator.cli.app import say

EVERY_S = 10.0  # without a terminal: a line not more often than this

Bar = Callable[[float, str], None]
"""What a bar is told: the share that is done, and the counts in words."""


@contextmanager
def interruptible(stop: threading.Event, close: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Ctrl-C and SIGTERM set `stop` (and `close` what waits); what is committed is whole."""

    def end(signum: int, frame: FrameType | None) -> None:
        stop.set()
        close()

    before = {name: signal.signal(name, end) for name in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)


@contextmanager
def shown(name: str) -> Iterator[Bar]:
    """A progress bar on a terminal, a plain line now and then elsewhere; both on standard error."""
    if not sys.stderr.isatty():
        yield _lines(name)
        return
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[counts]}"),
        TimeRemainingColumn(),
    )
    # Standard output stays what it is where it is not the terminal that shows the bar.
    with Progress(
        *columns, console=output.console(stderr=True), redirect_stdout=sys.stdout.isatty()
    ) as progress:
        task = progress.add_task(name, total=1.0, counts="")

        def bar(share: float, counts: str) -> None:
            progress.update(task, completed=share, counts=counts)

        yield bar


def _lines(name: str) -> Bar:
    last = [0.0]

    def line(share: float, counts: str) -> None:
        now = time.monotonic()
        if now - last[0] >= EVERY_S or share >= 1.0:
            last[0] = now
            say(f"{name}: {share:.0%}, {counts}")

    return line

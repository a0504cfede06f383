"""A walk through an account's history, with a progress bar; it can be stopped and goes on where it was."""

import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from types import FrameType
from typing import TYPE_CHECKING, Protocol

from aggregator import accounts, publish
from aggregator.backfill import backfill
from aggregator.cli import output, setup
from aggregator.cli.app import BAD_NEWS, DENIED, OK, TRY_LATER, say
from aggregator.core.findings import Recorded
from aggregator.errors import AccessDenied, Refused, Stopped
from aggregator.once import held

if TYPE_CHECKING:
    from aggregator.fetch import Fetcher
    from aggregator.poll import Outcome

EVERY_S = 10.0  # without a terminal: a line not more often than this


def walk(name: str, since: datetime, until: datetime | None) -> int:
    """Walk from `since` to `until` (up to now, where it is None)."""
    config = setup.configuration()
    (chosen,) = setup.chosen(config, [name])
    setup.logging(config, quiet=True)
    account, stop = accounts.account_of(chosen), threading.Event()
    with (
        setup.store(config) as store,
        held(store, name, setup.now) as lease,
        accounts.fetcher(config, chosen) as fetch,
    ):
        if lease is None:
            say(f"{name}: held by another process; stop the daemon, or take the account out of it meanwhile")
            return TRY_LATER
        with _interruptible(stop, fetch), _shown(name) as bar:
            try:
                outcomes = backfill(
                    account, since, until, store, lease, fetch, setup.now, stop=stop, tell=bar
                )
            except Stopped:
                outcomes = ()
        recorded = sum((outcome.recorded for outcome in outcomes), Recorded())
        publish.published(store.engine, recorded.newest_seq if recorded.changes else 0)
    return _told(name, outcomes, stop.is_set())


def _told(name: str, outcomes: "tuple[Outcome, ...]", stopped: bool) -> int:
    """What is said at the end, and the exit code."""
    broken = next((outcome for outcome in outcomes if not outcome.complete), None)
    if stopped and (broken or not outcomes):
        say(f"{name}: stopped; the same command goes on where it was")
        return TRY_LATER
    if broken is None:
        return OK
    say(f"{name}: {broken.feed}: {broken.error or broken.outcome}; the same command goes on where it was")
    if isinstance(broken.error, AccessDenied):
        return DENIED
    return BAD_NEWS if isinstance(broken.error, Refused) else TRY_LATER


@contextmanager
def _interruptible(stop: threading.Event, fetch: "Fetcher") -> Iterator[None]:
    """Ctrl-C and SIGTERM end the request under way; what is committed is whole."""

    def end(signum: int, frame: FrameType | None) -> None:
        stop.set()
        fetch.close()

    before = {name: signal.signal(name, end) for name in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)


class _Bar(Protocol):
    def __call__(self, share: float, orders: int, events: int, changes: int) -> None: ...


@contextmanager
def _shown(name: str) -> Iterator[_Bar]:
    """A progress bar on a terminal, a plain line now and then elsewhere; both on standard error."""
    started = time.monotonic()

    def counts(orders: int, events: int, changes: int) -> str:
        rate = events / max(time.monotonic() - started, 0.001)
        return f"{orders} orders, {events} events, {changes} changes, {rate:.0f} events/s"

    if not sys.stderr.isatty():
        yield _lines(name, counts)
        return
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[counts]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=output.console(stderr=True)) as progress:
        task = progress.add_task(name, total=1.0, counts="")

        def bar(share: float, orders: int, events: int, changes: int) -> None:
            progress.update(task, completed=share, counts=counts(orders, events, changes))

        yield bar


class _Counts(Protocol):
    def __call__(self, orders: int, events: int, changes: int) -> str: ...


def _lines(name: str, counts: _Counts) -> _Bar:
    last = [0.0]

    def line(share: float, orders: int, events: int, changes: int) -> None:
        now = time.monotonic()
        if now - last[0] >= EVERY_S or share >= 1.0:
            last[0] = now
            say(f"{name}: {share:.0%}, {counts(orders, events, changes)}")

    return line

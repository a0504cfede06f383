"""Virtual time: three clocks that move only when they are told to, and an event loop whose selector advances them
in place of sleeping.

The product is synchronous polls in worker threads below an asyncio loop that ticks. So the loop here runs its
executors inline, and whatever a poll waits for (a reply, a pause) is time that passes at once. `truth` is the
provider's time, `mono` what the kernel counts (it stands still while the host is suspended), `wall` what the host
believes.
"""

import asyncio
import logging
import random
import selectors
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from datetime import UTC, datetime, timedelta, tzinfo
from types import SimpleNamespace
from typing import Any, TypeVar
from unittest.mock import patch

import apscheduler.executors.base
import apscheduler.schedulers.base
import apscheduler.triggers.date
import apscheduler.triggers.interval

from aggregator import daemon, desk, fetch, once
from aggregator.store import lease

T = TypeVar("T")
HOST = "simulated"
LARGEST_LEAP = timedelta(minutes=4)


class Killed(BaseException):
    """The process ends here, and nothing of it runs on."""


class Time:
    """What time it is, for everybody. It has the face of the stand-ins' own clock too."""

    def __init__(self, start: datetime) -> None:
        self.start = self.truth = start
        self.mono = 1_000.0
        self.ahead = timedelta(0)

    def pass_(self, seconds: float) -> None:
        """Time passes."""
        self.truth += timedelta(seconds=seconds)
        self.mono += seconds

    def suspend(self, seconds: float) -> None:
        """The host sleeps: its monotonic clock does not count that."""
        self.truth += timedelta(seconds=seconds)

    def wall(self) -> datetime:
        """What the host's clock shows."""
        return self.truth + self.ahead

    def monotonic(self) -> float:
        return self.mono

    # --- as the stand-ins see it ------------------------------------------------------------------------

    def now(self) -> datetime:
        return self.truth

    def advance_to(self, at: datetime) -> datetime:
        """A stand-in lets time pass between two pages; a short one."""
        if self.truth < at <= self.truth + LARGEST_LEAP:
            self.pass_((at - self.truth).total_seconds())
        return self.truth


class _Selector(selectors.DefaultSelector):
    """Nothing is ever waited for: the clock moves to the next timer, or to what the life has planned before it."""

    loop: "Loop"

    def select(self, timeout: float | None = None) -> list[Any]:
        loop = self.loop
        ready: Any = getattr(loop, "_ready")  # noqa: B009
        if ready:
            if len(ready) > 1:
                handles = list(ready)
                loop.rng.shuffle(handles)
                ready.clear()
                ready.extend(handles)
        else:
            loop.advance(timeout)
        return []


class Loop(asyncio.SelectorEventLoop):
    """An event loop in virtual time. Executors run inline; what is ready runs in the order of the seed."""

    def __init__(self, time: Time, rng: random.Random, due: Callable[[float | None], float | None]) -> None:
        self.clock, self.rng, self._due = time, rng, due
        self.died: Killed | None = None
        selector = _Selector()
        selector.loop = self
        super().__init__(selector)

    def time(self) -> float:
        return self.clock.mono

    def advance(self, timeout: float | None) -> None:
        """Let time pass until the next timer, or do first what the life has planned before it."""
        seconds = self._due(timeout)
        if seconds is None:
            self.stop()
        else:
            self.clock.pass_(max(0.0, seconds) + 1e-6)

    def run_in_executor(  # type: ignore[override]
        self, executor: object, func: Callable[..., T], *args: Any
    ) -> "asyncio.Future[T]":
        future: asyncio.Future[T] = self.create_future()
        if self.died is None:
            try:
                future.set_result(func(*args))
            except Killed as killed:
                self.died = killed
                self.stop()
            except Exception as error:
                future.set_exception(error)
        return future

    def add_signal_handler(self, *_: Any) -> None:  # type: ignore[override]
        """No signals in here."""

    def bury(self) -> None:
        """End whatever is left of a process that was killed."""
        self.died = Killed()
        getattr(self, "_scheduled").clear()  # noqa: B009
        while tasks := asyncio.all_tasks(self):
            for task in tasks:
                task.cancel()
            self.call_soon(self.stop)
            self.run_forever()
        self.close()


class _NoDeadlines:
    """In place of a thread that watches real time."""

    def within(self, *_: object) -> AbstractContextManager[None]:
        return nullcontext()


class _Quiet:
    """In place of threads that only watch real time."""

    daemon = True

    def __init__(self, *_: object, **__: object) -> None: ...

    def start(self) -> None: ...

    def join(self) -> None: ...


class _NoPool:
    """In place of a pool: the loop runs everything inline."""

    def __init__(self, *_: object, **__: object) -> None: ...

    def shutdown(self, **_: object) -> None: ...


@contextmanager
def virtual(time: Callable[[], Time], alive: Mapping[int, str]) -> Iterator[None]:
    """Let the daemon, the scheduler and the fetcher live in virtual time, on a host of these processes."""

    class Wall(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Any:
            return time().wall().astimezone(tz or UTC)

    threads: Mapping[str, Any] = {**vars(threading), "Thread": _Quiet}
    with ExitStack() as patches:
        for module in (
            apscheduler.schedulers.base,
            apscheduler.executors.base,
            apscheduler.triggers.interval,
            apscheduler.triggers.date,
        ):
            patches.enter_context(patch.object(module, "datetime", Wall))
        for name in ("apscheduler.scheduler", "apscheduler.executors.default"):
            patches.enter_context(patch.object(logging.getLogger(name), "disabled", True))
        clock = SimpleNamespace(monotonic=lambda: time().mono)
        for module in (daemon, desk):
            patches.enter_context(patch.object(module, "time", clock))
            patches.enter_context(patch.object(module, "ThreadPoolExecutor", _NoPool))
        patches.enter_context(patch.object(fetch, "_deadlines", _NoDeadlines()))
        patches.enter_context(patch.object(once, "threading", SimpleNamespace(**threads)))
        patches.enter_context(patch.object(lease, "_place", lambda: HOST))
        patches.enter_context(patch.object(lease, "started", lambda pid: alive.get(pid, "")))
        yield

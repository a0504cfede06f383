"""The daemon's own work on the database, in threads that no poll can occupy.

Whether the database answers is noticed here too: an outage is told once when it starts and once when it ends, and
one that neither answers nor fails is known to hang.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, TypeVar

import structlog

from aggregator.errors import StoreError

T = TypeVar("T")
THREADS = 4
WRITING = "writing"
log = structlog.get_logger()


class Desk:
    """Where the daemon's own work is done."""

    def __init__(self) -> None:
        self.pool = ThreadPoolExecutor(THREADS, thread_name_prefix="desk")
        self.busy: set[object] = set()
        self.failing: set[str] = set()
        """The works that failed when they were last done, and WRITING until something could be written again."""
        self.asked = time.monotonic()
        self.probing: asyncio.Task[None] | None = None

    def do(self, work: Callable[..., T], *arguments: Any) -> Awaitable[T]:
        """Work in a thread; its errors are the caller's."""

        def job() -> T:
            self.busy.add(token := object())
            try:
                return work(*arguments)
            finally:
                self.busy.discard(token)

        return asyncio.get_running_loop().run_in_executor(self.pool, job)

    async def guarded(self, name: str, work: Callable[[], T], *, writes: bool = False) -> T | None:
        """Work that may fail for a while: said once when it starts, and once when it ends, which only work that
        `writes` can prove."""
        try:
            found = await self.do(work)
        except StoreError as error:
            if not self.failing:
                log.error("database.failing", error=str(error))
            self.failing |= {name, WRITING}
            return None
        if self.failing:
            self.failing -= {name, WRITING} if writes else {name}
            if not self.failing:
                log.info("database.recovered")
        return found

    def probe(self, ask: Callable[[], None]) -> None:
        """Ask the database whether it is there, unless it still owes the last answer; an error is one too."""
        if self.probing is None or self.probing.done():
            self.asked = time.monotonic()
            self.probing = asyncio.create_task(self._probe(ask))

    async def _probe(self, ask: Callable[[], None]) -> None:
        with suppress(StoreError):
            await self.do(ask)

    def hangs(self, seconds: float) -> bool:
        """Whether the database has neither answered nor failed for so long."""
        owing = self.probing is not None and not self.probing.done()
        return owing and time.monotonic() - self.asked > seconds

    async def emptied(self, seconds: float) -> None:
        """Wait until nothing is worked on: a connection that is in use would keep a SQLite file in WAL mode."""
        end = time.monotonic() + seconds
        while self.busy and time.monotonic() < end:
            await asyncio.sleep(0.02)

    def close(self) -> None:
        """Begin nothing more; what hangs is left behind."""
        self.pool.shutdown(wait=False, cancel_futures=True)

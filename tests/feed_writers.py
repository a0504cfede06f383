"""Several processes that write one change feed at once, each an account of its own, some with a bug planted.

    python feed_writers.py URL WRITERS ROWS [BUG]

Each commits until ROWS rows of the feed are its own: hundreds of facts at a time, and single ones between. It ends
with 1 when one of them fails.
"""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from typing import TypeVar

from made import NOW, account
from sqlalchemy import Connection, Engine, text
from stored import FEED, event

from aggregator.core.findings import Findings
from aggregator.errors import StoreError
from aggregator.store import engine as engines
from aggregator.store import open_store
from aggregator.store import record as recording

T = TypeVar("T")
SLICES = (150, 1, 60, 1, 1)  # facts in a transaction
DRAWN = ("newest_seq", "newest_fact", "newest_event", "newest_order")


@contextmanager
def unlocked(engine: Engine, lock: int = 0) -> Iterator[Connection]:
    """A writing transaction as it would be without the advisory lock."""
    with engines.translated(), engine.begin() as tx:
        yield tx


@contextmanager
def deferred(engine: Engine, lock: int = 0) -> Iterator[Connection]:
    """A writing transaction as SQLite's driver would begin it."""
    with engines.translated(), engine.begin() as tx:
        yield tx


def serial(self: recording.Recording, name: str) -> int:
    """An id as a `bigserial` column would get it: unique, and drawn before the commit."""
    self.ids[name] = self.tx.execute(text(f"select nextval('planted_{name}')")).scalar()
    return int(self.ids[name])


def no_advisory_lock() -> None:
    """Nothing makes writers follow one another."""
    engines.writing = unlocked


def serial_ids() -> None:
    """Nothing makes writers follow one another, and ids never collide: every commit succeeds."""
    no_advisory_lock()
    recording.Recording._draw = serial  # type: ignore[method-assign]


def deferred_begin() -> None:
    """Who reads before it writes may find that somebody has written meanwhile."""
    engines.writing = deferred


BUGS: dict[str, Callable[[], None]] = {
    "no advisory lock": no_advisory_lock,
    "serial ids": serial_ids,
    "deferred begin": deferred_begin,
}


def write(url: str, name: str, rows: int, bug: str) -> None:
    """Fill the feed as one account: orders of twenty events each."""

    def patiently(work: Callable[[], T]) -> T:
        """SQLite is not fair: one of eight hungry writers may starve. A poll would be tried again, too."""
        while True:
            try:
                return work()
            except StoreError as error:
                if bug or "database is locked" not in str(error):
                    raise

    store, one = patiently(lambda: open_store(url)), account(name=name)
    lease = patiently(lambda: store.take(name, NOW))
    assert lease is not None
    written = told = turn = 0
    while written < rows:
        numbers = range(told, told + min(SLICES[turn % len(SLICES)], 1 + rows // 20))
        facts = tuple(
            event(n % 20, ("submitted", "in-process")[n % 2], order=f"o-{n // 20}", key=f"e-{n}")
            for n in numbers
        )
        findings = Findings(FEED, NOW, facts)
        written += patiently(partial(store.record, one, lease, findings)).changes
        told, turn = numbers.stop, turn + 1
    patiently(partial(store.release, lease))
    store.close()


def start(work: Callable[[], None]) -> int:
    """Do this in a process of its own, forked before anything is opened; its id."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            work()
            code = 0
        except (StoreError, AssertionError) as error:
            sys.stderr.write(f"{error}\n")
        finally:
            sys.stderr.flush()
            os._exit(code)
    return child


def main(url: str, writers: str, rows: str, bug: str = "") -> int:
    """Let them write; returns whether one failed."""
    names = [f"account-{number}" for number in range(int(writers))]
    store = open_store(url)
    store.sync([account(name=name) for name in names], timedelta(days=14), NOW)
    if bug == "serial ids":
        with store.engine.begin() as tx:
            for name in DRAWN:
                tx.execute(text(f"create sequence planted_{name}"))
    store.close()
    if bug:
        BUGS[bug]()
    children = [start(partial(write, url, name, int(rows), bug)) for name in names]
    failed = [child for child in children if os.waitpid(child, 0)[1]]  # every one has ended
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

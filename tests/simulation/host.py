"""The host: a database file, the processes that write it, and how they die.

A process is killed at a step: before or after a request, a SQL statement or a commit. The files are copied at
that instant, before anything unwinds; from then on every statement of the dead process is refused.
"""

import gc
import os
import random
import shutil
import sqlite3
import struct
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, event, text
from sqlmodel import SQLModel
from virtual import HOST, Killed

from aggregator.store import engine as engines
from aggregator.store import schema
from aggregator.store.store import Store

PAGE, FRAME, HEADER = 4096, 4096 + 24, 32
TOGETHER = 25  # lives whose leavings are looked through at once
CALM, COMMITTED, TORN, LOST = "calm", "committed", "torn", "lost"
"""What a death leaves of the write-ahead log: all of it; all of it, and the process never knew of its commit; the
last commit cut at a random byte, before anybody was told of it; or, on a disk that lies about being synced, cut
anywhere."""


@dataclass
class Process:
    """One process: it writes through one engine, and may be told to die a number of steps from now."""

    pid: int
    host: "Host"
    engine: Engine
    left: int | None = None
    way: str = CALM
    dead: bool = False
    steps: int = 0
    wal_before: int = 0

    def step(self, what: str) -> None:
        """Something is about to happen, or has just happened."""
        if self.dead:
            raise Killed
        self.steps += 1
        if what == "before commit":
            self.wal_before = self.host.wal_size()
        if self.left is not None:
            self.left -= 1
            if self.left < 0 and (self.way in (CALM, LOST) or what == "after commit"):
                self.die()

    def die(self) -> None:
        """End here and now."""
        self.dead = True
        self.host.alive.pop(self.pid, None)
        if self.engine is self.host.main:
            self.host.copy(self)
        raise Killed

    def store(self) -> Store:
        """The store as this process sees it."""
        store = Store(self.engine)
        store.me = f"{HOST}/{self.pid}/1"
        return store


class Tracked(sqlite3.Connection):
    """A connection that knows its cursors."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.cursors = weakref.WeakSet[sqlite3.Cursor]()

    def cursor(self, *arguments: Any, **named: Any) -> Any:
        cursor = super().cursor(*arguments, **named)
        self.cursors.add(cursor)
        return cursor


@dataclass
class Plug:
    """Where an engine tells its process of its steps; and its connections, which end with the process."""

    process: Process | None = None
    connections: list[Any] = field(default_factory=list)

    def step(self, what: str) -> None:
        if self.process is not None:
            self.process.step(what)


@dataclass
class Host:
    """A folder in memory with one database, and two engines (their statements are compiled once for all lives).
    With a `url`, the database is a Postgres with our schema: there a death is that its connections are gone."""

    folder: Path
    url: str | None = None
    main: Engine = field(init=False)
    other: Engine = field(init=False)
    plugs: dict[int, Plug] = field(default_factory=dict)
    alive: dict[int, str] = field(default_factory=dict)
    pids: int = 100
    lives: int = 0
    rng: random.Random = field(default_factory=random.Random)

    def __post_init__(self) -> None:
        url = self.url or f"sqlite:///{self.path}"
        self.main, self.other = engines.connect(url), engines.connect(url)
        for engine in (self.main, self.other):
            self._listen(engine)
        if self.url is None:
            schema.upgrade(self.main)
            self._hang_up(self.main)
            shutil.copyfile(self.path, self._template)
            self._remove()

    @property
    def path(self) -> Path:
        return self.folder / "aggregator.db"

    @property
    def _template(self) -> Path:
        return self.folder / "template.db"

    def _listen(self, engine: Engine) -> None:
        plug = self.plugs[id(engine)] = Plug()

        @event.listens_for(engine, "do_connect")
        def connect(_: Any, __: Any, ___: Any, named: dict[str, Any]) -> None:
            if self.url is None:
                named["factory"] = Tracked

        @event.listens_for(engine, "connect")
        def connected(connection: Any, _: Any) -> None:
            plug.connections.append(connection)

        def stepwise(what: str, do: Callable[..., None]) -> Callable[..., None]:
            def done(*arguments: Any) -> None:
                plug.step(f"before {what}")
                do(*arguments)
                plug.step(f"after {what}")

            return done

        # At the dialect and not by events of the engine: whoever has any pays for them at every statement.
        dialect: Any = engine.dialect
        dialect.do_begin = stepwise("begin", dialect.do_begin)
        dialect.do_commit = stepwise("commit", dialect.do_commit)
        for name in ("do_execute", "do_executemany", "do_execute_no_params"):
            setattr(dialect, name, stepwise("statement", getattr(dialect, name)))

    def begin(self, rng: random.Random) -> None:
        """A new life, with an empty database."""
        if self.lives % TOGETHER == 0:
            gc.unfreeze()
            gc.collect()
        self.lives += 1
        gc.freeze()  # so that each death looks through what this life has made, not through the whole program
        self.rng = rng
        self.pids = 100
        self.alive.clear()
        self._remove()
        if self.url is None:
            shutil.copyfile(self._template, self.path)
        else:
            with self.main.begin() as tx:
                tx.execute(text("truncate " + ", ".join(f'"{name}"' for name in SQLModel.metadata.tables)))
            self._hang_up(self.main)

    def end(self) -> None:
        """Let everything go."""
        for engine in (self.main, self.other):
            self._hang_up(engine)
        self._remove()

    def start(self, engine: Engine) -> Process:
        """A process that begins to live."""
        self.pids += 1
        self.alive[self.pids] = "1"
        process = self.plugs[id(engine)].process = Process(self.pids, self, engine)
        return process

    def exit(self, process: Process) -> None:
        """A process that is over, however it ended."""
        self.alive.pop(process.pid, None)
        self._hang_up(process.engine)
        if process.dead:
            gc.collect()  # what died in the middle may hold a statement, and with it a lock

    def _hang_up(self, engine: Engine) -> None:
        """Close every connection, as the kernel does when a process ends."""
        plug = self.plugs[id(engine)]
        plug.process = None
        for connection in plug.connections:
            for cursor in list(getattr(connection, "cursors", ())):
                with suppress(sqlite3.ProgrammingError):  # it ended in good order
                    cursor.close()  # one left open by a death would keep its connection, and a lock
            if self.url is None:
                with suppress(sqlite3.ProgrammingError):
                    connection.rollback()
            connection.close()
        plug.connections.clear()
        engine.dispose()

    @contextmanager
    def unwatched(self) -> Iterator[Connection]:
        """A look at the database by nobody's process."""
        plug = self.plugs[id(self.other)]
        held, plug.process = plug.process, None
        try:
            with self.other.connect() as connection:
                yield connection
        finally:
            plug.process = held

    # --- death ------------------------------------------------------------------------------------------

    def wal_size(self) -> int:
        try:
            return os.stat(f"{self.path}-wal").st_size
        except FileNotFoundError:
            return 0

    def copy(self, process: Process) -> None:
        """The files as they are at this instant; the log's tail as the death leaves it."""
        if self.url is not None:
            return
        for end in ("", "-wal"):
            here, there = Path(f"{self.path}{end}"), Path(f"{self._crashed}{end}")
            there.unlink(missing_ok=True)
            if here.exists():
                shutil.copyfile(here, there)
        wal = Path(f"{self._crashed}-wal")
        after = wal.stat().st_size if wal.exists() else 0
        span = self._unsafe(after)
        if span and process.way == TORN and span[0] <= process.wal_before < after:
            os.truncate(wal, self.rng.randrange(process.wal_before, after))
        if span and process.way == LOST:
            os.truncate(wal, self.rng.randrange(*span))

    def _unsafe(self, size: int) -> tuple[int, int] | None:
        """The part of the log that is not in the database file itself yet."""
        shm = Path(f"{self.path}-shm")
        if not shm.exists() or size <= HEADER:
            return None
        head = shm.read_bytes()[:136]
        (frames,), (filled,) = struct.unpack_from("<I", head, 16), struct.unpack_from("<I", head, 96)
        first, last = HEADER + filled * FRAME, min(size, HEADER + frames * FRAME)
        return (first, last) if first < last else None

    @property
    def _crashed(self) -> Path:
        return self.folder / "crashed.db"

    def reboot(self) -> None:
        """What the death left behind takes the place of what was."""
        for engine in (self.main, self.other):
            self._hang_up(engine)
        if self.url is not None:
            return
        self._remove()
        for end in ("", "-wal"):
            there = Path(f"{self._crashed}{end}")
            if there.exists():
                there.rename(f"{self.path}{end}")

    def _remove(self) -> None:
        for end in ("", "-wal", "-shm"):
            Path(f"{self.path}{end}").unlink(missing_ok=True)

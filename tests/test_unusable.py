"""What is wrong with a database and does not pass by itself ends with 78 and what to do, in every verb; never with
"try later"."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import filled
import psycopg
import pytest
import roles
from service import TOML, Start
from sqlalchemy import text
from stored import desk, event
from test_postgres import run_on

from aggregator.errors import SchemaError, Unusable
from aggregator.simulator import Running
from aggregator.store import engine as engines
from aggregator.store import open_store, schema
from aggregator.store.queries import open_reader

Run = Callable[..., tuple[int, str, str]]
WRITES = ("poll", "db upgrade", "db restored", "replay")
READS = (
    "waiting",
    "orders --json",
    "changes",
    "events",
    "feeds",
    "accounts",
    "unknown",
    "quarantine",
    "metrics",
    "show x",
    "number +13035550160",
    "replay --dry-run",
    "check",
    "check --json",
)

RELEASED = {"0001_first.py": "4f7840b185fd45973da043dc1eda72104ad5cf208fff575eae0143371c4fe866"}
"""Each released revision's SHA-256. Whoever has run one never runs it again."""


def test_a_released_revision_is_never_edited() -> None:
    for name, digest in RELEASED.items():
        content = (schema.MIGRATIONS / "versions" / name).read_bytes()
        assert hashlib.sha256(content).hexdigest() == digest, f"{name}: write another one beside it"


# --- files ----------------------------------------------------------------------------------------------


def torn(path: Path) -> None:
    """A database whose every page but the first is overwritten."""
    filled.fill(f"sqlite:///{path}")
    content = path.read_bytes()
    path.write_bytes(content[:4096] + b"\x05" * (len(content) - 4096))


BROKEN: dict[str, Callable[[Path], object]] = {
    "a text": lambda path: path.write_text("Dear diary, this is no database.\n" * 40),
    "a picture": lambda path: path.write_bytes(b"\x89PNG\r\n\x1a\n" + os.urandom(8192)),
    "a header alone": lambda path: path.write_bytes(b"SQLite format 3\0" + os.urandom(4080)),
    "torn": torn,
}


@pytest.mark.parametrize("how", BROKEN)
def test_a_file_that_is_damaged_or_no_database_is_said_to_be(run: Run, tmp_path: Path, how: str) -> None:
    path = tmp_path / "aggregator.db"
    BROKEN[how](path)
    before = path.read_bytes()
    there = run_on(run, tmp_path, "sqlite:///aggregator.db")
    for verb in (*READS, *WRITES, "db backup copy.db"):
        code, out, err = there(verb)
        assert (code, verb) == (78, verb), err
        assert "put a backup back" in out + err, verb
    assert path.read_bytes() == before
    assert not (tmp_path / "copy.db").exists()


def test_a_daemon_does_not_wait_for_a_damaged_file_to_heal(
    simulate: Callable[..., Running], started: Start, tmp_path: Path
) -> None:
    BROKEN["a text"](tmp_path / "aggregator.db")
    service = started(simulate("--orders", "3"))
    assert service.process.wait(timeout=30) == 78
    assert "put a backup back" in "".join(service.lines)


# --- tables and views -----------------------------------------------------------------------------------

OTHERWISE = {
    "a column is gone": ["drop view {every}", "alter table comment rename column author_type to author"],
    "a table is gone": ["drop table replay"],
    "a view is gone": ["drop view v1_waiting"],
    "a view is another": ["drop view v1_comments", "create view v1_comments as select 1 as order_id"],
    "a column that must be filled": [
        "alter table wanted add column colour text not null default ''",
        "{owed}",
    ],
}
MENDED = ("a view is gone", "a view is another")


def changed(url: str, how: str) -> None:
    """Make a database that says it has this schema, and has not."""
    engine = engines.connect(url)
    every = "v1_timeline, v1_comments"
    with engine.begin() as tx:
        postgres = tx.dialect.name == "postgresql"
        for statement in OTHERWISE[how]:
            if statement == "{owed}":
                statement = "alter table wanted alter column colour drop default" if postgres else "select 1"
            for one in every.split(", ") if "{every}" in statement else [""]:
                tx.exec_driver_sql(statement.format(every=one))
    engines.close(engine)


@pytest.mark.parametrize("how", OTHERWISE)
def test_a_schema_made_otherwise_under_the_same_number_is_refused(
    run: Run, tmp_path: Path, database_url: str, how: str
) -> None:
    filled.fill(database_url)
    changed(database_url, how)
    there = run_on(run, tmp_path, database_url)
    if how == "a column that must be filled" and database_url.startswith("sqlite"):
        pytest.skip("SQLite adds no column without a default")
    with pytest.raises(SchemaError, match="is not made so"):
        open_store(database_url)
    for verb in ("check", "db check", "poll", "db restored"):
        code, out, err = there(verb)
        assert (code, verb) == (78, verb), out + err
        assert "it is not made so" in out + err
    code, out, err = there("db upgrade")
    if how in MENDED:  # views are made anew
        assert code == 0, err
        assert there("db check")[0] == 0
    else:
        assert code == 78
        assert "another build made it" in err


def test_what_others_add_beside_ours_is_none_of_our_business(database_url: str) -> None:
    with desk(database_url) as acme:
        with acme.store.engine.begin() as tx:
            tx.execute(text("create table notes (order_id text)"))
            tx.execute(text("create view my_orders as select order_id from v1_orders"))
            tx.execute(text("alter table wanted add column colour text"))
            tx.execute(text("create index mine on port_order (description)"))
        schema.require(acme.store.engine)
        assert acme.record(event(1, "submitted")).events == 1


@pytest.mark.parametrize("verb", ["waiting", "orders --json", "show x", "metrics", "replay --dry-run"])
def test_a_read_verb_that_misses_something_says_what_to_do(
    run: Run, tmp_path: Path, database_url: str, verb: str
) -> None:
    filled.fill(database_url)
    engine = engines.connect(database_url)
    with engine.begin() as tx:
        for view in ("v1_waiting", "v1_orders"):
            tx.exec_driver_sql(f"drop view {view}" + (" cascade" if "sqlite" not in database_url else ""))
    engines.close(engine)
    code, out, err = run_on(run, tmp_path, database_url)(verb)
    assert (code, out) == (78, "")
    assert "type: porting-aggregator db upgrade" in err


@pytest.mark.parametrize(
    ("revision", "advice"), [("0000", "newer version"), ("9999", "make install"), ("0001", "db upgrade")]
)
def test_every_verb_says_that_the_schema_is_another_versions(
    run: Run, tmp_path: Path, database_url: str, revision: str, advice: str
) -> None:
    filled.fill(database_url)
    engine = engines.connect(database_url)
    with engine.begin() as tx:
        tx.exec_driver_sql(f"update schema_version set version_num = '{revision}'")
    engines.close(engine)
    there = run_on(run, tmp_path, database_url)
    for verb in (*READS, *WRITES[:1], "db check", "db restored"):
        code, out, err = there(verb)
        assert (code, verb) == (78, verb), out + err
        assert f"has schema {revision}" in out + err and advice in out + err
    if database_url.startswith("sqlite"):
        assert there("db backup copy.db")[0] == 0, "before it is upgraded it can be backed up"


# --- rights on Postgres ---------------------------------------------------------------------------------


@pytest.fixture
def role(postgres_url: str) -> str:
    """The URL for a role of the daemon's own, on a database with orders."""
    filled.fill(postgres_url)
    return roles.made(postgres_url)


TAKEN = {
    "insert": "revoke insert on all tables in schema porting from {role}",
    "update": "revoke update on all tables in schema porting from {role}",
    "everything": "revoke all on all tables in schema porting from {role}",
    "the schema": "revoke usage on schema porting from {role}",
}


@pytest.mark.parametrize("what", TAKEN)
def test_a_role_without_its_rights_is_told_what_to_do(
    run: Run, tmp_path: Path, postgres_url: str, role: str, what: str
) -> None:
    store = open_store(role)
    store.close()
    with psycopg.connect(postgres_url, autocommit=True) as owner:
        owner.execute(TAKEN[what].format(role=roles.NAME).encode())
    there = run_on(run, tmp_path, role)
    for verb in ("poll", "db restored", *(READS if what in ("everything", "the schema") else ())):
        code, out, err = there(verb)
        assert (code, verb) == (78, verb), out + err
        assert "db upgrade" in out + err
    reader = open_reader(role)
    with pytest.raises(Unusable):
        list(reader.query("select no_such_column from v1_orders", {}))
    reader.close()


def test_a_file_that_may_not_be_written_is_said_to_be(tmp_path: Path) -> None:
    with desk(f"sqlite:///{tmp_path / 'a.db'}") as acme:
        acme.record(event(1, "submitted"))
        with acme.store.engine.connect() as session:  # as for a user who may only read
            session.exec_driver_sql("pragma query_only = on")
            session.commit()
        with pytest.raises(Unusable, match="may not write the file"):
            acme.record(event(2, "in-process"))


def test_a_daemon_does_not_wait_for_its_tables_to_change(
    simulate: Callable[..., Running], started: Start, postgres_url: str
) -> None:
    changed(postgres_url, "a table is gone")
    service = started(simulate("--orders", "3"), TOML.replace("sqlite:///aggregator.db", postgres_url))
    assert service.process.wait(timeout=30) == 78
    assert "no table replay" in "".join(service.lines)

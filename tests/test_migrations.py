"""The schema: made, upgraded, refused. An upgrade leaves the old schema or the new one, never what lies between."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from made import account
from sqlalchemy import inspect, make_url, text
from sqlmodel import SQLModel
from stored import Desk, desk, event

from aggregator.errors import ConfigError, SchemaError, StoreError
from aggregator.store import engine as engines
from aggregator.store import grants, open_store, schema, views
from aggregator.store.queries import open_reader

NEXT = '''"""A later schema."""

import os
import signal

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column("port_order", sa.Column("colour", sa.Text()))
    op.execute("update port_order set colour = 'blue'")
    op.create_table("extra", sa.Column("id", sa.Integer(), primary_key=True))
    {end}
'''


@pytest.fixture
def later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The revisions with one more, as a later version would bring it."""
    folder = tmp_path / "migrations"
    shutil.copytree(schema.MIGRATIONS, folder, ignore=shutil.ignore_patterns("__pycache__"))
    _next(folder, "")
    monkeypatch.setattr(schema, "MIGRATIONS", folder)
    return folder


def _next(folder: Path, end: str) -> None:
    (folder / "versions" / "0003_next.py").write_text(NEXT.format(end=end), encoding="utf-8")


@pytest.fixture
def old(database_url: str) -> str:
    """A database of this version with an order in it."""
    with desk(database_url) as acme:
        acme.record(event(1, "submitted"))
    return database_url


def state(url: str) -> tuple[str | None, set[str], set[str], int]:
    """A database's revision, tables and views, and how many orders a reader sees."""
    engine = engines.connect(url)
    try:
        with engine.connect() as connection:
            found = inspect(connection)
            orders = connection.execute(text("select count(*) from v1_orders")).scalar_one()
            names = set(found.get_table_names()), set(found.get_view_names())
            return schema.revision(connection), *names, orders
    finally:
        engines.close(engine)


def upgrade(url: str) -> tuple[str | None, str]:
    """As `db upgrade` does it."""
    engine = engines.connect(url)
    try:
        return schema.upgrade(engine)
    finally:
        engines.close(engine)


# --- what is there --------------------------------------------------------------------------------------


def test_the_files_of_the_revisions_bear_their_numbers_in_order() -> None:
    config = Config()
    config.set_main_option("script_location", str(schema.MIGRATIONS))
    script = ScriptDirectory.from_config(config)
    assert script.get_current_head() == schema.head()
    assert {one.revision for one in script.walk_revisions()} == schema._revisions()


def test_an_empty_sqlite_file_gets_its_schema_by_itself(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'new.db'}"
    open_store(url).close()
    revision, tables, made, _ = state(url)
    assert revision == schema.head()
    assert tables == {*SQLModel.metadata.tables, views.VERSION_TABLE}
    assert made == {name for name, _ in views.statements("sqlite")}


def test_an_empty_postgres_database_waits_for_its_owner(empty_postgres_url: str) -> None:
    with pytest.raises(SchemaError, match="no schema yet; type: porting-aggregator db upgrade"):
        open_store(empty_postgres_url)
    assert upgrade(empty_postgres_url) == (None, schema.head())
    assert upgrade(empty_postgres_url) == (schema.head(), schema.head())
    open_store(empty_postgres_url).close()


def test_another_programs_file_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    with closing(sqlite3.connect(path)) as other:
        other.execute("create table customers (name text)")
    with pytest.raises(SchemaError, match="db upgrade"):
        open_store(f"sqlite:///{path}")
    with closing(sqlite3.connect(path)) as other:
        assert other.execute("select name from sqlite_master").fetchall() == [("customers",)]


def test_an_older_schema_is_refused_with_the_command_to_type(old: str, later: Path) -> None:
    message = "has schema 0002, this version needs 0003; type: porting-aggregator db upgrade"
    with pytest.raises(SchemaError, match=message):
        open_store(old)
    reader = open_reader(old)
    with pytest.raises(SchemaError, match=message):
        list(reader.query("select colour from v1_orders", {}))
    reader.close()


def test_a_newer_schema_is_refused_with_another_command(
    old: str, later: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert upgrade(old) == ("0002", "0003")
    monkeypatch.undo()
    for refused in (open_store, upgrade):
        with pytest.raises(
            SchemaError, match="newer version made it; in that version's checkout, type: make install"
        ):
            refused(old)
    assert state(old)[0] == "0003"


def test_the_tables_are_those_of_the_models(old: str) -> None:
    engine = engines.connect(old)
    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"version_table": views.VERSION_TABLE, "compare_type": True}
        )
        assert compare_metadata(context, SQLModel.metadata) == []
    engines.close(engine)


# --- upgrades -------------------------------------------------------------------------------------------


def test_an_upgrade_keeps_every_row_and_makes_the_views_again(old: str, later: Path) -> None:
    before = state(old)
    assert upgrade(old) == ("0002", "0003")
    revision, tables, made, orders = state(old)
    assert (revision, made, orders) == ("0003", before[2], 1)
    assert tables == before[1] | {"extra"}


def test_a_revision_that_fails_leaves_the_old_schema_whole(old: str, later: Path) -> None:
    before = state(old)
    for end in ("op.execute('select * from no_such_table')", "raise RuntimeError('no')"):
        _next(later, end)
        with pytest.raises((StoreError, RuntimeError)):
            upgrade(old)
        assert state(old) == before
    _next(later, "")
    assert upgrade(old) == ("0002", "0003")


UPGRADE = """
import sys
from pathlib import Path
from aggregator.store import engine, schema
schema.MIGRATIONS = Path(sys.argv[2])
schema.upgrade(engine.connect(sys.argv[1]))
"""


def test_an_upgrade_that_is_killed_leaves_the_old_schema_whole(old: str, later: Path) -> None:
    before = state(old)
    _next(later, "os.kill(os.getpid(), signal.SIGKILL)")
    killed = subprocess.run([sys.executable, "-c", UPGRADE, old, str(later)], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert state(old) == before
    _next(later, "")
    assert upgrade(old) == ("0002", "0003")


def test_a_copy_of_the_file_is_kept_before_it_changes(
    tmp_path: Path, later: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.db"
    current = schema.MIGRATIONS
    monkeypatch.undo()
    with desk(f"sqlite:///{path}") as acme:
        acme.record(event(1, "submitted"))
    path.chmod(0o600)
    assert upgrade(f"sqlite:///{path}") == ("0002", "0002")
    assert [one.name for one in tmp_path.iterdir() if one.is_file()] == ["a.db"], (
        "nothing changed, nothing kept"
    )
    monkeypatch.setattr(schema, "MIGRATIONS", current)
    writer = sqlite3.connect(path)  # somebody still has the file open, with rows in the log beside it
    writer.execute("pragma journal_mode=wal")
    writer.execute("update port_order set description = 'in the log'")
    writer.commit()
    upgrade(f"sqlite:///{path}")
    writer.close()
    kept = tmp_path / "a.db.schema-0002"
    assert kept.stat().st_mode & 0o777 == 0o600
    with closing(sqlite3.connect(kept)) as copy:
        assert copy.execute("select version_num from schema_version").fetchone() == ("0002",)
        assert copy.execute("select description from v1_orders").fetchone() == ("in the log",)
        assert copy.execute("pragma integrity_check").fetchone() == ("ok",)
        assert copy.execute("pragma journal_mode").fetchone() == ("delete",)
    shutil.copy(kept, path)
    assert upgrade(f"sqlite:///{path}") == ("0002", "0003")
    assert sorted(one.name for one in tmp_path.iterdir() if one.is_file()) == ["a.db", "a.db.schema-0002"]


def test_no_upgrade_without_a_copy(tmp_path: Path, later: Path) -> None:
    path = tmp_path / "a.db"
    current, schema.MIGRATIONS = schema.MIGRATIONS, Path(schema.__file__).parent / "migrations"
    try:
        open_store(f"sqlite:///{path}").close()
    finally:
        schema.MIGRATIONS = current
    (tmp_path / "a.db.schema-0002").mkdir()
    with pytest.raises(StoreError, match="no copy could be made"):
        upgrade(f"sqlite:///{path}")
    assert not (tmp_path / "a.db.schema-0002.part").exists()
    assert state(f"sqlite:///{path}")[0] == "0002"


# --- who may read and write on Postgres -----------------------------------------------------------------


GROUP, WRITER = f"group_{os.getpid()}", f"writer_{os.getpid()}"  # roles are the whole server's


@pytest.fixture
def roles(postgres_url: str) -> Iterator[tuple[Desk, str]]:
    """A database with an order, and the name of a role that is not there yet."""
    name = f"reader-{os.getpid()}"
    with desk(postgres_url) as acme:
        acme.record(event(1, "submitted"))
        yield acme, name
        with acme.store.engine.begin() as tx:
            for role in (name, GROUP, WRITER):
                if tx.execute(text("select 1 from pg_roles where rolname = :role"), {"role": role}).scalar():
                    tx.exec_driver_sql(f'drop owned by "{role}"; drop role "{role}"')


def as_role(url: str, role: str) -> psycopg.Connection:
    """A connection as this role."""
    address = make_url(url).set(drivername="postgresql", username=role)
    return psycopg.connect(address.render_as_string(hide_password=False), autocommit=True)


def _url(acme: Desk) -> str:
    return acme.store.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)


FORBIDDEN = (
    "select * from porting.port_order",
    "select * from schema_version",
    "insert into v1_accounts (account) values ('x')",
    "update v1_accounts set label = 'x'",
    "delete from v1_accounts",
    "create table porting.mine (id int)",
    "create temporary table mine (id int)",
    "create view porting.v1_mine as select 1",
    "drop view porting.v1_orders",
    "create function porting.mine() returns int language sql as 'select 1'",
    "create sequence porting.mine",
    "create schema mine",
    "select * from other.things",
    "create table other.mine (id int)",
    "select pg_read_file('PG_VERSION')",
    "copy (select 1) to program 'true'",
    "set role postgres",
)


def test_a_reader_reads_the_views_and_nothing_else(roles: tuple[Desk, str]) -> None:
    acme, name = roles
    with acme.store.engine.begin() as tx:
        tx.exec_driver_sql("create schema other; create table other.things (id int)")
    assert grants.grant_reader(acme.store.engine, name) is True
    assert grants.grant_reader(acme.store.engine, name) is False
    with closing(as_role(_url(acme), name)) as reader:
        for view, _ in views.statements("postgresql"):
            reader.execute(f"select * from {view}").fetchall()
        assert reader.execute("select state from v1_orders").fetchall() == [("with_carrier",)]
        reader.execute("set default_transaction_read_only = off")
        for statement in FORBIDDEN:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                reader.execute(statement)
        shown = {
            name: reader.execute(f"show {name}").fetchone() for name in ("search_path", "statement_timeout")
        }
        assert shown == {"search_path": ("porting",), "statement_timeout": ("1min",)}
        assert reader.execute("show idle_in_transaction_session_timeout").fetchone() == ("1min",)
        limit = "select rolconnlimit, rolsuper, rolcanlogin from pg_roles where rolname = current_user"
        assert reader.execute(limit).fetchone() == (20, False, True)
        reader.execute("listen porting_changes")


def test_the_read_verbs_work_for_a_reader(roles: tuple[Desk, str]) -> None:
    acme, name = roles
    grants.grant_reader(acme.store.engine, name)
    address = make_url(_url(acme)).set(username=name)
    reader = open_reader(address.render_as_string(hide_password=False))
    assert [row["state"] for row in reader.select("orders")] == ["with_carrier"]
    assert reader.identity()["newest_seq"] > 0
    with pytest.raises(StoreError, match="no_such_column"):
        list(reader.query("select no_such_column from v1_orders", {}))
    reader.close()


def test_a_reader_still_reads_after_an_upgrade(roles: tuple[Desk, str], later: Path) -> None:
    acme, name = roles
    grants.grant_reader(acme.store.engine, name)
    with acme.store.engine.begin() as tx:
        tx.exec_driver_sql(f"create role {GROUP}")
        tx.exec_driver_sql(f"grant select on v1_orders to {GROUP}")
        tx.exec_driver_sql("drop view v1_quarantine")  # as if the version before had not had it
    assert upgrade(_url(acme)) == ("0002", "0003")
    with closing(as_role(_url(acme), name)) as reader:
        for view, _ in views.statements("postgresql"):
            reader.execute(f"select * from {view}").fetchall()
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            reader.execute("select * from extra")
    with acme.store.engine.connect() as connection:
        assert grants.readers(connection)[GROUP] == {"v1_orders"}


def test_who_may_more_than_read_is_refused_and_gets_nothing(roles: tuple[Desk, str]) -> None:
    acme, name = roles
    with acme.store.engine.begin() as tx:
        tx.exec_driver_sql(f"create role {GROUP}")
        tx.exec_driver_sql(f"grant usage on schema porting to {GROUP}")
        tx.exec_driver_sql(f"grant update (state) on port_order to {GROUP}")
        tx.exec_driver_sql(f'create role "{name}" login')
        tx.exec_driver_sql(f'grant {GROUP} to "{name}"')
    with pytest.raises(StoreError, match="table port_order"):
        grants.grant_reader(acme.store.engine, name)
    with closing(as_role(_url(acme), name)) as reader, pytest.raises(psycopg.errors.InsufficientPrivilege):
        reader.execute("select * from porting.v1_orders")
    with pytest.raises(StoreError, match="postgres writes here"):
        grants.grant_reader(acme.store.engine, "postgres")


def test_the_daemons_role_writes_rows_and_never_the_schema(roles: tuple[Desk, str], later: Path) -> None:
    acme, _ = roles
    url = _url(acme)
    with acme.store.engine.begin() as tx:
        tx.exec_driver_sql(f"create role {WRITER} login")
    engine = engines.connect(url)
    schema.upgrade(engine, writer=WRITER)
    engine.dispose()
    writer = make_url(url).set(username=WRITER).render_as_string(hide_password=False)
    with desk(writer, account(name="beta")) as beta:
        assert beta.record(event(2, "submitted")).events == 1
        assert len(beta.rows("select * from v1_orders")) == 2
    with closing(as_role(url, WRITER)) as connection:
        for statement in (
            "drop table porting.change",
            "alter table porting.change add x int",
            "create table porting.x ()",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)
    with pytest.raises(StoreError, match="writes here"):
        grants.grant_reader(acme.store.engine, WRITER)
    unable = engines.connect(writer)
    with pytest.raises(StoreError, match="owner_url"):
        grants.grant_reader(unable, "somebody")
    unable.dispose()


def test_roles_are_not_for_sqlite(tmp_path: Path) -> None:
    with desk(f"sqlite:///{tmp_path / 'a.db'}") as acme, pytest.raises(ConfigError, match="Postgres"):
        grants.grant_reader(acme.store.engine, "reader")

"""A schema that is being made or upgraded, killed at any statement: the old one or the new one, never between."""

import hashlib
import shutil
import sqlite3
import uuid
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from sqlalchemy import inspect, make_url, text
from stored import desk, event, look
from tapped import Dropped, buried, dropping_at, tapped

from aggregator.store import engine as engines
from aggregator.store import open_store, schema, views

SECOND = '''"""A later schema, of the kind that goes wrong when it is cut short."""

import sqlalchemy as sa
from alembic import op

revision = "9999"
down_revision = "{head}"


def upgrade() -> None:
    op.add_column("port_order", sa.Column("colour", sa.Text()))
    op.execute("update port_order set colour = 'blue'")
    op.create_table("extra", sa.Column("id", sa.Integer(), primary_key=True))
    op.execute("insert into extra (id) select id from port_order")
    op.drop_index("ix_port_order_missed", "port_order")
    op.execute("alter table comment rename to said")
    op.execute("alter table said rename to comment")
'''
Shape = tuple[Any, ...]


@pytest.fixture
def planted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One revision more than there is, so that an upgrade of a filled database is always among them."""
    folder = tmp_path / "migrations"
    shutil.copytree(schema.MIGRATIONS, folder, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "versions" / "9999_planted.py").write_text(SECOND.format(head=schema.head()), encoding="utf-8")
    monkeypatch.setattr(schema, "MIGRATIONS", folder)


def steps() -> list[tuple[str | None, str]]:
    """From nothing over every revision there is, and from there to a later one with rows to keep."""
    *shipped, planted = sorted(schema._revisions())
    return [(None, shipped[-1]), (shipped[-1], planted)]


def shape(url: str) -> Shape:
    """All that can be told of a database: revision, tables with their columns and rows, indexes, views."""
    engine = engines.connect(url)
    try:
        with engine.connect() as connection:
            found = inspect(connection)
            tables = {
                name: (
                    sorted((column["name"], str(column["type"])) for column in found.get_columns(name)),
                    sorted(str(index["name"]) for index in found.get_indexes(name)),
                    sorted(str(tuple(row)) for row in connection.execute(text(f'select * from "{name}"'))),
                )
                for name in sorted(found.get_table_names())
            }
            seen = {
                name: connection.execute(text(f"select count(*) from {name}")).scalar_one()
                for name in sorted(found.get_view_names())
            }
            return schema.revision(connection), tables, seen
    finally:
        engine.dispose()


def to(url: str, revision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As `db upgrade` does it in the version whose newest revision this is."""
    upgrade = command.upgrade
    with monkeypatch.context() as there:
        there.setattr(command, "upgrade", lambda config, _: upgrade(config, revision))
        there.setattr(schema, "head", lambda: revision)
        engine = engines.connect(url)
        try:
            schema.upgrade(engine)
        finally:
            engine.dispose()


def fill(url: str, revision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows for the upgrade to keep, written by the program whose schema this is."""
    with monkeypatch.context() as there:
        there.setattr(schema, "head", lambda: revision)
        with desk(url) as acme:
            acme.record(event(1, "submitted"), look(2, "submitted", "+13035550123"))


class States:
    """What a kill at each statement leaves of a file, each state once."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.found: dict[bytes, tuple[Path, list[str]]] = {}

    def __call__(self, where: str, _: object) -> None:
        files = [self.path.with_name(f"{self.path.name}{end}") for end in ("", "-wal", "-shm")]
        there = [file for file in files if file.exists()]
        key = hashlib.blake2b(b"|".join(file.read_bytes() for file in there[:2])).digest()
        if key not in self.found:
            home = self.path.with_name(f"state-{uuid.uuid4().hex}")
            home.mkdir()
            for file in there:
                shutil.copy(file, home)
            self.found[key] = home / self.path.name, []
        self.found[key][1].append(where)


def test_sqlite_has_the_old_schema_or_the_new_one_after_a_kill_at_any_statement(
    tmp_path: Path, planted: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, url = tmp_path / "run.db", f"sqlite:///{tmp_path / 'run.db'}"
    points, met = 0, set()
    for before, after in steps():
        old, states = shape(url), States(path)
        with tapped(states):
            to(url, after, monkeypatch)
        new = shape(url)
        assert (old[0], new[0]) == (before, after)
        for left, where in states.found.values():
            found = shape(f"sqlite:///{left}")
            assert found in (old, new), where
            met.add(found[0])
            with closing(sqlite3.connect(left)) as db:
                assert db.execute("pragma integrity_check").fetchall() == [("ok",)]
            to(f"sqlite:///{left}", after, monkeypatch)
            assert shape(f"sqlite:///{left}") == new, where
            points += len(where)
        if before is None:
            fill(url, after, monkeypatch)
    assert met == {None, *(after for _, after in steps())}
    assert points > 200


def test_a_file_whose_making_was_killed_is_opened_as_if_it_were_new(tmp_path: Path) -> None:
    path = tmp_path / "run.db"
    states = States(path)
    with tapped(states):
        open_store(f"sqlite:///{path}").close()
    assert sum(len(where) for _, where in states.found.values()) > 150
    for left, where in states.found.values():
        open_store(f"sqlite:///{left}").close()
        assert shape(f"sqlite:///{left}") == shape(f"sqlite:///{path}"), where


def test_postgres_has_the_old_schema_or_the_new_one_after_a_kill_at_any_statement(
    empty_postgres_url: str, planted: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, killed = empty_postgres_url, Counter[str]()
    address = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    for before, after in steps():
        old, places = shape(url), list[str]()
        for number in range(1, 2_000):
            last, places = places, []
            if number > 1 and before is None and number % 3:
                places = last  # what makes the tables is cut at every third point, to be quick
                continue
            try:
                with tapped(dropping_at(number, places)):
                    to(url, after, monkeypatch)
                raise AssertionError("it came to its end, and no COMMIT was cut")
            except Dropped:
                buried(address)
            killed[places[-1].split()[0]] += 1
            if revision(url) == after:
                break
            assert revision(url) == before
            if number % 20 == 0 or "COMMIT" in places[-1]:
                assert shape(url) == old, places[-1]
        assert shape(url)[0] == after
        assert set(shape(url)[2]) == {name for name, _ in views.statements("postgresql")}
        to(url, after, monkeypatch)
        if before is None:
            fill(url, after, monkeypatch)
    assert killed["before"] > 60 and killed["after"] > 60 and killed["COMMIT"] == 1


def revision(url: str) -> str | None:
    """Where a schema is; that and its tables change together or not at all."""
    engine = engines.connect(url)
    try:
        with engine.connect() as connection:
            return schema.revision(connection)
    finally:
        engine.dispose()

"""A database of the first schema, as the first version of the program left it, for the upgrades from there."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Column, Connection, MetaData, Table, select
from sqlmodel import SQLModel

from aggregator.store import engine as engines
from aggregator.store import schema, views

VIEWS = Path(__file__).parent / "fixtures" / "views-0001.sql"
"""The views of that version, which belong to its schema."""


def make(url: str, folder: Path) -> None:
    """The tables and views of the first schema, in an empty database; `folder` takes its one migration."""
    migrations = folder / "first"
    shutil.copytree(schema.MIGRATIONS, migrations, ignore=shutil.ignore_patterns("__pycache__", "000[2-9]*"))
    engine = engines.connect(url)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(schema, "MIGRATIONS", migrations)
        patch.setattr(views, "SOURCE", VIEWS)
        patch.setattr(schema, "_require_made_so", lambda tx: None)  # it knows the present tables alone
        assert schema.upgrade(engine) == (None, "0001")
    engines.close(engine)


def copy(source: str, target: str, change: Callable[[str, dict[str, Any]], None]) -> None:
    """All rows of a database of the present schema into one of the first, without the columns that it lacks;
    `change(table, row)` may take away from a row what that version did not write."""
    here, there = engines.connect(source), engines.connect(target)
    with here.connect() as reading, there.begin() as tx:
        known = MetaData()
        known.reflect(tx)
        for table in SQLModel.metadata.sorted_tables:
            name = table.name
            if name in known.tables:
                _copy(reading, tx, table, {column.name for column in known.tables[name].columns}, change)
    engines.close(here)
    engines.close(there)


def _copy(
    reading: Connection,
    tx: Connection,
    table: Any,
    columns: set[str],
    change: Callable[[str, dict[str, Any]], None],
) -> None:
    rows = [dict(row._mapping) for row in reading.execute(select(table))]
    for row in rows:
        change(table.name, row)
    if rows:
        then = Table(
            table.name, MetaData(), *(Column(c.name, c.type) for c in table.columns if c.name in columns)
        )
        tx.execute(then.insert(), [{name: row[name] for name in columns} for row in rows])

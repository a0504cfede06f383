"""From the first schema to the present one: every row stays, the new columns are filled, readers go on reading."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import filled
import first_schema
import pytest
from sqlalchemy import select
from sqlmodel import SQLModel

from aggregator.store import engine as engines
from aggregator.store import open_store, schema
from aggregator.store.queries import Reader

LATER = datetime(2026, 7, 1, tzinfo=UTC)
REWRITTEN = ("map_version",)


@dataclass
class Old:
    """A database of the first schema with both providers' orders in it, and its rows as the program of today
    would have written them."""

    url: str
    now: str

    def upgrade(self) -> tuple[str | None, str]:
        engine = engines.connect(self.url)
        try:
            return schema.upgrade(engine)
        finally:
            engines.close(engine)


@pytest.fixture(params=["sqlite", "postgres"])
def old(request: pytest.FixtureRequest, tmp_path: Path) -> Old:
    """On both kinds of database."""
    now = f"sqlite:///{tmp_path / 'now.db'}"
    url = f"sqlite:///{tmp_path / 'old.db'}"
    if request.param == "postgres":
        url = request.getfixturevalue("empty_postgres_url")
    filled.fill(now)
    first_schema.make(url, tmp_path)
    first_schema.copy(now, url, as_it_was)
    return Old(url, now)


def as_it_was(table: str, row: dict[str, Any]) -> None:
    """Takes from a row what the first version did not read."""
    if table == "fact":
        said = json.loads(row["said"])
        said.pop("terms", None)
        said.pop("missing", None)
        said.get("references", {}).pop("pon", None)
        row["said"] = json.dumps(said, ensure_ascii=False, separators=(",", ":"))


def rows(url: str, view: str) -> list[dict[str, Any]]:
    """All rows of a view, in one order."""
    engine = engines.connect(url)
    try:
        found = Reader(engine).query(f"select * from {view}", {})
        return sorted(found, key=lambda row: [str(value) for value in row.values()])
    finally:
        engines.close(engine)


def test_every_row_of_the_first_schema_is_there_after_the_upgrade(old: Old) -> None:
    before = {name: rows(old.url, name) for name in ("v1_orders", "v1_numbers", "v1_changes", "v1_events")}
    assert len(before["v1_orders"]) > 5 and len(before["v1_changes"]) > 30
    assert old.upgrade() == ("0001", schema.head())
    for name, known in before.items():
        after = rows(old.url, name)
        assert [{key: row[key] for key in known[0] if key not in REWRITTEN} for row in after] == [
            {key: value for key, value in row.items() if key not in REWRITTEN} for row in known
        ], name


def test_the_state_of_a_date_is_right_at_once(old: Old) -> None:
    old.upgrade()
    told = {row["order_id"]: row["foc_state"] for row in _orders(old.url)}
    assert set(told.values()) >= {"none", "proposed", "firm"}
    assert told == {row["order_id"]: row["foc_state"] for row in _orders(old.now)}


def test_what_follows_from_the_facts_is_filled_by_a_replay(old: Old) -> None:
    old.upgrade()
    store = open_store(old.url)
    accounts = filled.Filler(store).accounts.values()
    for one in accounts:
        lease = store.take(one.name, LATER)
        assert lease is not None
        while not store.replay(one, lease, LATER).done:
            pass
    store.close()
    assert _derived(old.url) == _derived(old.now)


def _orders(url: str) -> list[dict[str, Any]]:
    engine = engines.connect(url)
    try:
        return list(Reader(engine).query("select order_id, foc_state from port_order", {}))
    finally:
        engines.close(engine)


def _derived(url: str) -> list[dict[str, Any]]:
    """The rows of all orders, but for what a replay is told by."""
    table = SQLModel.metadata.tables["port_order"]
    but = {"last_seq", "last_changed_at"}
    engine = engines.connect(url)
    try:
        with engine.connect() as connection:
            found = connection.execute(select(table).order_by(table.c.order_id)).mappings().all()
        return [{key: value for key, value in row.items() if key not in but} for row in found]
    finally:
        engines.close(engine)

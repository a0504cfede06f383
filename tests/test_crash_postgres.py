"""Postgres: whenever the connection goes, in the middle of a statement or of a commit, the next process finds
nothing half, loses nothing and doubles nothing."""

import os
import socket
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pytest
from crashing import World, eager, still, wrong_at
from sqlalchemy import Engine, event, inspect, text
from sqlalchemy.exc import SQLAlchemyError
from standin_lives import DAY, HOUR, Knobs, Telnyx
from unwired import Killed, Setting, Spied, Unwired

from aggregator import poll
from aggregator.errors import StoreError
from aggregator.store.store import open_store


@dataclass
class Cut:
    """Takes the connection away at the n-th point (0: never)."""

    at: int = 0
    points: list[str] = field(default_factory=list)

    def watch(self, engine: Engine) -> None:
        """Count every statement, commit and rollback of an engine, before and after."""

        def before(connection: Any, _: Any, statement: str, *_2: Any) -> None:
            self.point(f"before {statement[:40]}", connection.connection.dbapi_connection)

        def after(connection: Any, _: Any, statement: str, *_2: Any) -> None:
            self.point(f"after {statement[:40]}", connection.connection.dbapi_connection)

        event.listen(engine, "before_cursor_execute", before)
        event.listen(engine, "after_cursor_execute", after)
        commit = engine.dialect.do_commit

        def do_commit(raw: Any) -> None:
            self.point("before commit", raw)
            commit(raw)
            self.point("after commit", raw)

        setattr(engine.dialect, "do_commit", do_commit)  # noqa: B010

    def point(self, what: str, raw: Any) -> None:
        self.points.append(what)
        if len(self.points) == self.at:
            with socket.socket(fileno=os.dup(raw.fileno())) as wire:
                wire.shutdown(socket.SHUT_RDWR)
            raise Killed


def lived(url: str, world: World, at: int) -> list[str]:
    """A first poll that loses its connection and its process at this point; the points that there were."""
    cut = Cut(at)
    store = open_store(url)
    here = Setting(eager("telnyx"), Unwired(world), Spied(store))
    cut.watch(store.engine)
    with suppress(Killed, StoreError, SQLAlchemyError):
        here.poll()
    store.engine.dispose()
    return cut.points


def emptied(url: str) -> None:
    """The database as it was made."""
    store = open_store(url)
    with store.engine.begin() as tx:
        names = set(inspect(tx).get_table_names("porting")) - {"feed_identity", "schema_version"}
        tx.execute(text(f"truncate {', '.join(sorted(names))} cascade"))
        counters = "newest_seq = 0, newest_fact = 0, newest_event = 0, newest_order = 0"
        tx.execute(text(f"update feed_identity set {counters}"))
    store.close()


@pytest.mark.parametrize("part", range(2))
def test_a_first_poll_may_lose_its_connection_anywhere(
    postgres_url: str, part: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(poll, "SLICE", 15)
    world = Telnyx(4, Knobs(many_numbers=0, split=0))
    world.fill(3, 1, 4 * DAY)
    points = lived(postgres_url, still(world), 0)
    chosen = [at for at, what in enumerate(points, 1) if "commit" in what or at % 7 == 0]
    assert len(chosen) > 40
    for at in chosen[part::2]:
        emptied(postgres_url)
        lived(postgres_url, still(world), at)
        assert revived(postgres_url, still(world)) == [], points[at - 1]


def revived(url: str, world: World) -> list[str]:
    """What is wrong once another process has polled to the end, and looked once more."""
    store = open_store(url)
    try:
        here = Setting(eager("telnyx"), Unwired(world), Spied(store))
        changes = "select count(*) from change"
        for _ in range(2):
            world.now += HOUR
            here.poll()
        wrong, before = [*wrong_at(here, world)], here.rows(changes)
        here.poll()
        return wrong if here.rows(changes) == before else [*wrong, "a second look wrote changes"]
    finally:
        store.close()

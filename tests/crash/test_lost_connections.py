"""The same on Postgres, where a crash is a connection that ends: at every statement, and while COMMIT is on its way."""

from collections import Counter
from collections.abc import Iterator

import psycopg
import pytest
from scenes import Process, Scene, dead, telnyx_alone
from sqlalchemy import Engine, make_url, text
from sqlmodel import SQLModel
from sweeping import everything, finish
from tapped import Dropped, buried, dropping_at, tapped

from aggregator.store import engine as engines
from aggregator.store.store import Store

IDENTITY = {"feed_identity"}


@pytest.fixture
def engine(postgres_url: str) -> Iterator[Engine]:
    """A connection of the test's own."""
    engine = engines.connect(postgres_url)
    yield engine
    engine.dispose()


def emptied(engine: Engine) -> None:
    """A database with the schema and nothing else."""
    with engine.begin() as tx:
        tx.execute(text(f"truncate {', '.join(SQLModel.metadata.tables)}"))


def life(url: str, scene: Scene) -> None:
    """A process that begins as the daemon does, and polls once."""
    process = Process(url, scene, dead(1))
    store = process.open()
    try:
        for name in scene.accounts:
            store.unpause(name)
        store.agenda()
        process.poll(store)
        store.close()
    finally:
        _forget(store)


def _forget(store: Store) -> None:
    """Connections whose process has died are nobody's any more."""
    store.engine.dispose()


def left(engine: Engine) -> str:
    """All that was committed, in one word: two equal ones go on alike."""
    with engine.connect() as connection:
        feeds = sorted(str(tuple(row)) for row in connection.execute(text("select * from feed")))
        holders = sorted(str(tuple(row)) for row in connection.execute(text("select * from lease")))
    rows = {name: there for name, there in everything(engine).items() if name not in IDENTITY}
    return repr((rows, feeds, holders))


def test_whatever_a_lost_connection_leaves_a_restart_ends_as_if_nothing_had_happened(
    postgres_url: str, engine: Engine
) -> None:
    address = make_url(postgres_url).set(drivername="postgresql").render_as_string(hide_password=False)
    life(postgres_url, telnyx_alone())
    truth = finish(Process(postgres_url, telnyx_alone()))
    assert truth.wrong == []
    known: dict[str, list[str]] = {}
    cut: Counter[str] = Counter()
    number, over = 0, False
    while not over:
        number += 1
        emptied(engine)
        engine.dispose()
        places: list[str] = []
        scene = telnyx_alone()
        try:
            with tapped(dropping_at(number, places)):
                life(postgres_url, scene)
            over = True
        except Dropped:
            buried(address)
            cut[places[-1].split()[0]] += 1
        found = left(engine)
        cursors = _cursors(address)
        assert all(newest == cursor for _, cursor, newest in cursors), (places[-1], cursors)
        if found not in known:
            end = finish(Process(postgres_url, scene.at(scene.now())))
            known[found] = end.wrong + truth.against(end, exact=True)
        assert known[found] == [], places[-1]
    assert cut["COMMIT"] >= 4, "answers to COMMIT that never came"
    assert sum(cut.values()) > 200, cut


def _cursors(address: str) -> list[tuple[str, str, str]]:
    """Each event feed's cursor, and its newest row."""
    query = (
        "select f.feed, f.cursor_at::text, max(e.occurred_at)::text from porting.feed f"
        " join porting.event e on e.account_id = f.account_id and e.feed = f.feed group by 1, 2"
    )
    with psycopg.connect(address) as connection:
        return [(feed, cursor, newest) for feed, cursor, newest in connection.execute(query)]

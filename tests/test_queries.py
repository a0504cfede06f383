"""What programs that only read ask of the views, and the hint that wakes them."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from made import hour
from sqlalchemy import URL, make_url, text
from stored import NUMBER, Desk, desk, event, look

from aggregator import publish
from aggregator.core.model import Direction, References
from aggregator.errors import ConfigError, SchemaError, StoreError
from aggregator.store import engine as engines
from aggregator.store.queries import Reader, open_reader


@pytest.fixture
def acme(database_url: str) -> Iterator[Desk]:
    """An account on a database of the test's own, with a handful of orders."""
    with desk(database_url) as opened:
        named = References("Acme 100%", support_key="sr_1")
        opened.record(
            replace(look(1, "submitted", NUMBER), references=named),
            look(2, "exception", NUMBER, "+13035550124", order="order-2"),
            look(3, "ported", order="order_3"),
            event(4, "pending", order="out-1", direction=Direction.PORT_OUT),
        )
        yield opened


@pytest.fixture
def reader(acme: Desk) -> Iterator[Reader]:
    """Somebody who may only read."""
    opened = acme.reader()
    yield opened
    opened.close()


def no_such(url: str) -> str:
    """A database that is not there, at the same server."""
    return make_url(url).set(database="no-such").render_as_string(hide_password=False)


def ids(rows: list[dict[str, object]]) -> list[str]:
    """The provider's ids of some orders."""
    return [str(row["order_id"]).rsplit("/", 1)[1] for row in rows]


def test_rows_are_filtered_by_bound_values_and_known_columns_only(reader: Reader) -> None:
    assert ids(reader.select("orders", {"state": "exception"})) == ["order-2"]
    assert ids(reader.select("orders", {"customer_reference": "Acme 100%"})) == ["order-1"]
    assert ids(reader.select("orders", {"account": "acme", "direction": "port_out"})) == ["out-1"]
    assert reader.select("orders", {"state": "'; drop table port_order; --"}) == []
    with pytest.raises(ValueError, match="no filter"):
        reader.select("orders", {"order_id; --": "x"})


def test_rows_come_in_the_order_of_their_view_and_as_many_as_are_asked_for(reader: Reader) -> None:
    assert ids(reader.select("orders", limit=2)) == ["out-1", "order-2"]
    assert ids(reader.select("orders", since=hour(2), until=hour(4))) == ["order-2", "order_3"]
    changes = reader.select("changes")
    assert [row["seq"] for row in changes] == list(range(1, len(changes) + 1))
    assert reader.select("changes", after=3, limit=2) == changes[3:5]
    assert reader.select("changes", newest=True, limit=2) == changes[-2:]
    assert list(reader.each("changes", newest=True, limit=2)) == changes[-2:]
    kinds = ["order_seen", "state_changed"]
    assert reader.select("changes", {"kind": kinds}) == [row for row in changes if row["kind"] in kinds]
    fields = {row["field"] for row in changes if row["kind"] == "attribute_changed"}
    others = [row for row in changes if row["kind"] != "attribute_changed"]
    assert reader.select("changes", without=fields) == others


def test_values_are_the_same_whatever_the_database(reader: Reader) -> None:
    row = reader.select("orders", {"state": "exception"})[0]
    assert row["is_open"] is True
    assert row["reasons"] == []
    assert row["state_since"] == "2026-06-15T14:00:00.000000Z"


def test_an_order_is_found_by_each_of_its_names_and_by_the_start_of_one(reader: Reader) -> None:
    assert reader.orders_named("acme/port_in/order-1") == ["acme/port_in/order-1"]
    assert reader.orders_named("sr_1") == ["acme/port_in/order-1"]
    assert reader.orders_named("order-") == ["acme/port_in/order-1", "acme/port_in/order-2"]
    assert reader.orders_named("order_") == ["acme/port_in/order_3"], "an underscore is no wildcard"
    assert reader.orders_named("%") == reader.orders_named("ord%") == reader.orders_named("or") == []


def test_a_number_is_found_however_it_is_written(reader: Reader) -> None:
    for written in ("+1 303 555 0123", "(303) 555-0123", "13035550123", NUMBER):
        assert reader.number_keys(written) == [NUMBER]
    assert reader.number_keys("+1 303 555 0199") == []
    assert ids(reader.select("numbers", {"number_key": NUMBER})) == ["order-1", "order-2"]


def test_a_database_is_never_made_by_reading(tmp_path: Path, empty_postgres_url: str) -> None:
    path = tmp_path / "none.db"
    with pytest.raises(ConfigError, match="no database yet"):
        open_reader(f"sqlite:///{path}")
    assert not path.exists()
    for url in (f"sqlite:///{path}", empty_postgres_url):
        path.touch()
        with closing(open_reader(url)) as reader, pytest.raises(SchemaError, match="db upgrade"):
            reader.select("orders")
    with (
        closing(open_reader(no_such(empty_postgres_url))) as reader,
        pytest.raises(StoreError, match="not exist"),
    ):
        reader.select("orders")


def test_a_database_that_nobody_has_used_yet_says_so(database_url: str) -> None:
    with desk(database_url) as acme:
        with engines.writing(acme.store.engine) as tx:
            tx.execute(text("delete from feed_identity"))
        with closing(acme.reader()) as reader, pytest.raises(StoreError, match="not been used yet"):
            reader.identity()


def test_a_file_with_a_strange_name_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "what? 100% #1.db"
    url = URL.create("sqlite", database=str(path)).render_as_string()
    with desk(url) as acme:
        acme.record(look(1))
        with closing(acme.reader()) as reader:
            assert len(reader.select("orders")) == 1
    assert [one.name for one in tmp_path.iterdir()] == [path.name]


# --- after the commit -----------------------------------------------------------------------------------


def test_listeners_hear_how_far_the_feed_reaches_and_only_when_something_was_written(
    postgres_url: str,
) -> None:
    with desk(postgres_url) as acme:
        address = acme.store.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
        with psycopg.connect(address, autocommit=True) as listener:
            listener.execute("listen porting_changes")
            publish.published(acme.store.engine, 0)
            recorded = acme.record(event(1, "submitted"))
            publish.published(acme.store.engine, recorded.newest_seq)
            heard = [*listener.notifies(timeout=5, stop_after=1), *listener.notifies(timeout=0)]
        assert [(one.channel, one.payload) for one in heard] == [
            ("porting_changes", str(recorded.newest_seq))
        ]


def test_a_hint_that_is_lost_does_no_harm(empty_postgres_url: str) -> None:
    nowhere = engines.connect(no_such(empty_postgres_url))
    publish.published(nowhere, 7)
    nowhere.dispose()


def test_nobody_listens_to_a_file(tmp_path: Path) -> None:
    engine = engines.connect(f"sqlite:///{tmp_path / 'none.db'}")
    publish.published(engine, 7)
    engine.dispose()
    assert not (tmp_path / "none.db").exists()

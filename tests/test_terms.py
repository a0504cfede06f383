"""What a porting order at Telnyx says beside its course: its own activation, what was ordered, what is missing."""

import json
from collections.abc import Iterator
from copy import deepcopy
from datetime import UTC, datetime
from typing import Any

import filled
import pytest
from filled import ACME, BLUE, Filler
from made import account
from recordings import recording

from aggregator.core.model import Page, Request
from aggregator.providers.telnyx.orders import PORT_IN
from aggregator.providers.telnyx.words import ACTIVATION
from aggregator.store import open_store
from aggregator.store.queries import Reader
from aggregator.store.store import Store

COLUMNS = ("activation_state", "port_type", "remaining_numbers", "number_type", "fast_port")


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    """A database of the test's own."""
    store = open_store(database_url)
    yield store
    store.close()


@pytest.fixture
def telnyx(store: Store) -> Filler:
    """Telnyx, whose replies are read by the real adapter."""
    return Filler(store)


def stands(store: Store, *columns: str, order: str = ACME) -> tuple[Any, ...]:
    """The columns of the one row of this order."""
    query = f"select {', '.join(columns)} from v1_orders where provider_order_id = :order"
    (row,) = Reader(store.engine).query(query, {"order": order})
    return tuple(row.values())


def moves(store: Store, *fields: str) -> list[tuple[Any, ...]]:
    """The changes of these columns: kind, field, before, after."""
    rows = Reader(store.engine).query("select * from v1_changes where number_key is null order by seq", {})
    return [
        (row["kind"], row["field"], row["old_value"], row["new_value"])
        for row in rows
        if row["field"] in fields
    ]


@pytest.mark.parametrize(("word", "ours"), [(word, meaning.value) for word, meaning in ACTIVATION.items()])
def test_each_word_of_an_orders_activation_is_told(
    store: Store, telnyx: Filler, word: str, ours: str
) -> None:
    telnyx.look(ACME, "06-04 08:00", "foc-date-confirmed", activation=word)
    assert stands(store, "activation_state") == (ours,)


def test_an_activation_that_moves_is_a_change_of_its_own(store: Store, telnyx: Filler) -> None:
    for hour, word in enumerate(("Pending", "Activate RDY", "Half Active", None), 8):
        telnyx.look(ACME, f"06-04 {hour:02}:00", "foc-date-confirmed", activation=word)
    assert stands(store, "activation_state") == (None,)
    assert moves(store, "activation_state") == [
        ("activation_changed", "activation_state", "pending", "ready"),
        ("activation_changed", "activation_state", "ready", "unknown"),
        ("activation_changed", "activation_state", "unknown", None),
    ]
    (row,) = Reader(store.engine).query("select * from v1_unknown_words", {})
    assert (row["vocabulary"], row["word"]) == ("activation", "Half Active")


def test_what_was_ordered_is_told_and_so_is_each_change_of_it(store: Store, telnyx: Filler) -> None:
    settings = {"fast_port_eligible": True, "activation_status": None}
    partial = {
        "type": "partial",
        "remaining_numbers_action": "keep",
        "new_billing_phone_number": "+12025550199",
    }
    telnyx.look(ACME, "06-04 08:00", "submitted", misc=partial, phone_number_type="toll_free")
    assert stands(store, *COLUMNS[1:]) == ("partial", "keep", "toll_free", True)
    telnyx.look(ACME, "06-04 09:00", "submitted", misc=None, activation_settings=settings)
    assert stands(store, *COLUMNS) == (None, None, None, "local", True)
    assert moves(store, *COLUMNS) == [
        ("attribute_changed", "port_type", "partial", None),
        ("attribute_changed", "remaining_numbers", "keep", None),
        ("attribute_changed", "number_type", "toll_free", "local"),
    ]


@pytest.mark.parametrize(
    "strange",
    [
        {"misc": "full"},
        {"misc": {"type": ["full"], "remaining_numbers_action": 7.5}},
        {"misc": {}},
        {"phone_number_type": {"a": 1}},
        {"requirements": "none"},
        {"requirements": [None, 7, {}]},
    ],
)
def test_a_field_that_cannot_be_read_says_nothing_and_costs_nothing(
    store: Store, telnyx: Filler, strange: dict[str, Any]
) -> None:
    telnyx.look(ACME, "06-04 08:00", "submitted")
    known = stands(store, *COLUMNS)
    telnyx.look(ACME, "06-04 09:00", "exception", **strange)
    assert stands(store, "state", *COLUMNS) == ("exception", *known)


def requirement(kind: str, id: str, value: str | None) -> dict[str, str | None]:
    return {
        "field_type": kind,
        "field_value": value,
        "record_type": "porting_requirement",
        "requirement_type_id": id,
    }


def test_what_is_required_and_missing_is_told_in_why(store: Store, telnyx: Filler) -> None:
    given = requirement("document", "59b0762a", "9787fb5f")
    lacking = [requirement("textual", "b2", None), requirement("document", "a1", ""), given]
    telnyx.look(ACME, "06-04 08:00", "draft", requirements=lacking, requirements_met=False)
    said = "finish and submit the draft; required documents are missing"
    assert stands(store, "why") == (f"{said}: document a1, textual b2",)
    lacking[0]["field_value"] = "canary-4321"
    telnyx.look(ACME, "06-04 09:00", "draft", requirements=lacking, requirements_met=False)
    assert stands(store, "why") == (f"{said}: document a1",)
    lacking[1]["field_value"] = "given"
    telnyx.look(ACME, "06-04 10:00", "draft", requirements=lacking, requirements_met=True)
    assert stands(store, "why") == ("finish and submit the draft",)
    with store.engine.connect() as connection:
        kept = connection.exec_driver_sql("select body from document").scalars().all()
    assert "a1" in str(kept) and "canary" not in str(kept) and "9787fb5f" not in str(kept)


def test_the_same_requirements_in_another_order_are_no_news(store: Store, telnyx: Filler) -> None:
    lacking = [requirement("document", id, None) for id in "abcdefg"]
    telnyx.look(ACME, "06-04 08:00", "draft", requirements=lacking, requirements_met=False)

    def facts() -> int:
        with store.engine.connect() as connection:
            return int(connection.exec_driver_sql("select count(*) from fact").scalar_one())

    before = facts()
    telnyx.look(ACME, "06-04 08:00", "draft", requirements=lacking[::-1], requirements_met=False)
    assert facts() == before
    (why,) = stands(store, "why")
    assert why.endswith("document a, document b, document c, document d, document e, 2 more")


def test_the_feed_alone_has_the_columns(store: Store, telnyx: Filler) -> None:
    """`order_seen` carries them, and rows of changes what came later."""
    telnyx.look(BLUE, "06-04 08:00", "submitted", activation="Pending")
    query = "select new_value from v1_changes where kind = 'order_seen'"
    (row,) = Reader(store.engine).query(query, {})
    seen = json.loads(row["new_value"])
    assert [seen[name] for name in COLUMNS] == ["pending", "full", "disconnect", "local", True]
    assert seen["foc_state"] == "none"


def test_no_personal_field_stands_beside_what_is_kept() -> None:
    assert set(PORT_IN["misc"]) == {"type", "remaining_numbers_action"}
    assert set(PORT_IN["requirements"]) == {"field_type", "requirement_type_id"}


def test_a_document_keeps_no_requirements_where_none_were_told() -> None:
    body = deepcopy(recording("telnyx", "order-published").body)
    del body["data"]["requirements"]
    ours, now = account("telnyx"), datetime(2026, 6, 15, tzinfo=UTC)
    request = Request(f"/porting_orders/{body['data']['id']}")
    said = ours.adapter.read(Page(request, 200, json.dumps(body).encode(), now, now), ours.options)
    assert "requirements" not in json.loads(said.facts[0].document or "")
    assert said.facts[0].missing is None


def test_the_filled_database_has_every_new_column(database_url: str) -> None:
    filled.fill(database_url)
    store = open_store(database_url)
    try:
        assert stands(store, *COLUMNS, order=BLUE) == ("pending", "full", "disconnect", "local", True)
    finally:
        store.close()

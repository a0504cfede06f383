"""What is not told stands as it was: reasons while the word is the same, half of a carrier, a link; and what tells more
than it did: a deletion's payload, a payload that was still being made, a path that ends like another."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from itertools import permutations
from typing import Any

import pytest
from made import NOW, account, event, hour, page
from stored import Desk, desk

from aggregator.core.fold import fold
from aggregator.core.model import (
    NOT_TOLD,
    Carrier,
    Carriers,
    Direction,
    Link,
    OrderRef,
    Orders,
    Part,
    Request,
    Status,
)
from aggregator.core.normalise import normalise
from aggregator.store.facts import decoded, encoded

TELNYX = account("telnyx")


@pytest.fixture
def acme(database_url: str) -> Iterator[Desk]:
    with desk(database_url) as opened:
        yield opened


def alone(hours: float, word: str) -> Any:
    """An event that knows the word and nothing of reasons."""
    return normalise(replace(event(hours, word), status=Status(word, NOT_TOLD)), TELNYX.words)


# --- reasons --------------------------------------------------------------------------------------------


def test_a_word_alone_leaves_the_reasons_as_long_as_it_is_the_same() -> None:
    refused = event(0, "exception", "FOC_REJECTED", "OTHER")
    standing = fold(None, [refused, alone(1, "exception")])
    assert standing.order.reasons == ("date_rejected", "other")
    assert [held.until for held in standing.reasons] == [None, None]
    standing = fold(standing, [alone(2, "submitted")])
    assert standing.order.reasons == ()
    assert {held.until for held in standing.reasons} == {hour(2)}
    standing = fold(standing, [alone(3, "exception")])
    assert standing.order.reasons == (), "the reasons of an earlier exception are not those of this one"


def test_an_empty_list_of_reasons_ends_them() -> None:
    assert fold(None, [event(0, "exception", "OTHER"), event(1, "exception")]).order.reasons == ()


def test_reasons_that_are_not_told_are_the_same_in_whatever_order_the_facts_come() -> None:
    facts = [
        event(0, "exception", "OTHER"),
        alone(1, "exception"),
        alone(2, "submitted"),
        alone(3, "exception"),
    ]
    ends = {repr(fold(None, order).order) + repr(fold(None, order).reasons) for order in permutations(facts)}
    assert len(ends) == 1
    one_by_one = None
    for fact in reversed(facts):
        one_by_one = fold(one_by_one, [fact])
    assert one_by_one == fold(None, facts)


def test_what_is_not_told_is_not_told_after_the_database_either() -> None:
    fact = replace(
        alone(0, "exception"),
        carriers=Carriers(losing=Carrier("A", NOT_TOLD), gaining=Carrier(NOT_TOLD, "1234")),
        link=Link(None, "order-1"),
        deleted=True,
        deleted_at=hour(-1),
    )
    again = decoded(
        fact.order, "event", fact.source_id, "order", fact.as_of, fact.read_at, encoded(fact), TELNYX.words
    )
    assert again == fact


# --- carriers and links ---------------------------------------------------------------------------------


def test_a_name_alone_leaves_the_spid_and_a_spid_alone_the_name() -> None:
    both = event(0, carriers=Carriers(gaining=Carrier("Example", "1234")))
    name = event(1, carriers=Carriers(gaining=Carrier("Other", NOT_TOLD)))
    spid = event(2, carriers=Carriers(gaining=Carrier(NOT_TOLD, "9999")))
    none = event(3, carriers=Carriers(gaining=None))

    def gaining(*facts: Any) -> tuple[str | None, str | None]:
        order = fold(None, facts).order
        return order.gaining_carrier, order.gaining_carrier_spid

    assert gaining(both, name) == ("Other", "1234")
    assert gaining(both, spid) == ("Example", "9999")
    assert gaining(both, name, spid) == ("Other", "9999")
    assert gaining(both, none) == (None, None)


def test_a_link_can_end(acme: Desk) -> None:
    fact = event(0, "submitted", link=Link("order-0", "order-1"))
    acme.record(fact)
    assert acme.one("select parent_order_id from v1_orders") == "acme/port_in/order-0"
    acme.record(event(1, link=Link(None, "order-1")))
    assert acme.one("select parent_order_id from v1_orders") is None
    rows = acme.rows("select old_value, new_value from v1_changes where kind = 'order_linked' order by seq")
    assert [row["new_value"] for row in rows] == ["acme/port_in/order-0", None]


# --- deletions and payloads at Telnyx -------------------------------------------------------------------


def said(kind: str, payload: Any, status: str = "completed", id: str = "e-1") -> dict[str, Any]:
    return {
        "id": id,
        "event_type": kind,
        "porting_order_id": "a",
        "payload_status": status,
        "payload": payload,
        "created_at": NOW.isoformat(),
    }


def came(acme: Desk, hours: float, *items: dict[str, Any], path: str = "/porting/events") -> None:
    at = NOW + timedelta(hours=hours)
    reply = replace(
        page(path, json.dumps({"data": items}), at=at), request=Request(path, (("page[number]", "1"),))
    )
    reading = acme.account.adapter.read(reply, acme.account.options)
    acme.record(*reading.facts, at=at, wants=reading.wants)


def test_a_deletion_is_of_the_time_and_the_order_that_its_payload_names(acme: Desk) -> None:
    at = NOW - timedelta(hours=26)
    came(
        acme,
        0,
        said("porting_order.deleted", {"id": "a", "customer_reference": "C-1", "deleted_at": at.isoformat()}),
    )
    row = acme.one("select customer_reference, deleted_at, deletion_basis from v1_orders")
    assert row == {
        "customer_reference": "C-1",
        "deleted_at": at.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "deletion_basis": "event",
    }
    assert acme.one("select occurred_at from v1_events") == NOW.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


@pytest.mark.parametrize(
    "partial", [{"customer_reference": "half"}, {"status": {"value": "exception"}}, {"id": "a"}]
)
def test_a_payload_that_is_still_being_made_is_a_signal_and_the_whole_one_replaces_it(
    acme: Desk, partial: dict[str, Any]
) -> None:
    kind = "porting_order.status_changed"
    came(acme, 0, said(kind, partial, "created"))
    row = acme.one("select state, customer_reference from v1_orders")
    assert row == {"state": "unknown", "customer_reference": None}
    assert {want.part for want in acme.store.wants(acme.lease, None)} == {Part.ORDER, Part.EVENT}
    details = [{"code": "OTHER", "description": "x"}]
    came(
        acme,
        1,
        said(kind, {"status": {"value": "exception", "details": details}, "customer_reference": "C-1"}),
    )
    row = acme.one("select state, customer_reference, reasons from v1_orders")
    assert (row["state"], row["customer_reference"]) == ("exception", "C-1")
    assert {want.part for want in acme.store.wants(acme.lease, None)} == {Part.ORDER}
    assert acme.one("select count(*) from v1_events") == 1


# --- what was asked goes by what was asked --------------------------------------------------------------

RESERVED = (
    "comments",
    "activation_jobs",
    "action_requirements",
    "cancel",
    "actions",
    "events",
    "exception_types",
)


@pytest.mark.parametrize("id", [*RESERVED, "a/comments", "a/actions/cancel"])
@pytest.mark.parametrize("direction", Direction)
def test_an_order_may_have_any_id(id: str, direction: Direction) -> None:
    adapter, options = TELNYX.adapter, TELNYX.options
    (request,) = adapter.plan(Orders(direction, (id,)), options)
    body = json.dumps({"data": {"id": id, "status": {"value": "ported"} if "in" in direction else "ported"}})
    facts = adapter.read(replace(page("/", body), request=request), options).facts
    assert [fact.order for fact in facts if fact.part is Part.ORDER] == [OrderRef(direction, id)]
    gone = replace(page("/", "", status=404), request=request)
    (fact,) = adapter.read(gone, options).facts
    assert (fact.order, fact.deleted) == (OrderRef(direction, id), True)
    if id == "events" and direction is Direction.PORT_OUT:
        return  # its comments have the path of the event `comments`
    (request,) = adapter.plan(Orders(direction, (id,), Part.COMMENTS), options)
    body = json.dumps({"data": [{"id": "c-1", "body": "text", "created_at": NOW.isoformat()}]})
    (fact,) = adapter.read(replace(page("/", body), request=request), options).facts
    assert fact.comment is not None and fact.order == OrderRef(direction, id)

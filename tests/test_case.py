"""An id that stands in another case somewhere else is the same id: one order, one event, one comment, one link."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from made import NOW, account, page
from stored import Desk, desk

from aggregator.core.findings import Progress
from aggregator.core.model import Direction, Orders, Reading, Request
from aggregator.providers.fonedynamics import ADAPTER as FONE
from aggregator.store.queries import Reader

LOWER = "f1486bae-f067-460c-ad43-73a92848f902"
UPPER = LOWER.upper()


@pytest.fixture
def acme(database_url: str) -> Iterator[Desk]:
    with desk(database_url) as opened:
        yield opened


def came(acme: Desk, hours: float, path: str, data: Any, **params: str) -> Reading:
    """What a reply says, recorded."""
    at = NOW + timedelta(hours=hours)
    request = Request(path, tuple(params.items()))
    reply = replace(page(path, json.dumps({"data": data}), at=at), request=request)
    reading = acme.account.adapter.read(reply, acme.account.options)
    acme.record(*reading.facts, at=at, wants=reading.wants)
    return reading


def order(id: str, status: str = "submitted", *numbers: str) -> dict[str, Any]:
    lines = [{"phone_number": number} for number in numbers or ("+13035550101",)]
    return {
        "id": id,
        "status": {"value": status, "details": []},
        "phone_numbers": lines,
        "porting_phone_numbers_count": len(lines),
    }


def event(id: str, order: str, kind: str = "porting_order.status_changed", **payload: Any) -> dict[str, Any]:
    said = {"id": id, "event_type": kind, "porting_order_id": order, "payload": payload}
    return {**said, "payload_status": "completed", "created_at": NOW.isoformat()}


PAGED = {"page[number]": "1"}


@pytest.mark.parametrize(("first", "then"), [(UPPER, LOWER), (LOWER, UPPER)])
def test_an_event_a_list_and_a_read_speak_of_one_order(acme: Desk, first: str, then: str) -> None:
    came(acme, 0, "/porting/events", [event("e-1", first, status={"value": "submitted"})], **PAGED)
    assert [want.id for want in acme.store.wants(acme.lease, None)] == [LOWER]
    reading = came(acme, 1, "/porting_orders", [order(then, "foc-date-confirmed")], **PAGED)
    assert reading.ids == {LOWER}
    assert acme.store.wants(acme.lease, None) == ()
    came(acme, 2, f"/porting_orders/{first}", order(then, "ported"))
    row = acme.one("select order_id, provider_order_id, state, numbers_total from v1_orders")
    assert row == {
        "order_id": f"acme/port_in/{LOWER}",
        "provider_order_id": first,  # as it was written first
        "state": "ported",
        "numbers_total": 1,
    }


def test_an_event_that_is_written_in_another_case_is_the_same_event(acme: Desk) -> None:
    bare = {**event("E-1", UPPER), "payload": None, "payload_status": "created"}
    came(acme, 0, "/porting/events", [bare], **PAGED)
    whole = event("e-1", LOWER, status={"value": "submitted"})
    came(acme, 1, "/porting/events/E-1", whole)
    assert acme.rows("select payload_complete as whole from v1_events") in ([{"whole": True}], [{"whole": 1}])
    assert [want.id for want in acme.store.wants(acme.lease, None)] == [LOWER]


def test_links_comments_and_number_lists_are_of_the_same_orders(acme: Desk) -> None:
    other = "0ccc7b54-4df3-4bca-a65a-3da1ecc777f0"
    came(acme, 0, "/porting_orders", [order(LOWER), order(other.upper())], **PAGED)
    split = {"from": {"id": UPPER}, "to": {"id": other}}
    came(acme, 1, "/porting/events", [event("e-1", UPPER, "porting_order.split", **split)], **PAGED)
    parents = acme.rows("select order_id, parent_order_id from v1_orders where parent_order_id is not null")
    assert parents == [{"order_id": f"acme/port_in/{other}", "parent_order_id": f"acme/port_in/{LOWER}"}]
    comment = {"id": "C-1", "body": "text", "user_type": "admin", "inserted_at": NOW.isoformat()}
    came(
        acme,
        2,
        "/porting/events",
        [event("e-2", UPPER, "porting_order.new_comment", comment=comment)],
        **PAGED,
    )
    listed = {"id": "c-1", "body": "text", "user_type": "admin", "created_at": NOW.isoformat()}
    came(acme, 3, f"/porting_orders/{UPPER}/comments", [listed], **PAGED)
    assert acme.one("select count(*) from v1_comments") == 1
    line = {"phone_number": "+13035550101", "porting_order_id": UPPER}
    reading = came(acme, 4, "/porting_phone_numbers", [line], **PAGED, **{"filter[porting_order_id]": LOWER})
    assert [fact.order.id for fact in reading.facts] == [LOWER]
    assert acme.one("select count(*) from v1_orders") == 2


def test_a_list_in_another_case_misses_no_order(acme: Desk) -> None:
    came(acme, 0, "/porting_orders", [order(UPPER)], **PAGED)
    for hours in (1, 2, 3):
        reading = came(acme, hours, "/porting_orders", [order(LOWER)], **PAGED)
        at = NOW + timedelta(hours=hours)
        progress = Progress(
            "porting_orders", "complete", at, True, started_at=at, covers=Direction.PORT_IN, seen=reading.ids
        )
        acme.record(feed="porting_orders", at=at, progress=progress)
    assert acme.store.wants(acme.lease, None) == ()


def test_an_order_is_found_by_its_names_in_any_case(acme: Desk) -> None:
    came(acme, 0, "/porting_orders", [{**order(UPPER), "support_key": "sr_A1b2"}], **PAGED)
    reader: Reader = acme.reader()
    for name in (UPPER, LOWER, f"acme/port_in/{UPPER}", "SR_a1B2", "sr_A1b2", UPPER[:5], LOWER[:5], "SR_A"):
        assert reader.orders_named(name) == [f"acme/port_in/{LOWER}"], name
    assert reader.orders_named("sr_b") == []
    reader.close()


def test_order_numbers_of_fone_dynamics_are_compared_in_upper_case(tmp_path: Path) -> None:
    own = account("fonedynamics", "fone")
    (asked,) = FONE.plan(Orders(Direction.PORT_IN, ("p-1", "P-2"), until=NOW), own.options)
    items = [{"PortingNo": no, "Status": "Queued"} for no in ("P-1", "p-2", "P-3")]
    body = json.dumps({"PortingRequests": items, "TotalCount": 3})
    reading = FONE.read(replace(page("/x", body), request=asked), own.options)
    assert reading.ids == {"p-1", "P-2", "P-3"}  # as they were asked for
    assert [(fact.order.id, fact.order.written) for fact in reading.facts] == [("P-1", "P-1"), ("P-2", "p-2")]
    with desk(f"sqlite:///{tmp_path / 'fone.db'}", own) as fone:
        for hours, no in enumerate(("p-7", "P-7")):
            item = {"PortingNo": no, "Status": "Queued", "PortingNumbers": [{"Number": "+61255500101"}]}
            reply = page("/x", json.dumps({"PortingRequests": [item]}), at=NOW + timedelta(hours=hours))
            fone.record(*FONE.read(reply, own.options).facts, feed="porting_status")
        row = fone.one("select order_id, provider_order_id from v1_orders")
        assert row == {"order_id": "fone/port_in/P-7", "provider_order_id": "p-7"}
        assert fone.store.open_orders(fone.lease, Direction.PORT_IN, NOW)[0] == ("p-7",)


def test_a_look_that_writes_the_ids_in_another_case_says_nothing_else(acme: Desk) -> None:
    for hours, id in enumerate((LOWER, UPPER, LOWER, UPPER.replace("F", "f"))):
        mine, leaving = order(id), {"id": id, "status": "pending", "phone_numbers": ["+13035550177"]}
        mine["phone_numbers"][0]["porting_order_id"] = id
        came(acme, hours, "/porting_orders", [mine], **PAGED)
        came(acme, hours, "/portouts", [leaving], **PAGED)
        job = {"id": id, "status": "created", "created_at": NOW.isoformat(), "updated_at": NOW.isoformat()}
        came(acme, hours, f"/porting_orders/{id}/activation_jobs", [job])
        if not hours:
            first = acme.rows("select count(*) as facts from fact")
    assert acme.rows("select count(*) as facts from fact") == first


@pytest.mark.parametrize(("provider", "name"), [("telnyx", "id"), ("fonedynamics", "PortingNo")])
def test_what_cannot_be_read_is_named_by_the_id_as_it_is_compared(provider: str, name: str) -> None:
    own = account(provider)

    def names(id: str) -> set[str]:
        good, bad = (
            {name: id, "created_at": "soon", "Created": "soon"},
            {name: f"{id}b", "status": 1, "Status": 1},
        )
        listed = {"data": [good, bad], "PortingRequests": [good, bad], "TotalCount": 2}
        return {
            part.ref
            for part in own.adapter.read(page("/porting_orders", json.dumps(listed)), own.options).skipped
        }

    assert names("p-0000a") == names("P-0000A") != set()

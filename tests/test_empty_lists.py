"""An empty number list: of a draft it says that there is none, of every other order nothing, unless its numbers are
known to have gone to another."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from made import NOW, account, page
from stored import Desk, desk

from aggregator.core.model import Part, Reading, Request, Want
from aggregator.core.normalise import gathered

FIRST, SECOND = "+13035550101", "+13035550102"
ENDS = ("ported", "submitted", "foc-date-confirmed", "cancelled", "exception", "a word nobody knows")


@pytest.fixture
def acme(database_url: str) -> Iterator[Desk]:
    with desk(database_url) as opened:
        yield opened


def polled(acme: Desk, hours: float, *items: dict[str, Any], path: str = "/porting_orders") -> Reading:
    """These items as a list shows them at that hour, recorded."""
    at = NOW + timedelta(hours=hours)
    body = json.dumps({"data": items, "meta": {"total_pages": 1, "page_number": 1}})
    reply = replace(page(path, body, at=at), request=Request(path, (("page[number]", "1"),)))
    reading = acme.account.adapter.read(reply, acme.account.options)
    facts = gathered(reading.facts) if path == "/porting_phone_numbers" else reading.facts
    acme.record(*facts, at=at, wants=reading.wants)
    return reading


def order(status: str, *numbers: str, id: str = "a", **more: Any) -> dict[str, Any]:
    lines = [{"phone_number": number} for number in numbers]
    return {
        "id": id,
        "status": {"value": status, "details": []},
        "phone_numbers": lines,
        "porting_phone_numbers_count": len(lines),
        **more,
    }


def numbers(acme: Desk, id: str = "a") -> tuple[int, list[str]]:
    """An order's total, and the numbers that stand in it."""
    total = acme.one("select numbers_total from v1_orders where provider_order_id = :id", id=id)
    rows = acme.rows(
        "select n.e164 from v1_numbers n join v1_orders o on o.order_id = n.order_id"
        " where o.provider_order_id = :id and n.is_current order by n.e164",
        id=id,
    )
    return total, [row["e164"] for row in rows]


WITHOUT: list[dict[str, Any]] = [
    {},
    {"phone_numbers": None},
    {"porting_phone_numbers_count": None},
    {"phone_numbers": None, "porting_phone_numbers_count": None},
]


@pytest.mark.parametrize("more", WITHOUT, ids=str)
@pytest.mark.parametrize("status", ENDS)
def test_an_order_that_is_no_draft_keeps_its_numbers(acme: Desk, status: str, more: dict[str, Any]) -> None:
    polled(acme, 0, order("submitted", FIRST, SECOND))
    before = acme.one("select max(seq) from v1_changes")
    polled(acme, 1, order(status, **more))
    assert numbers(acme) == (2, [FIRST, SECOND])
    kinds = acme.rows(
        "select kind, field from v1_changes where seq > :seq and number_key is not null", seq=before
    )
    assert kinds == []


def test_the_numbers_of_a_ported_order_whose_list_is_empty_are_ported(acme: Desk) -> None:
    polled(acme, 0, order("submitted", FIRST, SECOND))
    polled(acme, 1, order("ported"))
    row = acme.one("select numbers_total, numbers_ported, numbers_open from v1_orders")
    assert row == {"numbers_total": 2, "numbers_ported": 2, "numbers_open": 0}


def test_a_draft_may_have_no_number_left(acme: Desk) -> None:
    polled(acme, 0, order("draft", FIRST))
    polled(acme, 1, order("draft"))
    assert numbers(acme) == (0, [])


def test_an_order_first_seen_without_numbers_gets_those_that_are_told_of_an_earlier_time(acme: Desk) -> None:
    polled(acme, 2, order("ported", updated_at="2026-06-15T13:00:00Z"))
    polled(acme, 3, order("submitted", FIRST, updated_at="2026-06-15T12:30:00Z"))
    assert numbers(acme) == (1, [FIRST])


def split(acme: Desk, hours: float) -> None:
    event = {
        "id": "e-1",
        "event_type": "porting_order.split",
        "porting_order_id": "a",
        "payload_status": "completed",
        "payload": {"from": {"id": "a"}, "to": {"id": "b"}},
        "created_at": (NOW + timedelta(hours=hours)).isoformat(),
    }
    polled(acme, hours, event, path="/porting/events")


@pytest.mark.parametrize("first", ["the split", "the list"])
def test_after_a_split_the_list_may_be_empty(acme: Desk, first: str) -> None:
    polled(acme, 0, order("submitted", FIRST))
    if first == "the list":
        polled(acme, 1, order("submitted"))
        assert numbers(acme) == (1, [FIRST])
    split(acme, 0.5)
    polled(acme, 2, order("submitted"), order("submitted", FIRST, id="b"))
    assert (numbers(acme), numbers(acme, "b")) == ((0, []), (1, [FIRST]))
    assert acme.one("select count(*) from v1_changes where kind = 'number_moved'") == 1


def test_numbers_that_stand_in_another_order_of_the_group_have_gone_there(acme: Desk) -> None:
    group = {"parent_support_key": "pr_1"}
    polled(acme, 0, order("submitted", FIRST, SECOND, **group))
    polled(acme, 1, order("submitted", **group), order("submitted", FIRST, id="b", **group))
    assert numbers(acme) == (2, [FIRST, SECOND])  # the other one is nowhere
    polled(acme, 2, order("submitted", **group), order("submitted", FIRST, SECOND, id="b", **group))
    polled(acme, 3, order("submitted", **group))
    assert (numbers(acme), numbers(acme, "b")) == ((0, []), (2, [FIRST, SECOND]))
    assert acme.one("select count(*) from v1_changes where kind = 'number_moved'") == 2


@pytest.mark.parametrize("empty", [{"phone_numbers": []}, {"phone_numbers": None}, {}], ids=str)
@pytest.mark.parametrize("status", ["ported", "authorized", "canceled", "pending"])
def test_a_port_out_keeps_its_numbers(acme: Desk, status: str, empty: dict[str, Any]) -> None:
    polled(acme, 0, {"id": "o", "status": "pending", "phone_numbers": [FIRST]}, path="/portouts")
    polled(acme, 1, {"id": "o", "status": status, **empty}, path="/portouts")
    assert numbers(acme, "o") == (1, [FIRST])


def test_an_empty_page_of_the_numbers_themselves_removes_none(acme: Desk) -> None:
    polled(acme, 0, order("submitted", FIRST))
    reading = polled(acme, 1, path="/porting_phone_numbers")
    assert reading.facts == ()
    assert numbers(acme) == (1, [FIRST])


@pytest.mark.parametrize("empty", [{"PortingNumbers": []}, {"PortingNumbers": None}, {}], ids=str)
def test_an_order_at_fone_dynamics_keeps_its_numbers(empty: dict[str, Any]) -> None:
    own = account("fonedynamics")
    body = json.dumps(
        {"PortingRequests": [{"PortingNo": "P-1", "Status": "Ported", **empty}], "TotalCount": 1}
    )
    (fact,) = own.adapter.read(page("/Accounts/A/Porting/Status", body), own.options).facts
    assert fact.numbers is None


def test_null_in_place_of_the_list_is_asked_for_and_an_empty_list_is_not(acme: Desk) -> None:
    def asked(**more: Any) -> list[Want]:
        reading = polled(acme, 1, order("submitted", **more))
        return [want for want in reading.wants if want.part is Part.NUMBERS]

    assert asked(phone_numbers=None, porting_phone_numbers_count=None)
    assert not asked() and not asked(porting_phone_numbers_count=None)

"""Since when an order is where it is: a document's own time counts, whatever else was announced after it, and what
was announced counts from its announcement, in whatever order we heard of it."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import permutations
from typing import Any

import pytest
from filled import Filler, at, stamp
from hypothesis import given
from hypothesis import strategies as st
from made import account, event, hour, look

from aggregator.core.clocks import clocks
from aggregator.core.findings import Findings
from aggregator.core.fold import fold
from aggregator.core.model import Announced, Dates, Direction, Fact, NumberSaid, OrderRef, Partial
from aggregator.core.reading import in_listed_order
from aggregator.store import open_store
from aggregator.store.queries import Reader

ORDER = "12121212-0000-4000-8000-000000000000"
NUMBER = "12025550150"
OUT = Direction.PORT_OUT
DAY, MS = timedelta(days=1), timedelta(milliseconds=1)


@pytest.fixture
def filler(database_url: str) -> Iterator[Filler]:
    store = open_store(database_url)
    yield Filler(store)
    store.close()


def shown(filler: Filler, *columns: str) -> Any:
    """These columns of the one order."""
    (row,) = Reader(filler.store.engine).query(f"select {', '.join(columns)} from v1_orders", {})
    return tuple(row[column] for column in columns)


def view(short: str) -> str:
    """A moment as the views write it."""
    return f"{at(short):%Y-%m-%dT%H:%M:%S.%fZ}"


# --- what was announced beside the status ---------------------------------------------------------------

COMMENT = {
    "comment": {"id": "c-1", "user_type": "admin", "body": "hello", "inserted_at": stamp("06-14 12:00")}
}
MESSAGING = {"messaging": {"messaging_port_status": "pending"}}
BESIDE: dict[str, tuple[str, dict[str, Any]]] = {
    "a comment": ("porting_order.new_comment", COMMENT),
    "a document": ("porting_order.loa_updated", {}),
    "messaging": ("porting_order.messaging_changed", MESSAGING),
    "a type nobody knows": ("porting_order.something_new", {"id": ORDER}),
}


@pytest.mark.parametrize("order", ["event first", "look first", "look between"])
@pytest.mark.parametrize("beside", BESIDE)
def test_an_event_about_something_else_does_not_make_a_status_younger(
    filler: Filler, beside: str, order: str
) -> None:
    """Refused on the 1st; on the 14th something else was announced; we look that evening, once more next day."""
    type, payload = BESIDE[beside]

    def announced() -> None:
        filler.announce(
            "porting", type, {"porting_order_id": ORDER}, payload, "06-14 12:00", read="06-14 18:00"
        )

    def seen(read: str) -> None:
        details = [{"code": "PASSCODE_PIN_INVALID", "description": "PIN"}]
        data = _document(filler, "exception", "06-01 12:00", details=details, messaging="pending")
        filler.take("telnyx", f"/porting_orders/{ORDER}", data, at(read))

    if order != "event first":
        seen("06-02 12:00")
    announced()
    seen("06-14 18:30")
    seen("06-15 18:30")
    since, waits, end = shown(filler, "state_since", "waiting_since", "deadline_at")
    assert (since, waits, end) == (view("06-01 12:00"), view("06-01 12:00"), view("06-15 12:00"))
    (reason,) = Reader(filler.store.engine).query("select from_at from v1_reasons", {})
    assert reason["from_at"] == view("06-01 12:00")


def _document(filler: Filler, status: str, updated: str, **said: Any) -> dict[str, Any]:
    """A port-in's reply, as `Filler.look` makes it, with an `updated_at` long before it was read."""
    kept: list[dict[str, Any]] = []
    take, filler.take = filler.take, lambda provider, path, body, when: kept.append(body)  # type: ignore
    try:
        filler.look(ORDER, updated, status, [NUMBER], **said)
    finally:
        filler.take = take  # type: ignore
    return kept[0]


def _portout(status: str, updated: str, created: str = "06-01 08:00", **said: Any) -> dict[str, Any]:
    return {
        "data": {
            "id": ORDER,
            "status": status,
            "phone_numbers": ["+12025550170"],
            "carrier_name": "Imaginary Wireless",
            "spid": "987H",
            "created_at": stamp(created),
            "updated_at": stamp(updated),
            **said,
        }
    }


def test_a_new_foc_date_does_not_give_a_port_out_more_time(filler: Filler) -> None:
    """Two hours are left of the day of grace, not twenty-four."""
    filler.take("telnyx", f"/portouts/{ORDER}", _portout("pending", "06-01 08:00"), at("06-01 09:00"))
    date = {"foc_date": stamp("06-20 15:00")}
    filler.announce("portouts", "portout.foc_date_changed", {"portout_id": ORDER}, date, "06-02 05:00")
    later = _portout("pending", "06-01 08:00", foc_date=stamp("06-20 15:00"))
    filler.take("telnyx", f"/portouts/{ORDER}", later, at("06-02 06:00"))
    assert shown(filler, "state_since", "deadline_at") == (view("06-01 08:00"), view("06-02 08:00"))
    assert shown(filler, "confirmed_foc_at") == (view("06-20 15:00"),)
    assert shown(filler, "stuck_since", "is_stuck")[1] is not None


def test_a_stale_document_does_not_win_over_a_date_that_was_announced_and_a_later_look_does(
    filler: Filler,
) -> None:
    filler.take("telnyx", f"/portouts/{ORDER}", _portout("pending", "06-01 08:00"), at("06-01 09:00"))
    date = {"foc_date": stamp("06-20 15:00")}
    filler.announce("portouts", "portout.foc_date_changed", {"portout_id": ORDER}, date, "06-02 05:00")
    old = _portout("pending", "06-01 08:00", foc_date=stamp("06-18 15:00"))
    filler.take("telnyx", f"/portouts/{ORDER}", old, at("06-02 05:02"))
    assert shown(filler, "confirmed_foc_at") == (view("06-20 15:00"),)
    filler.take("telnyx", f"/portouts/{ORDER}", {**old, "again": 1}, at("06-02 06:00"))
    assert shown(filler, "confirmed_foc_at", "state_since") == (view("06-18 15:00"), view("06-01 08:00"))


def test_a_status_that_was_announced_is_what_a_later_document_starts_from(filler: Filler) -> None:
    """Its `updated_at` did not move with the status: then the announcement says since when at the earliest."""
    body = _document(filler, "submitted", "06-01 12:00")
    filler.take("telnyx", f"/porting_orders/{ORDER}", body, at("06-01 13:00"))
    filler.event(ORDER, "submitted", "06-02 12:00")
    body = _document(filler, "exception", "06-01 12:00")
    filler.take("telnyx", f"/porting_orders/{ORDER}", body, at("06-12 12:00"))
    state, since = shown(filler, "state", "state_since")
    assert state == "exception"
    assert since[:16] == "2026-06-02T12:00"


def test_a_late_status_between_a_document_and_our_look_at_it_stands_until_the_next_look(
    filler: Filler,
) -> None:
    body = _document(filler, "submitted", "06-01 12:00")
    filler.take("telnyx", f"/porting_orders/{ORDER}", body, at("06-01 13:00"))
    filler.announce(
        "porting", *("porting_order.new_comment", {"porting_order_id": ORDER}, COMMENT, "06-02 12:00")
    )
    filler.take("telnyx", f"/porting_orders/{ORDER}", body, at("06-03 12:00"))
    filler.event(ORDER, "exception", "06-02 18:00", read="06-03 13:00")
    assert shown(filler, "state", "state_since") == ("exception", view("06-02 18:00"))
    filler.take("telnyx", f"/porting_orders/{ORDER}", body, at("06-03 14:00"))
    assert shown(filler, "state") == ("with_carrier",)


def test_an_order_that_is_there_again_has_not_moved_meanwhile(filler: Filler) -> None:
    body = _document(filler, "exception", "06-01 12:00")
    filler.take("telnyx", f"/porting_orders/{ORDER}", body, at("06-01 13:00"))
    gone = {"deleted_at": stamp("06-05 00:00")}
    filler.announce("porting", "porting_order.deleted", {"porting_order_id": ORDER}, gone, "06-05 00:00")
    assert shown(filler, "deleted_at") == (view("06-05 00:00"),)
    filler.take("telnyx", f"/porting_orders/{ORDER}", body, at("06-06 13:00"))
    assert shown(filler, "deleted_at", "state_since", "deadline_at") == (
        None,
        view("06-01 12:00"),
        view("06-15 12:00"),
    )


# --- a port-out's first state ---------------------------------------------------------------------------


def out(hours: float, word: str | None, **said: Any) -> Fact:
    return look(hours, word, direction=OUT, dates=Dates(created=hour(0)), **said)


@pytest.mark.parametrize(
    ("told", "since"),
    [
        ((out(5, "pending"),), 0),
        ((out(5, "pending"), out(9, "pending")), 0),
        ((event(1, "pending", direction=OUT), out(5, "pending")), 1),
        ((out(5, "rejected-pending"), out(9, "pending")), 9),
        ((out(3, "pending"), out(5, "rejected-pending"), out(9, "pending")), 9),
        ((out(3, None), out(5, "pending")), 0),
        ((look(5, "pending", direction=OUT),), 5),
    ],
)
def test_a_port_out_that_nothing_announced_waits_since_it_was_made(
    told: tuple[Fact, ...], since: int
) -> None:
    for facts in permutations(told):
        standing = fold(None, facts)
        assert (standing.order.state, standing.order.state_since) == ("action_needed", hour(since))
        assert standing.order.waiting_since == hour(since)
        assert clocks(standing.order, OUT, account()).deadline_at == hour(since + 24)
    step_by_step = None
    for fact in told:
        step_by_step = fold(step_by_step, [fact])
    assert step_by_step == fold(None, told)


@pytest.mark.parametrize(
    ("told", "since"),
    [
        ((look(5, "draft", dates=Dates(created=hour(0))),), 0),
        ((look(5, "draft", dates=Dates(created=hour(0))), look(9, "draft", dates=Dates(created=hour(0)))), 0),
        ((event(1, "draft"), look(5, "draft", dates=Dates(created=hour(0)))), 1),
        ((look(5, "submitted"), look(9, "draft", dates=Dates(created=hour(0)))), 9),
        ((look(5, "draft"),), 5),
    ],
)
def test_a_draft_is_one_since_it_was_made(told: tuple[Fact, ...], since: int) -> None:
    for facts in permutations(told):
        order = fold(None, facts).order
        assert (order.state, order.state_since, order.waiting_since) == ("draft", hour(since), hour(since))


def test_its_numbers_say_the_same_also_when_its_making_is_told_later() -> None:
    numbers = Partial((NumberSaid("+13035550101"),))
    first = look(5, "pending", direction=OUT, numbers=numbers)
    before = fold(None, [first])
    (number,) = before.numbers.values()
    assert number.state_since == hour(5)
    after = fold(before, [event(6, direction=OUT, dates=Dates(created=hour(0)))])
    (number,) = after.numbers.values()
    assert number.state_since == after.order.state_since == hour(0)


# --- an event and a document of one moment --------------------------------------------------------------


def document(moment: datetime, word: str, read: float, **said: Any) -> Fact:
    """A look at a document of this time."""
    fact = look(0, word, read=read, source_id=f"look@{read}", **said)
    return replace(fact, as_of=moment, said_at=moment)


def announced(moment: datetime, word: str, read: float) -> Fact:
    return replace(event(0, word, read=read, source_id=f"event@{moment}"), as_of=moment)


def since(*facts: Fact) -> Sequence[datetime | None]:
    order = fold(None, facts).order
    return order.first_scheduled_at, order.state_since, order.waiting_since


@given(
    micros=st.integers(0, 999), whole=st.booleans(), word=st.sampled_from(["foc-date-confirmed", "ported"])
)
def test_the_announced_moment_counts_whichever_we_hear_of_first(micros: int, whole: bool, word: str) -> None:
    """A document of the same millisecond (or second) as its event, as the door places it in each order."""
    shown_at = hour(1) if whole else hour(1) + 7 * MS
    told_at = shown_at + timedelta(microseconds=micros)
    told = announced(told_at, word, read=2)
    before = announced(shown_at - DAY, "submitted", read=1)
    look_first = document(shown_at, word, read=1.5)
    look_after = replace(
        look_first, as_of=hour(3), facets_at=(("status", told_at + timedelta(microseconds=1)),)
    )
    same_moment = replace(look_first, as_of=told_at, facets_at=(("status", told_at),))
    seen = {since(before, *facts) for facts in permutations((told, look_first))}
    seen |= {since(before, told, later) for later in (look_after, same_moment)}
    assert {moment[1] for moment in seen} == {told_at}
    assert len(seen) == 1


def test_two_events_within_the_second_of_a_document_make_no_step_back() -> None:
    said = document(hour(1), "foc-date-confirmed", read=2)
    first = announced(hour(1) + 200 * MS, "submitted", read=2)
    then = announced(hour(1) + 800 * MS, "foc-date-confirmed", read=2)
    order = fold(None, [said, first, then]).order
    assert (order.state, order.first_scheduled_at) == ("scheduled", hour(1) + 800 * MS)


def test_a_document_read_before_an_event_of_its_second_does_not_stand_after_it() -> None:
    said = replace(document(hour(1), "submitted", read=1), read_at=hour(1) + 500 * MS)
    then = announced(hour(1) + 800 * MS, "exception", read=2)
    assert fold(None, [said, then]).order.state == "exception"


# --- by what the moment of porting is known -------------------------------------------------------------


def test_the_moment_of_porting_tells_by_what_it_is_known() -> None:
    assert fold(None, [document(hour(1), "ported", read=3)]).order.ported_at_source == "document"
    assert fold(None, [look(1, "ported")]).order.ported_at_source == "observed"
    both = [document(hour(1), "ported", read=3), announced(hour(1) + MS / 2, "ported", read=3)]
    assert fold(None, both).order.ported_at_source == "event"
    placed = replace(document(hour(1), "ported", read=3), as_of=hour(3), facets_at=(("status", hour(3)),))
    assert fold(None, [placed]).order.ported_at_source == "observed"
    beside = replace(document(hour(1), "ported", read=3), as_of=hour(3), facets_at=(("messaging", hour(3)),))
    order = fold(None, [beside]).order
    assert (order.ported_at_source, order.ported_at) == ("document", hour(1))


# --- steps of one moment --------------------------------------------------------------------------------


@pytest.mark.parametrize("newest_first", [False, True])
def test_steps_of_one_moment_stand_in_the_providers_own_order(newest_first: bool) -> None:
    """Their ids say the opposite; the oldest item shows which way the list runs."""
    words = [("a", "draft", 1), ("z", "submitted", 2), ("m", "exception", 2), ("b", "submitted", 2)]
    told = [event(hours, word, read=3, source_id=id) for id, word, hours in words]
    listed = in_listed_order(reversed(told) if newest_first else told)
    for facts in permutations(listed):
        order = fold(None, facts).order
        assert (order.state, order.submission_cycle) == ("with_carrier", 1)


def test_the_pages_of_a_list_go_on_counting() -> None:
    told = [event(1, word, read=3, source_id=id) for id, word in (("z", "submitted"), ("a", "exception"))]
    pages = [*in_listed_order(told[:1]), *in_listed_order(told[1:], before=1)]
    assert [fact.ordinal for fact in pages] == [1, 2]
    assert fold(None, pages).order.state == "exception"


def test_a_place_in_a_list_is_kept_with_the_fact(filler: Filler) -> None:
    moment = "06-02 10:00"
    steps = [("zz", "submitted"), ("mm", "exception"), ("aa", "submitted")]
    events = [
        {
            "id": f"{id}000000-0000-4000-8000-00000000000e",
            "event_type": "porting_order.status_changed",
            "porting_order_id": ORDER,
            "payload": {"status": {"value": word, "details": []}},
            "created_at": stamp(moment),
        }
        for id, word in steps
    ]
    meta = {"page_number": 1, "total_pages": 1, "total_results": 3}
    filler.take("telnyx", "/porting/events", {"data": events, "meta": meta}, at("06-02 11:00"))
    assert shown(filler, "state", "submission_cycle") == ("with_carrier", 1)
    filler.look(ORDER, "06-02 12:00", "submitted", [NUMBER])
    assert shown(filler, "state", "submission_cycle") == ("with_carrier", 1)
    kept = Reader(filler.store.engine).query("select said from fact where source = 'event' order by id", {})
    assert [json.loads(row["said"])["ordinal"] for row in kept] == [1, 2, 3]


def test_the_history_of_a_number_stands_in_its_own_order(filler: Filler) -> None:
    history = [
        ("06-02 01:00", "Received", "Queued", "1"),
        ("06-02 01:00", "Queued", "Rejected", "1"),
        ("06-02 01:00", "Rejected", "Completed", "1"),
    ]
    for number, lines in (("P-1", history), ("P-2", history[::-1])):
        # Newest first can only be told where the times differ.
        lines = [*lines, ("06-01 00:00", "New", "Received", "1")] if number == "P-2" else lines
        filler.fone(number, "06-02 02:00", "Queued", ("+61255500101", "Completed", lines))
    rows = Reader(filler.store.engine).query("select state from v1_numbers order by order_id", {})
    assert [row["state"] for row in rows] == ["ported", "ported"]


@pytest.mark.parametrize("micros", [0, 1, 456, 999])
@pytest.mark.parametrize("read_after_s", [30, 600])
def test_the_announced_moment_counts_however_the_two_come_into_the_database(
    filler: Filler, micros: int, read_after_s: int
) -> None:
    """In one poll, the event first, the document first; read at once, or long after."""
    at_event = at("06-04 08:00") + timedelta(milliseconds=7, microseconds=micros)
    updated = at("06-04 08:00") + timedelta(milliseconds=7)
    read = at_event + timedelta(seconds=read_after_s)
    for name in ("one", "event", "look"):
        id = f"{name}-000000-0000-4000-8000-000000000000"
        told = replace(
            event(0, "foc-date-confirmed", source_id=f"e/{name}"),
            order=OrderRef(Direction.PORT_IN, id),
            as_of=at_event,
            read_at=read,
            announced=Announced("porting_events", f"e/{name}", "porting_order.status_changed", "{}"),
        )
        seen = replace(
            document(updated, "foc-date-confirmed", read=0),
            order=told.order,
            source_id=f"l/{name}",
            read_at=read + timedelta(seconds=1),
            looked_at=read + timedelta(seconds=1),
            document="{}",
        )
        slices: dict[str, list[tuple[Fact, ...]]] = {
            "one": [(told, seen)],
            "event": [(told,), (seen,)],
            "look": [(seen,), (told,)],
        }
        for facts in slices[name]:
            filler.record("telnyx", Findings("porting_events", read, facts))
    columns = "first_scheduled_at, state_since, waiting_since"
    stand = Reader(filler.store.engine).query(f"select {columns} from v1_orders", {})
    moment = f"{at_event:%Y-%m-%dT%H:%M:%S.%fZ}"
    assert [tuple(row.values()) for row in stand] == [(moment,) * 3] * 3

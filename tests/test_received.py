"""What is kept of any provider's words, whatever its adapter does: secrets masked, no id that is none, no byte lost."""

import json
import re
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from confided import cells
from foreign import ADAPTER, answer, polled
from foreign import account as foreign_account
from made import NOW, account, page
from recordings import Recording, recordings

from aggregator.adapter import (
    Dates,
    Direction,
    Moment,
    Options,
    OrderRef,
    Page,
    Reading,
    Request,
    Status,
    Whole,
    document,
    keep,
    snapshot,
)
from aggregator.core.received import identified
from aggregator.core.typed import mistyped
from aggregator.errors import AdapterFailed, PageChanged
from aggregator.sweep import read

SECRET = "PIN 4321 is invalid, account no. 998-1 too"


def test_free_text_is_masked_by_its_path_and_never_by_a_name(tmp_path: Path) -> None:
    order = {
        "Id": "P-1",
        "State": "refused",
        "Errors": [{"Code": "X1", "Description": SECRET}, {"Code": SECRET}],
        "Remark": SECRET,
        "Note": SECRET,
    }
    unknown = {"Id": "P-2", "State": SECRET}
    with polled(tmp_path, {"Ports": [order, unknown]}) as left:
        assert [outcome.outcome for outcome in left.outcomes] == ["complete"]
        masked = "PIN *** is invalid, account no. *** too"
        assert left.rows("select raw_text from v1_reasons where raw_code = 'X1'") == [(masked,)]
        assert left.rows("select raw_status from v1_orders where provider_order_id = 'P-2'") == [(masked,)]
        assert left.rows("select description from v1_orders where provider_order_id = 'P-1'") == [(masked,)]
        assert left.rows("select body from v1_comments") == [(masked,)]
        assert (masked,) in left.rows("select word from v1_unknown_words")
    with closing(sqlite3.connect(tmp_path / "aggregator.db")) as database:
        leaks = [column for column, value in cells(database) if "4321" in value or "998-1" in value]
    assert leaks == []


# --- ids ------------------------------------------------------------------------------------------------

LONG = "x" * 201


def test_what_an_overlong_id_names_is_set_aside_and_the_rest_is_kept(tmp_path: Path) -> None:
    orders = [{"Id": LONG, "State": "new"}, {"Id": LONG[1:], "State": "new"}, {"Id": "P-1", "State": "new"}]
    with polled(tmp_path, {"Ports": orders}) as left:
        assert [outcome.outcome for outcome in left.outcomes] == ["complete"]
        ids = left.rows("select provider_order_id from v1_orders order by length(provider_order_id)")
        assert ids == [("P-1",), (LONG[1:],)]
        assert left.rows("select ref, error from v1_quarantine") == [
            (LONG[:200], "order: its id is longer than 200 characters")
        ]


def test_an_order_without_an_id_is_set_aside() -> None:
    here = page("/ports", "{}")
    facts = tuple(snapshot(here, OrderRef(Direction.PORT_IN, id)) for id in ("", "P-1"))
    said = identified(Reading(facts, done=True))
    assert said.facts == facts[1:]
    assert [(skipped.ref, skipped.error) for skipped in said.skipped] == [("", "order: its id is empty")]


EVENT = {
    "event_type": "porting_order.split",
    "created_at": "2026-06-15T10:00:00Z",
    "payload_status": "completed",
}


@pytest.mark.parametrize("digits", [201, 66_000])
@pytest.mark.parametrize(
    ("event", "kept"),
    [
        ({"id": "LONG", "porting_order_id": "A"}, 0),
        ({"id": "1", "porting_order_id": "LONG"}, 0),
        ({"id": "1", "porting_order_id": "A", "payload": {"from": {"id": "A"}, "to": {"id": "LONG"}}}, 1),
        ({"id": "1", "porting_order_id": "A", "payload": {"from": {"id": "LONG"}, "to": {"id": "A"}}}, 1),
        (
            {
                "id": "1",
                "porting_order_id": "A",
                "event_type": "porting_order.new_comment",
                "payload": {"comment": {"id": "LONG", "body": "hello", "user_type": "admin"}},
            },
            1,
        ),
    ],
    ids=["an event", "its order", "a child", "a parent", "a comment"],
)
def test_an_overlong_id_in_an_event_is_never_asked_for(event: dict[str, Any], kept: int, digits: int) -> None:
    body = json.dumps({"data": [{**EVENT, **event}], "meta": {}}).replace("LONG", "7" * digits)
    reading = read(account(), page("/porting/events", body))
    assert len(reading.facts) == kept and reading.skipped
    assert not [want for want in reading.wants if len(want.id) > 200]
    assert all(fact.link is None and fact.comment is None for fact in reading.facts)


def test_an_overlong_page_token_is_none_and_the_offset_leads_on() -> None:
    body = {
        "PortingRequests": [{"PortingNo": f"P-{number}"} for number in range(50)],
        "TotalCount": 80,
        "NextPageToken": "x" * 66_000,
    }
    asked = page("/Accounts/A/Porting/Status", json.dumps(body))
    (onward,) = read(account("fonedynamics"), asked).next
    assert dict(onward.params) == {"Results_Skip": "50"}


# --- bytes ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        (b"a\tb", "a\tb"),
        (b"a\x01b", "a\x01b"),
        (b"a\x00b", "a\ufffdb"),
        (b"a\nb", "a\nb"),
        (b"a\xffb", "a\ufffdb"),
        (b"a\xed\xa0\x80b", "a\ufffd\ufffd\ufffdb"),
        ("a\u00e4b".encode("latin-1"), "a\ufffdb"),
    ],
)
def test_one_byte_that_does_not_belong_there_costs_no_page(raw: bytes, name: str, tmp_path: Path) -> None:
    body = (
        b'{"Ports": [{"Id": "P-1", "State": "new", "Remark": "' + raw + b'"}, {"Id": "P-2", "State": "new"}]}'
    )
    with polled(tmp_path, replace(answer({}), body=body)) as left:
        assert [outcome.outcome for outcome in left.outcomes] == ["complete"]
        assert len(left.rows("select * from v1_orders")) == 2
        assert left.rows("select description from v1_orders where provider_order_id = 'P-1'") == [(name,)]


@pytest.mark.parametrize(
    "body", [b'{"Ports": [}', b'{"Ports": [\x01]}', b'{"Ports\xff": []}', b"\xff", b"\x00{}"]
)
def test_what_is_no_json_then_is_still_refused(body: bytes) -> None:
    with pytest.raises(PageChanged):
        read(foreign_account(), replace(answer({}), body=body))


# --- types ----------------------------------------------------------------------------------------------


def told(**said: Any) -> Callable[[Page, Options], Reading]:
    """A `read` that gives one fact, with these fields."""

    def read(page: Page, options: Options) -> Reading:
        fact = snapshot(page, OrderRef(Direction.PORT_IN, "P-1"), status=Status("new"))
        return Reading((replace(fact, **said),), done=True)

    return read


def ends(page: Page, options: Options) -> Reading:
    raise SystemExit(3)


def interrupts(page: Page, options: Options) -> Reading:
    raise KeyboardInterrupt


def stumbles(page: Page, options: Options) -> Reading:
    return Reading(facts=(document({"a": object()}, keep("a")),))  # type: ignore[arg-type]


NAIVE = NOW.replace(tzinfo=None)
MISREAD: dict[str, tuple[Any, str]] = {
    "nothing": (lambda page, options: None, "not a Reading but None, at test_received.py:"),
    "a list": (lambda page, options: Reading([]), "facts: not a tuple but list"),  # type: ignore[arg-type]
    "a text": (lambda page, options: Reading(("x",)), "facts[0]: not a Fact but str"),  # type: ignore[arg-type]
    "a naive time": (told(as_of=NAIVE), "facts[0].as_of: a time without a zone"),
    "a date": (told(dates=Dates(confirmed=NAIVE.date())), "facts[0].dates.confirmed: not a Moment"),  # type: ignore[arg-type]
    "a day with hours": (told(dates=Dates(confirmed=Moment(NOW))), "confirmed.on: not a date but datetime"),
    "no time": (told(as_of=None), "facts[0].as_of: not a datetime but None"),
    "a word": (told(status="new"), "facts[0].status: not a Status but str"),
    "a number": (told(numbers=Whole(("+13035550123",))), "facts[0].numbers.numbers[0]: not a NumberSaid"),  # type: ignore[arg-type]
    "an order": (told(order="P-1"), "facts[0].order: not a OrderRef but str"),
    "a direction": (told(order=OrderRef("port_in", "P-1")), "order.direction: not a Direction but str"),  # type: ignore[arg-type]
    "an id": (told(order=OrderRef(Direction.PORT_IN, 5)), "facts[0].order.id: not a str but int"),  # type: ignore[arg-type]
    "an end": (ends, "SystemExit at test_received.py:"),
    "an error of the kit": (stumbles, "TypeError at test_received.py:"),
}


@pytest.mark.parametrize("name", MISREAD)
def test_what_an_adapter_gives_wrongly_is_its_feeds_recorded_failure(name: str, tmp_path: Path) -> None:
    wrong, said = MISREAD[name]
    with polled(tmp_path, {"Ports": []}, adapter=replace(ADAPTER, read=wrong)) as left:
        assert [outcome.outcome for outcome in left.outcomes] == ["adapter_failed"]
        ((outcome, error),) = left.rows("select last_outcome, last_error from v1_feeds")
    assert outcome == "adapter_failed"
    assert said in error and re.search(r"at test_received\.py:\d+\)$", error)


def test_an_interrupt_that_no_signal_made_costs_its_poll_alone(tmp_path: Path) -> None:
    own = replace(foreign_account(), adapter=replace(ADAPTER, read=interrupts))
    with (
        ThreadPoolExecutor(1) as pool,
        pytest.raises(AdapterFailed, match="KeyboardInterrupt at test_received"),
    ):
        pool.submit(read, own, answer({})).result()
    with pytest.raises(KeyboardInterrupt):
        read(own, answer({}))


@pytest.mark.parametrize(
    ("plan", "said"),
    [
        (lambda ask, options: Request("/ports"), "not a tuple of requests but Request"),
        (lambda ask, options: (), "no request"),
        (lambda ask, options: (Request("https://elsewhere.example.com/"),), "not a path below the base URL"),
        (lambda ask, options: None, "not a tuple of requests but None"),
        (lambda ask, options: int("x"), "ValueError at test_received.py:"),
    ],
)
def test_a_plan_that_asks_for_nothing_we_can_send_is_named(plan: Any, said: str, tmp_path: Path) -> None:
    with polled(tmp_path, {"Ports": []}, adapter=replace(ADAPTER, plan=plan)) as left:
        ((outcome, error),) = left.rows("select last_outcome, last_error from v1_feeds")
    assert outcome == "adapter_failed" and said in error and "test_received.py:" in error


@pytest.mark.parametrize("recording", recordings(), ids=str)
def test_what_our_own_adapters_read_is_of_its_types(recording: Recording) -> None:
    assert mistyped(recording.read(), Reading) is None


@pytest.mark.parametrize(
    ("provider", "path", "item"),
    [
        (
            "telnyx",
            "/porting_orders",
            {"id": "a", "status": {"value": "pin 4471182 is wrong", "details": []}},
        ),
        (
            "telnyx",
            "/porting_orders",
            {"id": "a", "status": {"value": "exception", "details": [{"code": "account 4471182"}]}},
        ),
        ("telnyx", "/portouts", {"id": "a", "status": "PIN: 4471182", "phone_numbers": ["+13035550101"]}),
        ("fonedynamics", "/x", {"PortingNo": "P-1", "Status": "Wrong PIN 4471182"}),
    ],
)
def test_a_secret_in_a_word_that_nobody_knows_is_in_no_document_either(
    provider: str, path: str, item: dict[str, Any]
) -> None:
    reply = page(path, json.dumps({"data": [item], "PortingRequests": [item], "TotalCount": 1}))
    facts = read(account(provider), reply).facts
    assert facts[0].document is not None and "***" in facts[0].document
    assert "4471182" not in repr(facts)

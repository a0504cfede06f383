"""What a provider writes is kept up to a length, and what is cut says so; of words that nobody knows so many."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from made import NOW, page
from stored import Desk, desk, look

from aggregator.core.bounds import BODY, LINE, WORD, shortened
from aggregator.core.model import Fact, Request
from aggregator.core.received import received
from aggregator.store.rows import FURTHER, MOST_WORDS

LONG = "x" * 50_000
MARK = "… (cut, 50,000 characters)"


@pytest.fixture
def acme(database_url: str) -> Iterator[Desk]:
    with desk(database_url) as opened:
        yield opened


def strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, entry in value.items():
            yield from strings(name)
            yield from strings(entry)
    elif isinstance(value, list | tuple):
        for entry in value:
            yield from strings(entry)


def test_a_text_that_is_cut_is_as_long_as_it_may_be_and_says_how_long_it_was() -> None:
    for longest in (WORD, LINE, BODY):
        assert shortened("x" * longest, longest) == "x" * longest
        cut = shortened(LONG, longest)
        assert len(cut) == longest and cut.endswith(MARK)
        assert shortened(cut, longest) == cut


def taken_in(acme: Desk, path: str, item: Any, **params: str) -> tuple[Fact, ...]:
    request = Request(path, tuple(params.items()))
    reply = replace(page(path, json.dumps({"data": [item]})), request=request)
    reading = received(acme.account.adapter.read(reply, acme.account.options), reply, acme.account.words)
    acme.record(*reading.facts, wants=reading.wants)
    return reading.facts


def test_nothing_of_an_order_is_stored_longer(acme: Desk) -> None:
    order = {
        "id": "a",
        "status": {"value": LONG, "details": [{"code": f"C{LONG}", "description": LONG}]},
        "customer_reference": LONG,
        "customer_group_reference": LONG,
        "description": LONG,
        "support_key": LONG,
        "parent_support_key": LONG,
        "old_service_provider_ocn": LONG,
        "activation_settings": {"activation_status": LONG},
        "messaging": {"messaging_port_status": LONG},
        "additional_steps": [LONG],
        "phone_number_type": LONG,
        "misc": {"type": LONG, "remaining_numbers_action": LONG},
        "requirements": [{"field_type": LONG, "requirement_type_id": LONG}],
        "phone_numbers": [{"phone_number": LONG, "activation_status": LONG, "portability_status": LONG}],
        "porting_phone_numbers_count": 1,
    }
    taken_in(acme, "/porting_orders", order, **{"page[number]": "1"})
    row = acme.one("select raw_status, customer_reference, losing_carrier, number_type from v1_orders")
    assert {name: len(value) for name, value in row.items()} == {
        "raw_status": WORD,
        "customer_reference": LINE,
        "losing_carrier": LINE,
        "number_type": LINE,
    }
    assert all(value.endswith(MARK) for value in row.values())
    for name, rows in acme.everything().items():
        for text in strings([list(row) for row in rows]):
            assert len(text) <= 20_000, name  # facts, documents and rows of the feed hold many of them


def test_comments_and_events_are_kept_up_to_a_length(acme: Desk) -> None:
    event = {
        "id": "e-1",
        "event_type": "porting_order.new_comment",
        "porting_order_id": "a",
        "payload_status": "completed",
        "payload": {"comment": {"id": "c", "body": LONG, "user_type": LONG}, "customer_reference": LONG},
        "created_at": NOW.isoformat(),
    }
    taken_in(acme, "/porting/events", event, **{"page[number]": "1"})
    row = acme.one("select author_type, body from v1_comments")
    assert (len(row["author_type"]), len(row["body"])) == (WORD, BODY)
    (payload,) = acme.rows("select payload from v1_events")
    assert max(map(len, strings(payload["payload"]))) <= 2 * LINE + 200
    other = {**event, "id": "e-2", "event_type": LONG}
    taken_in(acme, "/porting/events", other, **{"page[number]": "1"})
    assert max(len(row["event_type"]) for row in acme.rows("select event_type from v1_events")) == WORD


def words(acme: Desk) -> dict[str, int]:
    return {row["word"]: row["orders"] for row in acme.rows("select word, orders from v1_unknown_words")}


def test_of_the_words_that_nobody_knows_so_many_are_noted_and_the_others_are_counted(acme: Desk) -> None:
    for start in (0, MOST_WORDS - 10, MOST_WORDS + 20):
        facts = [look(1, f"word {n}", order=f"o{n}") for n in range(start, start + 40)]
        if start == 0:
            facts = [look(1, f"word {n}", order=f"o{n}") for n in range(MOST_WORDS - 10)]
        acme.record(*facts)
    noted = words(acme)
    assert len(noted) == MOST_WORDS + 1
    assert noted[FURTHER] == 30 + 30  # orders, ten of which came twice
    acme.record(look(2, "word 3", order="o-again"))  # one that is noted goes on being counted by itself
    assert words(acme)["word 3"] == 2

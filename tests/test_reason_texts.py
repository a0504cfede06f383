"""What a provider says that its reasons mean: asked for once a day, shown where a reason has no text of its own."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from made import NOW, account, page
from stored import Desk, event

from aggregator.core.model import Page, ReasonSaid, Request, Status
from aggregator.errors import Fenced, FetchError, Refused
from aggregator.once import held, poll_once
from aggregator.store import open_store
from aggregator.store.replay import compare

TYPES = "/porting_orders/exception_types"
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@dataclass
class Telnyx:
    """Telnyx without any order, which tells (or does not tell) what its reasons mean."""

    items: Any
    asked: list[datetime] = field(default_factory=list)
    now: datetime = NOW
    fails: Exception | None = None

    def __call__(self, request: Request) -> Page:
        items: Any = []
        if request.path == TYPES:
            self.asked.append(self.now)
            if self.fails:
                raise self.fails
            items = self.items
        body = json.dumps({"data": items, "meta": {"page_number": 1, "total_pages": 1, "total_results": 0}})
        return replace(page(request.path, body.encode(), at=self.now), request=request)


@pytest.fixture
def acme(database_url: str) -> Iterator[Desk]:
    """An account at Telnyx with an order that was refused without a text, and one with a text of its own."""
    store = open_store(database_url)
    ours = account(name="acme")
    listed = {name: replace(feed, enabled=name.endswith("_events")) for name, feed in ours.feeds.items()}
    ours = replace(ours, feeds=listed)
    store.sync([ours], timedelta(days=14), NOW)
    lease = store.take("acme", NOW)
    assert lease is not None
    desk = Desk(store, ours, lease)
    own = Status("exception", (ReasonSaid("LSR_PENDING", "by the other one"),))
    desk.record(
        event(-9, "exception", "LSR_PENDING", "MOON_IN_CANCER"),
        replace(event(-8, "exception", order="order-2"), status=own),
        event(-7, "submitted", order="order-3"),
    )
    store.release(lease)
    yield desk
    store.close()


def poll(acme: Desk, telnyx: Telnyx, after: timedelta = timedelta(0)) -> None:
    """Poll the account at a later time."""
    telnyx.now += after

    def clock() -> datetime:
        return telnyx.now

    poll_once(acme.account, acme.store, lambda name: held(acme.store, name, clock), telnyx, clock)


def why(acme: Desk, order: str = "order-1") -> str:
    return str(acme.one("select why from v1_orders where provider_order_id = :order", order=order))


def texts(**said: str) -> list[dict[str, str]]:
    return [{"code": code, "description": text} for code, text in said.items()]


BARE = "local service request pending (LSR_PENDING); MOON_IN_CANCER"
PENDING = texts(LSR_PENDING="Another request for the number is under way")
TOLD = "local service request pending (Another request for the number is under way); MOON_IN_CANCER"


def test_a_reason_without_a_text_is_shown_with_what_it_means(acme: Desk) -> None:
    assert why(acme) == BARE
    poll(acme, Telnyx([*PENDING, *texts(MOON_IN_CANCER="The stars say no")]))
    assert why(acme) == TOLD.replace("MOON_IN_CANCER", "The stars say no")
    assert why(acme, "order-2") == "local service request pending (by the other one)"
    query = "select raw_code, raw_text from v1_reasons where order_id like '%/order-1' order by 1"
    assert [tuple(row.values()) for row in acme.rows(query)] == [
        ("LSR_PENDING", "Another request for the number is under way"),
        ("MOON_IN_CANCER", "The stars say no"),
    ]
    word = acme.one("select word from v1_unknown_words where vocabulary = 'reason'")
    assert word == "MOON_IN_CANCER", "what it means is told, who must act is not"


def test_the_change_is_told_to_who_keeps_a_copy_and_a_replay_finds_nothing(acme: Desk) -> None:
    poll(acme, Telnyx(PENDING))
    (row,) = acme.rows("select * from v1_changes where field = 'why' and source = 'replay'")
    assert (row["old_value"], row["new_value"], row["order_id"]) == (BARE, TOLD, "acme/port_in/order-1")
    assert [found.differences for found in compare(acme.store.engine, acme.account, NOW)] == [()]


def test_what_comes_later_is_shown_so_from_the_first(acme: Desk) -> None:
    poll(acme, Telnyx(PENDING))
    lease = acme.store.take("acme", NOW)
    assert lease is not None
    replace(acme, lease=lease).record(event(2, "exception", "LSR_PENDING", order="order-3"))
    assert why(acme, "order-3") == TOLD.removesuffix("; MOON_IN_CANCER")
    assert (
        acme.one("select count(*) from v1_changes where source = 'replay' and order_id like '%order-3'") == 0
    )


def test_it_is_asked_for_once_a_day_and_again_in_an_hour_where_it_could_not_be_read(acme: Desk) -> None:
    telnyx = Telnyx(PENDING)
    for after in (timedelta(0), HOUR, DAY - 2 * HOUR, HOUR):
        poll(acme, telnyx, after)
    assert telnyx.asked == [NOW, NOW + DAY]
    telnyx.fails = FetchError("503 from somewhere")
    poll(acme, telnyx, DAY)
    poll(acme, telnyx, HOUR / 2)
    telnyx.fails = None
    poll(acme, telnyx, HOUR / 2)
    assert telnyx.asked[2:] == [NOW + 2 * DAY, NOW + 2 * DAY + HOUR]
    assert why(acme) == TOLD


@pytest.mark.parametrize(
    "failure", [FetchError("timed out"), Refused("no", 403), RuntimeError("unforeseen"), KeyError("data")]
)
def test_where_it_cannot_be_read_the_poll_is_complete_and_what_is_known_stays(
    acme: Desk, failure: Exception
) -> None:
    telnyx = Telnyx(PENDING)
    poll(acme, telnyx)
    telnyx.fails = failure
    poll(acme, telnyx, DAY)
    assert why(acme) == TOLD
    outcomes = {
        row["last_outcome"]
        for row in acme.rows("select last_outcome from v1_feeds where not last_outcome is null")
    }
    assert outcomes == {"complete"}


@pytest.mark.parametrize("items", [[], [None, 7, {"code": 1}], [{"code": "LSR_PENDING"}], "none", None])
def test_an_answer_that_tells_nothing_takes_nothing_away(acme: Desk, items: Any) -> None:
    telnyx = Telnyx(PENDING)
    poll(acme, telnyx)
    telnyx.items = items
    poll(acme, telnyx, DAY)
    assert why(acme) == TOLD


def test_another_text_replaces_the_first_and_one_that_is_gone_is_shown_no_more(acme: Desk) -> None:
    telnyx = Telnyx(PENDING)
    poll(acme, telnyx)
    telnyx.items = texts(LSR_PENDING="Under review; PIN 4321 is not needed", OTHER="Something else")
    poll(acme, telnyx, DAY)
    assert "(Under review; PIN *** is not needed)" in why(acme)
    telnyx.items = texts(OTHER="Something else")
    poll(acme, telnyx, DAY)
    assert why(acme) == BARE


def test_who_lost_the_account_writes_nothing(acme: Desk) -> None:
    with pytest.raises(Fenced):
        acme.store.take_texts(acme.account, replace(acme.lease, epoch=99), {"LSR_PENDING": "x"}, NOW)
    assert why(acme) == BARE


def test_a_provider_that_tells_no_meanings_is_not_asked(tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path / 'a.db'}")
    ours = account("fonedynamics", "fone")
    store.sync([ours], timedelta(days=14), NOW)
    asked: list[str] = []

    def fetch(request: Request) -> Page:
        asked.append(request.path)
        body = b'{"PortingRequests": [], "NextPageToken": null}'
        return replace(page(request.path, body, at=NOW), request=request)

    poll_once(ours, store, lambda name: held(store, name, lambda: NOW), fetch, lambda: NOW)
    store.close()
    assert asked and not any("exception_types" in path for path in asked)

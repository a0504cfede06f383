"""A sweep over pages that move, repeat, contradict themselves or never end; and a window read in parts."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any
from weakref import WeakSet

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made import NOW, account
from standin import Faults, Reply, fone_page
from standin_lives import FoneDynamics

from aggregator import sweep as sweeping
from aggregator.core.account import Account
from aggregator.core.model import Direction, Listing, Orders, Page, Request, Window
from aggregator.errors import AggregatorError, FetchError, PageChanged, Refused, TooLarge
from aggregator.sweep import steady, sweep
from aggregator.windows import Part, in_parts

TELNYX, FONE = account(), account("fonedynamics")
EVENTS, ORDERS = TELNYX.adapter.feeds["porting_events"], TELNYX.adapter.feeds["porting_orders"]
HOUR, SECOND = timedelta(hours=1), timedelta(seconds=1)
Row = tuple[str, datetime]


def rows(count: int, first: datetime = NOW - HOUR, every: timedelta = SECOND) -> list[Row]:
    """So many events, one after the other."""
    return [(f"e{number:05}", first + number * every) for number in range(count)]


@dataclass
class Events:
    """A list of Telnyx events in pages: newest first, filtered by their time, counted as they are now.
    `before` happens before each request is answered."""

    rows: list[Row]
    before: Callable[["Events"], None] = lambda events: None
    size: int = 250
    now: datetime = NOW
    ours: datetime | None = None  # our own clock, where it differs
    dated: bool = True
    asked: list[Request] = field(default_factory=list)

    def __call__(self, request: Request) -> Page:
        self.before(self)
        self.asked.append(request)
        least, most = (request.param(f"filter[created_at][{end}]") for end in ("gte", "lte"))
        here = [
            (id, at)
            for id, at in sorted(self.rows, key=lambda row: row[1], reverse=True)
            if (not least or at >= datetime.fromisoformat(least))
            and (not most or at <= datetime.fromisoformat(most))
        ]
        number = int(request.param("page[number]") or 1)
        shown = here[(number - 1) * self.size : number * self.size]
        meta = {"page_number": number, "total_pages": -(-len(here) // self.size), "total_results": len(here)}
        data = [
            {
                "id": id,
                "event_type": "porting_order.status_changed",
                "porting_order_id": f"order of {id}",
                "created_at": at.isoformat(),
                "payload": {"id": f"order of {id}", "status": {"value": "submitted"}},
            }
            for id, at in shown
        ]
        date = self.now.replace(microsecond=0) if self.dated else None
        return replied(request, {"data": data, "meta": meta}, self.ours or self.now, date)

    @property
    def bounds(self) -> list[tuple[str | None, str | None]]:
        return [(one.param("filter[created_at][lte]"), one.param("page[number]")) for one in self.asked]


def replied(request: Request, body: Any, at: datetime = NOW, date: datetime | None = NOW) -> Page:
    return Page(request, 200, json.dumps(body).encode(), at, date)


def fone(world: FoneDynamics, faults: Faults, ours: Account = FONE) -> Callable[[Request], Page]:
    """The stand-in's answers without a wire between."""

    def fetch(request: Request) -> Page:
        query: dict[str, list[str]] = {}
        for name, value in request.params:
            query.setdefault(name, []).append(value)
        try:
            said = fone_page(world, faults, request.path, query)
        except Reply as reply:
            raise Refused("refused", reply.status) from None
        return replied(request, said, world.now, world.now)

    return fetch


def ids(found: sweeping.Sweep) -> set[str]:
    return {fact.announced.key for fact in found.facts if fact.announced}


def window(back: timedelta = 2 * HOUR, until: datetime | None = NOW) -> Window:
    return Window("porting_events", NOW - back, until)


def parts(fetch: sweeping.Fetch, asked: Window) -> list[Part]:
    return list(in_parts(TELNYX, EVENTS, asked, fetch))


# --- the end of a chain ---------------------------------------------------------------------------------


def test_all_pages_are_followed_to_the_last() -> None:
    fetch = Events(rows(600))
    found = sweep(TELNYX, window(), fetch)
    assert found.complete and len(ids(found)) == 600 and found.pages == len(fetch.asked) == 3


def test_a_server_that_shows_one_page_for_ever_is_left_after_it_brought_nothing_fresh() -> None:
    asked: list[Request] = []

    def fetch(request: Request) -> Page:
        asked.append(request)
        meta = {"page_number": len(asked), "total_pages": 10**6, "total_results": 10**9}
        page = Events(rows(3))(Request(request.path))
        return replied(request, {**json.loads(page.body), "meta": meta})

    found = sweep(TELNYX, window(), fetch)
    assert found.incomplete == "no progress" and len(ids(found)) == 3 and len(asked) == 2


def test_pages_that_never_end_are_cut_at_the_page_cap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweeping, "MAX_PAGES", 5)
    found = sweep(TELNYX, window(), Events(rows(100), size=10))
    assert found.incomplete == "page cap" and len(ids(found)) == 50


def test_the_time_a_sweep_may_take_is_measured_by_our_clock_not_the_providers() -> None:
    def tick(events: Events) -> None:
        events.now += HOUR  # a provider whose clock runs, as in a simulation
        events.ours = NOW + len(events.asked) * SECOND

    assert sweep(TELNYX, window(), Events(rows(600), before=tick)).complete

    def dawdle(events: Events) -> None:
        events.ours = NOW + len(events.asked) * 6 * 60 * SECOND

    found = sweep(TELNYX, window(), Events(rows(2_000), before=dawdle))
    assert found.incomplete == "time budget" and found.pages == 3


def test_an_empty_first_page_with_a_total_contradicts_itself() -> None:
    empty = sweep(
        TELNYX,
        window(),
        lambda request: replied(request, {"data": [], "meta": {"total_results": 7, "total_pages": 1}}),
    )
    assert empty.incomplete == "contradiction"
    empty = sweep(
        FONE,
        Window("porting_status", NOW - HOUR, NOW),
        lambda request: replied(request, {"PortingRequests": [], "TotalCount": 7}),
    )
    assert empty.incomplete == "contradiction"


def test_an_empty_list_is_complete() -> None:
    found = sweep(TELNYX, window(), Events([]))
    assert found.complete and found.pages == 1


@pytest.mark.parametrize("error", [FetchError("gone"), PageChanged("not JSON"), Refused("no", 422)])
def test_an_error_in_the_middle_keeps_what_came_and_is_incomplete(error: AggregatorError) -> None:
    def fail(events: Events) -> None:
        if len(events.asked) == 2:
            raise error

    found = sweep(TELNYX, window(), Events(rows(900), before=fail))
    assert error in (found.error, found.refusal) and not found.complete and len(ids(found)) == 500


@pytest.mark.parametrize("body", ["", "null", "[]", "{}", '{"data": null}', "<html></html>"])
def test_a_foreign_page_is_never_an_empty_list(body: str) -> None:
    found = sweep(TELNYX, window(), lambda request: Page(request, 200, body.encode(), NOW, NOW))
    assert isinstance(found.error, PageChanged)


def test_orders_that_were_asked_for_end_the_sweep_when_all_have_come() -> None:
    world = FoneDynamics(3, "A5EQ333XCXHTRHUS5DEOXLLA36ZQSZQQ")
    world.fill(40, timedelta(days=3))
    wanted = tuple(sorted(world.requests))[:30]
    asked: list[Request] = []

    def fetch(request: Request) -> Page:
        asked.append(request)
        return fone(world, Faults(total="none"))(request)

    ask = Orders(Direction.PORT_IN, wanted, since=world.now - timedelta(days=9), until=world.now)
    found = sweep(FONE, ask, fetch, asked=frozenset(wanted))
    assert found.complete and found.seen == set(wanted) and len(asked) == 1


# --- Fone Dynamics: every way of paging -----------------------------------------------------------------


@pytest.fixture(scope="module")
def ported() -> FoneDynamics:
    world = FoneDynamics(5, "A5EQ333XCXHTRHUS5DEOXLLA36ZQSZQQ")
    world.fill(70, timedelta(days=3))
    return world


@pytest.mark.parametrize("total", ["requests", "numbers", "page", "none"])
@pytest.mark.parametrize("honours", ["both", "offset", "token"])
@pytest.mark.parametrize("token", ["offset", "page", "opaque", "constant", "none"])
def test_a_fone_dynamics_window_is_drained_whatever_token_total_and_page_size(
    ported: FoneDynamics, token: Any, honours: Any, total: Any
) -> None:
    if honours == "token" and token in ("constant", "none"):
        honours = "both"  # a server without a usable token honours the offset
    asked = Window("porting_status", ported.now - timedelta(days=9), ported.now)
    for clamp in (20, 200):
        faults = Faults(token=token, honours=honours, total=total, clamp=clamp)
        found = sweep(FONE, asked, fone(ported, faults))
        assert found.seen == set(ported.requests)
        assert found.complete
        assert found.pages <= len(ported.requests) // min(clamp, 50) + 4


@pytest.mark.parametrize("paging", ["token", "offset"])
def test_one_way_of_paging_can_be_chosen(ported: FoneDynamics, paging: Any) -> None:
    ours = account("fonedynamics", paging=paging)
    faults = Faults(token="opaque", honours=paging)
    asked = Window("porting_status", ported.now - timedelta(days=9), ported.now)
    found = sweep(ours, asked, fone(ported, faults))
    assert found.complete and found.seen == set(ported.requests)


def test_a_refused_page_size_is_asked_for_without(ported: FoneDynamics) -> None:
    asked = Window("porting_status", ported.now - timedelta(days=9), ported.now)
    found = sweep(FONE, asked, fone(ported, Faults(count_refused=True)))
    assert found.complete and found.seen == set(ported.requests)


def test_a_server_that_ignores_every_way_on_is_incomplete(ported: FoneDynamics) -> None:
    asked = Window("porting_status", ported.now - timedelta(days=9), ported.now)
    found = sweep(FONE, asked, fone(ported, Faults(token="constant", honours="token", clamp=20)))
    assert found.incomplete == "no progress"


# --- pages that do not fit together ---------------------------------------------------------------------


def test_a_window_whose_total_moves_is_swept_once_more() -> None:
    def late(events: Events) -> None:
        if len(events.asked) == 1:
            events.rows.append(("late", NOW - HOUR / 2))

    fetch = Events(rows(600), before=late)
    found = steady(TELNYX, window(), fetch, EVENTS)
    assert found.complete and len(ids(found)) == 601 and len(fetch.asked) == 6


def test_a_window_whose_total_moves_again_is_incomplete_and_keeps_what_came() -> None:
    def late(events: Events) -> None:
        events.rows.append((f"late {len(events.asked)}", NOW - HOUR / 2))

    fetch = Events(rows(600), before=late)
    found = steady(TELNYX, window(), fetch, EVENTS)
    assert found.incomplete == "drift" and len(fetch.asked) == 6 and len(ids(found)) >= 600


def test_rows_that_hide_one_another_are_found_by_the_second_look() -> None:
    """Between two pages one row moves to the front: another comes twice, it never, and the total stands."""

    def shuffle(events: Events) -> None:
        if len(events.asked) == 1:
            events.rows[0] = ("e00000", NOW)

    fetch = Events(rows(600), before=shuffle)
    assert len(ids(sweep(TELNYX, window(), Events(rows(600), before=shuffle)))) == 599
    found = steady(TELNYX, window(), fetch, EVENTS)
    assert found.complete and len(ids(found)) == 600


def test_a_list_that_has_rows_twice_for_good_is_complete_after_a_second_look() -> None:
    fetch = Events([*rows(600), *((id, NOW) for id, _ in rows(300))])
    found = steady(TELNYX, window(), fetch, EVENTS)
    assert found.complete and len(ids(found)) == 600 and len(fetch.asked) == 8


def test_a_listing_may_grow_while_it_is_read() -> None:
    listing = _Orders(250)
    found = steady(TELNYX, Listing("porting_orders"), listing.growing, ORDERS)
    assert found.complete and len(listing.asked) == 3 and len(found.seen) == 253
    assert found.grown == 2, "its drift is counted"


def test_a_listing_that_lost_a_row_between_two_pages_is_read_again() -> None:
    listing = _Orders(250)
    found = steady(TELNYX, Listing("porting_orders"), listing.shrinking_once, ORDERS)
    assert found.complete and len(listing.asked) == 6
    assert found.seen >= set(listing.rows), "the row that slipped to a page already read was found"


def test_a_listing_that_goes_on_losing_rows_is_incomplete() -> None:
    listing = _Orders(250)
    found = steady(TELNYX, Listing("porting_orders"), listing.shrinking, ORDERS)
    assert found.incomplete == "drift"


class _Orders:
    """A list of orders, oldest first, a hundred on a page."""

    def __init__(self, count: int) -> None:
        self.rows = [f"o{number:04}" for number in range(count)]
        self.asked: list[Request] = []

    def growing(self, request: Request) -> Page:
        self.rows.append(f"new {len(self.asked)}")
        return self.page(request)

    def shrinking_once(self, request: Request) -> Page:
        return self.page(request, lose=len(self.asked) == 1)

    def shrinking(self, request: Request) -> Page:
        return self.page(request, lose=True)

    def page(self, request: Request, lose: bool = False) -> Page:
        if lose:
            del self.rows[0]
        self.asked.append(request)
        number, size = int(request.param("page[number]") or 1), int(request.param("page[size]") or 20)
        data = [
            {"id": id, "status": {"value": "draft"}, "porting_phone_numbers_count": 0, "phone_numbers": []}
            for id in self.rows[(number - 1) * size : number * size]
        ]
        pages = -(-len(self.rows) // size)
        meta = {"page_number": number, "total_pages": pages, "total_results": len(self.rows)}
        return replied(request, {"data": data, "meta": meta})


# --- a window in parts ----------------------------------------------------------------------------------


def test_the_first_request_has_no_end_and_one_page_is_enough() -> None:
    fetch = Events(rows(200))
    (part,) = parts(fetch, window(until=None))
    assert fetch.bounds == [(None, "1")]
    assert part.last and part.found.complete and part.newest == NOW - HOUR + 199 * SECOND


def test_more_than_one_page_starts_again_frozen_at_the_replys_date() -> None:
    def born(events: Events) -> None:
        events.now += 5 * SECOND
        events.rows.append((f"new {len(events.asked)}", events.now - SECOND / 2))

    fetch = Events(rows(600), before=born, now=NOW + SECOND / 3)
    (part,) = parts(fetch, window(until=None))
    frozen = "2026-06-15T12:00:05Z"
    assert fetch.bounds == [(None, "1"), (frozen, "1"), (frozen, "2"), (frozen, "3")]
    assert part.found.complete and ids(part.found) == {id for id, _ in rows(600)} | {"new 0"}


def test_a_clock_of_the_provider_that_stands_does_not_end_the_window_before_what_is_new() -> None:
    fetch = Events(rows(600), now=NOW + 3 * HOUR)

    def standing(request: Request) -> Page:
        return replace(fetch(request), provider_at=NOW - HOUR)

    (part,) = parts(standing, window(until=None))
    assert {bound for bound, _ in fetch.bounds} == {None, "2026-06-15T15:00:00Z"}
    assert ids(part.found) == {id for id, _ in rows(600)}


def test_the_newest_time_is_never_beyond_the_end_of_the_window() -> None:
    """An event that the provider dates years ahead must not stop the feed for years."""
    ahead = ("from the future", NOW + timedelta(days=9_000))
    (part,) = parts(Events([*rows(10), ahead]), window(until=None))
    assert "from the future" in ids(part.found) and part.newest == rows(10)[-1][1]
    (*_, part) = parts(Events([*rows(600), ahead]), window(until=None))
    assert part.newest == rows(600)[-1][1]


def test_without_a_date_and_with_our_clock_behind_the_window_still_goes_forward() -> None:
    fetch = Events(rows(600), ours=NOW - 5 * HOUR, dated=False)
    (part,) = parts(fetch, window(until=None))
    assert part.found.complete and part.newest == rows(600)[-1][1]


def test_a_large_window_is_read_in_halves_the_older_first() -> None:
    asked = window(4 * HOUR)
    fetch = Events(rows(6_000, first=NOW - 4 * HOUR, every=2 * SECOND))
    read = parts(fetch, asked)
    assert [part.last for part in read] == [False, False, True]
    assert all(part.found.complete and len(part.found.facts) <= sweeping.LARGEST_WINDOW for part in read)
    assert read[0].window.since == asked.since and read[-1].window.until == asked.until
    newest = [part.newest for part in read]
    assert newest == sorted(newest, key=str), "the cursor moves by parts"
    for older, newer in pairwise(read):
        assert older.window.until == newer.window.since
    assert set().union(*(ids(part.found) for part in read)) == {id for id, _ in fetch.rows}


def test_each_part_is_read_only_when_the_one_before_has_been_taken() -> None:
    fetch = Events(rows(6_000, first=NOW - 4 * HOUR, every=2 * SECOND))
    reading = in_parts(TELNYX, EVENTS, window(4 * HOUR), fetch)
    next(reading)
    until = fetch.asked[-1].param("filter[created_at][lte]")
    assert until == "2026-06-15T09:00:00Z", "nothing of the second part was asked for"


def test_nothing_later_is_read_once_a_part_is_incomplete() -> None:
    def fail(events: Events) -> None:
        if len(events.asked) == 8:
            raise FetchError("gone")

    fetch = Events(rows(6_000, first=NOW - 4 * HOUR, every=2 * SECOND), before=fail)
    (part,) = parts(fetch, window(4 * HOUR))
    assert not part.found.complete and not part.last and part.found.facts


def test_many_events_within_one_second_are_read_whole() -> None:
    fetch = Events(rows(3_000, first=NOW - HOUR, every=timedelta(microseconds=100)))
    read = parts(fetch, window())
    assert set().union(*(ids(part.found) for part in read)) == {id for id, _ in fetch.rows}
    assert all(part.found.complete for part in read)


def test_a_window_that_takes_too_long_is_kept_and_read_in_halves() -> None:
    def dawdle(events: Events) -> None:
        events.ours = NOW + len(events.asked) * 3 * 60 * SECOND

    fetch = Events(rows(2_000, first=NOW - 2 * HOUR, every=3 * SECOND), before=dawdle)
    first, *rest = parts(fetch, window())
    assert first.halved and first.found.incomplete == "time budget" and first.found.facts
    assert rest[-1].last and all(part.found.complete for part in rest)
    assert set().union(*(ids(part.found) for part in rest)) == {id for id, _ in fetch.rows}


def test_a_window_that_spans_years_is_soon_narrow_enough() -> None:
    fetch = Events(rows(6_000, first=NOW - HOUR, every=SECOND / 2))
    read = parts(fetch, Window("porting_events", datetime.fromisoformat("2010-01-01T00:00:00Z"), None))
    assert set().union(*(ids(part.found) for part in read)) == {id for id, _ in fetch.rows}
    assert len(fetch.asked) < 100


def test_a_window_refused_for_its_length_is_halved(ported: FoneDynamics) -> None:
    feed = FONE.adapter.feeds["porting_status"]
    asked = Window("porting_status", ported.now - timedelta(days=30), ported.now)
    fetch = fone(ported, Faults(longest=timedelta(days=8)))
    read = list(in_parts(FONE, feed, asked, fetch))
    assert len(read) == 4 and read[-1].last
    assert set().union(*(part.found.seen for part in read)) == set(ported.requests)


def test_a_refusal_that_is_not_about_length_ends_the_window() -> None:
    def fetch(request: Request) -> Page:
        raise Refused("wrong account", 400)

    feed = FONE.adapter.feeds["porting_status"]
    (part,) = in_parts(FONE, feed, Window("porting_status", NOW - timedelta(days=30), NOW), fetch)
    assert isinstance(part.found.error, Refused)


def test_a_server_that_ignores_every_way_on_is_read_in_windows_of_one_page(ported: FoneDynamics) -> None:
    faults = Faults(token="none", honours="token")
    feed = FONE.adapter.feeds["porting_status"]
    asked = Window("porting_status", ported.now - timedelta(days=9), ported.now)
    read = list(in_parts(FONE, feed, asked, fone(ported, faults)))
    assert set().union(*(part.found.seen for part in read)) == set(ported.requests)
    assert read[-1].last and read[-1].found.complete and read[0].halved


# --- too large, too many, refused -----------------------------------------------------------------------


@dataclass
class Limited:
    """Rows of a list in pages, by number and size, with what a server may refuse or overdo. `weights` are the bytes
    of single rows, `largest` what one reply may hold; rows behind the `deepest` are refused."""

    events: Events
    weights: dict[str, int] = field(default_factory=dict)
    largest: int = 1_000
    deepest: int | None = None
    status: int = 422
    counted: bool = True
    asked: list[Request] = field(default_factory=list)

    def __call__(self, request: Request) -> Page:
        self.asked.append(request)
        size, number = int(request.param("page[size]") or 250), int(request.param("page[number]") or 1)
        self.events.size = size
        if self.deepest is not None and (number - 1) * size >= self.deepest:
            if self.status == 404:
                return Page(request, 404, b'{"errors": []}', NOW, NOW)
            raise Refused("no such page", self.status)
        page = self.events(request)
        body = json.loads(page.body)
        if sum(self.weights.get(row["id"], 1) for row in body["data"]) > self.largest:
            raise TooLarge(f"{request.path}: more than {self.largest} bytes")
        if not self.counted:
            last = number >= body["meta"]["total_pages"]
            body["meta"] = {"page_number": number, "total_pages": number + (not last)}
        return replace(page, body=json.dumps(body).encode())

    @property
    def sizes(self) -> list[int]:
        return [int(str(request.param("page[size]"))) for request in self.asked]


def union(read: list[Part]) -> set[str]:
    return set().union(*(ids(part.found) for part in read))


def test_a_page_that_is_too_large_is_asked_for_with_fewer_rows() -> None:
    heavy = {id: 100 for id, _ in rows(110)}
    fetch = Limited(Events(rows(110)), heavy)
    read = parts(fetch, window())
    assert union(read) == {id for id, _ in rows(110)} and read[-1].last
    assert all(part.found.complete and not part.found.skipped for part in read)
    assert len(fetch.asked) < 60


@given(
    count=st.integers(1, 60),
    heavy=st.dictionaries(st.integers(0, 59), st.integers(1, 40), max_size=4),
    size=st.integers(1, 25),
)
def test_no_row_is_lost_or_read_twice_whatever_is_too_large(
    count: int, heavy: dict[int, int], size: int
) -> None:
    """A row of up to 20 bytes fits into a reply; a heavier one is set aside by itself, and named."""
    fetch = Limited(Events(rows(count)), {f"e{row:05}": bytes_ for row, bytes_ in heavy.items()}, largest=20)
    read = parts(fetch, window())
    alone = {f"e{row:05}" for row, bytes_ in heavy.items() if bytes_ > 20 and row < count}
    assert all(part.found.complete for part in read), read[-1].found.trouble
    assert union(read) == {id for id, _ in rows(count)} - alone
    aside = {one.ref for part in read for one in part.found.skipped}
    assert len(aside) == len(alone), "each is named by the row before it, which is another for each"


def test_a_window_up_to_now_whose_first_page_is_too_large_gets_an_end() -> None:
    fetch = Limited(Events(rows(110)), {id: 100 for id, _ in rows(110)})

    def dated(request: Request) -> Page:
        try:
            return fetch(request)
        except TooLarge as error:
            error.at = NOW
            raise

    read = parts(dated, window(until=None))
    assert union(read) == {id for id, _ in rows(110)} and read[-1].window.until == NOW


def test_a_single_row_that_is_too_large_is_named_and_the_feed_goes_on() -> None:
    fetch = Limited(Events(rows(500)), {"e00300": 5_000})
    read = parts(fetch, window())
    assert union(read) == {id for id, _ in rows(500)} - {"e00300"}
    assert all(part.found.complete for part in read)
    (one,) = {one for part in read for one in part.found.skipped}
    assert one.ref == "/porting/events after e00301", "the list shows the newest first"
    assert "too large" in one.error and "more than 1000 bytes" in one.error
    assert len(fetch.asked) < 60, "pages grow again behind it"


def test_without_a_page_size_the_window_is_made_shorter_and_the_shortest_is_set_aside() -> None:
    bare = replace(TELNYX, adapter=replace(TELNYX.adapter, paging=None))
    fetch = Limited(Events(rows(200)), {"e00100": 5_000, **{f"e{row:05}": 200 for row in range(20)}})
    read = list(in_parts(bare, EVENTS, window(), fetch))
    assert all(part.found.complete for part in read) and read[-1].last
    lost = {id for id, _ in rows(200)} - union(read)
    assert "e00100" in lost and len(lost) <= 4, "two seconds of it"
    assert [one for part in read for one in part.found.skipped if "too large" in one.error]


@pytest.mark.parametrize("status", [400, 404, 409, 422])
def test_a_later_page_that_is_refused_makes_the_window_shorter(status: int) -> None:
    fetch = Limited(Events(rows(3_000, every=SECOND)), deepest=1_000, status=status)
    read = parts(fetch, window())
    assert union(read) == {id for id, _ in fetch.events.rows}
    assert read[-1].last and read[-1].found.complete
    assert read[-1].newest == fetch.events.rows[-1][1], "the cursor reaches the newest"


def test_more_than_is_shown_of_the_shortest_window_is_a_refusal_that_is_told() -> None:
    fetch = Limited(Events(rows(1_500, every=timedelta(microseconds=1))), deepest=1_000)
    read = parts(fetch, window())
    found = read[-1].found
    assert not found.complete and "no such page" in str(found.trouble)
    assert len(ids(found)) == 1_000, "what came is kept"


@pytest.mark.parametrize("status", [400, 413, 414, 422])
def test_a_first_page_that_is_refused_for_its_length_is_asked_for_in_halves(status: int) -> None:
    fetch = Events(rows(10))

    def short(request: Request) -> Page:
        least, most = (
            datetime.fromisoformat(str(request.param(f"filter[created_at][{end}]"))) for end in ("gte", "lte")
        )
        if most - least > timedelta(days=8):
            raise Refused("too long", status)
        return fetch(request)

    read = parts(short, window(timedelta(days=30)))
    assert union(read) == {id for id, _ in rows(10)} and read[-1].last


def test_a_window_without_totals_is_cut_as_one_whose_total_says_so() -> None:
    fetch = Limited(
        Events(rows(9_000, first=NOW - 6_000 * SECOND, every=SECOND / 2)), largest=10_000, counted=False
    )
    read = parts(fetch, window())
    assert union(read) == {id for id, _ in fetch.events.rows} and read[-1].found.complete
    most = sweeping.LARGEST_WINDOW + 250
    assert all(len(part.found.facts) <= most for part in read), "never a whole backlog in memory"


def test_the_shortest_window_is_recorded_as_it_comes_where_it_is_too_much_to_hold(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sweeping, "HELD_MOST", 200_000)
    fetch, kept, most = Events(rows(9_000, every=timedelta(microseconds=100))), set[str](), 0

    def keep(found: sweeping.Sweep) -> None:
        nonlocal most
        kept.update(ids(found))
        most = max(most, len(found.facts))

    read = list(in_parts(TELNYX, EVENTS, window(), fetch, keep))
    assert kept | union(read) == {id for id, _ in fetch.rows} and read[-1].found.complete
    assert 0 < most < 1_500
    newest = max(part.newest for part in read if part.newest)
    assert newest == fetch.rows[-1][1], "what was let go counts for the cursor"


def test_what_all_sweeps_hold_together_has_a_bound_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweeping, "HELD_OVER_ALL", 600_000)
    monkeypatch.setattr(sweeping, "_live", WeakSet())
    alone = parts(Events(rows(1_000, every=SECOND)), window())
    assert len(alone) == 1
    others = [sweeping.sweep(TELNYX, window(), Events(rows(1_000, every=SECOND))) for _ in range(3)]
    assert len(parts(Events(rows(1_000, every=SECOND)), window())) > 1 and others


# --- times that cannot be -------------------------------------------------------------------------------


@pytest.mark.parametrize("ours", [NOW, NOW - timedelta(days=20_000)])
def test_an_event_of_the_far_future_is_stored_as_of_now_and_moves_no_cursor(ours: datetime) -> None:
    """It would outweigh all that is said until then."""
    soon, far = NOW + timedelta(days=300), NOW + timedelta(days=400)
    (part,) = parts(Events([("e1", NOW - HOUR), ("e2", soon), ("e3", far)], ours=ours), window(until=None))
    assert part.found.complete and not part.found.skipped
    times = {fact.announced.key: fact.as_of for fact in part.found.facts if fact.announced}
    assert times == {"e1": NOW - HOUR, "e2": soon, "e3": NOW}
    assert part.newest == NOW - HOUR
    assert {want.id: want.since for want in part.found.wants} == {
        f"order of {id}": at for id, at in times.items()
    }


def test_an_order_that_claims_to_be_of_the_far_future_is_taken_as_of_now() -> None:
    def listed(request: Request) -> Page:
        times = {"near": NOW + 2 * HOUR, "far": NOW + timedelta(days=900)}
        data = [
            {"id": id, "status": {"value": "submitted"}, "updated_at": at.isoformat()}
            for id, at in times.items()
        ]
        meta = {"page_number": 1, "total_pages": 1, "total_results": 2}
        return replied(request, {"data": data, "meta": meta})

    found = sweep(TELNYX, Listing("porting_orders"), listed)
    assert {fact.order.id: fact.as_of for fact in found.facts} == {"near": NOW + 2 * HOUR, "far": NOW}

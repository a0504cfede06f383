"""The commit protocol: windows, cursors, lookbacks, wants and rate limits, on a real SQLite file."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made import NOW, account, event, look
from standin import Faults
from standin_lives import DAY, HOUR, MINUTE, SECOND, FoneDynamics, Knobs, Telnyx
from unwired import SID, Killed, Setting, Unwired, calm, failing, setting

from aggregator import poll as polling
from aggregator import slices as slicing
from aggregator import sweep as sweeping
from aggregator import wants
from aggregator.core.account import Account, Options
from aggregator.core.due import is_due
from aggregator.core.findings import Findings
from aggregator.core.model import Direction, OrderRef, Page, Part, Reading, Request, Want
from aggregator.errors import AccessDenied, FetchError, PageChanged, RateLimited, Refused, TooLarge


@pytest.fixture
def telnyx(tmp_path: Path) -> Iterator[Setting]:
    with setting(Unwired(calm()), account(), tmp_path) as here:
        yield here


@pytest.fixture
def fone(tmp_path: Path) -> Iterator[Setting]:
    world = FoneDynamics(2, SID)
    world.fill(12, 6 * DAY)
    with setting(Unwired(world), account("fonedynamics"), tmp_path) as here:
        yield here


def truth(world: Telnyx) -> list[str]:
    return sorted(event.said["id"] for events in world.events.values() for event in events)


def since(request: Request) -> datetime:
    return datetime.fromisoformat(str(request.param("filter[created_at][gte]")))


def at(request: Request, bound: str) -> datetime:
    return datetime.fromtimestamp(int(str(request.param(bound))), UTC)


# --- cursors and windows --------------------------------------------------------------------------------


def test_the_first_poll_looks_back_thirty_days_and_its_cursor_is_the_newest_event(telnyx: Setting) -> None:
    assert isinstance(telnyx.wire.world, Telnyx)
    telnyx.poll("porting_events")
    assert since(telnyx.wire.asked[0]) == (telnyx.wire.world.now - 30 * DAY).replace(microsecond=0)
    newest = max(event.at for event in telnyx.wire.world.events["porting"])
    cursor = telnyx.mark("porting_events").cursor
    assert cursor is not None and timedelta(0) <= newest - cursor < SECOND, (
        "written in whole seconds, at times"
    )
    assert telnyx.mark("portout_events").cursor is None, "each event feed has its own"


def test_each_poll_starts_a_lookback_behind_the_cursor_and_a_day_behind_it_once_a_day(
    telnyx: Setting,
) -> None:
    telnyx.poll("porting_events")
    cursor = telnyx.mark("porting_events").cursor
    assert cursor is not None
    backs = []
    for _ in range(5):
        telnyx.wire.world.now += 8 * HOUR
        telnyx.wire.asked.clear()
        telnyx.poll("porting_events")
        backs.append(round((cursor - since(telnyx.wire.asked[0])) / HOUR))
    assert backs == [1, 1, 24, 1, 1]


def test_a_poll_cut_short_records_what_came_and_leaves_the_cursor(tmp_path: Path) -> None:
    world = calm(120)
    with setting(Unwired(world), account(), tmp_path) as here:
        here.wire.trouble = failing(FetchError("gone"), lambda request: request.param("page[number]") == "3")
        outcome = here.poll("porting_events")["porting_events"]
        assert (outcome.outcome, outcome.complete) == ("unreachable", False)
        assert len(here.events) == 500 and here.mark("porting_events").cursor is None
        here.wire.trouble = lambda request: None
        assert here.poll("porting_events", "portout_events")["porting_events"].complete
        assert sorted(here.events) == truth(world)
        assert here.mark("porting_events").cursor is not None


def test_a_large_window_moves_the_cursor_part_by_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeping, "LARGEST_WINDOW", 120)
    world = calm(80)
    with setting(Unwired(world), account(), tmp_path) as here:
        outcome = here.poll("porting_events")["porting_events"]
        cursors = [made.cursor for made in here.progress("porting_events") if made.cursor]
        assert len(cursors) > 3 and cursors == sorted(cursors)
        assert outcome.recorded.events == len(here.events) == len(world.events["porting"])


def test_a_poll_killed_at_any_record_goes_on_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeping, "LARGEST_WINDOW", 40)
    monkeypatch.setattr(slicing, "SLICE", 25)
    world = calm(12, empty=0.2, late=0.2)
    ours = _without_lookback(account())
    kills = 0
    with setting(Unwired(world), ours, tmp_path) as here:
        for dies_at in range(200):
            here.store.records, here.store.dies_at = [], min(dies_at, 2)
            try:
                here.poll()
            except Killed:
                kills += 1
                stored = set(here.events)
                for feed, name in (("porting", "porting_events"), ("portouts", "portout_events")):
                    cursor = here.mark(name).cursor
                    known = {e.said["id"] for e in world.events[feed] if cursor and e.at <= cursor}
                    seen = {e.said["id"] for e in world.events[feed] if e.seen_from <= world.now}
                    assert stored >= known & seen, "everything at or before the cursor is stored"
            else:
                break
        assert kills > 5
        assert sorted(here.events) == sorted(set(here.events))


def _without_lookback(ours: Account) -> Account:
    """A lookback hides what a commit forgot."""
    feeds = {
        name: replace(feed, lookback=timedelta(0), defaults=replace(feed.defaults, deep=None))
        for name, feed in ours.feeds.items()
    }
    return replace(ours, feeds=feeds)


@settings(max_examples=8, deadline=None, derandomize=True)
@given(st.lists(st.integers(-7_200, 7_200), min_size=4, max_size=7), st.integers(0, 99))
def test_a_wrong_clock_loses_nothing(skews: list[int], seed: int) -> None:
    """The cursor comes from the provider, whatever our clock says from poll to poll."""
    world = Telnyx(seed, Knobs(many_numbers=0))
    world.fill(6, 2, 2 * DAY)
    ours = account()
    feeds = {name: replace(feed, lookback=MINUTE) for name, feed in ours.feeds.items()}
    with (
        TemporaryDirectory() as folder,
        setting(Unwired(world), replace(ours, feeds=feeds), Path(folder)) as here,
    ):
        for skew in skews:
            here.wire.ahead = skew * SECOND
            world.run(world.now + 20 * MINUTE)
            world.stir(6)
            assert all(outcome.complete for outcome in here.poll().values())
            cursors = {name: here.mark(name).cursor for name in ("porting_events", "portout_events")}
            for name, cursor in cursors.items():
                moments = {
                    event.at.replace(microsecond=0)
                    for event in world.events[name.split("_")[0].replace("portout", "portouts")]
                }
                assert cursor is None or cursor.replace(microsecond=0) in moments
        assert sorted(here.events) == truth(world)


@settings(max_examples=8, deadline=None, derandomize=True)
@given(st.lists(st.integers(-7_200, 7_200), min_size=4, max_size=7), st.integers(0, 99))
def test_a_wrong_clock_loses_nothing_where_the_window_must_have_an_end(skews: list[int], seed: int) -> None:
    world = FoneDynamics(seed, SID)
    world.fill(8, 2 * DAY)
    ours = account("fonedynamics")
    feeds = {name: replace(feed, lookback=MINUTE) for name, feed in ours.feeds.items()}
    with (
        TemporaryDirectory() as folder,
        setting(Unwired(world), replace(ours, feeds=feeds), Path(folder)) as here,
    ):
        for skew in (*skews, 0, 0):  # the second poll with a clock that stands knows how far it is off
            here.wire.ahead = skew * SECOND
            world.run(world.now + 3 * HOUR)
            here.poll("porting_status")
        told = sum(len(entries) for one in world.requests.values() for entries in one.history.values())
        assert len(here.events) == told


# --- slices ---------------------------------------------------------------------------------------------


def test_the_history_that_came_with_a_look_stays_with_it_in_one_slice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(slicing, "SLICE", 3)
    orders = [OrderRef(Direction.PORT_IN, f"order-{number}") for number in range(4)]
    found = sweeping.Sweep()
    for ref in orders:
        found.facts += [replace(event(-hours, "submitted"), order=ref) for hours in (9, 5, 7)]
        found.facts.append(replace(look(0, "exception"), order=ref))
    pieces = slicing.slices("porting_status", found, NOW, initial=True)
    assert [len(piece.facts) for piece in pieces] == [4, 4, 4, 4]
    assert all(len({fact.order for fact in piece.facts}) == 1 for piece in pieces)


def test_a_window_is_recorded_in_slices_oldest_first_and_the_last_moves_the_cursor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slicing, "SLICE", 40)
    world = calm(50)
    with setting(Unwired(world, Faults(order="unsorted")), account(), tmp_path) as here:
        here.poll("porting_events")
        slices = [findings.facts for findings, _ in here.store.records if findings.feed == "porting_events"]
        assert len(slices) > 4 and all(len(facts) <= 40 for facts in slices)
        times = [fact.as_of for facts in slices for fact in facts]
        assert times == sorted(times)
        moved = [
            made is not None for findings, made in here.store.records if findings.feed == "porting_events"
        ]
        assert moved == [False] * (len(slices) - 1) + [True]
        assert here.rows("select count(*) from v1_events where late") == [(0,)], (
            "one window, nothing is late in it"
        )


def test_a_want_is_stored_with_the_slice_that_causes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slicing, "SLICE", 10)
    with setting(Unwired(calm(10)), account(), tmp_path) as here:
        here.poll("porting_events")
        for findings, _ in here.store.records:
            here_ids = {fact.source_id for fact in findings.facts}
            assert all(want.because in here_ids for want in findings.wants)


def test_the_first_look_is_initial_and_a_feed_that_is_off_does_not_prolong_it(tmp_path: Path) -> None:
    ours = account()
    feeds = {**ours.feeds, "portouts": replace(ours.feeds["portouts"], enabled=False)}
    world = calm()
    with setting(Unwired(world), replace(ours, feeds=feeds), tmp_path) as here:
        names = [name for name in feeds if name != "portouts"]
        here.poll(*names)
        assert here.rows("select distinct initial from v1_changes") == [(1,)]
        world.now += HOUR
        world.move_out(next(iter(world.portouts.values())), "authorized")
        here.store.records.clear()
        here.poll(*names)
        assert any(findings.feed == "wanted" for findings, _ in here.store.records)
        assert not any(findings.initial for findings, _ in here.store.records)


# --- wants ----------------------------------------------------------------------------------------------


def test_an_event_without_its_payload_is_stored_and_asked_for_until_it_comes(tmp_path: Path) -> None:
    world = calm(20)
    world.knobs.empty = 0.6
    world.stir(12)
    with setting(Unwired(world), account(), tmp_path) as here:
        for outcome in here.poll().values():
            assert outcome.complete, "what is still owed does not make a poll incomplete"
        owed = here.rows("select provider_event_id from v1_events where not payload_complete")
        empty = {
            event.said["id"]
            for events in world.events.values()
            for event in events
            if event.filled_from is not None and event.filled_from > world.now
        }
        assert {id for (id,) in owed} == empty and empty
        assert {ref.split("/")[1] for kind, ref in here.wanted if kind == "event"} == empty
        for _ in range(3):
            world.now += HOUR
            here.poll("porting_events")
        assert here.rows("select count(*) from v1_events where not payload_complete") == [(0,)]
        assert not here.wanted
        assert sorted(here.events) == truth(world), "the same rows were filled"


def test_more_orders_wanted_than_a_listing_has_pages_are_answered_by_it(telnyx: Setting) -> None:
    telnyx.poll("porting_events", "portout_events")
    assert "/porting_orders" in (paths := telnyx.wire.paths()) and "/portouts" in paths
    assert not [path for path in paths if path.startswith("/porting_orders/") and "comments" not in path]
    assert not {ref for kind, ref in telnyx.wanted if kind == "order"}


def test_orders_that_the_rows_of_a_list_want_looked_at_are_all_looked_at(tmp_path: Path) -> None:
    world, ours = calm(50), account()
    read = ours.adapter.read

    def bare(page: Page, options: Options) -> Reading:
        """Rows of the list name their orders and count their numbers; the order itself tells which they are."""
        reading = read(page, options)
        if page.request.path != "/porting_orders":
            return reading
        rows = [replace(fact, numbers=None) for fact in reading.facts if fact.part is Part.ORDER]
        wants = [
            Want(Part.ORDER, row.order.id, row.order.direction, since=row.as_of, because=row.source_id)
            for row in rows
        ]
        return replace(reading, facts=tuple(rows), wants=tuple(wants))

    ours = replace(ours, adapter=replace(ours.adapter, read=bare))
    with setting(Unwired(world), ours, tmp_path) as here:
        outcomes = here.poll()
        assert all(outcome.complete for outcome in outcomes.values())
        assert not {ref for kind, ref in here.wanted if kind == "order"}
        numberless = "select count(*) from v1_orders where direction = 'port_in' and numbers_total > 0 and order_id not in (select order_id from v1_numbers)"
        assert here.rows(numberless) == [(0,)]


def test_a_single_order_is_asked_for_by_itself(telnyx: Setting) -> None:
    telnyx.poll()
    world = telnyx.wire.world
    assert isinstance(world, Telnyx)
    world.now += HOUR
    telnyx.poll()
    telnyx.wire.paths()
    world.now += MINUTE
    order = next(iter(world.orders.values()))
    world.move(order, "submitted")
    world.now += MINUTE
    telnyx.poll("porting_events")
    assert telnyx.wire.paths() == ["/porting/events", f"/porting_orders/{order['id']}"]
    telnyx.poll("porting_events")
    assert telnyx.wire.paths() == ["/porting/events"], "an answered want is gone"


def test_a_failed_refetch_stays_wanted_and_the_others_are_asked_all_the_same(telnyx: Setting) -> None:
    telnyx.poll()
    world = telnyx.wire.world
    assert isinstance(world, Telnyx)
    world.now += HOUR
    telnyx.poll()
    world.now += MINUTE
    first, second = list(world.orders.values())[:2]
    for order in (first, second):
        world.move(order, "submitted")
    world.now += MINUTE
    telnyx.wire.trouble = failing(
        PageChanged("HTML"),
        lambda request: request.path in (f"/porting_orders/{first['id']}", "/porting_orders"),
    )
    ours = telnyx.account
    feeds = {**ours.feeds, "porting_orders": replace(ours.feeds["porting_orders"], enabled=False)}
    telnyx.account = replace(ours, feeds=feeds)
    wanted = telnyx.poll("porting_events")["wanted"]
    assert not wanted.complete and isinstance(wanted.error, PageChanged)
    assert telnyx.wanted == {("order", f"port_in/{first['id']}")}
    assert telnyx.rows("select tries from wanted") == [(1,)]


def test_an_answer_that_never_comes_is_not_waited_for_three_times_over(telnyx: Setting) -> None:
    telnyx.wire.trouble = failing(FetchError("gone"), lambda request: not request.path.endswith("/events"))
    outcomes = telnyx.poll("porting_events", "portout_events")
    assert not outcomes["wanted"].complete
    singles = [path for path in telnyx.wire.paths() if path.count("/") == 2 and not path.endswith("/events")]
    assert len(singles) == wants.FAILURES


def test_so_many_questions_and_no_more_are_asked_in_one_poll_orders_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wants, "QUESTIONS", 7)
    world = calm(12)
    with setting(Unwired(world), account(), tmp_path) as here:
        here.poll()
        held = here.hold()
        owed = [
            Want(Part.EVENT, f"payload-{number:02}", feed="porting_events", since=here.wire.clock())
            for number in range(20)
        ]
        known = sorted(world.orders)[:3]
        asked = [Want(Part.ORDER, id, Direction.PORT_IN, since=here.wire.clock()) for id in known]
        findings = Findings("porting_events", here.wire.clock(), wants=(*owed, *asked))
        here.store.record(here.account, held, findings)
        here.wire.paths()
        outcome = here.poll("portouts")["wanted"]
        paths = [path for path in here.wire.paths() if path != "/portouts"]
        assert paths[:3] == [f"/porting_orders/{id}" for id in known] and len(paths) == 7
        assert (outcome.outcome, outcome.complete, outcome.left) == ("more wanted", True, 16)
        assert {wanted for (wanted,) in here.rows("select wanted from v1_feeds")} == {16}


def test_a_long_line_of_wants_is_left_for_the_next_poll_when_the_time_is_up(telnyx: Setting) -> None:
    off = {
        name: replace(feed, enabled=False) for name, feed in telnyx.account.feeds.items() if "order" in name
    }
    telnyx.account = replace(telnyx.account, feeds={**telnyx.account.feeds, **off})

    def dawdle(request: Request) -> None:
        if request.path.startswith("/porting_orders/"):
            telnyx.wire.ahead += 4 * MINUTE

    telnyx.wire.trouble = dawdle
    outcomes = telnyx.poll("porting_events")
    singles = [path for path in telnyx.wire.paths() if path.startswith("/porting_orders/")]
    assert len(singles) == 3, "ten minutes"
    assert outcomes["wanted"].complete and telnyx.wanted, "what is pending does not make a poll incomplete"


def test_nothing_wanted_is_asked_for_while_the_provider_cannot_be_reached(telnyx: Setting) -> None:
    telnyx.poll("porting_events")
    telnyx.wire.trouble = failing(FetchError("gone"))
    telnyx.wire.paths()
    assert set(telnyx.poll()) == set(telnyx.account.feeds)
    assert len(telnyx.wire.paths()) == len(telnyx.account.feeds)


def test_comments_of_a_port_out_whose_event_came_without_them_are_read(tmp_path: Path) -> None:
    world = calm(4, empty=0.0)
    world.knobs.for_ever = 1.0
    world.comment(next(iter(world.portouts)))
    with setting(Unwired(world), account(), tmp_path) as here:
        here.poll()
        portout = next(iter(world.portouts))
        assert f"/portouts/{portout}/comments" in here.wire.paths()
        ((body,),) = here.rows(f"select body from v1_comments where order_id like '%{portout}'")
        assert "***" in body


def test_a_number_list_that_lost_a_row_is_not_taken_for_the_whole(tmp_path: Path) -> None:
    world = calm(4)
    order = next(iter(world.orders))
    world.numbers[order] = [f"+1{201 + n // 100}55501{n % 100:02}" for n in range(300)]
    with setting(Unwired(world), account(), tmp_path) as here:

        def lose(request: Request) -> None:
            if request.path == "/porting_phone_numbers" and request.param("page[number]") == "2":
                world.numbers[order].insert(0, world.numbers[order].pop())  # the last one slips to the front

        here.wire.trouble = lose
        assert not here.poll()["wanted"].complete
        assert ("numbers", f"port_in/{order}") in here.wanted
        here.wire.trouble = lambda request: None
        world.now += HOUR
        assert here.poll()["wanted"].complete
        assert here.rows(
            "select count(*), sum(is_current) from v1_numbers where order_id like '%" + order + "'"
        ) == [(300, 300)]


def test_an_empty_number_list_is_no_answer_where_there_are_numbers(tmp_path: Path) -> None:
    world = calm(4)
    order = next(iter(world.orders))
    whole = [f"+1{201 + n // 100}55501{n % 100:02}" for n in range(120)]
    world.numbers[order] = whole
    with setting(Unwired(world), account(), tmp_path) as here:

        def hide(request: Request) -> None:
            world.numbers[order] = [] if request.path == "/porting_phone_numbers" else whole

        here.wire.trouble = hide
        assert here.poll()["wanted"].outcome == "page_changed"
        assert ("numbers", f"port_in/{order}") in here.wanted
        here.wire.trouble = lambda request: None
        world.numbers[order] = whole
        world.now += HOUR
        assert here.poll()["wanted"].complete
        assert here.rows(f"select count(*) from v1_numbers where order_id like '%{order}'") == [(120,)]


# --- rate limits and refused keys -----------------------------------------------------------------------


def limit(here: Setting) -> RateLimited:
    return RateLimited("429", here.wire.clock() + 10 * MINUTE)


def test_a_rate_limit_ends_the_poll_and_is_remembered_with_every_feed_it_kept_from(telnyx: Setting) -> None:
    limited = limit(telnyx)
    telnyx.wire.trouble = failing(limited, lambda request: request.path == "/portouts/events")
    outcomes = telnyx.poll()
    assert telnyx.wire.paths()[-1] == "/portouts/events", "nothing is asked after it"
    assert outcomes["porting_events"].complete and "wanted" not in outcomes
    for name in ("portout_events", "porting_orders", "portouts"):
        assert outcomes[name].outcome == "rate_limited"
        assert telnyx.mark(name).not_before == limited.until
        assert telnyx.mark(name).failures == 1


def test_a_rate_limit_on_what_is_wanted_is_remembered_too(telnyx: Setting) -> None:
    limited = limit(telnyx)
    off = {
        name: replace(feed, enabled=False) for name, feed in telnyx.account.feeds.items() if "order" in name
    }
    telnyx.account = replace(telnyx.account, feeds={**telnyx.account.feeds, **off})
    telnyx.wire.trouble = failing(limited, lambda request: request.path.startswith("/porting_orders/"))
    outcomes = telnyx.poll("porting_events")
    assert isinstance(outcomes["wanted"].error, RateLimited)
    assert len([path for path in telnyx.wire.paths() if path.startswith("/porting_orders/")]) == 1
    mark = telnyx.mark("porting_events")
    assert mark.not_before == limited.until and mark.failures == 0 and mark.cursor is not None


def test_a_listing_that_was_to_answer_wants_and_is_limited_ends_the_poll(telnyx: Setting) -> None:
    telnyx.wire.trouble = failing(limit(telnyx), lambda request: request.path == "/porting_orders")
    outcomes = telnyx.poll("porting_events", "portout_events")
    assert outcomes["porting_orders"].outcome == "rate_limited" and "wanted" not in outcomes
    assert telnyx.wire.paths()[-1] == "/porting_orders"


def test_a_refused_key_ends_the_poll_at_once_and_shows_on_every_feed(telnyx: Setting) -> None:
    telnyx.wire.trouble = failing(AccessDenied("401"))
    outcomes = telnyx.poll()
    assert telnyx.wire.paths() == ["/porting/events"]
    assert {outcome.outcome for outcome in outcomes.values()} == {"denied"}
    assert telnyx.rows("select distinct last_outcome, last_error from v1_feeds") == [("denied", "401")]


def test_one_feed_that_fails_does_not_keep_the_others(telnyx: Setting) -> None:
    telnyx.wire.trouble = failing(PageChanged("HTML"), lambda request: request.path == "/porting/events")
    outcomes = telnyx.poll()
    assert [outcomes[name].complete for name in telnyx.account.feeds] == [False, True, True, True]


def test_a_listing_is_recorded_page_by_page_and_only_a_complete_one_answers_wants(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slicing, "SLICE", 50)
    world = calm(250)
    with setting(Unwired(world), account(), tmp_path) as here:
        here.wire.trouble = failing(
            FetchError("gone"),
            lambda request: request.path == "/porting_orders" and request.param("page[number]") == "3",
        )
        here.poll("porting_orders")
        assert here.rows("select count(*) from v1_orders") == [(200,)]
        assert here.mark("porting_orders").pages == 0, "a listing cut short has no length"
        here.wire.trouble = lambda request: None
        here.poll("porting_orders")
        assert here.rows("select count(*) from v1_orders") == [(len(world.orders),)]
        assert here.mark("porting_orders").pages == 3
        assert all(len(findings.facts) <= 250 for findings, _ in here.store.records), (
            "never a whole list in memory"
        )


def test_a_list_too_long_for_one_poll_goes_on_where_it_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeping, "MAX_PAGES", 2)
    world = calm(350)
    with setting(Unwired(world), account(), tmp_path) as here:
        first = here.poll("porting_orders")["porting_orders"]
        assert (first.outcome, first.complete) == ("goes on", False)
        ((error, failures),) = here.rows(
            "select last_error, consecutive_failures from v1_feeds where feed = 'porting_orders'"
        )
        count = len(world.orders)
        assert error == f"200 of {count} rows read; the list goes on" and failures == 0
        mark = here.mark("porting_orders")
        assert mark.last_complete_at is None and mark.last_attempt_at is not None
        assert is_due(here.account.feeds["porting_orders"], mark, mark.last_attempt_at + MINUTE)
        pages = []
        for _ in range(3):
            here.wire.asked.clear()
            last = here.poll("porting_orders")["porting_orders"]
            pages.append(
                [one.param("page[number]") for one in here.wire.asked if one.path == "/porting_orders"]
            )
            if last.complete:
                break
        assert pages == [["2", "3"], ["3", "4"]], "the last page is read again"
        assert here.rows("select count(*) from v1_orders") == [(count,)]
        assert here.mark("porting_orders").place is None
        here.wire.asked.clear()


def test_a_long_list_whose_rows_moved_meanwhile_begins_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeping, "MAX_PAGES", 2)
    world = calm(350)
    with setting(Unwired(world), account(), tmp_path) as here:
        here.poll("porting_orders")
        for id in sorted(world.orders, key=lambda id: str(world.orders[id]["created_at"]))[:150]:
            del world.orders[id]
        moved = here.poll("porting_orders")["porting_orders"]
        assert (moved.outcome, moved.complete) == ("drift", False)
        assert here.mark("porting_orders").place is None


def beyond(rows: int, path: str, status: int = 422) -> Callable[[Request], None]:
    """A provider that shows no row of a list beyond so many."""

    def trouble(request: Request) -> None:
        first = int(request.param("page[number]") or 1) * int(request.param("page[size]") or 0)
        if request.path == path and first > rows:
            raise Refused(f"{path}: status {status}", status)

    return trouble


@pytest.mark.parametrize("status", [400, 422])
def test_a_list_refused_at_a_later_page_is_asked_for_newest_first(tmp_path: Path, status: int) -> None:
    world = calm(300)
    with setting(Unwired(world), account(), tmp_path) as here:
        here.wire.trouble = beyond(200, "/porting_orders", status)
        outcome = here.poll("porting_orders")["porting_orders"]
        assert (outcome.outcome, outcome.complete, outcome.error) == ("complete", True, None)
        assert {id for (id,) in here.rows("select provider_order_id from v1_orders")} == set(world.orders)
        assert {one.param("sort[value]") for one in here.wire.asked if one.path == "/porting_orders"} == {
            "created_at",
            "-created_at",
        }


def test_port_outs_refused_at_a_later_page_are_asked_for_status_by_status(tmp_path: Path) -> None:
    world = calm(8)
    world.fill(1, 700, 6 * DAY)
    with setting(Unwired(world), account(), tmp_path) as here:
        here.wire.trouble = beyond(500, "/portouts")
        outcome = here.poll("portouts")["portouts"]
        assert outcome.complete
        assert {id for (id,) in here.rows("select provider_order_id from v1_orders")} == set(world.portouts)


def test_what_no_way_of_asking_shows_is_asked_for_by_id_and_the_run_record_says_so(tmp_path: Path) -> None:
    world = calm(300)
    with setting(Unwired(world), account(), tmp_path) as here:
        assert here.poll("porting_orders")["porting_orders"].complete
        open_ones = {id for (id,) in here.rows("select provider_order_id from v1_orders where is_open")}
        here.wire.trouble = beyond(100, "/porting_orders")
        here.store.records.clear()
        outcome = here.poll("porting_orders")["porting_orders"]
        assert (outcome.outcome, outcome.complete) == ("page refused", False)
        ((error,),) = here.rows("select last_error from v1_feeds where feed = 'porting_orders'")
        assert error == (f"page refused (/porting_orders: status 422); 200 of {len(world.orders)} rows read")
        read = {fact.order.id for findings, _ in here.store.records for fact in findings.facts}
        assert open_ones <= read


def test_what_fails_when_it_is_asked_for_by_itself_shows_with_the_feeds(telnyx: Setting) -> None:
    telnyx.poll()
    assert isinstance(telnyx.wire.world, Telnyx)
    order, when = next(iter(telnyx.wire.world.orders)), telnyx.wire.clock() + SECOND
    want = Want(Part.ORDER, order, Direction.PORT_IN, since=when)
    telnyx.store.record(telnyx.account, telnyx.hold(), Findings("wanted", when, wants=(want,)))
    telnyx.wire.trouble = failing(FetchError("gone"), lambda request: request.path.endswith(order))
    telnyx.poll("porting_events")
    said = "select last_error, last_outcome, consecutive_failures from v1_feeds where feed = 'porting_events'"
    assert telnyx.rows(said) == [("wanted: gone", "complete", 0)]
    telnyx.wire.trouble = lambda request: None
    telnyx.wire.world.now += HOUR
    telnyx.poll("porting_events")
    assert telnyx.rows(said) == [(None, "complete", 0)]


def test_while_a_list_goes_on_open_orders_are_asked_for_by_id_and_all_get_their_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = calm(600)
    with setting(Unwired(world), account(), tmp_path) as here:
        assert here.poll("porting_orders")["porting_orders"].complete
        monkeypatch.setattr(sweeping, "MAX_PAGES", 2)
        monkeypatch.setattr(polling, "QUESTIONS", 150)
        ((open_ones,),) = here.rows("select count(*) from v1_orders where is_open")
        read, turns = set[str](), 0
        here.store.records.clear()
        while not here.poll("porting_orders")["porting_orders"].complete:
            turns += 1
            alone = [one for one in here.wire.asked if one.path.count("/") == 2]
            here.wire.asked.clear()
            world.now += MINUTE
            read |= {fact.order.id for findings, _ in here.store.records for fact in findings.facts}
            assert turns == 1 or 0 < len(alone) <= 150
            assert len(read) >= min(open_ones, 150 * turns), "by the list or by themselves"
        assert turns > 3 and open_ones > 250


def test_a_list_over_several_polls_counts_what_it_lacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, database_url: str
) -> None:
    monkeypatch.setattr(sweeping, "MAX_PAGES", 2)
    monkeypatch.setattr(polling, "QUESTIONS", 0)
    world = calm(350)
    with setting(Unwired(world), account(), tmp_path, database_url) as here:

        def whole() -> None:
            world.now += HOUR
            while not here.poll("porting_orders")["porting_orders"].complete:
                world.now += MINUTE

        whole()
        lost = sorted(world.orders)[7]
        del world.orders[lost]
        whole()  # the second list, which tells more, follows the first that lacks an order
        gone = here.rows(
            "select provider_order_id, deletion_basis from v1_orders where deleted_at is not null"
        )
        assert gone == [(lost, "absent")]


@pytest.mark.parametrize("what", ["requests", "time"])
def test_a_poll_has_one_budget_and_what_it_ends_is_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    if what == "requests":
        monkeypatch.setattr(polling, "REQUESTS", 5)
    with setting(Unwired(calm(250)), account(), tmp_path) as here:

        def slow(request: Request) -> None:
            if what == "time":
                here.wire.ahead += 5 * MINUTE

        here.wire.trouble = slow
        outcomes = here.poll()
        assert len(here.wire.asked) <= 6
        spent = [one.feed for one in outcomes.values() if one.outcome in ("budget spent", "goes on")]
        assert "portouts" in spent
        rows = here.rows("select last_error, last_outcome from v1_feeds where feed = 'portouts'")
        assert "in one poll; the next one goes on" in rows[0][0]
        if what == "requests":
            tries = here.rows("select max(tries) from wanted")
            assert tries in ([(0,)], [(None,)]), "what was not asked has not failed"


# --- Fone Dynamics --------------------------------------------------------------------------------------


@pytest.mark.parametrize("ahead", [2 * HOUR, -2 * HOUR])
def test_a_window_that_must_have_an_end_ends_five_seconds_before_the_later_of_both_clocks(
    fone: Setting, ahead: timedelta
) -> None:
    fone.wire.ahead = ahead
    fone.poll("porting_status")
    fone.wire.asked.clear()
    fone.wire.world.now += MINUTE
    fone.poll("porting_status")
    latest = max(fone.wire.world.now, fone.wire.clock()) - 5 * SECOND
    assert abs(at(fone.wire.asked[0], "To") - latest) <= SECOND


def test_what_one_feed_learns_of_the_providers_clock_the_next_one_uses(fone: Setting) -> None:
    fone.poll()
    fone.wire.ahead -= 9 * HOUR
    fone.wire.asked.clear()
    fone.poll("porting_status", "porting_reconcile")
    ends = [at(request, "To") for request in fone.wire.asked if request.param("PortingRequestNumbers")]
    assert ends and all(abs(end - (fone.wire.world.now - 5 * SECOND)) <= MINUTE for end in ends)


def test_its_cursor_is_the_newest_entry_and_the_next_window_overlaps_it(fone: Setting) -> None:
    world = fone.wire.world
    assert isinstance(world, FoneDynamics)
    world.run(world.now + 2 * DAY)
    fone.poll("porting_status")
    told = [
        entry.at for one in world.requests.values() for entries in one.history.values() for entry in entries
    ]
    assert fone.mark("porting_status").cursor == max(told), "never the end of the window"
    fone.wire.asked.clear()
    fone.poll("porting_status")
    assert abs(at(fone.wire.asked[0], "From") - (max(told) - 15 * MINUTE)) <= SECOND


def test_an_empty_first_page_with_a_total_leaves_the_feed_incomplete(fone: Setting) -> None:
    fone.wire.faults.clamp = 0
    outcome = fone.poll("porting_status")["porting_status"]
    assert (outcome.outcome, outcome.complete) == ("contradiction", False)
    assert fone.mark("porting_status").cursor is None


def test_open_orders_are_asked_for_by_number_fifty_at_a_time_in_a_wide_window(tmp_path: Path) -> None:
    world = FoneDynamics(4, SID)
    world.fill(120, 2 * DAY)
    with setting(Unwired(world), account("fonedynamics"), tmp_path) as here:
        here.poll()
        here.wire.asked.clear()
        world.now += HOUR
        here.poll("porting_reconcile")
        batches = [request for request in here.wire.asked if request.param("PortingRequestNumbers")]
        asked = [str(request.param("PortingRequestNumbers")).split(",") for request in batches]
        assert {no for batch in asked for no in batch} == set(world.requests)
        assert all(len(batch) <= 50 for batch in asked) and len(here.wire.asked) == len(batches) == 3
        oldest = min(one.created for one in world.requests.values()).replace(microsecond=0)
        assert all(oldest - 2 * DAY < at(request, "From") <= oldest - DAY for request in batches)


def test_a_missed_update_of_an_open_order_is_found_by_reconciling(fone: Setting) -> None:
    fone.poll()
    world = fone.wire.world
    assert isinstance(world, FoneDynamics)
    one = list(world.requests.values())[-1]
    one.status = "Confirmed"  # and no history entry says so
    world.now += HOUR
    fone.poll("porting_status")
    status = f"select raw_status from v1_orders where provider_order_id = '{one.no}'"
    assert fone.rows(status) != [("Confirmed",)]
    fone.poll("porting_reconcile")
    assert fone.rows(status) == [("Confirmed",)]


def test_a_wide_window_is_swept_once_a_day(fone: Setting) -> None:
    wide = []
    for _ in range(6):
        fone.wire.asked.clear()
        fone.poll("porting_reconcile")
        wide.append(sum(not request.param("PortingRequestNumbers") for request in fone.wire.asked))
        fone.wire.world.now += 8 * HOUR
    assert wide == [1, 0, 0, 1, 0, 0]


def test_a_reconciliation_refused_for_its_length_is_asked_for_in_shorter_spans(fone: Setting) -> None:
    fone.poll("porting_status")
    world = fone.wire.world
    assert isinstance(world, FoneDynamics)
    still_open = {no for (no,) in fone.rows("select provider_order_id from v1_orders where is_open")}
    for one in world.requests.values():
        one.status = "Cancelled"
    world.now += HOUR
    fone.wire.faults = Faults(longest=3 * DAY)
    outcome = fone.poll("porting_reconcile")["porting_reconcile"]
    assert outcome.complete and still_open
    cancelled = fone.rows("select provider_order_id from v1_orders where raw_status = 'Cancelled'")
    assert {no for (no,) in cancelled} >= still_open
    (progress,) = [made for made in fone.progress("porting_reconcile") if made.complete]
    assert progress.covers is not None, "all that was asked for came, from one span or another"


def test_open_orders_too_large_for_one_reply_are_asked_for_in_smaller_batches(fone: Setting) -> None:
    fone.poll("porting_status")
    huge, batches = fone.rows("select min(provider_order_id) from v1_orders")[0][0], []

    def trouble(request: Request) -> None:
        asked = str(request.param("PortingRequestNumbers") or "").split(",")
        if asked != [""]:
            batches.append(len(asked))
        if huge in asked:
            raise TooLarge(f"{request.path}: more than 8 MiB")

    fone.wire.trouble = trouble
    assert fone.poll("porting_reconcile")["porting_reconcile"].complete
    assert batches[0] > 2 and 1 in batches, "in halves, down to the one"
    fone.wire.world.now += HOUR  # no wide window this time, which shows it
    assert fone.poll("porting_reconcile")["porting_reconcile"].complete
    aside = fone.rows("select ref, error from v1_quarantine where resolved_at is null")
    assert aside == [(huge, f"one item is too large ({fone.wire.asked[0].path}: more than 8 MiB)")]
    assert fone.rows("select covers from feed where feed = 'porting_reconcile'") == [(None,)], (
        "it did not come"
    )
    fone.wire.trouble = lambda request: None
    fone.wire.world.now += HOUR
    assert fone.poll("porting_reconcile")["porting_reconcile"].complete
    assert fone.rows("select count(*) from v1_quarantine where resolved_at is null") == [(0,)]


def test_a_run_that_did_not_bring_every_open_order_covers_none(fone: Setting) -> None:
    fone.poll()
    world = fone.wire.world
    assert isinstance(world, FoneDynamics)
    del world.requests[next(iter(world.requests))]
    world.now += HOUR
    fone.store.records.clear()
    assert fone.poll("porting_reconcile")["porting_reconcile"].complete
    (progress,) = fone.progress("porting_reconcile")
    assert progress.covers is None


def test_a_refused_account_is_a_refusal_not_an_endless_halving(fone: Setting) -> None:
    fone.wire.trouble = failing(Refused("400", 400))
    outcomes = fone.poll()
    assert {outcome.outcome for outcome in outcomes.values()} == {"refused"}
    assert len(fone.wire.paths()) < 40


def test_a_stopped_poll_leaves_the_lease_and_the_database_as_they_were(telnyx: Setting) -> None:
    telnyx.store.dies_at = 0
    with suppress(Killed):
        telnyx.poll()
    assert telnyx.rows("select count(*) from v1_events") == [(0,)]
    telnyx.store.dies_at = None
    assert all(outcome.complete for outcome in telnyx.poll().values())

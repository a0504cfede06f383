"""A walk through history: resumable, idempotent, beside the polls and their cursors."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from made import account
from standin import Faults
from standin_lives import BEGAN, DAY, HOUR, MINUTE, FoneDynamics, Telnyx
from unwired import SID, Killed, Setting, Unwired, calm, failing, setting

from aggregator import sweep as sweeping
from aggregator.backfill import backfill
from aggregator.core.findings import Backfill
from aggregator.errors import FetchError, RateLimited
from aggregator.slices import Outcome


@dataclass
class Walk:
    """One walk of a setting's account, and what it told."""

    here: Setting
    stop: threading.Event = field(default_factory=threading.Event)
    told: list[tuple[float, int, int, int]] = field(default_factory=list)
    at_told: Callable[["Walk"], None] = lambda walk: None

    def __call__(self, since: datetime = BEGAN - DAY, until: datetime | None = None) -> dict[str, Outcome]:
        here = self.here
        outcomes = backfill(
            here.account,
            since,
            until,
            here.store,
            here.hold(),
            here.wire,
            here.wire.clock,
            stop=self.stop,
            tell=self.tell,
        )
        return {outcome.feed: outcome for outcome in outcomes}

    def tell(self, *told: float) -> None:
        share, orders, events, changes = told
        self.told.append((share, int(orders), int(events), int(changes)))
        self.at_told(self)


@pytest.fixture(autouse=True)
def _small_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweeping, "LARGEST_WINDOW", 30)


@pytest.fixture
def telnyx(tmp_path: Path) -> Iterator[Setting]:
    world = calm(16, empty=0.1)
    world.now += 40 * DAY  # long ago: a first poll does not look back so far
    with setting(Unwired(world), account(), tmp_path) as here:
        yield here


def truth(here: Setting) -> list[str]:
    assert isinstance(here.wire.world, Telnyx)
    return sorted(event.said["id"] for events in here.wire.world.events.values() for event in events)


def walked(here: Setting, feed: str) -> Backfill:
    return here.store.store.backfills(here.account.name)[feed]


def test_the_whole_history_is_stored_as_initial_and_no_cursor_moves(telnyx: Setting) -> None:
    telnyx.poll()
    assert not telnyx.events
    outcomes = Walk(telnyx)()
    assert all(outcome.complete for outcome in outcomes.values())
    assert sorted(telnyx.events) == truth(telnyx)
    assert telnyx.rows("select distinct initial from v1_changes where kind <> 'order_seen'") == [(1,)]
    assert telnyx.mark("porting_events").cursor is None
    assert telnyx.mark("portout_events").cursor is None


def test_a_cursor_that_stands_stays_and_polls_go_on_from_it(telnyx: Setting) -> None:
    world = telnyx.wire.world
    assert isinstance(world, Telnyx)
    world.stir(5)
    telnyx.poll()
    cursor, last = telnyx.mark("porting_events").cursor, telnyx.mark("porting_events").last_attempt_at
    world.now += HOUR
    Walk(telnyx)()
    mark = telnyx.mark("porting_events")
    assert cursor is not None and (mark.cursor, mark.last_attempt_at) == (cursor, last)
    assert sorted(telnyx.events) == truth(telnyx)
    before = telnyx.rows("select count(*) from v1_changes")
    world.now += HOUR
    telnyx.poll()
    assert telnyx.rows("select count(*) from v1_changes") == before, "what a walk stored is known to a poll"


def test_it_goes_from_the_older_end_window_by_window(telnyx: Setting) -> None:
    walk = Walk(telnyx)
    walk()
    reached = [findings.facts for findings, _ in telnyx.store.records if findings.feed == "porting_events"]
    times = [fact.as_of for facts in reached for fact in facts]
    assert len(reached) > 4 and times == sorted(times)
    shares = [share for share, *_ in walk.told]
    assert shares == sorted(shares) and shares[-1] == 1.0 and len(shares) > 5
    _, orders, events, changes = walk.told[-1]
    assert events == len(truth(telnyx))
    assert orders == telnyx.rows("select count(*) from v1_orders where state <> ''")[0][0]
    assert 0 < changes <= telnyx.rows("select count(*) from v1_changes")[0][0]
    assert walked(telnyx, "porting_events").done and walked(telnyx, "portout_events").done


def test_what_is_wanted_is_noted_and_a_listing_answers_it_at_the_end(telnyx: Setting) -> None:
    outcomes = Walk(telnyx)()
    paths = telnyx.wire.paths()
    assert list(outcomes) == ["porting_events", "portout_events", "porting_orders", "portouts"]
    assert paths.index("/porting_orders") > max(
        at for at, path in enumerate(paths) if path.endswith("/events")
    )
    assert not [path for path in paths if path.count("/") > 2], "nothing is asked for one by one"
    assert not {kind for kind, _ in telnyx.wanted} & {"order"}


def test_a_stop_between_two_windows_is_taken_up_there_by_the_next_call(telnyx: Setting) -> None:
    def stop(walk: Walk) -> None:
        if len(walk.told) == 3:
            walk.stop.set()

    outcomes = Walk(telnyx, at_told=stop)()
    assert [(one.outcome, one.complete) for one in outcomes.values()] == [("interrupted", False)]
    reached = walked(telnyx, "porting_events").done_until
    assert 0 < len(telnyx.events) < len(truth(telnyx))
    telnyx.wire.asked.clear()
    assert all(outcome.complete for outcome in Walk(telnyx)().values())
    first = str(telnyx.wire.asked[0].param("filter[created_at][gte]"))
    assert datetime.fromisoformat(first) == reached.replace(microsecond=0)
    assert sorted(telnyx.events) == truth(telnyx)


def test_killed_at_any_commit_it_goes_on_where_it_was(telnyx: Setting) -> None:
    kills = 0
    for _ in range(100):
        telnyx.store.records, telnyx.store.dies_at = [], 2
        try:
            Walk(telnyx)()
        except Killed:
            kills += 1
            until = walked(telnyx, "porting_events").done_until
            world = telnyx.wire.world
            assert isinstance(world, Telnyx)
            behind = {event.said["id"] for event in world.events["porting"] if event.at < until}
            assert set(telnyx.events) >= behind, "everything behind it is stored"
        else:
            break
    assert kills > 3 and sorted(telnyx.events) == truth(telnyx)


def test_an_error_in_the_middle_leaves_it_where_it_was(telnyx: Setting) -> None:
    telnyx.wire.trouble = failing(FetchError("gone"), lambda request: len(telnyx.wire.asked) == 9)
    outcomes = Walk(telnyx)()
    assert [(one.outcome, one.complete) for one in outcomes.values()] == [("unreachable", False)]
    assert not walked(telnyx, "porting_events").done
    telnyx.wire.trouble = failing(RateLimited("429", telnyx.wire.clock() + HOUR))
    (limited,) = Walk(telnyx)().values()
    assert limited.outcome == "rate_limited" and isinstance(limited.error, RateLimited)
    telnyx.wire.trouble = lambda request: None
    assert all(outcome.complete for outcome in Walk(telnyx)().values())
    assert sorted(telnyx.events) == truth(telnyx)


def test_a_second_walk_over_the_same_history_changes_nothing(telnyx: Setting) -> None:
    Walk(telnyx)()
    before = telnyx.rows("select count(*), max(seq) from v1_changes")
    telnyx.wire.world.now += MINUTE
    Walk(telnyx)()
    assert telnyx.rows("select count(*), max(seq) from v1_changes") == before


def test_the_walk_ends_before_the_providers_now_even_when_it_is_told_later(telnyx: Setting) -> None:
    Walk(telnyx)(until=telnyx.wire.world.now + 9 * DAY)
    assert walked(telnyx, "porting_events").until < telnyx.wire.world.now


def test_only_the_span_that_was_asked_for_is_walked(telnyx: Setting) -> None:
    since, until = BEGAN + 2 * DAY, BEGAN + 4 * DAY
    Walk(telnyx)(since, until)
    world = telnyx.wire.world
    assert isinstance(world, Telnyx)
    inside = {
        event.said["id"] for events in world.events.values() for event in events if since <= event.at <= until
    }
    assert inside and set(telnyx.events) == inside


def test_history_of_a_provider_without_event_ids_is_walked_by_windows(tmp_path: Path) -> None:
    world = FoneDynamics(4, SID)
    world.fill(40, 6 * DAY)
    world.run(world.now + 40 * DAY)
    wire = Unwired(world, Faults(longest=timedelta(days=5)))
    with setting(wire, account("fonedynamics"), tmp_path) as here:
        outcomes = Walk(here)()
        assert {name: one.complete for name, one in outcomes.items()} == {"porting_status": True}
        told = sum(len(entries) for one in world.requests.values() for entries in one.history.values())
        assert len(here.events) == told
        assert here.mark("porting_status").cursor is None
        assert walked(here, "porting_status").done

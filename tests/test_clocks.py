"""What happens to an order by itself, and when: the providers' clocks, how they press, how they are wound."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from made import NOW, account, day, hour
from made import event as told_event
from made import look as told_look
from stored import desk, event, look

from aggregator import providers
from aggregator.cli.describing import CLOCKS as WORDS
from aggregator.core.clocks import NONE, Clock, Clocks, CountedFrom, clocks, version
from aggregator.core.fold import fold
from aggregator.core.model import Dates, Direction, Fact, Moment, NumberSaid, Partial, State, Status

OUT = Direction.PORT_OUT
DAY = timedelta(days=1)
CENTURY = datetime(2201, 1, 1, tzinfo=UTC)


def clocks_of(*told: Fact, provider: str = "telnyx", **said: str) -> Clocks:
    """What the clocks say after these facts, but for when the order is stuck and its date's day is over."""
    standing = fold(None, told)
    said_so = clocks(standing.order, standing.ref.direction, account(provider, None, None, **said))
    return replace(said_so, stuck_at=None, foc_ends_at=None)


# --- each of them ---------------------------------------------------------------------------------------


def test_an_undecided_port_out_is_authorised_by_silence_counted_from_its_last_return() -> None:
    facts = [told_event(1, "pending", direction=OUT), told_event(2, "rejected-pending", direction=OUT)]
    assert clocks_of(facts[0]) == Clocks(hour(25), "port_out_authorised_by_silence", True)
    assert clocks_of(*facts) == NONE
    assert clocks_of(*facts, told_event(9, "pending", direction=OUT)).deadline_at == hour(33)


def test_a_draft_is_deleted_after_thirty_days_and_a_deleted_one_has_no_deadline() -> None:
    draft = told_look(1, "draft", dates=Dates(created=hour(0)))
    assert clocks_of(draft) == Clocks(hour(0) + 30 * DAY, "draft_deleted", True)
    assert clocks_of(draft, told_event(2, deleted=True)) == NONE


def test_an_order_can_no_longer_be_cancelled_from_two_days_before_its_firm_date_on() -> None:
    date = Dates(confirmed=Moment(hour(100).date(), hour(100)))
    scheduled = told_look(1, "foc-date-confirmed", dates=date)
    assert clocks_of(scheduled) == Clocks(hour(52), "cancel_locked", False)
    assert clocks_of(told_look(1, "submitted", dates=date)) == NONE
    assert clocks_of(told_look(1, "foc-date-confirmed")) == NONE


def test_a_date_without_a_time_is_a_day_of_the_accounts_zone() -> None:
    """The lock counts from its start, lateness from its end."""
    locked = clocks_of(told_look(1, "foc-date-confirmed", dates=day(20)), time_zone="America/New_York")
    assert locked.deadline_at == datetime(2026, 6, 18, 4, tzinfo=UTC)
    late = clocks_of(told_look(1, "authorized", direction=OUT, dates=day(20)), time_zone="America/New_York")
    assert late == Clocks(datetime(2026, 7, 1, 4, tzinfo=UTC), "port_out_late", False)


def test_a_port_out_is_late_only_ten_days_after_its_date() -> None:
    date = Dates(confirmed=Moment(hour(0).date(), hour(0)))
    assert clocks_of(told_look(1, "authorized", direction=OUT, dates=date)).deadline_at == hour(240)
    assert clocks_of(told_look(1, "ported", direction=OUT, dates=date)) == NONE


def test_an_exception_lapses_while_it_waits_for_our_answer() -> None:
    ours = told_event(1, "exception", "PASSCODE_PIN_INVALID")
    assert clocks_of(ours) == Clocks(hour(1) + 14 * DAY, "exception_cancelled", True)
    assert clocks_of(told_event(1, "exception", "SV_CONFLICT")) == NONE
    assert clocks_of(ours, told_event(2, "submitted")) == NONE


def test_an_australian_cutover_can_be_given_back_for_four_hours() -> None:
    moved = told_event(1, "Completed", provider="fonedynamics")
    over = Clocks(hour(5), "emergency_return_over", False)
    assert clocks_of(moved, provider="fonedynamics") == over
    one = Partial((NumberSaid("+61255500101", Status("Completed")),))
    by_number = told_event(3, provider="fonedynamics", numbers=one)
    assert clocks_of(by_number, provider="fonedynamics").deadline_at == hour(7)


def test_a_provider_without_a_clock_has_no_deadline() -> None:
    draft = told_look(1, "Draft", provider="fonedynamics", dates=Dates(created=hour(0)))
    assert clocks_of(draft, provider="fonedynamics") == NONE


def test_the_earliest_clock_that_runs_counts_and_the_end_of_the_calendar_stops_none() -> None:
    one = account()
    either = (
        Clock("later", OUT, frozenset({State.ACTION_NEEDED}), CountedFrom.STATE, DAY),
        Clock("never", OUT, frozenset({State.ACTION_NEEDED}), CountedFrom.STATE, 3_000_000 * DAY),
        Clock("sooner", OUT, frozenset({State.ACTION_NEEDED}), CountedFrom.STATE, DAY / 2),
    )
    with_them = replace(one, adapter=replace(one.adapter, clocks=either))
    order = fold(None, [told_event(0, "pending", direction=OUT)]).order
    assert clocks(order, OUT, with_them).deadline_kind == "sooner"


@pytest.mark.parametrize("provider", providers.names())
def test_every_clock_has_its_words_and_its_row_in_the_documentation(provider: str) -> None:
    consumers = (Path(__file__).parents[1] / "docs" / "consumers.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| .* \| .* \| (yes|no) \| (\w+)", consumers, re.MULTILINE)
    said = {kind: (presses == "yes", basis) for kind, presses, basis in rows}
    there = providers.load(provider).clocks
    assert len({clock.kind for clock in there}) == len(there)
    for clock in there:
        assert clock.kind in WORDS
        assert said[clock.kind] == (clock.presses, clock.basis)


# --- in the database ------------------------------------------------------------------------------------


def test_only_what_presses_makes_urgent(database_url: str) -> None:
    """The views go by the database's clock: what is over here was so long ago."""
    with desk(database_url) as acme:
        firm = Dates(confirmed=Moment(NOW.date(), NOW - 9_000 * DAY))
        acme.record(
            look(0, "foc-date-confirmed", order="locked", dates=firm, steps=("sign_loa",)),
            replace(event(0, "pending", order="silent", direction=OUT), as_of=NOW - 9_000 * DAY),
            replace(event(0, "pending", order="far", direction=OUT), as_of=CENTURY),
        )
        rows = acme.rows(
            "select provider_order_id, deadline_kind, deadline_at < last_changed_at as is_over, urgency "
            "from v1_orders where needs_us order by provider_order_id"
        )
        silence = "port_out_authorised_by_silence"
        assert [tuple(row.values()) for row in rows] == [
            ("far", silence, 0, 3),
            ("locked", "cancel_locked", 1, 3),
            ("silent", silence, 1, 1),
        ]


def test_orders_get_their_deadlines_anew_when_the_clocks_are_others(database_url: str) -> None:
    with desk(database_url) as acme:
        acme.record(event(0, "pending", direction=OUT), event(0, "submitted", order="order-2"))
        before = acme.everything("port_order")
        slow = tuple(replace(clock, after=2 * clock.after) for clock in acme.account.adapter.clocks)
        slower = replace(acme.account, adapter=replace(acme.account.adapter, clocks=slow))
        query = "select deadline_at from v1_orders where direction = 'port_out'"
        assert acme.one(query) == "2026-06-16T12:00:00.000000Z"
        acme.store.sync([slower], 14 * DAY, NOW)
        assert acme.one(query) == "2026-06-17T12:00:00.000000Z"
        assert acme.everything("port_order") == before
        acme.store.sync([acme.account], 14 * DAY, NOW)
        assert acme.one(query) == "2026-06-16T12:00:00.000000Z"


def test_the_same_clocks_have_the_same_version() -> None:
    one = account("fonedynamics")
    (clock,) = one.adapter.clocks
    turned = replace(clock, states=frozenset(sorted(clock.states, reverse=True)))
    assert version(replace(one, adapter=replace(one.adapter, clocks=(turned,)))) == version(one)
    assert version(account("fonedynamics", time_zone="Australia/Perth")) != version(one)

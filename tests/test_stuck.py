"""Orders that are longer in a state than is usual: what is usual, business days, and what readers see."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from made import NOW, account, hour
from made import event as told_event
from stored import desk, event

from aggregator.core.account import Account
from aggregator.core.fold import fold
from aggregator.core.model import Direction, Fact, State
from aggregator.core.stuck import Usual, is_working_day, later, stuck_at, usual_time

OUT = Direction.PORT_OUT
DAY = timedelta(days=1)
SYDNEY = ZoneInfo("Australia/Sydney")
LONG_AGO, CENTURY = datetime(2001, 1, 1, tzinfo=UTC), datetime(2201, 1, 1, tzinfo=UTC)


def stuck_of(*told: Fact, of: Account | None = None) -> datetime | None:
    """From when on an order is stuck after these facts."""
    standing = fold(None, told)
    return stuck_at(standing.order, standing.ref.direction, of or account())


# --- what is usual --------------------------------------------------------------------------------------


def test_what_the_operator_wrote_wins_then_the_provider_then_what_is_general() -> None:
    port_in = Direction.PORT_IN
    plain, own = account(), replace(account(), stuck={"with_carrier": 5 * DAY, "draft": 9 * DAY})
    assert usual_time(State.WITH_CARRIER, port_in, own) == Usual(5 * DAY)
    assert usual_time(State.WITH_CARRIER, port_in, plain) == Usual(2 * DAY, business=True)
    assert usual_time(State.WITH_CARRIER, OUT, plain) == Usual(3 * DAY)
    assert usual_time(State.DRAFT, port_in, own) == Usual(9 * DAY)
    assert usual_time(State.DRAFT, port_in, plain) is None


def test_only_an_open_order_gets_stuck_and_each_state_counts_anew() -> None:
    told = [told_event(0, "in-process"), told_event(3, "exception", "OTHER"), told_event(9, "in-process")]
    assert [stuck_of(*told[:end]) for end in (1, 2, 3)] == [hour(6), hour(3) + 3 * DAY, hour(15)]
    assert stuck_of(*told, told_event(10, deleted=True)) is None
    assert stuck_of(told_event(0, "ported"), of=replace(account(), stuck={"ported": DAY})) is None
    assert stuck_of(told_event(0, "pending", direction=OUT)) == hour(48)


# --- business days --------------------------------------------------------------------------------------

RUNS = [  # New York: start, business hours, end
    ("2026-06-15T12:00", 48, "2026-06-17T12:00"),
    ("2026-06-12T12:00", 48, "2026-06-16T12:00"),  # over a weekend
    ("2026-06-13T09:00", 24, "2026-06-16T00:00"),  # begins on a Saturday
    ("2026-07-02T12:00", 48, "2026-07-07T12:00"),  # Independence Day is observed on the Friday
    ("2026-03-06T12:00", 36, "2026-03-10T00:00"),  # the clock goes forward on the Sunday between
    ("2026-12-31T23:00", 1, "2027-01-01T00:00"),
]


@pytest.mark.parametrize(("start", "hours", "end"), RUNS, ids=[start for start, _, _ in RUNS])
def test_business_hours_run_on_working_days_of_the_region_in_the_accounts_zone(
    start: str, hours: int, end: str
) -> None:
    zone = ZoneInfo("America/New_York")
    begun = datetime.fromisoformat(start).replace(tzinfo=zone).astimezone(UTC)
    over = later(begun, timedelta(hours=hours), "America/New_York", "US")
    assert over.astimezone(zone).isoformat()[:16] == end
    assert over.utcoffset() == timedelta(0)


def test_an_australian_port_has_ten_working_days_of_its_own_country() -> None:
    """Good Friday, Easter Monday and (a Saturday) ANZAC Day lie between."""
    start = datetime(2026, 4, 1, 9, tzinfo=SYDNEY)
    told = replace(told_event(0, "Queued", provider="fonedynamics"), as_of=start.astimezone(UTC))
    over = stuck_of(told, of=account("fonedynamics"))
    assert over is not None
    assert over.astimezone(SYDNEY) == datetime(2026, 4, 17, 9, tzinfo=SYDNEY)


def test_a_region_without_a_calendar_has_weekends_only() -> None:
    christmas, saturday = datetime(2026, 12, 25).date(), datetime(2026, 12, 26).date()  # noqa: DTZ001
    assert (is_working_day(christmas, "XX"), is_working_day(saturday, "XX")) == (True, False)
    assert not is_working_day(christmas, "US")


def test_the_end_of_the_calendar_makes_nobody_stuck() -> None:
    last = datetime(9999, 12, 31, 23, tzinfo=UTC)
    for word in ("submitted", "exception"):
        assert stuck_of(replace(told_event(0, word, "OTHER"), as_of=last)) is None


# --- what readers see -----------------------------------------------------------------------------------


def test_an_order_is_stuck_from_the_moment_its_usual_time_is_over(database_url: str) -> None:
    """The views go by the database's clock."""
    with desk(database_url) as acme:
        acme.record(
            replace(event(0, "exception", order="stuck"), as_of=LONG_AGO),
            replace(event(0, "exception", order="fresh"), as_of=CENTURY),
            replace(event(0, "draft", order="may stay"), as_of=LONG_AGO),
            replace(event(0, "ported", order="ended"), as_of=LONG_AGO),
        )
        query = "select provider_order_id as id, is_stuck, stuck_since from v1_orders order by 1"
        since = {row["id"]: row["stuck_since"] for row in acme.rows(query) if row["is_stuck"]}
        assert since == {"stuck": "2001-01-04T00:00:00.000000Z"}
        assert {row["id"] for row in acme.rows(query) if row["stuck_since"]} == {"stuck"}
        waiting = "select provider_order_id as id from v1_waiting where is_stuck"
        assert [row["id"] for row in acme.rows(waiting)] == ["stuck"]


def test_other_usual_times_hold_at_once_for_every_order_and_make_no_change(database_url: str) -> None:
    with desk(database_url) as acme:
        acme.record(replace(event(0, "exception"), as_of=LONG_AGO))
        feed = acme.rows("select * from v1_changes")
        for days, stuck in ((300 * 365, False), (7, True)):
            patient = replace(acme.account, stuck={"exception": days * DAY})
            acme.store.sync([patient], 14 * DAY, NOW)
            assert acme.one("select is_stuck from v1_orders") is stuck
        assert acme.one("select stuck_since from v1_orders") == "2001-01-08T00:00:00.000000Z"
        assert acme.rows("select * from v1_changes") == feed

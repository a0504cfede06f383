"""What the status model promises, as a reader of the views sees it: steps between states, dates, ends, orders that
come back; told in order and told late, through the real store."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from itertools import permutations
from typing import Any

import pytest
from filled import Filler, stamp
from made import account, day, hour
from stored import Desk, desk, event, look

from aggregator.core.model import (
    Carrier,
    Carriers,
    Dates,
    Direction,
    Fact,
    Meaning,
    Moment,
    State,
    Vocabulary,
)
from aggregator.store import open_store
from aggregator.store.queries import Reader, Row

NUMBER = "+13035550123"
GIVEN_BACK = {Vocabulary.PORT_IN: {"snapped-back": Meaning(State.REVERTED)}}
"""An operator's word: no provider publishes one for this state."""


@pytest.fixture
def acme(database_url: str) -> Iterator[Desk]:
    """An account at Telnyx on a database of the test's own, with one word of its operator's."""
    with desk(database_url, account(name="acme", operator=GIVEN_BACK)) as opened:
        yield opened


def order(acme: Desk, *columns: str) -> Any:
    """These columns of the one order: a value, or a tuple of several."""
    values = tuple(acme.rows("select * from v1_orders")[0][name] for name in columns)
    return values if len(values) > 1 else values[0]


def steps(acme: Desk, flag: str = "state", field: str = "state") -> list[tuple[str | None, str | None]]:
    """Every step of a column that bears a flag, oldest first; `state` for all that are not late."""
    where = "not late" if flag == "state" else flag
    query = f"select old_value, new_value from v1_changes where field = :field and {where} order by seq"
    return [(row["old_value"], row["new_value"]) for row in acme.rows(query, field=field)]


def z(hours: float) -> str:
    return hour(hours).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


# --- steps ----------------------------------------------------------------------------------------------

LIFE = (
    look(0, "submitted", NUMBER),
    event(1, "exception", "PASSCODE_PIN_INVALID"),
    event(2, "submitted"),
    event(3, "foc-date-confirmed", dates=day(20)),
    event(4, "exception", "FOC_REJECTED"),
    event(5, "in-process"),
    event(6, "submitted"),
    event(7, "foc-date-confirmed", dates=day(20)),
    event(8, dates=day(22)),
    event(9, dates=day(20)),
    event(10, "ported"),
)
COUNTED = ("state", "submission_cycle", "foc_changes", "submitted_at", "first_scheduled_at", "ended_at")
TOLD = ("ported", 2, 2, z(0), z(3), z(10))


def test_steps_back_and_surprises_are_flagged_where_they_happen(acme: Desk) -> None:
    acme.record(*LIFE)
    assert order(acme, *COUNTED) == TOLD
    assert steps(acme, "regression") == [("scheduled", "exception")]
    assert steps(acme, "unexpected") == []
    assert steps(acme, field="submission_cycle") == [("0", "1"), ("1", "2")]
    assert steps(acme, field="foc_changes") == [("0", "1"), ("1", "2")]


@pytest.mark.parametrize("late", [(1,), (1, 2), (4,), (8,), (5, 6), (2, 5, 8, 9), tuple(range(1, 10))])
def test_what_comes_late_counts_where_it_belongs(acme: Desk, late: tuple[int, ...]) -> None:
    acme.record(*(fact for place, fact in enumerate(LIFE) if place not in late))
    for place in late:
        acme.record(LIFE[place])
    assert order(acme, *COUNTED) == TOLD
    before = steps(acme)
    assert before[-1][1] == "ported"
    told = acme.rows("select late, new_value from v1_changes where field = 'state' order by seq")
    assert [row["late"] for row in told] == sorted(row["late"] for row in told)


def test_an_unusual_step_is_stored_and_flagged(acme: Desk) -> None:
    acme.record(look(0, "draft", NUMBER), event(1, "ported"))
    assert order(acme, "state", "is_open") == ("ported", False)
    assert steps(acme, "unexpected") == [("draft", "ported")]
    assert steps(acme, "regression") == []


def test_a_fallen_rank_is_a_regression_and_reported_once(acme: Desk) -> None:
    acme.record(look(0, "submitted", NUMBER), event(1, "in-process"), event(2, "submitted"))
    assert steps(acme, "regression") == [("with_carrier", "with_provider")]
    acme.record(look(3, "submitted", NUMBER), look(4, "submitted", NUMBER))
    assert steps(acme) == [("with_carrier", "with_provider"), ("with_provider", "with_carrier")]
    assert order(acme, "submission_cycle") == 0


def test_a_refused_cancellation_leads_back_without_surprise(acme: Desk) -> None:
    acme.record(look(0, "foc-date-confirmed", NUMBER), event(1, "cancel-pending"), event(2, "submitted"))
    assert order(acme, "state", "is_open", "end_cause") == ("with_carrier", True, None)
    assert steps(acme, "unexpected") == []


# --- ends -----------------------------------------------------------------------------------------------

ENDS = ("state", "is_open", "ended_at", "end_cause", "needs_us")


@pytest.mark.parametrize(
    ("direction", "before", "end", "cause"),
    [
        (Direction.PORT_IN, "cancel-pending", "cancelled", "us"),
        (Direction.PORT_IN, "submitted", "cancelled", "unknown"),
        (Direction.PORT_OUT, "pending", "canceled", "unknown"),
        (Direction.PORT_IN, "foc-date-confirmed", "ported", None),
        (Direction.PORT_OUT, "rejected-pending", "rejected", None),
    ],
)
def test_an_end_says_when_and_as_far_as_known_by_whom(
    acme: Desk, direction: Direction, before: str, end: str, cause: str | None
) -> None:
    acme.record(look(0, before, NUMBER, direction=direction), event(1, end, direction=direction))
    assert order(acme, "is_open", "ended_at", "end_cause") == (False, z(1), cause)
    rows = acme.rows(
        "select field, new_value from v1_changes where field in ('ended_at', 'end_cause', 'is_open')"
    )
    said = {row["field"]: row["new_value"] for row in rows}
    assert said == {"is_open": "false", "ended_at": z(1), **({"end_cause": cause} if cause else {})}


def test_an_asked_cancellation_that_is_known_late_changes_who_ended_it(acme: Desk) -> None:
    acme.record(look(0, "submitted", NUMBER), event(3, "cancelled"))
    assert order(acme, "end_cause") == "unknown"
    acme.record(event(2, "cancel-pending"))
    assert order(acme, "state", "end_cause", "ended_at") == ("cancelled", "us", z(3))
    assert steps(acme, field="end_cause") == [(None, "unknown"), ("unknown", "us")]


@pytest.mark.parametrize("end", ["ported", "cancelled"])
@pytest.mark.parametrize("back", ["submitted", "exception", "foc-date-confirmed"])
def test_an_ended_order_that_comes_back_is_open_again(acme: Desk, end: str, back: str) -> None:
    acme.record(look(0, "foc-date-confirmed", NUMBER, dates=day(20)), event(1, end))
    assert order(acme, "is_open", "ended_at") == (False, z(1))
    acme.record(event(2, back))
    assert order(acme, "is_open", "ended_at", "end_cause", "ported_at") == (True, None, None, None)
    ((old, new),) = steps(acme, "unexpected")
    assert (old, new) == (end, order(acme, "state"))
    (number,) = acme.rows("select state, ported_at, is_current from v1_numbers")
    assert number == {"state": new, "ported_at": None, "is_current": True}
    assert order(acme, "numbers_open", "numbers_ported") == (1, 0)


def test_a_port_that_was_given_back_waits_for_us_and_keeps_when_it_had_moved(acme: Desk) -> None:
    acme.record(look(0, "foc-date-confirmed", NUMBER, dates=day(15)), event(1, "ported"))
    acme.record(event(4, "snapped-back"))
    assert order(acme, *ENDS[:4]) == ("reverted", False, z(4), None)
    assert order(acme, "raw_status", "mapping_basis") == ("snapped-back", "documented")
    assert order(acme, "waiting_on", "ported_at", "ported_at_source") == ("us", z(1), "event")
    assert steps(acme)[-1] == ("ported", "reverted")
    assert steps(acme, "unexpected") == []
    assert acme.rows("select * from v1_unknown_words") == []
    assert acme.one("select state from v1_numbers") == "reverted"
    assert order(acme, "numbers_ported", "numbers_ended_unported", "foc_is_firm") == (0, 1, False)


def test_nothing_but_a_port_can_be_given_back_without_surprise(acme: Desk) -> None:
    acme.record(look(0, "submitted", NUMBER), event(1, "snapped-back"), event(2, "submitted"))
    assert steps(acme, "unexpected") == [("with_carrier", "reverted"), ("reverted", "with_carrier")]
    assert order(acme, "ported_at", "is_open") == (None, True)


# --- dates ----------------------------------------------------------------------------------------------


@pytest.fixture
def filler(database_url: str) -> Iterator[Filler]:
    """Accounts at both providers, that at Telnyx in New York."""
    store = open_store(database_url)
    made = Filler(store)
    made.accounts["telnyx"] = account("telnyx", "telnyx-main", time_zone="America/New_York")
    yield made
    store.close()


def shown(filler: Filler, *columns: str) -> Any:
    (row,) = Reader(filler.store.engine).query("select * from v1_orders", {})
    values = tuple(row[name] for name in columns)
    return values if len(values) > 1 else values[0]


def test_a_date_with_its_time_is_a_moment_with_its_day_in_the_accounts_zone_midnight_too(
    filler: Filler,
) -> None:
    asked, agreed = stamp("06-26 00:00"), stamp("06-26 02:30")
    filler.look("o", "06-03 10:00", "foc-date-confirmed", [NUMBER], requested=asked, foc=agreed)
    assert shown(filler, "requested_foc_on", "requested_foc_at") == (
        "2026-06-25",
        "2026-06-26T00:00:00.000000Z",
    )
    assert shown(filler, "confirmed_foc_on", "confirmed_foc_at") == (
        "2026-06-25",
        "2026-06-26T02:30:00.000000Z",
    )


def test_telnyx_calls_actual_what_is_only_confirmed(filler: Filler) -> None:
    agreed = stamp("06-25 15:00")
    filler.look("o", "06-03 10:00", "foc-date-confirmed", [NUMBER], foc=agreed)
    assert shown(filler, "confirmed_foc_on", "foc_is_firm", "ported_at") == ("2026-06-25", True, None)
    filler.look("o", "06-25 16:00", "ported", [NUMBER], foc=agreed)
    assert shown(filler, "confirmed_foc_at", "foc_is_firm") == ("2026-06-25T15:00:00.000000Z", True)
    assert shown(filler, "ported_at", "ported_at_source") == ("2026-06-25T16:00:00.000000Z", "document")
    filler.event("o", "ported", "06-25 15:20", read="06-25 17:00")
    assert shown(filler, "ported_at", "ported_at_source") == ("2026-06-25T15:20:00.000000Z", "event")


def test_a_date_is_firm_only_while_it_is_scheduled_or_ported(acme: Desk) -> None:
    acme.record(look(0, "submitted", NUMBER, dates=day(20)))
    assert order(acme, "confirmed_foc_on", "foc_is_firm") == ("2026-06-20", False)
    acme.record(event(1, "foc-date-confirmed"), event(2, "exception"))
    assert order(acme, "confirmed_foc_on", "foc_is_firm") == ("2026-06-20", False)
    acme.record(event(3, "foc-date-confirmed"), event(4, "cancel-pending"), event(5, "ported"))
    assert order(acme, "foc_is_firm") is True
    assert steps(acme, field="foc_is_firm") == [("false", "true"), ("true", "false")] * 2 + [
        ("false", "true")
    ]


def test_a_date_that_is_lost_is_no_change_of_it_and_the_same_one_back_neither(acme: Desk) -> None:
    acme.record(look(0, "foc-date-confirmed", NUMBER, dates=day(20)))
    acme.record(event(1, dates=day(0)))
    assert order(acme, "confirmed_foc_on", "foc_changes") == (None, 0)
    acme.record(event(2, dates=day(20)))
    assert order(acme, "confirmed_foc_on", "foc_changes") == ("2026-06-20", 0)
    acme.record(event(3, dates=day(24)))
    assert order(acme, "confirmed_foc_on", "foc_changes") == ("2026-06-24", 1)
    days = [("2026-06-20", None), (None, "2026-06-20"), ("2026-06-20", "2026-06-24")]
    assert steps(acme, field="confirmed_foc_on") == days


def test_a_time_added_to_the_same_day_is_a_change_of_the_date(acme: Desk) -> None:
    at = datetime(2026, 6, 20, 15, tzinfo=UTC)
    acme.record(look(0, "foc-date-confirmed", NUMBER, dates=day(20)))
    acme.record(event(1, dates=Dates(confirmed=Moment(date(2026, 6, 20), at))))
    assert order(acme, "confirmed_foc_on", "confirmed_foc_at") == (
        "2026-06-20",
        "2026-06-20T15:00:00.000000Z",
    )
    assert steps(acme, field="confirmed_foc_on") == []


def test_a_carriers_name_and_its_spid_stay_apart(acme: Desk) -> None:
    acme.record(look(0, "submitted", NUMBER, carriers=Carriers(losing=Carrier("Unreal Telecom"))))
    assert order(acme, "losing_carrier", "losing_carrier_spid") == ("Unreal Telecom", None)
    acme.record(event(1, carriers=Carriers(losing=Carrier("Unreal Telecom", "987H"))))
    assert order(acme, "losing_carrier", "losing_carrier_spid") == ("Unreal Telecom", "987H")
    kinds = acme.rows("select kind, field, new_value from v1_changes where kind = 'carrier_changed'")
    assert kinds == [{"kind": "carrier_changed", "field": "losing_carrier_spid", "new_value": "987H"}]


# --- arrival --------------------------------------------------------------------------------------------


def test_three_steps_arrive_in_any_order_and_show_the_same(acme: Desk) -> None:
    facts = (event(1, "submitted"), event(2, "foc-date-confirmed", dates=day(20)), event(3, "exception"))
    known: Row | None = None
    for turn, arrived in enumerate(permutations(facts)):
        name = f"order-{turn}"
        for fact in arrived:
            acme.record(_named(fact, name))
        query = "select * from v1_orders where provider_order_id = :name"
        row: Row = acme.one(query, name=name)
        for column in ("order_id", "provider_order_id", "first_seen_at", "last_changed_at", "last_seq"):
            del row[column]
        assert known in (None, row)
        known = row


def _named(fact: Fact, name: str) -> Fact:
    """The same fact about another order."""
    assert fact.announced is not None
    key = f"{name}/{fact.announced.key}"
    return replace(
        fact,
        order=replace(fact.order, id=name),
        source_id=f"{fact.announced.feed}/{key}",
        announced=replace(fact.announced, key=key),
    )

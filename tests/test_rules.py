"""The rules by which facts become what is shown, one test named after each, all the way to the views."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from filled import Filler
from made import day, hour
from stored import FEED, Desk, desk, event, look, wants

from aggregator.core.findings import Progress
from aggregator.core.model import Carrier, Carriers, Fact, NumberSaid, Partial, Status, Whole, Word
from aggregator.core.rollup import NEED_MORE, OPEN_LATE, PORTED_EARLY
from aggregator.store import open_store
from aggregator.store.queries import Reader

A, B, C = ("+13035550123", "+13035550124", "+13035550125")
FONE = ("+61255500101", "+61255500102")
FAILED = Progress(FEED, "unreachable", hour(0), error="connection refused")


@pytest.fixture
def acme(database_url: str) -> Iterator[Desk]:
    """An account on a database of the test's own."""
    with desk(database_url) as opened:
        yield opened


@pytest.fixture
def filler(database_url: str) -> Iterator[Filler]:
    """One account at each provider, on a database of the test's own."""
    store = open_store(database_url)
    yield Filler(store)
    store.close()


def order(acme: Desk, *columns: str) -> tuple[Any, ...]:
    """Columns of the one order."""
    (row,) = acme.rows("select * from v1_orders")
    return tuple(row[name] for name in columns)


def told(acme: Desk, *columns: str, field: str = "state") -> list[tuple[Any, ...]]:
    """The feed's rows about a column, in their order."""
    rows = acme.rows("select * from v1_changes where field = :field order by seq", field=field)
    return [tuple(row[name] for name in columns) for row in rows]


def z(hours: float) -> str:
    """A moment as both databases show it."""
    return hour(hours).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def test_facts_fold_for_each_facet_by_the_newest(acme: Desk) -> None:
    acme.record(event(1, "submitted", messaging=Word("pending")))
    assert order(acme, "state", "last_read_ok_at") == ("with_carrier", None), "known from an event alone"
    carriers = Carriers(losing=Carrier("Unreal Telecom"))
    acme.record(look(-3, "in-process", A, carriers=carriers, messaging=Word("activating")))
    assert order(acme, "state", "messaging_state", "losing_carrier") == (
        "with_carrier",
        "pending",
        "Unreal Telecom",
    )
    newer = event(2, "exception")
    acme.record(newer, wants=(wants(newer),))
    assert order(acme, "state") == ("exception",), "it shows at once, and causes a read"
    assert [want.id for want in acme.store.wants(acme.lease, None)] == ["order-1"]


def test_three_times_stand_on_every_change(acme: Desk) -> None:
    acme.record(look(-6, "in-process", A))
    acme.record(look(-4, "submitted", A))
    acme.record(event(-3, "exception", read=-1))
    times = ("new_value", "occurred_at", "observed_at", "not_before")
    assert told(acme, *times) == [
        ("with_carrier", None, z(-4), z(-6)),
        ("exception", z(-3), z(-1), z(-4)),
    ]


def test_late_and_out_of_order_facts_are_inserted_into_history_and_appended_to_the_feed(acme: Desk) -> None:
    acme.record(event(1, "in-process"), event(5, "foc-date-confirmed"))
    before = acme.rows("select * from v1_changes order by seq")
    acme.record(event(3, "exception", read=8), event(2, "submitted", read=9))
    everything = acme.rows("select * from v1_changes order by seq")
    assert everything[: len(before)] == before, "rows of the feed are never rewritten"
    assert order(acme, "state", "state_since") == ("scheduled", z(5))
    late = [row for row in everything[len(before) :] if row["field"] == "state"]
    assert [(row["new_value"], row["late"], row["observed_at"]) for row in late] == [
        ("with_carrier", True, z(9)),
        ("exception", True, z(8)),
    ]
    history = acme.rows("select raw_to from v1_events order by occurred_at, event_id")
    assert [row["raw_to"] for row in history] == [
        "in-process",
        "submitted",
        "exception",
        "foc-date-confirmed",
    ]


def test_jumps_are_normal_and_the_steps_between_come_as_late_changes(acme: Desk) -> None:
    acme.record(look(1, "submitted", A))
    acme.record(look(9, "ported", A))
    step = ("old_value", "new_value", "late", "unexpected")
    assert told(acme, *step) == [("with_carrier", "ported", False, False)]
    acme.record(event(4, "foc-date-confirmed", read=10))
    assert told(acme, *step)[1:] == [("with_carrier", "scheduled", True, False)]
    assert order(acme, "state", "first_scheduled_at") == ("ported", z(4))
    entries = acme.rows("select detail, what from v1_timeline where number_key is null order by sort_at")
    assert any("foc-date-confirmed" in (entry["detail"] or "") for entry in entries)


def test_regressions_are_ordinary_rows_and_dates_and_reasons_are_versioned_with_them(acme: Desk) -> None:
    acme.record(look(0, "foc-date-confirmed", A, dates=day(20)))
    acme.record(event(1, "exception", "FOC_REJECTED"), event(2, "submitted"))
    acme.record(event(3, "foc-date-confirmed", dates=day(24)))
    assert told(acme, "old_value", "new_value", "regression") == [
        ("scheduled", "exception", True),
        ("exception", "with_carrier", False),
        ("with_carrier", "scheduled", False),
    ]
    assert told(acme, "old_value", "new_value", field="confirmed_foc_on") == [("2026-06-20", "2026-06-24")]
    (reason,) = acme.rows("select code, from_at, to_at from v1_reasons")
    assert reason == {"code": "date_rejected", "from_at": z(1), "to_at": z(2)}
    assert order(acme, "submission_cycle", "foc_changes", "foc_is_firm") == (1, 1, True)


def test_duplicates_make_no_new_event_at_telnyx(acme: Desk) -> None:
    acme.record(event(1, "submitted", key="e-1"))
    acme.record(
        event(1, "submitted", key="e-1", read=5), event(1, "submitted", key="e-1", feed="portout_events")
    )
    found = acme.rows("select provider_event_id from v1_events")
    assert [row["provider_event_id"] for row in found] == ["e-1", "e-1"], "an id counts within its feed"
    assert len(acme.rows("select seq from v1_changes where kind = 'order_seen'")) == 1


def test_duplicates_at_fone_dynamics_are_known_by_what_they_say(filler: Filler) -> None:
    twice = ("06-03 01:00", "Received", "Queued", "1")
    same = ("06-03 02:00", "Queued", "Queued", "1")
    for when in ("06-04 00:00", "06-05 00:00"):
        filler.fone("P-1", when, "Queued", (FONE[0], "Queued", (twice, twice, same)))
    reader = Reader(filler.store.engine)
    found = list(reader.query("select raw_from, raw_to from v1_events order by occurred_at, event_id", {}))
    assert [(row["raw_from"], row["raw_to"]) for row in found] == [
        ("Received", "Queued"),
        ("Received", "Queued"),  # an exact twin of one page counts by itself, once
        ("Queued", "Queued"),
    ]
    steps = list(reader.query("select new_value from v1_changes where field = 'state'", {}))
    assert steps == [], "from equal to to is history and no change of state"


def test_order_against_numbers_is_reported_and_never_repaired(acme: Desk) -> None:
    def said(status: str, *lines: str, hours: float) -> None:
        numbers = tuple(NumberSaid(key, Status(word)) for key, word in zip((A, B, C), lines, strict=False))
        acme.record(_looked(hours, status, numbers))

    said("submitted", "submitted", "exception", "ported", hours=1)
    columns = ("state", "rollup_state", "is_mixed", "disagreement")
    assert order(acme, *columns) == ("with_carrier", "exception", True, NEED_MORE)
    said("ported", "ported", "submitted", "ported", hours=2)
    assert order(acme, *columns) == ("ported", "with_carrier", True, PORTED_EARLY)
    said("submitted", "ported", "cancelled", "ported", hours=3)
    assert order(acme, *columns) == ("with_carrier", "partially_ported", True, OPEN_LATE)
    said("ported", "ported", "ported", "ported", hours=4)
    assert order(acme, *columns) == ("ported", "ported", False, None)
    rows = told(acme, "old_value", "new_value", field="disagreement")
    steps = [None, NEED_MORE, PORTED_EARLY, OPEN_LATE, None]
    assert rows == [*pairwise(steps)][1:]  # the first stands in the first sight


def test_counters_stand_on_every_order_and_the_total_is_the_providers_where_the_list_is_cut_off(
    acme: Desk,
) -> None:
    lines = [(A, "ported", "Active"), (B, "cancelled", None), (C, "submitted", None)]
    numbers = tuple(NumberSaid(key, Status(word), Word(active)) for key, word, active in lines)
    acme.record(_looked(1, "submitted", numbers))
    counters = [f"numbers_{name}" for name in ("total", "ported", "open", "ended_unported", "active")]
    assert order(acme, *counters) == (3, 1, 1, 1, 1)
    embedded = Partial(tuple(NumberSaid(f"+1303555{n:04}") for n in range(100, 150)))
    cut_off = look(1, "submitted", order="order-2", numbers_total=180)
    acme.record(replace(cut_off, numbers=embedded))
    rows = acme.rows("select numbers_total, numbers_open from v1_orders where provider_order_id = 'order-2'")
    assert rows == [{"numbers_total": 180, "numbers_open": 180}]


def test_reading_failure_is_not_a_status(acme: Desk) -> None:
    acme.record(look(-3, "submitted", A), complete=True, cursor=hour(-3), at=hour(-3))
    stood = acme.rows("select * from v1_orders")
    changes = acme.rows("select * from v1_changes")
    acme.record(progress=FAILED)
    assert acme.rows("select * from v1_orders") == stood
    assert acme.rows("select * from v1_changes") == changes
    assert order(acme, "last_read_ok_at") == (z(-3),)
    feed = acme.one(
        "select last_outcome, failing_since, consecutive_failures from v1_feeds where feed = :feed", feed=FEED
    )
    assert feed == {"last_outcome": "unreachable", "failing_since": z(0), "consecutive_failures": 1}


def _looked(hours: float, status: str, numbers: tuple[NumberSaid, ...]) -> Fact:
    """A look at an order whose numbers have words of their own."""
    return replace(look(hours, status), document=f"{hours}", numbers=Whole(numbers))

"""The views that readers rely on: names, columns in their order, types, and what they cost."""

import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from made import NOW, account, hour
from sqlalchemy import text
from stored import FEED, NUMBER, Desk, desk, event, look

from aggregator.core.findings import Progress
from aggregator.core.model import (
    Carrier,
    Carriers,
    Comment,
    Dates,
    Direction,
    Fact,
    Link,
    Meaning,
    Moment,
    NumberSaid,
    ReasonSaid,
    References,
    Skipped,
    State,
    Status,
    Task,
    Terms,
    Vocabulary,
    Whole,
    Word,
)

LONG_AGO, CENTURY = datetime(2001, 1, 1, tzinfo=UTC), datetime(2201, 1, 1, tzinfo=UTC)
VIEWS = {
    "v1_orders": "order_id provider account direction provider_order_id customer_reference customer_group_reference "
    "description support_key group_key sub_account state raw_status mapping_basis map_version waiting_on needs_us why "
    "waiting_since urgency display_group reasons is_open requested_foc_on requested_foc_at confirmed_foc_on "
    "confirmed_foc_at foc_is_firm ported_at ported_at_source losing_carrier losing_carrier_spid gaining_carrier "
    "gaining_carrier_spid messaging_state messaging_open numbers_total numbers_ported numbers_open "
    "numbers_ended_unported numbers_active rollup_state is_mixed disagreement parent_order_id submission_cycle "
    "foc_changes created_at submitted_at first_scheduled_at ended_at end_cause state_since first_seen_at "
    "last_changed_at last_read_ok_at last_seq deadline_at deadline_kind deleted_at deletion_basis is_stuck "
    "stuck_since requirements_met activation_job_status activation_state port_type remaining_numbers number_type "
    "fast_port foc_state pon",
    "v1_waiting": "order_id provider account direction provider_order_id support_key customer_reference state "
    "raw_status why waiting_since numbers_total losing_carrier confirmed_foc_on deadline_at deadline_kind urgency "
    "is_stuck stuck_since foc_is_firm gaining_carrier losing_carrier_spid first_number numbers_text "
    "customer_before foc_state pon",
    "v1_groups": "group_key provider account orders numbers state worst next_foc_on",
    "v1_numbers": "order_id account provider number_key e164 raw_number state raw_status mapping_basis "
    "activation_state messaging_state carrier_status_raw state_since added_at ported_at removed_at is_current last_seq "
    "portability_status requirements_status carrier_status",
    "v1_reasons": "order_id number_key code raw_code raw_text waiting_on from_at to_at",
    "v1_events": "event_id account provider provider_event_id order_id number_key event_type occurred_at "
    "first_seen_at late raw_from raw_to payload_complete payload",
    "v1_changes": "seq batch account provider direction order_id customer_reference number_key kind field old_value "
    "new_value occurred_at observed_at not_before late regression unexpected initial source provider_event_id",
    "v1_comments": "order_id comment_id author_type body occurred_at observed_at last_seq",
    "v1_timeline": "entry_id order_id number_key sort_at occurred_at observed_at what detail source",
    "v1_accounts": "account provider label configured region time_zone paused_reason",
    "v1_feeds": "account provider feed cursor_at last_attempt_at last_complete_at last_new_at last_outcome last_error "
    "failing_since consecutive_failures not_before next_due_at stale longest_quiet_s is_quiet wanted",
    "v1_unknown_words": "provider account vocabulary word example first_seen_at last_seen_at orders",
    "v1_quarantine": "quarantine_id account provider feed ref error first_seen_at last_seen_at count resolved_at",
    "v1_feed_identity": "feed_id floor newest_seq",
}
BOOLEANS = [
    "requirements_met",
    "is_stuck",
    "needs_us",
    "is_open",
    "foc_is_firm",
    "messaging_open",
    "is_mixed",
    "is_current",
    "late",
    "payload_complete",
    "regression",
    "unexpected",
    "initial",
    "configured",
    "stale",
    "is_quiet",
    "fast_port",
]
INTEGERS = [
    "urgency",
    "numbers_total",
    "numbers_ported",
    "numbers_open",
    "numbers_ended_unported",
    "numbers_active",
    "submission_cycle",
    "foc_changes",
    "last_seq",
    "event_id",
    "seq",
    "batch",
    "consecutive_failures",
    "orders",
    "numbers",
    "count",
    "longest_quiet_s",
    "wanted",
    "floor",
    "newest_seq",
]
INSTANTS = ("_at", "_since", "not_before")
INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


@pytest.fixture
def acme(database_url: str) -> Iterator[Desk]:
    """An account on a database of the test's own, in the middle of June 2026."""
    with desk(database_url) as opened:
        yield opened


def full(acme: Desk) -> None:
    """Something in every column."""
    moment = Moment(date(2026, 7, 1), datetime(2026, 7, 1, 15, tzinfo=UTC))
    wrong = ReasonSaid("PASSCODE_PIN_INVALID", "the PIN is wrong")
    number = NumberSaid(NUMBER, Status("exception", (wrong,)), Word("Active"), Word("activating"), Word("1"))
    number = replace(number, portability=Word("confirmed"), requirement=Word("requirement-info-under-review"))
    first = replace(
        look(-90, "exception"),
        numbers=Whole((number, NumberSaid("+13035550124"))),
        references=References("Acme", "Acme group", "main line", "sr_1", "sr_0", "sub-1"),
        dates=Dates(moment, moment, hour(-100)),
        carriers=Carriers(Carrier("Unreal Telecom", "1234"), Carrier("Real Telecom", "4321")),
        messaging=Word("activating"),
        requirements_met=False,
        activation=Word("Active"),
        terms=Terms("partial", "keep", "local", False),
        task=Task("job-1", Vocabulary.ACTIVATION_JOB, Word("created")),
    )
    moved = event(-88, "submitted")
    assert moved.announced is not None
    acme.record(
        first,
        replace(moved, announced=replace(moved.announced, raw_from="exception", number=NUMBER)),
        event(-80, "exception", "PASSCODE_PIN_INVALID", "MOON_IN_CANCER"),
        look(-70, "exception", NUMBER),
        event(-60, "foc-date-confirmed", comment=Comment("c-1", "provider", "please sign", hour(-60))),
        event(-48, "ported"),
        event(-47, "cancelled", order="order-2"),
        event(-45, "draft", order="child", link=Link("order-1", "child")),
        skipped=(Skipped("odd", "status: missing"), Skipped("order-1", "status: missing")),
    )
    leaving: dict[str, Any] = {
        "references": References("Acme", support_key="sr_2", pon="PON-1"),
        "dates": first.dates,
        "carriers": first.carriers,
        "numbers": first.numbers,
    }
    acme.record(event(-46, "pending", order="out-1", direction=Direction.PORT_OUT, **leaving))
    gone = replace(look(-40, order="order-2", deleted=True), status=None, document=None)
    until = hour(-39)
    limited = Progress(FEED, "rate_limited", hour(-40), cursor=hour(-45), not_before=until, error="slow down")
    acme.record(gone, look(-40, "ported", NUMBER, "+13035550125"), complete=True, cursor=hour(-45))
    acme.record(event(-41, "almost-there", order="order-4"), progress=limited)
    early = Whole((NumberSaid(NUMBER, Status("submitted")),))
    acme.record(replace(look(-30, "ported", order="order-5"), numbers=early))
    acme.record(replace(event(-30, "exception", order="order-6"), as_of=LONG_AGO))
    ahead = Dates(confirmed=Moment(date(2201, 7, 1)))
    acme.record(
        event(
            -29, "foc-date-confirmed", order="order-7", references=References(group_key="sr_0"), dates=ahead
        )
    )
    acme.store.pause(acme.lease, "the provider refused the key", NOW)


def test_every_view_has_the_columns_of_the_contract_in_their_order(acme: Desk) -> None:
    reader = acme.reader()
    with reader.engine.connect() as connection:
        for view, columns in VIEWS.items():
            assert list(connection.execute(text(f"select * from {view}")).keys()) == columns.split(), view
        query = "select viewname from pg_views where schemaname = current_schema()"
        if connection.dialect.name == "sqlite":
            query = "select name from sqlite_master where type = 'view'"
        assert set(connection.execute(text(query)).scalars()) == set(VIEWS)
    reader.close()


def kind_of(column: str) -> str:
    """What the contract says a column is, by its name."""
    if column.endswith(INSTANTS):
        return "instant"
    if column.endswith("_on") and column != "waiting_on":
        return "date"
    if column in ("reasons", "payload"):
        return "list"
    return "boolean" if column in BOOLEANS else "integer" if column in INTEGERS else "text"


def test_the_columns_have_the_types_of_the_contract_on_postgres(postgres_url: str) -> None:
    kinds = {
        "timestamp with time zone": "instant",
        "date": "date",
        "jsonb": "list",
        "boolean": "boolean",
        "integer": "integer",
        "bigint": "integer",
        "text": "text",
        "character varying": "text",
    }
    with desk(postgres_url) as acme:
        query = "select table_name, column_name, data_type from information_schema.columns where table_name like 'v1_%'"
        for row in acme.rows(query):
            assert kinds[row["data_type"]] == kind_of(row["column_name"]), row


def test_the_columns_have_the_types_of_the_contract_on_sqlite(tmp_path: Path) -> None:
    """Looked at in the values themselves, of which there is one for each column."""
    good: dict[str, Callable[[Any], object]] = {
        "instant": lambda value: INSTANT.fullmatch(value),
        "date": date.fromisoformat,
        "list": lambda value: isinstance(value, str) and value[0] in "[{",
        "boolean": lambda value: type(value) is int and value in (0, 1),
        "integer": lambda value: type(value) is int,
        "text": lambda value: type(value) is str,
    }
    with desk(f"sqlite:///{tmp_path / 'a.db'}") as acme:
        full(acme)
        with closing(sqlite3.connect(tmp_path / "a.db")) as database:
            for view, columns in VIEWS.items():
                rows = database.execute(f"select * from {view}").fetchall()
                for place, column in enumerate(columns.split()):
                    values = [row[place] for row in rows if row[place] is not None]
                    assert all(good[kind_of(column)](value) for value in values), (view, column, values)
                    assert values, (view, column)


def test_both_databases_show_the_same(tmp_path: Path, postgres_url: str) -> None:
    shown = []
    for url in (f"sqlite:///{tmp_path / 'a.db'}", postgres_url):
        with desk(url) as acme:
            full(acme)
            rows = {view: sorted(acme.rows(f"select * from {view}"), key=str) for view in VIEWS}
            rows.pop("v1_feed_identity")
            shown.append(rows)
    for view in shown[0]:
        assert shown[0][view] == shown[1][view]


# --- what waits for us ----------------------------------------------------------------------------------


def test_waiting_are_the_open_orders_that_wait_for_us_and_those_that_ended_a_short_while_ago(
    acme: Desk,
) -> None:
    """The views go by the database's clock, so what is recent here lies in a distant future."""
    facts = {
        "open": event(0, "exception", "PASSCODE_PIN_INVALID", order="open"),
        "carrier": event(0, "submitted", order="carrier"),
        "refused": event(0, "rejected", order="refused", direction=Direction.PORT_OUT),
        "unknown": event(0, "almost-there", order="unknown"),
        "deleted": event(0, "exception", order="deleted"),
        "given back": replace(event(0, "x", order="given back"), as_of=CENTURY),
        "given back long ago": replace(event(0, "x", order="given back long ago"), as_of=LONG_AGO),
    }
    words = {Vocabulary.PORT_IN: {"x": Meaning(State.REVERTED)}}
    acme = replace(acme, account=account(name="acme", operator=words))
    acme.record(*facts.values(), event(1, order="deleted", deleted=True))
    rows = {row["provider_order_id"]: row for row in acme.rows("select * from v1_orders")}
    needs = {name for name, row in rows.items() if row["needs_us"]}
    waiting = {row["provider_order_id"]: row for row in acme.rows("select * from v1_waiting")}
    assert needs == set(waiting) == {"open", "unknown", "given back"}
    for name, row in waiting.items():
        own = {column: row.pop(column) for column in ("first_number", "numbers_text", "customer_before")}
        assert own == dict.fromkeys(own), "no number is known of any"
        assert row == {column: rows[name][column] for column in row}
    assert {name: row["display_group"] for name, row in rows.items()} == {
        "open": "waiting_for_us",
        "carrier": "in_progress",
        "refused": "closed",
        "unknown": "waiting_for_us",
        "deleted": "closed",
        "given back": "waiting_for_us",
        "given back long ago": "closed",
    }
    acme.store.sync([acme.account], timedelta(days=300 * 365), NOW)
    assert acme.one("select count(*) from v1_waiting") == 4


def test_what_is_most_pressing_goes_by_its_deadline(acme: Desk) -> None:
    acme.record(
        replace(event(0, "pending", order="over", direction=Direction.PORT_OUT), as_of=LONG_AGO),
        replace(event(0, "pending", order="far", direction=Direction.PORT_OUT), as_of=CENTURY),
        replace(event(0, "exception", order="refused"), as_of=CENTURY),
        event(0, "submitted", order="carrier"),
    )
    rows = acme.rows("select provider_order_id, urgency from v1_orders order by 1")
    assert [tuple(row.values()) for row in rows] == [
        ("carrier", None),
        ("far", 3),
        ("over", 1),
        ("refused", 2),
    ]


def test_an_account_that_is_not_configured_any_more_keeps_its_rows_and_waits_for_nobody(acme: Desk) -> None:
    acme.record(event(0, "exception"), cursor=hour(0), at=LONG_AGO)
    stale = "select stale from v1_feeds where account = 'acme' and feed = 'porting_events'"
    assert acme.one(stale) is True
    acme.store.sync([account(name="beta")], timedelta(days=14), NOW)
    configured = acme.rows("select account, configured from v1_accounts order by account")
    assert [row["configured"] for row in configured] == [False, True]
    assert acme.rows("select * from v1_waiting") == []
    assert acme.one("select needs_us from v1_orders") is True
    assert acme.one(stale) is False
    acme.store.sync([acme.account], timedelta(days=14), NOW)
    assert len(acme.rows("select * from v1_waiting")) == 1


def test_a_feed_is_stale_when_nothing_was_complete_for_too_long(acme: Desk) -> None:
    def stale() -> set[str]:
        return {row["feed"] for row in acme.rows("select feed from v1_feeds where stale")}

    acme.record(complete=True, at=CENTURY)
    assert FEED not in stale()
    acme.record(complete=True, at=LONG_AGO)
    assert FEED in stale()
    off = replace(acme.account.feeds[FEED], enabled=False)
    feeds = {**acme.account.feeds, FEED: off}
    acme.store.sync([replace(acme.account, feeds=feeds)], timedelta(days=14), NOW)
    assert FEED not in stale()


def test_the_last_good_read_is_that_of_the_order_or_of_a_sweep_that_covered_it(acme: Desk) -> None:
    acme.record(look(1), look(1, order="order-2"), event(1, "submitted", order="order-3"))
    for feed, at in (("porting_orders", 5), ("portouts", 7), ("portout_events", 6)):
        covers = Direction.PORT_OUT if feed == "portouts" else Direction.PORT_IN
        done = Progress(feed, "complete", hour(at), True, started_at=hour(at), covers=covers)
        acme.record(feed=feed, progress=done)
    acme.record(look(9, "in-process", order="order-2"), look(9, order="order-4"))
    rows = acme.rows("select provider_order_id, last_read_ok_at from v1_orders order by 1")
    assert [(row["provider_order_id"], row["last_read_ok_at"][11:13]) for row in rows] == [
        ("order-1", "18"),
        ("order-2", "21"),
        ("order-3", "18"),
        ("order-4", "21"),
    ]


def test_a_sweep_that_could_not_read_an_order_has_not_covered_it(acme: Desk) -> None:
    acme.record(look(1), look(1, order="order-2"), event(1, "submitted"))
    read = "select last_read_ok_at from v1_orders where provider_order_id = :id"

    def swept(at: int, *facts: Fact, skipped: tuple[Skipped, ...] = ()) -> tuple[str, ...]:
        covers, seen = Direction.PORT_IN, frozenset({"order-1", "order-2"})
        done = Progress(
            "porting_orders", "complete", hour(at), True, started_at=hour(at), covers=covers, seen=seen
        )
        acme.record(*facts, feed="porting_orders", at=hour(at), progress=done, skipped=skipped)
        return tuple(acme.one(read, id=id)[11:13] for id in ("order-1", "order-2"))

    assert swept(2) == ("14", "14")
    assert swept(3, skipped=(Skipped("order-1", "foc_datetime_requested: not a time"),)) == ("13", "15")
    assert swept(4, look(4, "in-process")) == ("16", "16")


# --- timelines ------------------------------------------------------------------------------------------


def test_a_timeline_holds_an_orders_moments_once_and_again_for_each_of_its_numbers(acme: Desk) -> None:
    full(acme)
    rows = acme.rows("select * from v1_timeline")
    assert len({row["entry_id"] for row in rows}) == len(rows)
    own = {
        row["entry_id"] for row in rows if row["order_id"].endswith("order-1") and row["number_key"] is None
    }
    second = {row["entry_id"] for row in rows if row["number_key"] == "+13035550124"}
    assert own
    assert {f"{entry}/+13035550124" for entry in own} <= second
    said = {row["entry_id"]: row for row in rows}
    comment = next(
        row for entry, row in said.items() if row["what"] == "comment" and row["number_key"] is None
    )
    assert (comment["detail"], comment["source"]) == ("provider: please sign", "comment")
    moved = next(row for row in said.values() if row["detail"] == "exception → submitted")
    assert (moved["number_key"], moved["source"]) == (NUMBER, "event")
    assert moved["sort_at"] == moved["occurred_at"] == "2026-06-11T20:00:00.000000Z"


# --- what a question costs ------------------------------------------------------------------------------

QUESTIONS = {
    "select * from v1_orders where order_id = :order": 1,
    "select * from v1_orders where provider_order_id = :id": 1,
    "select * from v1_orders where customer_reference = :id": 1,
    "select * from v1_orders where support_key = :id": 1,
    "select * from v1_orders where state = 'draft'": 1,
    "select * from v1_orders where last_seq > :seq": 1,
    "select * from v1_waiting": 1,
    "select * from v1_numbers where number_key = :number": 1,
    "select * from v1_numbers where order_id = :order": 1,
    "select * from v1_reasons where order_id = :order": 0,
    "select * from v1_comments where order_id = :order": 0,
    "select * from v1_events where order_id = :order": 1,
    "select * from v1_events where provider_event_id = :event": 1,
    "select * from v1_events order by occurred_at desc, event_id desc limit 1": 1,
    "select * from v1_changes where seq > :seq order by seq": 1,
    "select * from v1_changes where order_id = :order order by seq": 1,
    "select * from v1_changes order by seq desc limit 1": 1,
    "select * from v1_timeline where number_key = :number order by sort_at": 1,
    "select * from v1_timeline where order_id = :order order by sort_at": 1,
}
"""What readers ask, and how many rows at least come back."""


def crowd(acme: Desk, first: int, last: int) -> None:
    """Orders that wait for nobody, each with two numbers."""
    for start in range(first, last, 250):
        acme.record(
            *(
                replace(
                    look(
                        -number,
                        "submitted",
                        f"+1303555{number:04}",
                        f"+1720555{number:04}",
                        order=f"id-{number}",
                    ),
                    references=References(f"id-{number}", support_key=f"id-{number}"),
                )
                for number in range(start, start + 250)
            ),
            *(event(-number, "submitted", order=f"id-{number}") for number in range(start, start + 250)),
        )


def test_no_question_costs_more_in_a_larger_database(tmp_path: Path) -> None:
    """Counted in the steps of SQLite's own machine, so that no clock is needed."""
    with (
        desk(f"sqlite:///{tmp_path / 'a.db'}") as acme,
        closing(sqlite3.connect(tmp_path / "a.db")) as database,
    ):
        crowd(acme, 0, 250)
        acme.record(
            event(1, "exception", "PASSCODE_PIN_INVALID", order="last"), event(2, "draft", order="last")
        )
        costs = [_steps(acme, database)]
        for name in ("id-0", "last"):  # asked again, they are not the newest ones any more
            assert acme.rows("select 1 from v1_orders where provider_order_id = :name", name=name)
        crowd(acme, 250, 2_000)
        acme.record(
            event(1, "exception", "PASSCODE_PIN_INVALID", order="newest"), event(2, "ported", order="newest")
        )
        costs.append(_steps(acme, database))
    dear = {
        q: (small, large)
        for q, small, large in zip(QUESTIONS, *costs, strict=True)
        if large > 2 * small + 500
    }
    assert dear == {}


def _steps(acme: Desk, database: sqlite3.Connection) -> list[int]:
    values = {
        "order": "acme/port_in/id-7",
        "id": "id-7",
        "event": "id-7@-7",
        "number": "+13035550007",
        "seq": acme.one("select newest_seq from v1_feed_identity") - 3,
    }
    found = []
    for question, least in QUESTIONS.items():
        steps = 0

        def count() -> int:
            nonlocal steps
            steps += 1
            return 0

        database.set_progress_handler(count, 10)
        rows = database.execute(question, values).fetchall()
        database.set_progress_handler(None, 0)
        assert len(rows) >= least, question
        found.append(steps * 10)
    return found


def test_postgres_has_an_index_for_every_question(postgres_url: str) -> None:
    with desk(postgres_url) as acme, acme.store.engine.begin() as tx:
        tx.execute(text("set local enable_seqscan = off"))
        for question in QUESTIONS:
            values = {"order": "a", "id": "a", "event": "a", "number": "a", "seq": 1}
            used = {name: value for name, value in values.items() if f":{name}" in question}
            plan = "\n".join(tx.execute(text(f"explain {question}"), used).scalars())
            assert not re.search(
                r"Seq Scan on (event|change|port_order|port_number|comment|reason)\b", plan
            ), f"{question}\n{plan}"

"""The commit protocol on both databases: what is recorded once stays once, whole, and in its order."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from made import NOW, account, hour, page
from sqlalchemy import Engine, select
from sqlalchemy import event as hooks
from sqlalchemy.exc import IntegrityError
from sqlmodel import SQLModel
from stored import FOR_EACH_PROCESS, NUMBER, Desk, desk, event, look, wants

from aggregator.core.model import Comment, Direction, Meaning, Part, Skipped, State, Vocabulary
from aggregator.errors import Fenced


@pytest.fixture
def acme(database_url: str) -> Iterator[Desk]:
    """An account on a database of the test's own."""
    with desk(database_url) as opened:
        yield opened


LIFE = (
    event(-50, "in-process"),
    event(-40, "submitted"),
    event(-30, "exception", "PASSCODE_PIN_INVALID", "MOON_IN_CANCER"),
    look(-29, "exception", NUMBER, as_of=-29),
    event(-20),
    event(-10, "submitted", order="order-2"),
)


# --- nothing is doubled ---------------------------------------------------------------------------------


def test_equal_pages_sweeps_and_stores_leave_the_rows_of_one(acme: Desk) -> None:
    asked: dict[str, Any] = {
        "wants": (wants(LIFE[4], Part.EVENT),),
        "skipped": (Skipped("odd", "status: missing"),),
    }
    acme.record(*LIFE, *LIFE, **asked)
    before = acme.everything("quarantine", *FOR_EACH_PROCESS)
    later = [replace(fact, read_at=fact.read_at + timedelta(hours=1)) for fact in LIFE]
    later[3] = look(-28, "exception", NUMBER, as_of=-29)
    acme.record(*reversed(later), **asked)
    other = acme.again()
    other.record(*later, **asked)
    other.store.close()
    assert acme.everything("quarantine", *FOR_EACH_PROCESS) == before
    assert acme.one("select count from v1_quarantine") == 3


def test_the_database_itself_refuses_a_second_row(acme: Desk) -> None:
    bare = event(-5)
    comment = replace(event(-4, "submitted"), comment=Comment("c-1", "provider", "please sign"))
    acme.record(*LIFE, bare, comment, wants=(wants(bare, Part.EVENT),), skipped=(Skipped("odd", "unread"),))
    surrogates = {"id", "seq", "hash"}
    for name in ("event", "fact", "change", "comment", "quarantine", "wanted", "unknown_word", "reason"):
        table = SQLModel.metadata.tables[name]
        with acme.store.engine.connect() as connection:
            row = connection.execute(select(table)).mappings().first()
            assert row is not None, name
            fresh = dict.fromkeys(surrogates & row.keys(), 10**6)
            with pytest.raises(IntegrityError):
                connection.execute(table.insert(), {**row, **fresh})


def test_going_back_and_forth_is_told_each_time(acme: Desk) -> None:
    for at, status in enumerate(("in-process", "submitted", "in-process", "submitted")):
        acme.record(look(at, status))
    back = [("with_provider", "with_carrier"), ("with_carrier", "with_provider")]
    assert acme.steps() == [*back, back[0]]
    assert acme.one("select submission_cycle from v1_orders") == 0


def test_an_event_id_counts_within_its_feed(acme: Desk) -> None:
    """The published port-in and port-out examples share one id."""
    out = event(2, "pending", key="same", feed="portout_events", direction=Direction.PORT_OUT)
    acme.record(event(1, "submitted", key="same"), out)
    acme.record(event(1, "submitted", key="same"), out)
    assert acme.one("select count(*) from v1_events where provider_event_id = 'same'") == 2


def test_a_payload_that_comes_later_fills_the_same_row(acme: Desk) -> None:
    acme.record(event(1), event(2))
    stored = acme.rows("select event_id, payload_complete, payload from v1_events order by event_id")
    assert [row["payload_complete"] for row in stored] == [False, False]
    recorded = acme.record(event(1, "submitted", read=5))
    assert (recorded.events, recorded.orders) == (0, 0)
    first, second = acme.rows("select * from v1_events order by event_id")
    assert first["event_id"] == stored[0]["event_id"]
    assert (first["payload"], first["raw_to"]) == ({"status": "submitted"}, "submitted")
    assert first["payload_complete"] and not second["payload_complete"]
    assert first["first_seen_at"] == "2026-06-15T13:00:00.000000Z"
    assert acme.one("select state from v1_orders") == "with_carrier"


def test_a_payload_that_comes_in_the_same_slice_is_one_event(acme: Desk) -> None:
    assert acme.record(event(1), event(1, "submitted", read=2)).events == 1
    assert acme.one("select payload_complete from v1_events")


# --- whole or not at all --------------------------------------------------------------------------------


class Crash(Exception):
    """What a dying process does to a transaction."""


@contextmanager
def crashing_at(engine: Engine, statement: int) -> Iterator[list[int]]:
    """Raise before the given statement; counts the statements that came."""
    seen = [0]

    def count(*_: object) -> None:
        if seen[0] == statement:
            raise Crash
        seen[0] += 1

    hooks.listen(engine, "before_cursor_execute", count)
    try:
        yield seen
    finally:
        hooks.remove(engine, "before_cursor_execute", count)


def test_a_crash_at_any_statement_leaves_nothing_and_the_retry_everything(acme: Desk) -> None:
    acme.record(*LIFE[:2], event(-6))
    bare = event(-1)
    filled = event(-6, "submitted", read=0)
    comment = replace(event(-2, "submitted"), comment=Comment("c-1", "provider", "please sign"))
    acme.record(skipped=(Skipped("order-1", "status: missing"),))
    acme.record(wants=(wants(filled),))

    def slice_() -> None:
        acme.record(
            *LIFE,
            bare,
            filled,
            comment,
            wants=(wants(bare, Part.EVENT), wants(comment)),
            skipped=(Skipped("odd", "status: missing"),),
            answered=(replace(wants(filled), because=None),),
            cursor=hour(-1),
        )

    before = acme.everything()
    statement = 0
    while True:
        with crashing_at(acme.store.engine, statement) as seen:
            try:
                slice_()
                break
            except Crash:
                statement += 1
        assert acme.everything() == before, f"statement {statement} left something behind"
    assert statement == seen[0] > 20
    after = acme.everything()
    assert all(after[table] != before[table] for table in ("fact", "event", "change", "feed", "wanted"))
    assert (
        acme.one("select cursor_at from v1_feeds where feed = 'porting_events'")
        == "2026-06-15T11:00:00.000000Z"
    )
    assert acme.one("select count(*) from v1_quarantine where resolved_at is null") == 1


def test_a_commit_whose_answer_was_lost_can_be_done_again(acme: Desk) -> None:
    acme.record(*LIFE, cursor=hour(-10))
    before = acme.everything()
    acme.record(*LIFE, cursor=hour(-10))
    assert acme.everything() == before


# --- the cursor -----------------------------------------------------------------------------------------


def test_the_cursor_moves_forward_only_and_only_with_a_complete_sweep(acme: Desk) -> None:
    def cursor() -> object:
        return acme.store.marks("acme")["porting_events"].cursor

    acme.record(event(-5, "submitted"), cursor=hour(-5), complete=False)
    assert cursor() is None
    acme.record(cursor=hour(-5))
    acme.record(cursor=hour(-7))
    assert cursor() == hour(-5)
    acme.record(complete=True)
    assert cursor() == hour(-5)
    acme.record(cursor=hour(-4))
    assert cursor() == hour(-4)
    assert acme.store.marks("acme")["portout_events"].cursor is None


def test_a_wrong_epoch_writes_nothing(acme: Desk) -> None:
    acme.again().store.close()
    before = acme.everything()
    with pytest.raises(Fenced, match="acme"):
        acme.record(event(1, "submitted"), cursor=hour(1), skipped=(Skipped("odd", "unread"),))
    assert acme.everything() == before


def test_a_failing_feed_is_told_with_its_pauses(acme: Desk) -> None:
    for minute in (0, 1, 2):
        acme.record(at=NOW + timedelta(minutes=minute), complete=False)
    row = acme.one("select * from v1_feeds where feed = 'porting_events'")
    assert (row["consecutive_failures"], row["failing_since"]) == (3, "2026-06-15T12:00:00.000000Z")
    assert row["next_due_at"] > "2026-06-15T12:05"
    acme.record(at=NOW + timedelta(minutes=9), complete=True)
    row = acme.one("select * from v1_feeds where feed = 'porting_events'")
    assert (row["consecutive_failures"], row["failing_since"]) == (0, None)
    assert row["last_complete_at"] == "2026-06-15T12:09:00.000000Z"


# --- the first sight ------------------------------------------------------------------------------------


def test_history_that_came_with_the_first_look_is_part_of_the_first_sight(acme: Desk) -> None:
    history = (event(1, "in-process", read=5), event(2, "submitted", read=5))
    acme.record(*history, look(5, "foc-date-confirmed", NUMBER))
    kinds = [row["kind"] for row in acme.rows("select kind from v1_changes order by seq")]
    assert kinds == ["order_seen", "number_added"]
    assert acme.one("select count(*) from v1_events") == 2
    row = acme.one("select state, submitted_at from v1_orders")
    assert row == {"state": "scheduled", "submitted_at": "2026-06-15T13:00:00.000000Z"}
    acme.record(event(3, "in-process", read=6), look(6, "ported", NUMBER))
    assert acme.steps() == [("with_carrier", "with_provider"), ("scheduled", "ported")]


# --- older, absent, late --------------------------------------------------------------------------------


def test_an_older_read_is_kept_and_beats_nothing(acme: Desk) -> None:
    acme.record(look(5, "submitted", NUMBER))
    stands = acme.rows("select * from v1_orders")
    acme.record(look(6, "in-process", as_of=2))
    assert acme.one("select state from v1_orders") == "with_carrier"
    assert len(acme.everything()["fact"]) == 2
    late = acme.one("select new_value from v1_changes where late and kind = 'state_changed'")
    assert late == "with_provider"
    assert acme.rows("select state_since from v1_orders")[0]["state_since"] == stands[0]["state_since"]


def test_absence_is_not_deletion_but_an_event_and_a_documented_404_are(acme: Desk) -> None:
    acme.record(look(1, order="order-1"), look(1, order="order-2"), look(1, order="order-3"))
    acme.record(look(2, "in-process", order="order-2"), complete=True)
    assert acme.one("select count(*) from v1_orders where is_open") == 3
    gone = replace(look(3, order="order-3", deleted=True), document=None, status=None)
    unknown = replace(look(3, order="never-seen", deleted=True), document=None, status=None)
    acme.record(gone, unknown, event(4, deleted=True))
    rows = acme.rows("select provider_order_id, is_open, deletion_basis, state from v1_orders order by 1")
    assert [(row["is_open"], row["deletion_basis"]) for row in rows] == [
        (False, "event"),
        (True, None),
        (False, "not_found"),
    ]
    assert rows[0]["state"] == "with_carrier"
    acme.record(look(5, order="order-3"))
    kinds = acme.rows("select kind from v1_changes where field = 'deleted_at' order by seq")
    assert [row["kind"] for row in kinds] == ["order_deleted", "order_deleted", "order_reappeared"]


def test_a_look_from_before_a_tombstone_is_history_and_undoes_nothing(acme: Desk) -> None:
    acme.record(event(5, deleted=True))
    acme.record(look(3, "submitted", NUMBER))
    row = acme.one("select state, numbers_total, is_open, deletion_basis from v1_orders")
    told = {"state": "with_carrier", "numbers_total": 1, "is_open": False, "deletion_basis": "event"}
    assert row == told
    assert acme.rows("select * from v1_changes where kind = 'order_reappeared'") == []


def test_a_late_event_is_inserted_into_history_and_appended_to_the_feed(acme: Desk) -> None:
    acme.record(event(1, "in-process"), event(9, "foc-date-confirmed"))
    seq = acme.one("select newest_seq from v1_feed_identity")
    acme.record(event(5, "submitted", read=10))
    row = acme.one("select * from v1_changes where seq > :seq and kind = 'state_changed'", seq=seq)
    assert (row["late"], row["old_value"], row["new_value"]) == (True, "with_provider", "with_carrier")
    assert (row["occurred_at"], row["observed_at"]) == (
        "2026-06-15T17:00:00.000000Z",
        "2026-06-15T22:00:00.000000Z",
    )
    assert [row["late"] for row in acme.rows("select late from v1_events order by occurred_at")] == [
        False,
        True,
        False,
    ]
    assert acme.one("select state from v1_orders") == "scheduled"


def test_every_change_says_when_it_was_learned_and_since_when_it_may_hold(acme: Desk) -> None:
    acme.record(look(1, "in-process", NUMBER), initial=True)
    acme.record(look(3, "submitted", NUMBER))
    acme.record(event(4, "exception", "PASSCODE_PIN_INVALID", read=5))
    rows = acme.rows("select * from v1_changes order by seq")
    assert {row["initial"] for row in rows if row["observed_at"] == "2026-06-15T13:00:00.000000Z"} == {True}
    assert [row["seq"] for row in rows] == list(range(1, len(rows) + 1))
    first, second, third = (
        next(row for row in rows if row["new_value"] == state or row["kind"] == state)
        for state in ("order_seen", "with_carrier", "exception")
    )
    assert (first["not_before"], first["occurred_at"], first["source"]) == (None, None, "snapshot")
    assert (second["not_before"], second["initial"]) == ("2026-06-15T13:00:00.000000Z", False)
    assert (third["occurred_at"], third["source"]) == ("2026-06-15T16:00:00.000000Z", "event")
    assert third["provider_event_id"] == "order-1@4"
    for one in (first, second, third):
        together = {row["batch"] for row in rows if row["observed_at"] == one["observed_at"]}
        assert together == {one["batch"]}


# --- what cannot be read or stored ----------------------------------------------------------------------


def test_what_could_not_be_read_is_counted_and_resolved_when_it_can(acme: Desk) -> None:
    for minute in (0, 1):
        at = NOW + timedelta(minutes=minute)
        acme.record(at=at, skipped=(Skipped("order-1", "status: missing"), Skipped("odd", "no id")))
    row = acme.one("select * from v1_quarantine where ref = 'order-1'")
    assert row == {
        "quarantine_id": "acme/porting_events/order-1",
        "account": "acme",
        "provider": "telnyx",
        "feed": "porting_events",
        "ref": "order-1",
        "error": "status: missing",
        "first_seen_at": "2026-06-15T12:00:00.000000Z",
        "last_seen_at": "2026-06-15T12:01:00.000000Z",
        "count": 2,
        "resolved_at": None,
    }
    acme.record(look(1), at=hour(1))
    resolved = acme.rows("select ref, resolved_at from v1_quarantine order by ref desc")
    assert [row["resolved_at"] for row in resolved] == ["2026-06-15T13:00:00.000000Z", None]
    acme.record(at=hour(2), skipped=(Skipped("order-1", "status: missing"),))
    assert acme.one("select count(*) from v1_quarantine where resolved_at is null") == 2


def test_a_fact_that_the_database_cannot_hold_costs_only_itself(acme: Desk) -> None:
    facts = [event(at, "submitted", order=f"order-{at}") for at in range(9)]
    poison = replace(facts[4], status=None, steps=("\ud800",))
    facts[4] = poison
    recorded = acme.record(*facts, cursor=hour(8), wants=tuple(map(wants, facts)))
    assert (recorded.events, recorded.orders, recorded.skipped) == (8, 8, 1)
    row = acme.one("select ref, error, count from v1_quarantine")
    assert row["ref"] == "order-4@4"
    assert row["error"].startswith("cannot be stored: ")
    assert "\ud800" not in row["error"]
    assert acme.store.marks("acme")["porting_events"].cursor == hour(8)
    assert len(acme.store.wants(acme.lease, None)) == 8


def test_what_only_one_database_cannot_hold_costs_only_its_fact(postgres_url: str) -> None:
    facts = [event(at, "submitted", order=f"order-{at}") for at in range(60)]
    facts[7] = replace(look(7, order="order-7"), numbers_total=2**40)
    facts[30] = event(30, "sub\0mitted", order="order-30")
    with desk(postgres_url) as acme:
        assert acme.record(*facts, cursor=hour(59)).orders == 58
        rows = acme.rows("select ref, error from v1_quarantine order by ref")
        assert [row["ref"] for row in rows] == ["order-30@30", "order-7"]
        assert rows[0]["error"].startswith("cannot be stored: database: ")
        assert rows[1]["error"] == "cannot be stored: database: integer out of range"


def test_times_without_a_zone_are_refused_and_others_stored_as_utc(acme: Desk) -> None:
    with pytest.raises(ValueError, match="timezone"):
        acme.store.begin_backfill(acme.lease, "porting_events", NOW.replace(tzinfo=None), NOW, NOW)
    sydney = timezone(timedelta(hours=10))
    acme.record(replace(look(1), as_of=datetime(2026, 6, 15, 22, 30, tzinfo=sydney)))
    assert acme.one("select state_since from v1_orders") == "2026-06-15T12:30:00.000000Z"


# --- words and comments ---------------------------------------------------------------------------------


def test_a_word_nobody_knows_is_counted_and_forgotten_when_it_is_explained(acme: Desk) -> None:
    acme.record(look(1, "almost-there", NUMBER), look(1, "almost-there", order="order-2"))
    row = acme.one("select * from v1_unknown_words")
    assert (row["vocabulary"], row["word"], row["orders"]) == ("status", "almost-there", 2)
    assert row["example"] == "acme/port_in/order-1"
    words = {Vocabulary.PORT_IN: {"almost there": Meaning(State.SCHEDULED)}}
    knowing = replace(acme, account=account(name="acme", operator=words))
    acme.store.sync([knowing.account], timedelta(days=14), NOW)
    assert acme.rows("select * from v1_unknown_words") == []
    seq = acme.one("select newest_seq from v1_feed_identity")
    knowing.record(event(2, "almost-there"))
    changes = acme.rows("select * from v1_changes where seq > :seq order by seq", seq=seq)
    state = next(row for row in changes if row["field"] == "state")
    assert (state["old_value"], state["new_value"], state["source"]) == ("unknown", "scheduled", "replay")
    assert {row["source"] for row in changes} == {"replay"}
    versions = acme.rows("select map_version from v1_orders order by order_id")
    assert [row["map_version"] for row in versions] == [
        knowing.account.words.version,
        acme.account.words.version,
    ]
    assert acme.one("select state, last_seq from v1_numbers") == {
        "state": "scheduled",
        "last_seq": changes[-1]["seq"],
    }
    before = acme.everything()
    knowing.record(event(2, "almost-there"))
    assert acme.everything() == before


def test_the_body_of_a_comment_is_in_the_comments_and_nowhere_else(acme: Desk) -> None:
    body = """{"data": [{"id": "e-1", "event_type": "porting_order.new_comment", "porting_order_id": "order-1",
        "created_at": "2026-06-15T11:00:00Z", "payload": {"id": "order-1", "comment": {"id": "c-1",
        "body": "Please sign the zebra form", "user_type": "admin"}}}], "meta": {"total_pages": 1}}"""
    facts = acme.account.adapter.read(page("/porting/events", body), acme.account.options).facts
    acme.record(*facts)
    acme.record(look(2))
    row = acme.one("select * from v1_comments")
    assert (row["body"], row["author_type"]) == ("Please sign the zebra form", "provider")
    assert row["last_seq"] == acme.one("select seq from v1_changes where kind = 'comment_added'")
    holding = {table for table, rows in acme.everything().items() if "zebra" in str(rows)}
    assert holding == {"comment"}


# --- what the daemon asks -------------------------------------------------------------------------------


def test_the_agenda_is_the_memory_of_every_account_at_once(database_url: str) -> None:
    with desk(database_url) as acme:
        other = account("fonedynamics", "other")
        acme.store.sync([acme.account, other], timedelta(days=14), NOW)
        acme.record(cursor=hour(-1))
        until = acme.store.pause(acme.lease, "the provider refused the key", NOW)
        agenda = acme.store.agenda()
        assert {name: set(marks) for name, (marks, _) in agenda.items()} == {
            "acme": set(acme.account.feeds),
            "other": set(other.feeds),
        }
        assert agenda["acme"] == acme.store.memory("acme")
        assert agenda["acme"].marks == acme.store.marks("acme")
        assert [paused for _, paused in agenda.values()] == [("the provider refused the key", until), None]
        assert acme.store.memory("nobody") == ({}, None)
        acme.store.probe()


# --- a walk through history -----------------------------------------------------------------------------


def test_a_walk_through_history_is_remembered_with_what_it_brought(acme: Desk) -> None:
    acme.record(event(0, "submitted"), cursor=hour(0))
    walk = acme.store.begin_backfill(acme.lease, "porting_events", hour(-100), hour(0), NOW)
    assert (walk.done_until, walk.done, walk.orders) == (hour(-100), False, 0)
    past = event(-90, "in-process", order="order-9")
    acme.record(
        past, event(-80, "submitted", order="order-9"), backfill=walk, initial=True, wants=(wants(past),)
    )
    acme.record(backfill=replace(walk, done_until=hour(-50)), initial=True)
    acme.record(backfill=walk, initial=True)
    stored = acme.store.backfills("acme")["porting_events"]
    assert stored.done_until == hour(-50)
    changes = acme.one("select count(*) from v1_changes where initial")
    assert (stored.orders, stored.events, stored.changes) == (1, 2, changes)
    assert acme.store.marks("acme")["porting_events"].cursor == hour(0)
    assert [want.id for want in acme.store.wants(acme.lease, None)] == ["order-9"]


def test_an_interrupted_walk_goes_on_and_an_ended_one_begins_anew(acme: Desk) -> None:
    def begin(since: float, until: float) -> tuple[datetime, datetime, int]:
        walk = acme.store.begin_backfill(acme.lease, "porting_events", hour(since), hour(until), hour(1))
        return walk.done_until, walk.until, walk.events

    begin(-100, 0)
    walk = acme.store.backfills("acme")["porting_events"]
    acme.record(event(-90, "submitted"), backfill=replace(walk, done_until=hour(-50)))
    assert begin(-99, 1) == (hour(-50), hour(1), 1)
    assert begin(-101, 1) == (hour(-101), hour(1), 0)
    walk = acme.store.backfills("acme")["porting_events"]
    acme.record(backfill=replace(walk, done_until=hour(1)))
    assert acme.store.backfills("acme")["porting_events"].done
    assert begin(-100, 2) == (hour(-100), hour(2), 0)


def test_a_walk_is_recorded_with_its_rows_or_not_at_all(acme: Desk) -> None:
    walk = acme.store.begin_backfill(acme.lease, "porting_events", hour(-100), hour(0), NOW)
    acme.again().store.close()
    with pytest.raises(Fenced):
        acme.record(event(-90, "submitted"), backfill=replace(walk, done_until=hour(-50)))
    assert acme.store.backfills("acme")["porting_events"] == walk

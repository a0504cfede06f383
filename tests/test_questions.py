"""The twelve questions of the documentation, asked as they stand there of a database whose answers are known."""

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from made import NOW, account
from stored import Desk, desk, event, look

from aggregator.core.findings import Findings, Progress
from aggregator.core.model import (
    Carrier,
    Carriers,
    Comment,
    Dates,
    Direction,
    Moment,
    NumberSaid,
    Partial,
    References,
    Status,
    Whole,
    Word,
)

CONSUMERS = Path(__file__).parents[1] / "docs" / "consumers.md"
TODAY = datetime.now(UTC)
"""The questions say "now", which is the database's clock."""
MIDNIGHT = TODAY.replace(hour=0, minute=0, second=0, microsecond=0)
THIS_MONTH = MIDNIGHT.replace(day=1)
LAST_MONTH = THIS_MONTH - timedelta(hours=1)
MONTH_BEFORE = LAST_MONTH.replace(day=1) - timedelta(days=1)
LONG_AGO = datetime(2025, 1, 1, tzinfo=UTC)
NUMBER, OTHER = "+13035550123", "+13035550124"
FIRST, SECOND = Carrier("Unreal Telecom"), Carrier("Imaginary Wireless")
OUT = Direction.PORT_OUT
Row = dict[str, Any]


def blocks() -> dict[int, list[str]]:
    """The SQL of each question, by its number."""
    text = CONSUMERS.read_text("utf-8").partition("\n## Twelve questions\n")[2].partition("\n## ")[0]
    parts = re.split(r"^### (\d+)\. ", text, flags=re.MULTILINE)[1:]
    return {
        int(place): re.findall(r"^```sql\n(.*?)^```$", part, re.MULTILINE | re.DOTALL)
        for place, part in zip(parts[::2], parts[1::2], strict=True)
    }


def statements(question: int, dialect: str) -> list[str]:
    """What the page says to run on this kind of database."""
    kinds = {"sqlite": "-- SQLite\n", "postgresql": "-- Postgres\n"}
    found = [sql for sql in blocks()[question] if sql.startswith(kinds[dialect]) or not sql.startswith("-- ")]
    (sql,) = found
    return [statement for statement in sql.split(";") if statement.strip()]


@pytest.fixture
def acme(database_url: str) -> Iterator[Desk]:
    """An account at Telnyx on a database of the test's own."""
    with desk(database_url) as opened:
        yield opened


def ask(acme: Desk, question: int, **values: object) -> list[Row]:
    """The rows of a question, which has one statement."""
    (sql,) = statements(question, acme.store.engine.dialect.name)
    return acme.rows(sql, **values)


def names(rows: list[Row]) -> list[str]:
    """The provider's ids of the orders in these rows."""
    return [row["order_id"].rpartition("/")[2] for row in rows]


def at(moment: datetime) -> float:
    """A moment as the builders of facts want it."""
    return (moment - NOW) / timedelta(hours=1)


def ago(**span: float) -> float:
    """So long before the present."""
    return at(TODAY - timedelta(**span))


def foc(days: int) -> Dates:
    """A confirmed date so many days from today."""
    return Dates(confirmed=Moment((TODAY + timedelta(days=days)).date()))


def test_there_are_twelve_questions_each_for_both_databases() -> None:
    assert list(blocks()) == list(range(1, 13))
    for question, found in blocks().items():
        firsts = [sql.partition("\n")[0] for sql in found]
        assert len(found) == 1 or firsts == ["-- SQLite", "-- Postgres"], question


def test_1_what_waits_for_us(acme: Desk) -> None:
    acme.record(
        look(ago(days=2), "submitted", NUMBER, order="not-ours"),
        look(ago(days=3), "exception", NUMBER, order="refused", references=References("Acme")),
        look(ago(hours=20), "pending", NUMBER, order="decide", direction=OUT),
        look(ago(days=1), "draft", order="fresh", dates=Dates(created=TODAY - timedelta(days=1))),
        look(ago(days=20), "draft", order="older", dates=Dates(created=TODAY - timedelta(days=20))),
    )
    rows = ask(acme, 1)
    found = [(row["provider_order_id"], row["urgency"]) for row in rows]
    assert found == [("decide", 1), ("refused", 2), ("older", 3), ("fresh", 3)]
    assert (rows[1]["customer_reference"], rows[1]["state"]) == ("Acme", "exception")
    assert all(row["why"] for row in rows)


def test_2_what_changed_since_my_last_look_for_one_customer(acme: Desk) -> None:
    ours, theirs = References("Acme"), References("Blue")
    acme.record(
        look(ago(days=9), "submitted", NUMBER, references=ours),
        look(ago(days=9), "submitted", OTHER, order="order-2", references=theirs),
        initial=True,
    )
    assert ask(acme, 2, last=0, customer="Acme") == []
    acme.record(event(ago(days=5), "exception", "PASSCODE_PIN_INVALID"))
    seen = max(row["seq"] for row in ask(acme, 2, last=0, customer="Acme"))
    assert acme.one("select newest_seq from v1_feed_identity") == seen
    acme.record(event(ago(days=2), "submitted"), event(ago(days=2), "ported", order="order-2"))
    rows = ask(acme, 2, last=seen, customer="Acme")
    assert {(row["order_id"], row["number_key"]) for row in rows} == {("acme/port_in/order-1", None)}
    (row,) = [row for row in rows if row["field"] == "state"]
    assert (row["old_value"], row["new_value"]) == ("exception", "with_carrier")
    assert (row["kind"], row["late"], row["regression"]) == ("state_changed", False, False)


def test_3_which_cutovers_are_in_the_next_seven_days(acme: Desk) -> None:
    def scheduled(order: str, days: int, status: str = "foc-date-confirmed", **said: Any) -> None:
        acme.record(look(ago(days=1), status, NUMBER, order=order, dates=foc(days), **said))

    scheduled("in-five", 5)
    scheduled("in-two", 2)
    scheduled("too-late", 9)
    scheduled("passed", -2)
    scheduled("lost", 3, "exception")
    scheduled("done", 3, "ported")
    scheduled("leaves", 4, "authorized", direction=OUT)
    rows = ask(acme, 3)
    assert names(rows) == ["in-two", "leaves", "in-five"]
    assert [row["direction"] for row in rows] == ["port_in", "port_out", "port_in"]
    assert rows[0]["confirmed_foc_on"] == (TODAY + timedelta(days=2)).date().isoformat()
    assert rows[0]["numbers"] == 1


def differing(acme: Desk, order: str, status: str, days: int, *numbers: str | None) -> None:
    """An order of two numbers that stand differently."""
    keys = (NUMBER, OTHER)
    lines = [NumberSaid(key, status=Status(word)) for key, word in zip(keys, numbers, strict=False)]
    acme.record(
        replace(look(ago(days=1), status, NUMBER, order=order, dates=foc(days)), numbers=Whole(tuple(lines)))
    )


@pytest.mark.parametrize("question", [3, "README"])
def test_a_cutover_is_counted_by_the_numbers_own_states(acme: Desk, question: int | str) -> None:
    differing(acme, "both", "foc-date-confirmed", 1, "foc-date-confirmed", "foc-date-confirmed")
    differing(acme, "one-refused", "foc-date-confirmed", 1, "foc-date-confirmed", "exception")
    differing(acme, "refused-but-one", "exception", 1, "exception", "foc-date-confirmed")
    differing(acme, "one-moved", "foc-date-confirmed", 1, "ported", "foc-date-confirmed")
    differing(acme, "none", "foc-date-confirmed", 1, "exception", "ported")
    acme.record(look(ago(hours=1), "foc-date-confirmed", NUMBER, order="gone", dates=foc(1)))
    acme.record(replace(look(ago(minutes=1), order="gone"), status=None, deleted=True))
    if question == 3:
        found = {row["order_id"].rpartition("/")[2]: row["numbers"] for row in ask(acme, 3)}
        assert found == {"both": 2, "one-refused": 1, "refused-but-one": 1, "one-moved": 1}
    else:
        (sql,) = (sql for sql in readme(acme.store.engine.dialect.name) if "cut over" in sql)
        rows = acme.rows(re.sub("--.*", "", sql))
        assert sorted(row["number_key"] for row in rows) == [NUMBER, NUMBER, OTHER, OTHER, OTHER]


def readme(dialect: str) -> list[str]:
    """The statements that the README shows, for this kind of database: where they must differ, it says how."""
    text = (CONSUMERS.parents[1] / "README.md").read_text("utf-8")
    (block,) = re.findall(r"^```sql\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    if dialect == "postgresql":
        block = re.sub(r"date\('now'[^)]*\)(.*)-- Postgres: (.*)$", r"\2\1", block, flags=re.MULTILINE)
    block += re.findall(r"sqlite3 '\S+' '(.*)'", text)[0] + ";"
    return [sql for sql in block.split(";") if re.sub("--.*", "", sql).strip()]


def test_every_query_of_the_readme_runs_as_it_stands(acme: Desk) -> None:
    acme.record(look(ago(hours=1), "exception", NUMBER, order="refused"))
    found = readme(acme.store.engine.dialect.name)
    assert len(found) == 4
    assert [len(acme.rows(re.sub("--.*", "", sql))) for sql in found] == [1, 0, 0, 1]


def test_4_which_losing_carriers_reject_and_why(acme: Desk) -> None:
    for order, carrier in (("a", FIRST), ("b", FIRST), ("c", SECOND)):
        acme.record(
            look(ago(days=30), "submitted", NUMBER, order=order, carriers=Carriers(losing=carrier)),
            event(ago(days=29), "exception", "PASSCODE_PIN_INVALID", order=order),
            event(ago(days=28), "submitted", order=order),
        )
    acme.record(event(ago(days=27), "exception", "PASSCODE_PIN_INVALID", "ENTITY_NAME_MISMATCH", order="b"))
    acme.record(event(ago(days=27), "rejected", "1002", order="d", direction=OUT))
    found = [(r["losing_carrier"], r["code"], r["orders"], r["times"]) for r in ask(acme, 4)]
    assert found == [
        ("Unreal Telecom", "pin_invalid", 2, 3),
        ("Imaginary Wireless", "pin_invalid", 1, 1),
        ("Unreal Telecom", "name_mismatch", 1, 1),
    ]


def test_5_how_many_business_days_from_submission_to_foc_by_losing_carrier(acme: Desk) -> None:
    def went(order: str, carrier: Carrier, submitted: str, confirmed: str) -> None:
        first, then = (datetime.fromisoformat(f"2025-06-{when}:00+00:00") for when in (submitted, confirmed))
        acme.record(
            look(at(first), "submitted", NUMBER, order=order, carriers=Carriers(losing=carrier)),
            event(at(then), "foc-date-confirmed", order=order),
        )

    went("monday-to-thursday", FIRST, "02T09:00", "05T01:00")  # 3
    went("friday-to-monday", FIRST, "06T23:00", "09T00:30")  # 1
    went("over-two-weekends", FIRST, "05T09:00", "16T09:00")  # 7
    went("in-one-weekend", SECOND, "07T09:00", "08T09:00")  # 0
    went("saturday-to-thursday", SECOND, "07T09:00", "12T09:00")  # 3
    acme.record(look(at(LONG_AGO), "submitted", NUMBER, order="unanswered", carriers=Carriers(losing=FIRST)))
    found = [(r["losing_carrier"], float(r["median_business_days"]), r["orders"]) for r in ask(acme, 5)]
    assert found == [("Unreal Telecom", 3.0, 3), ("Imaginary Wireless", 1.5, 2)]


def test_6_what_is_stuck(acme: Desk) -> None:
    acme.record(
        look(ago(days=40), "submitted", NUMBER, order="unanswered"),
        look(ago(hours=1), "submitted", NUMBER, order="usual"),
        look(ago(days=30), "in-process", NUMBER, order="not-sent"),
        look(ago(days=90), "ported", NUMBER, order="over"),
    )
    rows = ask(acme, 6)
    assert names(rows) == ["unanswered", "not-sent"]
    assert [row["waiting_on"] for row in rows] == ["losing_carrier", "provider"]
    assert all(row["state_since"] < row["stuck_since"] for row in rows)


def test_7_which_port_outs_are_about_to_approve_themselves(acme: Desk) -> None:
    acme.record(
        look(ago(hours=2), "pending", NUMBER, OTHER, order="later", direction=OUT),
        look(ago(hours=22), "pending", NUMBER, order="soon", direction=OUT),
        look(ago(hours=22), "authorized", NUMBER, order="approved", direction=OUT),
        look(ago(days=1), "draft", order="draft", dates=Dates(created=TODAY)),
    )
    rows = ask(acme, 7)
    assert names(rows) == ["soon", "later"]
    assert [row["numbers_total"] for row in rows] == [1, 2]


def test_8_what_has_ported_with_messaging_still_open(acme: Desk) -> None:
    for order, status, messaging in (
        ("open", "ported", "activating"),
        ("stopped", "ported", "exception"),
        ("closed", "ported", "ported"),
        ("none", "ported", "not_applicable"),
        ("not-yet", "submitted", "pending"),
    ):
        days = {"open": 3, "stopped": 2}.get(order, 1)
        acme.record(look(ago(days=days), status, NUMBER, order=order, messaging=Word(messaging)))
    rows = ask(acme, 8)
    assert names(rows) == ["open", "stopped"]
    found = [(row["messaging_state"], row["waiting_on"]) for row in rows]
    assert found == [("activating", "nobody"), ("exception", "provider")]


def test_9_what_a_numbers_life_was_over_attempts_and_providers(acme: Desk, database_url: str) -> None:
    acme.record(
        look(ago(days=90), "submitted", NUMBER, OTHER, order="first-try"),
        event(ago(days=80), "cancelled", order="first-try"),
        look(ago(days=70), "submitted", OTHER, order="another"),
    )
    blue = account("fonedynamics", "blue")
    acme.store.sync([acme.account, blue], timedelta(days=14), NOW)
    lease = acme.store.take("blue", NOW)
    assert lease is not None
    there = NumberSaid(NUMBER, status=Status("Queued"))
    back = look(ago(days=60), "Queued", order="second-try", numbers_total=1)
    moved = event(ago(days=50), key="entry", feed="porting_status", order="second-try")
    moved_said = Partial((NumberSaid(NUMBER, status=Status("Completed")),))
    said = (replace(back, numbers=Whole((there,))), replace(moved, numbers=moved_said))
    acme.store.record(blue, lease, Findings("porting_status", NOW, said))
    rows = ask(acme, 9, number=NUMBER)
    assert sorted(row["sort_at"] for row in rows) == [row["sort_at"] for row in rows]
    orders = [row["order_id"] for row in rows]
    assert list(dict.fromkeys(orders)) == ["acme/port_in/first-try", "blue/port_in/second-try"]
    steps = [row["detail"] for row in rows if row["what"] == "state_changed"]
    assert steps == ["state: with_carrier → cancelled", "state: with_provider → ported"]


def test_10_which_feeds_have_brought_no_news_for_three_days(acme: Desk) -> None:
    def ran(feed: str, days: float, *news: Any) -> None:
        when = TODAY - timedelta(days=days)
        findings = Findings(feed, when, news)
        acme.store.record(acme.account, acme.lease, findings, Progress(feed, "complete", when, True, when))

    ran("porting_orders", 5, look(ago(days=5), "submitted", NUMBER))
    ran("porting_orders", 0)
    ran("porting_events", 1, event(ago(days=1), "exception"))
    ran("portouts", 0)
    found = {row["feed"]: (row["last_new_at"], row["stale"]) for row in ask(acme, 10)}
    assert set(found) == {"porting_orders", "portouts", "portout_events"}
    assert found["porting_orders"][0] == (TODAY - timedelta(days=5)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    assert found["porting_orders"][1] is False
    assert found["portouts"] == (None, False)
    acme.store.sync([], timedelta(days=14), TODAY)
    assert ask(acme, 10) == []


def test_11_what_must_be_loaded_into_a_warehouse_since_the_last_load(acme: Desk) -> None:
    def load(last: int) -> tuple[Row, list[Row], list[Row], list[Row]]:
        asked = [acme.rows(sql, last=last) for sql in statements(11, acme.store.engine.dialect.name)]
        (identity,), orders, numbers, comments = asked
        return identity, orders, numbers, comments

    acme.record(
        look(ago(days=9), "submitted", NUMBER, OTHER),
        look(ago(days=9), "submitted", NUMBER, order="order-2"),
        event(ago(days=8), comment=Comment("c-1", "provider", "please sign")),
    )
    identity, orders, numbers, comments = load(0)
    assert sorted(names(orders)) == ["order-1", "order-2"]
    assert (len(numbers), [row["comment_id"] for row in comments]) == (3, ["c-1"])
    acme.record(event(ago(days=5), "exception", order="order-2"))
    again, changed, moved, said = load(identity["newest_seq"])
    assert (again["feed_id"], again["floor"]) == (identity["feed_id"], 0)
    assert (names(changed), names(moved), said) == (["order-2"], ["order-2"], [])
    warehouse = {row["order_id"]: row for row in (*orders, *changed)}
    assert [warehouse[key] for key in sorted(warehouse)] == acme.rows(
        "select * from v1_orders order by order_id"
    )
    assert load(again["newest_seq"])[1:] == ([], [], [])


def test_12_what_was_opened_last_month_and_how_it_ended(acme: Desk) -> None:
    def opened(order: str, when: datetime, status: str, *numbers: str, **said: Any) -> None:
        acme.record(look(ago(days=0), status, *numbers, order=order, dates=Dates(created=when), **said))

    opened("ported", LAST_MONTH, "ported", NUMBER, OTHER)
    opened("ported-too", LAST_MONTH, "ported", NUMBER)
    opened("on-its-way", LAST_MONTH, "submitted", NUMBER)
    opened("cancelled", LAST_MONTH, "cancelled", NUMBER)
    opened("removed", LAST_MONTH, "draft", NUMBER)
    acme.record(event(ago(days=0), order="removed", deleted=True))
    opened("leaves", LAST_MONTH, "rejected", NUMBER, direction=OUT)
    opened("older", MONTH_BEFORE, "ported", NUMBER)
    opened("newer", THIS_MONTH, "ported", NUMBER)
    found = [tuple(row.values()) for row in ask(acme, 12)]
    assert found == [
        ("acme", "port_in", "cancelled", "unknown", 1, 1),
        ("acme", "port_in", "deleted", None, 1, 1),
        ("acme", "port_in", "open", None, 1, 1),
        ("acme", "port_in", "ported", None, 2, 3),
        ("acme", "port_out", "rejected", None, 1, 1),
    ]

"""Splits and moves: a number that goes from one order to another is told as one move, however we learn of it."""

import json
from collections.abc import Iterator
from dataclasses import replace
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
from generated import Copy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made import account, hour
from sqlalchemy.event import listen
from stored import Desk, desk, event, look, wants

from aggregator.cli.history import history, read
from aggregator.core.findings import Progress
from aggregator.core.model import Change, Direction, Fact, Link, NumberSaid, Part, References, Whole

STAY, GO = "+13035550101", "+13035550102"
A, B = "acme/port_in/a", "acme/port_in/b"
KINDS = ("number_added", "number_removed", "number_moved")


@pytest.fixture
def acme(database_url: str) -> Iterator[Desk]:
    """An account on a database of the test's own."""
    with desk(database_url) as opened:
        yield opened


def listed(hours: float, order: str, *numbers: str, group: str | None = None, **said: Any) -> Fact:
    """An order with its whole number list (which may be empty), as read at that hour."""
    whole = Whole(tuple(map(NumberSaid, numbers)))
    document = json.dumps([order, numbers, group])
    references = References(group_key=group)
    fact = look(hours, "submitted", *numbers, order=order, references=references, **said)
    return replace(fact, numbers=whole, document=document)


def split(hours: float, parent: str = "a", child: str = "b", read: float | None = None) -> tuple[Fact, Fact]:
    """A split as an adapter hands it on: the parent's event, and the same as a fact of the child."""
    announced = event(hours, order=parent, key=f"split-{child}", read=read, link=Link(parent, child))
    linked = replace(
        announced,
        order=replace(announced.order, id=child),
        source_id=f"{announced.source_id}/to",
        announced=None,
    )
    return announced, linked


def pass_at(acme: Desk, hours: float) -> None:
    """A complete list of all port-ins that began at that hour and showed nothing new."""
    progress = Progress(
        "porting_orders", "complete", hour(hours), True, started_at=hour(hours), covers=Direction.PORT_IN
    )
    acme.record(feed="porting_orders", at=hour(hours), progress=progress)


def told(acme: Desk, key: str = GO) -> list[tuple[str, str, str | None, str | None]]:
    """What the feed says of a number's coming and going."""
    kinds = ", ".join(f"'{kind}'" for kind in KINDS)
    query = (
        "select kind, order_id, case when kind = 'number_moved' then old_value end as old_value,"
        " case when kind = 'number_moved' then new_value end as new_value from v1_changes"
        f" where number_key = :key and kind in ({kinds}) order by seq"
    )
    return [tuple(row.values()) for row in acme.rows(query, key=key)]


MOVED = ("number_moved", B, A, B)


def ready(acme: Desk, group: str | None = "pr_1") -> None:
    """Order a with both numbers, known for a while."""
    acme.record(listed(0, "a", STAY, GO, group=group))
    pass_at(acme, 0.5)
    assert told(acme) == [("number_added", A, None, None)]


# --- links ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("first", ["the split", "the child"])
def test_a_split_links_the_child_to_its_parent_whichever_is_known_first(acme: Desk, first: str) -> None:
    facts = [split(1), (listed(2, "b", GO),)]
    for some in facts if first == "the split" else facts[::-1]:
        acme.record(*some)
        acme.record(*some)
    assert acme.one("select parent_order_id from v1_orders where order_id = :b", b=B) == A
    assert acme.one("select parent_order_id from v1_orders where order_id = :a", a=A) is None
    row = acme.one("select order_id, old_value, new_value from v1_changes where kind = 'order_linked'")
    assert row == {"order_id": B, "old_value": None, "new_value": A}
    assert acme.one("select count(*) from v1_events") == 1, "one event, though it is a fact of two orders"


def test_a_link_reaches_a_child_that_was_deleted(acme: Desk) -> None:
    acme.record(listed(0, "b", GO))
    acme.record(event(1, order="b", deleted=True))
    acme.record(*split(0.5, read=2))
    row = acme.one("select parent_order_id, deletion_basis from v1_orders where order_id = :b", b=B)
    assert row == {"parent_order_id": A, "deletion_basis": "event"}


# --- moves ----------------------------------------------------------------------------------------------


def test_the_same_number_leaves_one_order_and_appears_in_another_is_one_move(acme: Desk) -> None:
    ready(acme)
    acme.record(listed(1, "a", STAY, group="pr_1"), listed(1, "b", GO, group="pr_1"))
    assert told(acme)[1:] == [MOVED]
    assert told(acme, STAY) == [("number_added", A, None, None)]
    pass_at(acme, 2)
    pass_at(acme, 3)
    assert told(acme)[1:] == [MOVED], "nothing is left to be told"


@pytest.mark.parametrize("group", ["pr_1", None])
def test_a_move_is_told_once_in_whatever_order_and_transactions_it_is_learned(
    acme: Desk, group: str | None
) -> None:
    """All orders of arrival, one order of numbers each, so that one database serves them all."""
    for place, order in enumerate(permutations(("left", "came", "split"))):
        a, b, key, other = f"a{place}", f"b{place}", f"+130355501{20 + place}", f"+130355501{60 + place}"
        acme.record(listed(0, a, key, other, group=group and f"pr_{place}"))
        news = {
            "left": (listed(1, a, other, group=group and f"pr_{place}"),),
            "came": (listed(1, b, key, group=group and f"pr_{place}"),),
            "split": split(0.9, a, b),
        }
        for name in order:
            acme.record(*news[name])
            acme.record(*news[name])
        move = ("number_moved", f"acme/port_in/{b}", f"acme/port_in/{a}", f"acme/port_in/{b}")
        assert told(acme, key) == [("number_added", f"acme/port_in/{a}", None, None), move], order


def test_what_stands_is_told_at_once_while_its_meaning_is_open(acme: Desk) -> None:
    ready(acme)
    acme.record(listed(1, "a", STAY, group="pr_1"))
    number = "select is_current, removed_at from v1_numbers where number_key = :key and order_id = :a"
    assert acme.one(number, key=GO, a=A) == {"is_current": False, "removed_at": "2026-06-15T13:00:00.000000Z"}
    assert len(told(acme)) == 1
    row = acme.one("select kind, old_value, new_value from v1_changes where field = 'is_current'")
    assert row == {"kind": "attribute_changed", "old_value": "true", "new_value": "false"}


def test_a_number_that_left_and_came_to_no_other_order_was_removed(acme: Desk) -> None:
    ready(acme)
    acme.record(listed(1, "a", STAY, group="pr_1"), at=hour(1))
    pass_at(acme, 0.9)
    assert len(told(acme)) == 1, "that list ended before it left"
    pass_at(acme, 2)
    assert told(acme)[1:] == [("number_removed", A, None, None)]
    row = acme.one("select last_seq from v1_orders where order_id = :a", a=A)
    assert row == acme.one("select max(seq) from v1_changes")
    pass_at(acme, 3)
    assert len(told(acme)) == 2


def test_a_list_that_was_not_complete_settles_nothing(acme: Desk) -> None:
    ready(acme)
    acme.record(listed(1, "a", STAY, group="pr_1"))
    failed = Progress("porting_orders", "unreachable", hour(2), started_at=hour(2), covers=Direction.PORT_IN)
    acme.record(feed="porting_orders", at=hour(2), progress=failed)
    assert len(told(acme)) == 1


def test_number_lists_that_are_still_owed_keep_the_question_open_for_a_day(acme: Desk) -> None:
    ready(acme)
    big = look(1, order="b")
    acme.record(listed(1, "a", STAY, group="pr_1"), big, wants=(wants(big, Part.NUMBERS),))
    pass_at(acme, 2)
    assert len(told(acme)) == 1
    assert Direction.PORT_IN not in acme.store.lists_owed(acme.lease), "another list would tell no more"
    pass_at(acme, 26)
    assert told(acme)[1:] == [("number_removed", A, None, None)]


def test_the_last_number_list_that_was_owed_ends_the_question(acme: Desk) -> None:
    ready(acme)
    big = look(1, order="b")
    owed = [wants(big, Part.NUMBERS), replace(wants(big, Part.NUMBERS), id="c")]
    acme.record(listed(1, "a", STAY, group="pr_1"), big, wants=tuple(owed))
    pass_at(acme, 2)
    for want in owed:
        assert len(told(acme)) == 1
        acme.record(answered=(want,), at=hour(2))
    assert told(acme)[1:] == [("number_removed", A, None, None)]


def test_an_open_question_asks_for_a_whole_list_until_one_was_complete(acme: Desk) -> None:
    ready(acme)
    assert Direction.PORT_IN not in acme.store.lists_owed(acme.lease)
    acme.record(listed(1, "a", STAY, group="pr_1"), at=hour(1))
    assert Direction.PORT_IN in acme.store.lists_owed(acme.lease)
    assert Direction.PORT_OUT not in acme.store.lists_owed(acme.lease)
    pass_at(acme, 1)
    assert Direction.PORT_IN not in acme.store.lists_owed(acme.lease)


def test_a_number_in_two_open_orders_that_stays_in_both_was_added_to_the_second(acme: Desk) -> None:
    ready(acme)
    acme.record(listed(1, "b", GO, group="pr_2"))
    assert len(told(acme)) == 1
    pass_at(acme, 2)
    assert told(acme)[1:] == [("number_added", B, None, None)]


def test_another_attempt_after_the_first_order_ended_is_no_move(acme: Desk) -> None:
    ready(acme)
    acme.record(event(1, "cancelled", order="a"))
    acme.record(listed(2, "b", GO, group="pr_2"))
    assert told(acme)[1:] == [("number_added", B, None, None)]


def test_a_number_that_comes_back_before_anything_was_said_leaves_nothing_to_say(acme: Desk) -> None:
    ready(acme)
    acme.record(listed(1, "a", STAY, group="pr_1"))
    acme.record(listed(2, "a", STAY, GO, group="pr_1"))
    pass_at(acme, 3)
    assert len(told(acme)) == 1


def test_an_old_list_that_comes_late_completes_the_move(acme: Desk) -> None:
    acme.record(listed(2, "b", GO, group="pr_1"))
    acme.record(listed(2, "a", STAY, group="pr_1"))
    assert told(acme) == [("number_added", B, None, None)]
    acme.record(listed(0, "a", STAY, GO, group="pr_1"))
    assert told(acme) == [("number_added", B, None, None), MOVED]


def test_a_number_may_move_on_and_back(acme: Desk) -> None:
    ready(acme)
    c = "acme/port_in/c"
    acme.record(listed(1, "a", STAY, group="pr_1"), listed(1, "b", GO, group="pr_1"))
    acme.record(listed(2, "c", GO, group="pr_1"))
    acme.record(listed(2, "b", group="pr_1"))
    acme.record(listed(3, "a", STAY, GO, group="pr_1"))
    acme.record(listed(4, "c", group="pr_1"))
    assert told(acme)[1:] == [MOVED, ("number_moved", c, B, c), ("number_moved", A, c, A)]


def test_a_move_that_becomes_known_late_is_told_all_the_same(acme: Desk) -> None:
    ready(acme, group=None)
    acme.record(listed(1, "a", STAY))
    pass_at(acme, 2)
    acme.record(listed(3, "b", GO))
    pass_at(acme, 4)
    acme.record(*split(0.9, read=5))
    assert [kind for kind, *_ in told(acme)].count("number_moved") == 1
    assert told(acme)[-1] == MOVED


def test_orders_that_do_not_belong_together_move_nothing(acme: Desk) -> None:
    ready(acme)
    acme.record(listed(1, "a", STAY, group="pr_1"), listed(1, "b", GO, group="pr_2"))
    pass_at(acme, 2)
    assert {kind for kind, *_ in told(acme)} == {"number_added", "number_removed"}


def test_a_number_is_never_held_back_where_no_list_would_ever_settle_it(database_url: str) -> None:
    with desk(database_url, account("fonedynamics", "acme")) as fone:
        fone.record(listed(0, "a", STAY, GO), feed="porting_status")
        fone.record(listed(1, "a", STAY), feed="porting_status")
        assert [kind for kind, *_ in told(fone)] == ["number_added", "number_removed"]


def test_a_crash_at_any_half_of_a_move_tells_it_once(acme: Desk) -> None:
    ready(acme)
    halves = (listed(1, "a", STAY, group="pr_1"), listed(1, "b", GO, group="pr_1"))
    acme.record(halves[0])
    other = acme.again()
    for half in (*halves, *halves):
        other.record(half)
    other.store.close()
    assert told(acme)[1:] == [MOVED]


def test_the_timeline_of_a_number_goes_on_across_orders(acme: Desk) -> None:
    ready(acme)
    acme.record(*split(0.9), listed(1, "a", STAY, group="pr_1"), listed(1, "b", GO, group="pr_1"))
    acme.record(event(3, "ported", order="b"))
    line = acme.rows(
        "select order_id, what, detail from v1_timeline where number_key = :key order by sort_at, entry_id",
        key=GO,
    )
    moved = [row for row in line if row["what"] == "number_moved"]
    assert [row["order_id"] for row in moved] == [B, A], "the one move stands in the life of both orders"
    assert {row["detail"] for row in moved} == {f"{A} → {B}"}
    assert line[-1]["order_id"] == B and line[-1]["what"] in ("state_changed", "porting_order.status_changed")
    assert not {row["what"] for row in line} & {"attribute_changed", "number_removed"}


def test_the_stories_of_both_orders_tell_the_move(acme: Desk) -> None:
    ready(acme)
    acme.record(listed(1, "a", STAY, group="pr_1"))
    acme.record(listed(1, "b", GO, group="pr_1"))
    reader = acme.reader()
    for order in acme.rows("select * from v1_orders"):
        story = "\n".join(what for _, what in history(read(reader, order)))
        assert story.count(f"{GO}: moved from order a to order b") == 1, story
        assert "removed" not in story and "stands" not in story
        alone = "\n".join(what for _, what in history(read(reader, order, whole=False), GO))
        assert alone.count("moved") == (order["order_id"] == B)
    reader.close()


# --- every order of arrival -----------------------------------------------------------------------------


VIEWS = {
    "v1_orders": "last_seq last_changed_at first_seen_at last_read_ok_at",
    "v1_numbers": "last_seq",
    "v1_events": "event_id late",
}
"""What must be equal at the end, each view but for the columns that say when we learned it."""


def stands(acme: Desk) -> dict[str, list[dict[str, Any]]]:
    return {
        view: sorted(
            (
                {k: v for k, v in row.items() if k not in but.split()}
                for row in acme.rows(f"select * from {view}")
            ),
            key=str,
        )
        for view, but in VIEWS.items()
    }


def rebuilt(acme: Desk) -> dict[str, Copy]:
    """Each order as a reader of the feed alone would have it."""
    copies: dict[str, Copy] = {}
    for row in acme.rows("select * from v1_changes order by seq"):
        copy = copies.setdefault(row["order_id"], Copy())
        if row["field"] is None and row["kind"] in KINDS:
            continue
        change = Change(
            row["kind"], row["field"] or "", row["old_value"], row["new_value"], row["number_key"] or ""
        )
        if not row["late"]:
            copy.apply([change])
    return copies


@st.composite
def arrivals(draw: st.DrawFn) -> tuple[tuple[Fact, ...], int]:
    """Both orders' lists before and after a split, and the split, in some order, some of them twice."""
    group = draw(st.sampled_from(("pr_1", None)))
    facts = [
        (listed(0, "a", STAY, GO, group=group),),
        (listed(2, "a", STAY, group=group),),
        (listed(2, "b", GO, group=group),),
        split(1),
    ]
    again = draw(st.lists(st.sampled_from(facts), max_size=2))
    order = draw(st.permutations([*facts[1:], *again]))
    first = draw(st.booleans())
    flat = [fact for some in ([facts[0], *order] if first else [*order, facts[0]]) for fact in some]
    return tuple(flat), draw(st.integers(0, len(flat)))


@given(arrivals())
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_moves_are_told_once_and_all_tables_end_equal_in_every_order_of_arrival(
    tmp_path_factory: pytest.TempPathFactory, arrived: tuple[tuple[Fact, ...], int]
) -> None:
    facts, cut = arrived
    ends = []
    for order in (facts, tuple(sorted(facts, key=lambda fact: fact.as_of))):
        path = tmp_path_factory.mktemp("moves") / "a.db"
        with desk(f"sqlite:///{path}") as acme:
            acme.record(*order[:cut])
            acme.record(*order[cut:])
            pass_at(acme, 5)
            pass_at(acme, 6)
            kinds = [kind for kind, *_ in told(acme)]
            seen_before = order[0].order.id == "a" and GO in str(order[0].numbers)
            assert kinds.count("number_moved") == 1, kinds
            if seen_before:
                assert kinds == ["number_added", "number_moved"]
            for name, copy in rebuilt(acme).items():
                for row in acme.rows("select * from v1_numbers where order_id = :id", id=name):
                    mine = copy.number(row["number_key"])
                    assert mine["is_current"] == str(row["is_current"]).lower()
                    assert (mine["state"], mine["removed_at"]) == (row["state"], row["removed_at"])
            ends.append(stands(acme))
    assert ends[0] == ends[1]


def test_asking_for_open_questions_does_not_walk_the_accounts_orders(tmp_path: Path) -> None:
    with desk(f"sqlite:///{tmp_path / 'plan.db'}") as here:
        asked: list[str] = []
        listen(here.store.engine, "before_cursor_execute", lambda *said: asked.append(said[2]))
        here.store.lists_owed(here.lease)
        queries = [query for query in asked if query.startswith("SELECT")]
        with here.store.engine.connect() as connection:
            steps = [
                row.detail
                for query in queries
                for row in connection.exec_driver_sql(f"explain query plan {query}", (1,))
            ]
        assert len(queries) == 2 and not [step for step in steps if "ix_port_order_account_id" in step]

"""Orders that belong together: which they are, and what is made of them, on both databases alike."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import combinations
from typing import Any

import pytest
from made import NOW, account
from stored import Desk, desk, event

from aggregator.core.model import (
    Dates,
    Direction,
    Fact,
    Link,
    Meaning,
    Moment,
    NumberSaid,
    Partial,
    References,
    State,
    Vocabulary,
)
from aggregator.core.states import ROLLED_UP, rolled_up

TODAY = datetime.now(UTC)
"""What is to come goes by the database's clock."""
CENTURY = datetime(2201, 1, 1, tzinfo=UTC)
OURS = account(name="acme", operator={Vocabulary.PORT_IN: {str(state): Meaning(state) for state in State}})


@pytest.fixture
def acme(database_url: str) -> Iterator[Desk]:
    """An account whose words are our states' names."""
    with desk(database_url, OURS) as opened:
        yield opened


def member(order: str, state: State | str, group: str | None = "g", hours: float = 0, **said: Any) -> Fact:
    """An order of a group."""
    return event(hours, str(state), order=order, references=References(group_key=group), **said)


def foc(days: int) -> Dates:
    """A date that is so many days ahead."""
    return Dates(confirmed=Moment((TODAY + timedelta(days=days)).date()))


def groups(acme: Desk) -> list[dict[str, Any]]:
    return acme.rows("select * from v1_groups order by account, group_key")


def test_the_orders_of_one_key_at_one_account_are_a_group(acme: Desk) -> None:
    numbers = Partial((NumberSaid("+13035550123"), NumberSaid("+13035550124")))
    acme.record(
        member("a", State.SCHEDULED, dates=foc(9), numbers=numbers),
        member("b", State.SCHEDULED, dates=foc(5)),
        member("c", State.PORTED, dates=foc(1)),
        member("alone", State.SCHEDULED, group=None, dates=foc(2)),
        member("other", State.EXCEPTION, group="h"),
    )
    assert groups(acme) == [
        {
            "group_key": "g",
            "provider": "telnyx",
            "account": "acme",
            "orders": 3,
            "numbers": 2,
            "state": "scheduled",
            "worst": "scheduled",
            "next_foc_on": str((TODAY + timedelta(days=5)).date()),
        },
        {
            "group_key": "h",
            "provider": "telnyx",
            "account": "acme",
            "orders": 1,
            "numbers": 0,
            "state": "exception",
            "worst": "exception",
            "next_foc_on": None,
        },
    ]


def test_two_accounts_that_use_the_same_key_have_a_group_each(acme: Desk) -> None:
    beta = replace(OURS, name="beta")
    acme.store.sync([OURS, beta], timedelta(days=14), NOW)
    lease = acme.store.take("beta", NOW)
    assert lease is not None
    acme.record(member("a", State.PORTED))
    replace(acme, account=beta, lease=lease).record(member("b", State.EXCEPTION))
    assert [(row["account"], row["state"], row["orders"]) for row in groups(acme)] == [
        ("acme", "ported", 1),
        ("beta", "exception", 1),
    ]


def test_without_a_key_an_order_and_what_was_split_from_it_are_a_group(acme: Desk) -> None:
    acme.record(
        member("a", State.SCHEDULED, group=None),
        member("b", State.EXCEPTION, group=None, link=Link("a", "b")),
        member("c", State.PORTED, group=None, link=Link("a", "c")),
        member("d", State.PORTED, group=None, link=Link("c", "d")),
    )
    assert [(row["group_key"], row["orders"], row["state"]) for row in groups(acme)] == [
        ("acme/port_in/a", 3, "exception"),
        ("acme/port_in/c", 2, "ported"),
    ]


def test_what_was_split_from_an_order_with_a_key_is_in_its_group(acme: Desk) -> None:
    acme.record(
        member("a", State.PORTED),
        member("b", State.EXCEPTION, group=None, link=Link("a", "b")),
        member("c", State.PORTED, link=Link("a", "c")),
    )
    (row,) = groups(acme)
    assert (row["group_key"], row["orders"], row["state"]) == ("g", 3, "exception")


def test_an_order_that_was_split_before_it_is_known_has_its_group(acme: Desk) -> None:
    acme.record(member("b", State.PORTED, group=None, link=Link("never seen", "b")))
    (row,) = groups(acme)
    assert (row["group_key"], row["orders"]) == ("acme/port_in/never seen", 1)


def test_what_was_deleted_does_not_count(acme: Desk) -> None:
    acme.record(member("a", State.PORTED), member("b", State.DRAFT), event(1, order="b", deleted=True))
    (row,) = groups(acme)
    assert (row["orders"], row["state"]) == (1, "ported")
    acme.record(event(2, order="a", deleted=True))
    assert groups(acme) == []


def test_the_worst_is_the_most_urgent_not_the_first_to_roll_up(acme: Desk) -> None:
    """A port-out that is authorised by silence presses more than an exception that nothing presses."""
    acme.record(
        replace(member("a", State.EXCEPTION), as_of=CENTURY),
        event(0, "pending", order="b", direction=Direction.PORT_OUT, references=References(group_key="g")),
    )
    (row,) = groups(acme)
    assert (row["state"], row["worst"]) == ("exception", "action_needed")


def test_a_date_counts_until_its_day_is_over_where_the_account_is(acme: Desk) -> None:
    acme.record(member("a", State.SCHEDULED, dates=foc(-2)))
    assert groups(acme)[0]["next_foc_on"] is None
    acme.record(member("b", State.SCHEDULED, dates=foc(0)))
    assert groups(acme)[0]["next_foc_on"] == str(TODAY.date())
    there = replace(OURS, options=replace(OURS.options, time_zone="Pacific/Kiritimati"))  # UTC+14
    acme.store.sync([there], timedelta(days=14), NOW)
    expected = str(TODAY.date()) if TODAY.hour < 10 else None
    assert groups(acme)[0]["next_foc_on"] == expected


def test_a_group_rolls_up_as_an_orders_numbers_do(acme: Desk) -> None:
    """Against the same rule in Python: every state, every two, and every two beside one that has ported."""
    lives: list[tuple[State, ...]] = [(state,) for state in State] + [*combinations(State, 2)]
    lives += [(*pair, State.PORTED) for pair in combinations(State, 2)]
    facts = [
        member(f"{group}-{n}", state, f"{group}")
        for group, states in enumerate(lives)
        for n, state in enumerate(states)
    ]
    acme.record(*facts)
    found = {row["group_key"]: row for row in groups(acme)}
    for group, states in enumerate(lives):
        row = found[f"{group}"]
        assert (row["state"], row["orders"]) == (rolled_up(states), len(states)), states
        assert row["worst"] in states


def test_every_state_has_its_place_in_the_roll_up() -> None:
    assert sorted(ROLLED_UP) == sorted(State)

"""What each of the thirteen states implies, word for word as the status model has it."""

import pytest

from aggregator.core.model import Direction, State, WaitingOn
from aggregator.core.states import (
    EXPECTED,
    RANK,
    TERMINAL,
    WAITING,
    is_expected,
    is_regression,
    rolled_up,
)

# state, ends?, waiting_on for a port-in, for a port-out (None: there is no such port-out), rank
STATES: list[tuple[str, bool, str, str | None, int | None]] = [
    ("draft", False, "us", None, 0),
    ("action_needed", False, "us", "us", 1),
    ("with_provider", False, "provider", "provider", 2),
    ("with_carrier", False, "losing_carrier", "gaining_carrier", 3),
    ("exception", False, "us", "us", None),
    ("scheduled", False, "nobody", "nobody", 4),
    ("cancel_pending", False, "provider", "provider", None),
    ("ported", True, "nobody", "nobody", 5),
    ("partially_ported", True, "us", "us", 5),
    ("cancelled", True, "nobody", "nobody", None),
    ("rejected", True, "us", "nobody", None),
    ("reverted", True, "us", "us", None),
    ("unknown", False, "unknown", "unknown", None),
]

NEXT = {
    "draft": "action_needed with_provider with_carrier cancelled",
    "action_needed": "with_provider with_carrier scheduled cancelled rejected",
    "with_provider": "action_needed with_carrier exception scheduled ported partially_ported cancel_pending cancelled",
    "with_carrier": "exception scheduled ported partially_ported cancel_pending cancelled rejected",
    "exception": "with_provider with_carrier scheduled cancel_pending cancelled rejected",
    "scheduled": "ported partially_ported exception with_provider with_carrier cancel_pending cancelled",
    "cancel_pending": "cancelled ported partially_ported draft action_needed with_provider with_carrier "
    "exception scheduled",
    "ported": "partially_ported reverted",
    "partially_ported": "ported reverted",
}
PAIRS = {(before, after) for before, nexts in NEXT.items() for after in nexts.split()}
REFUSED = ("with_provider", "rejected")  # a port-out's refusal that was reviewed and accepted
ALL = [(before, after) for before in State for after in State if before is not after]


def test_there_are_thirteen_states() -> None:
    assert [row[0] for row in STATES] == list(State)


@pytest.mark.parametrize(("state", "ends", "port_in", "port_out", "rank"), STATES, ids=[s[0] for s in STATES])
def test_each_state_says_whether_it_ends_who_must_act_and_its_rank(
    state: str, ends: bool, port_in: str, port_out: str | None, rank: int | None
) -> None:
    assert (State(state) in TERMINAL) is ends
    assert WAITING[Direction.PORT_IN, State(state)] == WaitingOn(port_in)
    if port_out is not None:
        assert WAITING[Direction.PORT_OUT, State(state)] == WaitingOn(port_out)
    assert RANK.get(State(state)) == rank


def test_every_step_that_is_not_in_the_table_is_unexpected() -> None:
    of_unknown = {(b, a) for b, a in ALL if State.UNKNOWN in (b, a) and b not in TERMINAL}
    expected = {(before, after) for before, after in ALL if is_expected(before, after)}
    assert expected == {*PAIRS, REFUSED, *of_unknown}, "of a word nobody knows nothing can be said"


def test_leaving_a_terminal_state_is_always_unexpected_but_for_numbers_that_moved_or_were_given_back() -> (
    None
):
    left = {(before, after) for before in TERMINAL for after in State if is_expected(before, after)}
    moved = {(State.PORTED, State.PARTIALLY_PORTED), (State.PARTIALLY_PORTED, State.PORTED)}
    assert left == {(State.PORTED, State.REVERTED), (State.PARTIALLY_PORTED, State.REVERTED), *moved}


def test_a_cancellation_may_be_undone_into_any_open_state() -> None:
    assert EXPECTED[State.CANCEL_PENDING] >= set(State) - TERMINAL - {State.CANCEL_PENDING}


def test_a_regression_is_a_falling_rank_or_a_confirmed_date_lost() -> None:
    ranks = {state: rank for state, *_, rank in STATES if rank is not None}
    falling = {(b, a) for b in ranks for a in ranks if ranks[a] < ranks[b]}
    assert {(b, a) for b, a in ALL if is_regression(b, a)} == {*falling, ("scheduled", "exception")}


ROLLED = [
    ("", None),
    ("exception action_needed unknown scheduled ported", "exception"),
    ("action_needed unknown cancel_pending", "action_needed"),
    ("unknown cancel_pending draft", "unknown"),
    ("cancel_pending draft with_provider", "cancel_pending"),
    ("draft with_provider with_carrier", "draft"),
    ("with_provider with_carrier scheduled", "with_provider"),
    ("with_carrier scheduled ported", "with_carrier"),
    ("scheduled ported cancelled", "scheduled"),
    ("ported", "ported"),
    ("ported cancelled", "partially_ported"),
    ("ported rejected reverted", "partially_ported"),
    ("rejected reverted cancelled", "rejected"),
    ("reverted cancelled", "reverted"),
    ("cancelled", "cancelled"),
    ("partially_ported", "partially_ported"),
]


@pytest.mark.parametrize(("states", "one"), ROLLED, ids=[states or "none" for states, _ in ROLLED])
def test_many_numbers_roll_up_to_the_most_pressing_or_to_how_they_ended(states: str, one: str | None) -> None:
    assert rolled_up(State(state) for state in states.split()) == one

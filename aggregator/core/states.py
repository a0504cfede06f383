"""What each of the thirteen states implies: who must act, whether it ends, its rank, what may follow it."""

from collections.abc import Iterable

from aggregator.core.model import Basis, Direction, State, Status, WaitingOn

MOVED = frozenset({State.PORTED, State.PARTIALLY_PORTED})
FIRM = MOVED | {State.SCHEDULED}
"""Where an order's date may be announced."""
FINAL_BASES = frozenset({Basis.DOCUMENTED})
"""What an end must rest on to be relied on: a guessed one never stops the polling. (An operator's word counts as
documented.)"""
TERMINAL = frozenset({State.PORTED, State.PARTIALLY_PORTED, State.CANCELLED, State.REJECTED, State.REVERTED})

_BOTH = {
    State.ACTION_NEEDED: WaitingOn.US,
    State.WITH_PROVIDER: WaitingOn.PROVIDER,
    State.EXCEPTION: WaitingOn.US,
    State.SCHEDULED: WaitingOn.NOBODY,
    State.CANCEL_PENDING: WaitingOn.PROVIDER,
    State.PORTED: WaitingOn.NOBODY,
    State.PARTIALLY_PORTED: WaitingOn.US,
    State.CANCELLED: WaitingOn.NOBODY,
    State.REVERTED: WaitingOn.US,
    State.UNKNOWN: WaitingOn.UNKNOWN,
    State.DRAFT: WaitingOn.US,
}
WAITING: dict[tuple[Direction, State], WaitingOn] = {
    **{(direction, state): who for direction in Direction for state, who in _BOTH.items()},
    (Direction.PORT_IN, State.WITH_CARRIER): WaitingOn.LOSING_CARRIER,
    (Direction.PORT_OUT, State.WITH_CARRIER): WaitingOn.GAINING_CARRIER,
    (Direction.PORT_IN, State.REJECTED): WaitingOn.US,
    (Direction.PORT_OUT, State.REJECTED): WaitingOn.NOBODY,  # good news: the number stays
}

RANK = {
    State.DRAFT: 0,
    State.ACTION_NEEDED: 1,
    State.WITH_PROVIDER: 2,
    State.WITH_CARRIER: 3,
    State.SCHEDULED: 4,
    State.PORTED: 5,
    State.PARTIALLY_PORTED: 5,
}

_STATES: dict[str, State] = {state.value: state for state in State}
_S = State
_ENDED = frozenset({_S.PORTED, _S.PARTIALLY_PORTED})
EXPECTED: dict[State, frozenset[State]] = {
    _S.DRAFT: frozenset({_S.ACTION_NEEDED, _S.WITH_PROVIDER, _S.WITH_CARRIER, _S.CANCELLED}),
    _S.ACTION_NEEDED: frozenset({_S.WITH_PROVIDER, _S.WITH_CARRIER, _S.SCHEDULED, _S.CANCELLED, _S.REJECTED}),
    _S.WITH_PROVIDER: _ENDED
    | {_S.ACTION_NEEDED, _S.WITH_CARRIER, _S.EXCEPTION, _S.SCHEDULED, _S.CANCEL_PENDING, _S.CANCELLED}
    | {_S.REJECTED},  # a port-out whose refusal was accepted
    _S.WITH_CARRIER: _ENDED | {_S.EXCEPTION, _S.SCHEDULED, _S.CANCEL_PENDING, _S.CANCELLED, _S.REJECTED},
    _S.EXCEPTION: frozenset(
        {_S.WITH_PROVIDER, _S.WITH_CARRIER, _S.SCHEDULED, _S.CANCEL_PENDING, _S.CANCELLED, _S.REJECTED}
    ),
    _S.SCHEDULED: _ENDED
    | {_S.EXCEPTION, _S.WITH_CARRIER, _S.CANCEL_PENDING, _S.CANCELLED}
    | {_S.WITH_PROVIDER},  # a supplement: another date is asked for
    _S.CANCEL_PENDING: frozenset(State) - TERMINAL - {_S.CANCEL_PENDING} | _ENDED | {_S.CANCELLED},
    _S.PORTED: frozenset({_S.REVERTED, _S.PARTIALLY_PORTED}),
    _S.PARTIALLY_PORTED: frozenset({_S.PORTED, _S.REVERTED}),
}


_OPEN_FIRST = (
    _S.EXCEPTION,
    _S.ACTION_NEEDED,
    _S.UNKNOWN,
    _S.CANCEL_PENDING,
    _S.DRAFT,
    _S.WITH_PROVIDER,
    _S.WITH_CARRIER,
    _S.SCHEDULED,
)
ROLLED_UP = (*_OPEN_FIRST, _S.PARTIALLY_PORTED, _S.REJECTED, _S.REVERTED, _S.CANCELLED, _S.PORTED)
"""All states in the order in which they decide a roll-up, first match; but where all ended and some of them are
ported, the whole is `partially_ported`."""


def state_of(status: Status) -> State:
    """The state a (normalised) status maps to."""
    return _STATES[status.meaning.value] if status.meaning else State.UNKNOWN


def rolled_up(states: Iterable[State]) -> State | None:
    """One state for many numbers: of the open ones the most pressing; when all ended, how they ended."""
    states = set(states)
    if not states:
        return None
    for state in _OPEN_FIRST:
        if state in states:
            return state
    if State.PORTED in states:
        return State.PORTED if states == {State.PORTED} else State.PARTIALLY_PORTED
    for state in (State.PARTIALLY_PORTED, State.REJECTED, State.REVERTED):
        if state in states:
            return state
    return State.CANCELLED


def is_expected(before: State, after: State) -> bool:
    """Whether this step is an ordinary one. From and to `unknown` nothing can be said, so nothing is flagged."""
    if State.UNKNOWN in (before, after) and before not in TERMINAL:
        return True
    return after in EXPECTED.get(before, frozenset())


def is_regression(before: State, after: State) -> bool:
    """Whether this step leads back: a lower rank, or a confirmed date lost to an exception."""
    if before is State.SCHEDULED and after is State.EXCEPTION:
        return True
    return before in RANK and after in RANK and RANK[after] < RANK[before]

"""What follows from what was told: the order against its numbers, who must act, since when, until when.

Nothing is counted step by step: every figure is computed from the whole trail, so a late fact counts where
it belongs.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any, TypeVar, cast

from aggregator.core.model import Basis, Carrier, Direction, Moment, OrderRef, State, Status, WaitingOn, Word
from aggregator.core.standing import Held, Number, NumberTold, Order, Stamp, Told
from aggregator.core.states import TERMINAL, WAITING
from aggregator.core.why import why

T = TypeVar("T")

_OPEN_FIRST = (
    State.EXCEPTION,
    State.ACTION_NEEDED,
    State.UNKNOWN,
    State.CANCEL_PENDING,
    State.DRAFT,
    State.WITH_PROVIDER,
    State.WITH_CARRIER,
    State.SCHEDULED,
)
_REQUIRES_US = frozenset({"requirement-info-pending", "requirement-info-exception"})
_MESSAGING_OPEN = frozenset({"activating", "exception", "partially_ported"})


def derive(ref: OrderRef, told: Told) -> tuple[Order, Mapping[str, Number], tuple[Held, ...]]:
    """The columns of an order, of its numbers, and its reasons over time."""
    runs = _runs(told.statuses)
    state = runs[-1][0] if runs else State.UNKNOWN
    numbers = {key: _number(number, told, state, runs) for key, number in told.numbers.items()}
    held = (
        *_held("", told.statuses, ref.direction),
        *(
            reason
            for key, number in told.numbers.items()
            for reason in _held(key, number.statuses, ref.direction)
        ),
    )
    return _order(ref, told, runs, state, numbers), numbers, held


def state_of(status: Status) -> State:
    """The state a (normalised) status maps to."""
    return State(status.meaning.value) if status.meaning else State.UNKNOWN


def waiting(status: Status, direction: Direction) -> WaitingOn:
    """Who must act, from a status and its reasons: us if any reason says us or there is none, else the
    provider, else the losing carrier; the set decides, not its order."""
    state = state_of(status)
    if status.meaning and status.meaning.waiting_on:
        return status.meaning.waiting_on
    if state is State.EXCEPTION:
        who = {reason.meaning.waiting_on for reason in status.reasons if reason.meaning}
        for candidate in (WaitingOn.US, WaitingOn.PROVIDER, WaitingOn.LOSING_CARRIER):
            if candidate in who:
                return candidate
    return WAITING[direction, state]


# --- the order ------------------------------------------------------------------------------------------


def _order(
    ref: OrderRef,
    told: Told,
    runs: Sequence[tuple[State, Stamp]],
    state: State,
    numbers: Mapping[str, Number],
) -> Order:
    status = told.statuses[-1][1] if told.statuses else Status(None)
    since = runs[-1][1][0] if runs else None
    waiting_on, waiting_since = _waiting(ref, told, state)
    needs = _needs(told, state)
    requested, confirmed = _facet(told, "requested", Moment), _facet(told, "confirmed", Moment)
    losing = _facet(told, "losing", Carrier) or Carrier()
    gaining = _facet(told, "gaining", Carrier) or Carrier()
    messaging = (_facet(told, "messaging", Word) or Word(None)).meaning
    deleted = _deletion(told)
    ported_at, ported_by = _ported(runs)
    deadline_at, deadline_kind = _deadline(ref, told, state, since)
    created = _facet(told, "created", datetime)
    return Order(
        customer_reference=_facet(told, "customer", str),
        customer_group_reference=_facet(told, "customer_group", str),
        description=_facet(told, "description", str),
        support_key=_facet(told, "support_key", str),
        group_key=_facet(told, "group_key", str),
        sub_account=_facet(told, "sub_account", str),
        state=state,
        raw_status=status.raw,
        mapping_basis=status.meaning.basis if status.meaning else Basis.NONE,
        waiting_on=waiting_on,
        waiting_since=waiting_since,
        why=why(ref.direction, state, status, needs, waiting_on),
        reasons=_codes(status),
        is_open=state not in TERMINAL and deleted is None,
        requested_foc_on=requested.on if requested else None,
        requested_foc_at=requested.at if requested else None,
        confirmed_foc_on=confirmed.on if confirmed else None,
        confirmed_foc_at=confirmed.at if confirmed else None,
        foc_is_firm=confirmed is not None
        and state in (State.SCHEDULED, State.PORTED, State.PARTIALLY_PORTED),
        ported_at=ported_at,
        ported_at_source=ported_by,
        losing_carrier=losing.name,
        losing_carrier_spid=losing.spid,
        gaining_carrier=gaining.name,
        gaining_carrier_spid=gaining.spid,
        messaging_state=messaging,
        messaging_open=state is State.PORTED and messaging in _MESSAGING_OPEN,
        **_counters(told, state, numbers),
        parent_order_id=_facet(told, "parent", str),
        submission_cycle=_cycles(runs),
        foc_changes=_foc_changes(told.confirmed),
        created_at=created,
        submitted_at=_first(runs, (State.WITH_PROVIDER, State.WITH_CARRIER)),
        first_scheduled_at=_first(runs, (State.SCHEDULED,)),
        ended_at=since if state in TERMINAL else None,
        end_cause=_end_cause(ref, runs, state),
        state_since=since,
        deadline_at=deadline_at,
        deadline_kind=deadline_kind,
        deleted_at=deleted and deleted[0],
        deletion_basis=deleted and deleted[1],
    )


def _facet(told: Told, name: str, kind: type[T]) -> T | None:
    entry = told.facets.get(name)
    return cast(T | None, entry[1]) if entry else None


def _runs(trail: Iterable[tuple[Stamp, Status]]) -> list[tuple[State, Stamp]]:
    """The states an order went through, each with the stamp of its first fact."""
    runs: list[tuple[State, Stamp]] = []
    for at, status in trail:
        state = state_of(status)
        if not runs or runs[-1][0] is not state:
            runs.append((state, at))
    return runs


def _codes(status: Status) -> tuple[str, ...]:
    return tuple(sorted({reason.meaning.code for reason in status.reasons if reason.meaning}))


def _needs(told: Told, state: State) -> tuple[str, ...]:
    """What a submitted order waits for us with, beside its status: additional steps and requirements."""
    if state in TERMINAL or state is State.DRAFT:
        return ()
    steps = _facet(told, "steps", tuple) or ()
    required = {
        value
        for number in told.numbers.values()
        if (entry := number.facets.get("requirement")) and (value := entry[1]) in _REQUIRES_US
    }
    return (*steps, *sorted(map(str, required)))


def _waiting(ref: OrderRef, told: Told, state: State) -> tuple[WaitingOn, datetime | None]:
    """Who must act, and since when the answer to that has been the same."""
    who, since = WaitingOn.UNKNOWN, None
    for at, status in told.statuses:
        now = waiting(status, ref.direction)
        if since is None or now is not who:
            who, since = now, at[0]
    if who is not WaitingOn.US and _needs(told, state):
        stamps = [told.facets["steps"][0]] if "steps" in told.facets else []
        stamps += [n.facets["requirement"][0] for n in told.numbers.values() if "requirement" in n.facets]
        return WaitingOn.US, max([at[0] for at in stamps] + ([since] if since else []))
    return who, since


def _first(runs: Sequence[tuple[State, Stamp]], states: tuple[State, ...]) -> datetime | None:
    return next((at[0] for state, at in runs if state in states), None)


def _cycles(runs: Sequence[tuple[State, Stamp]]) -> int:
    back = (State.WITH_PROVIDER, State.WITH_CARRIER)
    pairs = pairwise(runs)
    return sum(before is State.EXCEPTION and after in back for (before, _), (after, _) in pairs)


def _foc_changes(trail: Sequence[tuple[Stamp, Moment | None]]) -> int:
    dates = [moment for _, moment in trail if moment is not None]
    return sum(before != after for before, after in pairwise(dates))


def _ported(runs: Sequence[tuple[State, Stamp]]) -> tuple[datetime | None, str | None]:
    """When the numbers moved: the time of the fact that said so, and whether an event announced it."""
    ended = [at for state, at in runs if state in (State.PORTED, State.PARTIALLY_PORTED)]
    if not ended or runs[-1][0] not in (State.PORTED, State.PARTIALLY_PORTED, State.REVERTED):
        return None, None
    return ended[-1][0], "event" if ended[-1][2] else "observed"


def _end_cause(ref: OrderRef, runs: Sequence[tuple[State, Stamp]], state: State) -> str | None:
    if state is not State.CANCELLED:
        return None
    asked = len(runs) > 1 and runs[-2][0] is State.CANCEL_PENDING
    return "us" if asked and ref.direction is Direction.PORT_IN else "unknown"


def _deletion(told: Told) -> tuple[datetime, str] | None:
    """When and how the order went, if it is gone: the first of the last unbroken line of such facts."""
    gone: tuple[datetime, str] | None = None
    for at, deleted in told.existence:
        if not deleted:
            gone = None
        elif gone is None:
            gone = (at[0], "event" if at[2] else "not_found")
    return gone


def _deadline(
    ref: OrderRef, told: Told, state: State, since: datetime | None
) -> tuple[datetime | None, str | None]:
    """The earliest moment at which the provider acts by itself."""
    if ref.direction is Direction.PORT_OUT and state is State.ACTION_NEEDED and since is not None:
        # Silence authorises a port-out after 24-48 h: developers.telnyx.com, port-out quickstart.
        return since + timedelta(hours=24), "port_out_authorised_by_silence"
    created = _facet(told, "created", datetime)
    if state is State.DRAFT and created is not None:
        # A draft is deleted 30 days after its creation: support.telnyx.com, port request statuses.
        return created + timedelta(days=30), "draft_deleted"
    return None, None


# --- its numbers ----------------------------------------------------------------------------------------


def _number(number: NumberTold, told: Told, state: State, runs: Sequence[tuple[State, Stamp]]) -> Number:
    own = bool(number.statuses)
    trail = number.statuses or told.statuses
    own_runs = _runs(trail) if own else runs
    status = trail[-1][1] if trail else Status(None)
    raw, e164 = cast(tuple[str, str | None], number.facets["raw"][1])
    activation = number.facets.get("activation")
    messaging = number.facets.get("messaging")
    carrier = number.facets.get("carrier_status")
    removed = _removed(number, told)
    return Number(
        raw_number=raw,
        e164=e164,
        state=state_of(status),
        raw_status=status.raw,
        mapping_basis=status.meaning.basis if status.meaning else Basis.NONE,
        activation_state=cast(Word, activation[1]).meaning if activation else None,
        messaging_state=cast(Word, messaging[1]).meaning if messaging else None,
        carrier_status_raw=cast(str | None, carrier[1]) if carrier else None,
        state_since=own_runs[-1][1][0] if own_runs else None,
        added_at=number.first[0],
        ported_at=_ported(own_runs)[0],
        removed_at=removed,
        is_current=removed is None,
        own=own,
    )


def _removed(number: NumberTold, told: Told) -> datetime | None:
    """When a whole list first lacked the number, after it was last spoken of."""
    return next((at[0] for at, _ in told.lists if at > number.last), None)


def _counters(told: Told, state: State, numbers: Mapping[str, Number]) -> dict[str, Any]:
    current = [number for number in numbers.values() if number.is_current]
    total = _facet(told, "numbers_total", int)
    total = len(current) if total is None else total
    if not any(number.own for number in current):
        # Every number is a copy of the order, those beyond the embedded fifty too.
        ported = total if state is State.PORTED else 0
        opened = 0 if state in TERMINAL else total
    else:
        ported = sum(number.state == State.PORTED for number in current)
        opened = sum(number.state not in TERMINAL for number in current)
    states = {State(number.state) for number in current}
    return {
        "numbers_total": total,
        "numbers_ported": ported,
        "numbers_open": opened,
        "numbers_ended_unported": max(0, total - ported - opened),
        "numbers_active": sum(number.activation_state == "active" for number in current),
        "rollup_state": rolled_up(states),
        "is_mixed": len(states) > 1,
    }


def rolled_up(states: set[State]) -> State | None:
    """One state for many numbers: of the open ones the most pressing; when all ended, how they ended."""
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


# --- reasons over time ----------------------------------------------------------------------------------


def _held(number_key: str, trail: Sequence[tuple[Stamp, Status]], direction: Direction) -> Iterable[Held]:
    """Each reason with the span over which it was given."""
    standing: dict[tuple[str, str], Held] = {}
    for at, status in trail:
        given = {(reason.meaning.code, reason.code): reason for reason in status.reasons if reason.meaning}
        for key in [key for key in standing if key not in given]:
            yield replace(standing.pop(key), until=at[0])
        for key, reason in given.items():
            since = standing[key].since if key in standing else at[0]
            who = reason.meaning.waiting_on if reason.meaning else WaitingOn.US
            standing[key] = Held(number_key, *key, reason.text, who, since, None)
    yield from standing.values()

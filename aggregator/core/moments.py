"""When things happened to an order, and how often: its moments and its counters over time, from all that was told.

Nothing is counted step by step: every figure is computed from the whole trail, so a late fact counts where
it belongs.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from itertools import groupby, pairwise
from operator import itemgetter
from typing import Any, cast

from aggregator.core.history import Run, moved_in, own_statuses, runs_of, summed_up
from aggregator.core.model import Direction, Moment, OrderRef, State, Status
from aggregator.core.standing import Gone, Stamp, Told, Trail
from aggregator.core.states import FIRM, TERMINAL, state_of

_FIRST = {Direction.PORT_IN: State.DRAFT, Direction.PORT_OUT: State.ACTION_NEEDED}


def submitted(ref: OrderRef, runs: Sequence[Run], told: Told, gone: Mapping[str, Stamp]) -> datetime | None:
    """When we handed a port-in over; a port-out is submitted by others, and where is not told."""
    if ref.direction is Direction.PORT_OUT:
        return None
    return first_in(runs, (State.WITH_PROVIDER, State.WITH_CARRIER), told, gone)


def first_in(
    runs: Sequence[Run], states: Collection[State], told: Told, gone: Mapping[str, Stamp]
) -> datetime | None:
    """When the order first came into one of these states. Where that was only observed, or not at all, but was
    announced of each of its numbers, the last of those says it better."""
    here = next((run for run in runs if run.state in states), None)
    if here and here.event:
        return here.since
    lives = [next((run for run in life if run.state in states), None) for life in _lives(told, gone)]
    announced = [run.event[0] for run in lives if run and run.event]
    seen = [here.first[0]] if here else []
    if not announced or len(announced) < len(lives):
        return seen[0] if seen else None
    return min([max(announced), *seen])


def cycles(runs: Sequence[Run], told: Told, gone: Mapping[str, Stamp]) -> int:
    """How often the order was submitted again. Where its numbers have histories, these tell also what happened
    between two looks at the order."""
    lives = [life for life in _lives(told, gone) if any(run.state is State.EXCEPTION for run in life)]
    if not lives:
        return _ways_back(runs)
    return max(map(_ways_back, (runs, runs_of(summed_up(told, gone)), *lives)))


def _ways_back(runs: Sequence[Run]) -> int:
    back = (State.WITH_PROVIDER, State.WITH_CARRIER)
    return sum([before.state is State.EXCEPTION and after.state in back for before, after in pairwise(runs)])


def foc_changes(statuses: Trail[Status], dates: Trail[Moment | None]) -> int:
    """How often one firm date became another. What was told of one moment counts as a whole."""
    if len(dates) < 2:
        return 0
    told: list[tuple[Stamp, str, Any]] = [(at, "date", date) for at, date in dates]
    told += [(at, "status", status) for at, status in statuses]
    state, date, firm = State.UNKNOWN, None, list[Moment]()
    for _, together in groupby(sorted(told, key=itemgetter(0)), key=lambda one: one[0][0]):
        for _, kind, value in together:
            state, date = (state_of(value), date) if kind == "status" else (state, value)
        if date is not None and state in FIRM:
            firm.append(date)
    return sum(before != after for before, after in pairwise(firm))


def _lives(told: Told, gone: Mapping[str, Stamp]) -> list[list[Run]]:
    """The states that each of the order's numbers has gone through by itself."""
    return [runs_of(own_statuses(n, told)) for key, n in told.numbers.items() if key not in gone]


def state_since(ref: OrderRef, runs: Sequence[Run], told: Told, gone: Mapping[str, Stamp]) -> datetime | None:
    """Since when the order is where it is. Where that was only observed but was announced of each of its
    numbers, the last of those says it better. A port-out begins with our decision, and a port-in that is a draft
    was never anything else: where nothing announced that, it is so since the order was made."""
    if not runs:
        return None
    here = runs[-1]
    if here.state is _FIRST[ref.direction] and not here.first[2]:
        made = told.facets.get("created")
        if made and made[1] and all(run.state is State.UNKNOWN for run in runs[:-1]):
            return min(here.first[0], cast(datetime, made[1]))
    lives = [life[-1] if life else None for life in _lives(told, gone)]
    announced = [life.event[0] for life in lives if life and life.event and life.state is here.state]
    if here.event or not announced or len(announced) < len(lives):
        return here.since
    return min(here.first[0], max(announced))


def ends(
    runs: Sequence[Run], told: Told, gone: Mapping[str, Stamp]
) -> tuple[datetime | None, datetime | None, str | None]:
    """When an order ended, when its numbers moved, and how the latter is known. Where the order's own end was
    only observed but that of each of its numbers was announced, theirs say it better."""
    moved = moved_in(runs)
    ended = runs[-1] if runs and runs[-1].state in TERMINAL else None
    ended_at, ported_at = ended and ended.at, moved and moved.at
    source = moved and ("event" if moved.event else "document" if _is_dated(moved, told) else "observed")
    if all(run is None or run.event for run in (ended, moved)):
        return ended_at, ported_at, source
    lives = _lives(told, gone)
    ends = [life[-1] for life in lives if life and life[-1].state in TERMINAL and life[-1].event]
    if not ends or len(ends) < len(lives):
        return ended_at, ported_at, source
    if ended and not ended.event:
        ended_at = max(run.at for run in ends)
    ports = [run.at for life in lives if (run := moved_in(life)) and run.event]
    if moved and not moved.event and ports:
        ported_at, source = max(ports), "event"
    return ended_at, ported_at, source


def _is_dated(run: Run, told: Told) -> bool:
    """Whether a run was first seen in a document that says itself since when it is so."""
    return any(at == run.first for at, _ in told.trails.get("dated", ()))


def end_cause(ref: OrderRef, told: Told, runs: Sequence[Run], state: State) -> str | None:
    if state is not State.CANCELLED:
        return None
    if "asked" in told.facets:
        return "us"
    asked = len(runs) > 1 and runs[-2].state is State.CANCEL_PENDING
    return "us" if asked and ref.direction is Direction.PORT_IN else "unknown"


def deletion(told: Told) -> tuple[datetime | None, str | None]:
    """When and how the order went, if it is gone: the first of the last unbroken line of such facts, and the moment
    that one of them tells."""
    seen_at: datetime | None = None
    told_at: datetime | None = None
    basis: str | None = None
    trail: Trail[Gone | None] = told.trails.get("existence", ())
    for at, gone in reversed(trail):
        if gone is None:
            break
        seen_at, basis, told_at = at[0], gone.basis, gone.at or told_at
    return told_at or seen_at, basis

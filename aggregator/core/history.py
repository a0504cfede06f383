"""What the trail of an order's facts amounts to over time: the states gone through, the numbers that left,
the reasons and how long each was given."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple

from aggregator.core.model import Basis, Meaning, State, Status, WaitingOn
from aggregator.core.standing import Held, Stamp, Standing, Told, Trail
from aggregator.core.states import MOVED, rolled_up, state_of

_WEAKEST_FIRST = (Basis.NONE, Basis.GUESS, Basis.INFERRED, Basis.DOCUMENTED)
_stamp = itemgetter(0)


class Run(NamedTuple):
    """One stay in one state: the first fact that shows it, and the first event that announced it, if any."""

    state: State
    first: Stamp
    event: Stamp | None

    @property
    def at(self) -> datetime:
        """When it began: as announced, else at first sight."""
        return (self.event or self.first)[0]


def runs_of(trail: Trail[Status]) -> list[Run]:
    """The states that were gone through."""
    runs: list[Run] = []
    for at, status in trail:
        state = state_of(status)
        event = at if at[2] else None
        if not runs or runs[-1].state is not state:
            runs.append(Run(state, at, event))
        elif event and not runs[-1].event:
            runs[-1] = Run(state, runs[-1].first, event)
    return runs


def moved_in(runs: Sequence[Run]) -> Run | None:
    """The run in which the numbers moved, unless they were said to be somewhere else since."""
    if not runs or (runs[-1].state not in MOVED and runs[-1].state is not State.REVERTED):
        return None
    return next((run for run in reversed(runs) if run.state in MOVED), None)


def gone_of(told: Told) -> Mapping[str, Stamp]:
    """The numbers that were removed: when a whole list first lacked one after it was last spoken of."""
    lists: Trail[None] = told.trails.get("list", ())
    if not lists:
        return {}
    newest = lists[-1][0]
    return {
        key: lists[bisect_right(lists, number.last, key=_stamp)][0]
        for key, number in told.numbers.items()
        if number.last < newest
    }


def statuses_of(told: Told, gone: Mapping[str, Stamp]) -> Trail[Status]:
    """The order's own statuses where its provider gives one, else what those of its numbers add up to."""
    own: Trail[Status] = told.trails.get("status", ())
    if any(status.raw is not None for _, status in own):
        return own
    said: list[tuple[Stamp, str, Status | None]] = [
        (at, key, status)
        for key, number in told.numbers.items()
        for at, status in number.trails.get("status", ())
    ]
    if not said:
        return own
    said += [(at, key, None) for key, at in gone.items()]
    standing: dict[str, tuple[State, Basis]] = {}
    counted: Counter[tuple[State, Basis]] = Counter()
    trail: list[tuple[Stamp, Status]] = []
    for at, entries in groupby(sorted(said, key=_stamp), key=_stamp):
        for _, key, status in entries:
            if key in standing:
                counted[standing.pop(key)] -= 1
            if status is not None:
                standing[key] = (state_of(status), status.meaning.basis if status.meaning else Basis.NONE)
                counted[standing[key]] += 1
        here = [kind for kind, count in counted.items() if count]
        state = rolled_up(state for state, _ in here) or State.UNKNOWN
        basis = min((basis for _, basis in here), key=_WEAKEST_FIRST.index, default=Basis.NONE)
        trail.append((at, Status(None, (), Meaning(state, basis))))
    return tuple(trail)


# --- reasons --------------------------------------------------------------------------------------------


def reasons_of(told: Told, before: Standing | None) -> tuple[Held, ...]:
    """Every reason of the order and of its numbers. What stood `before` spares the work for numbers that
    nothing new was said about."""
    held = [*_held("", told.trails.get("status", ()))]
    was = before.told.numbers if before else {}
    kept = {key for key, number in told.numbers.items() if was.get(key) is number}
    for key, number in told.numbers.items():
        if key not in kept:
            held.extend(_held(key, number.trails.get("status", ())))
    held.extend(one for one in (before.reasons if before else ()) if one.number_key in kept)
    return tuple(sorted(held, key=lambda one: (one.number_key, one.since, one.code, one.raw_code)))


def _held(number_key: str, trail: Trail[Status]) -> Iterator[Held]:
    """Each reason with the span over which it was given; a span of no length was not held."""
    standing: dict[tuple[str, str], Held] = {}
    for at, status in trail:
        if not status.reasons and not standing:
            continue
        given = {(reason.meaning.code, reason.code): reason for reason in status.reasons if reason.meaning}
        for key in [key for key in standing if key not in given]:
            was = standing.pop(key)
            if was.since < at[0]:
                yield Held(number_key, *key, was.raw_text, was.waiting_on, was.since, at[0])
        for key, reason in given.items():
            since = standing[key].since if key in standing else at[0]
            who = reason.meaning.waiting_on if reason.meaning else WaitingOn.US
            standing[key] = Held(number_key, *key, reason.text, who, since, None)
    yield from standing.values()

"""What the trail of an order's facts amounts to over time: the states gone through, the numbers that left,
the reasons and how long each was given."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from itertools import groupby, pairwise, takewhile
from operator import itemgetter
from typing import NamedTuple, TypeVar

from aggregator.core.model import NOT_TOLD, Basis, Meaning, State, Status, WaitingOn
from aggregator.core.standing import Held, NumberTold, Stamp, Standing, Told, Trail
from aggregator.core.states import MOVED, rolled_up, state_of

T = TypeVar("T")
TOGETHER = timedelta(seconds=1)
"""A document and the event that led to it lie closer together than this."""
_WEAKEST_FIRST = (Basis.NONE, Basis.GUESS, Basis.INFERRED, Basis.DOCUMENTED)
_NOT_ALL = frozenset({State.PARTIALLY_PORTED, State.CANCELLED, State.REJECTED})
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

    @property
    def since(self) -> datetime:
        """Since when it is surely so: since the first sight, or since an announcement that came with it."""
        first = self.first[0]
        return self.event[0] if self.event and self.event[0] - first < TOGETHER else first


def shows(said_at: datetime, event_at: datetime) -> bool:
    """Whether a document of this time may be one that an event led to. A time in whole seconds or milliseconds
    may mean any moment of them."""
    micros = said_at.microsecond
    unit = 1_000_000 if micros == 0 else 1_000 if micros % 1_000 == 0 else 1
    return event_at < said_at + timedelta(microseconds=unit)


def in_order(trail: Trail[T], told: Told) -> Trail[T]:
    """A trail in which each document whose own time may mean that of an event, and which was read after it, stands
    after that event and at its moment: so it does as well where the event was known before the document."""
    if "dated" not in told.trails:
        return trail
    if not any(not at[2] and after[2] and shows(at[0], after[0]) for (at, _), (after, _) in pairwise(trail)):
        return trail
    dated = frozenset(at for at, _ in told.trails.get("dated", ()))
    placed: list[tuple[datetime, bool, Stamp, T]] = []
    for place, (at, value) in enumerate(trail):
        events = (event for event, _ in trail[place + 1 :] if event[2])
        shown = [event[0] for event in takewhile(partial(_led_to, at), events)] if at in dated else []
        moment = max([at[0], *shown])
        placed.append((moment, bool(shown), (moment, *at[1:]), value))
    return tuple((at, value) for _, _, at, value in sorted(placed, key=itemgetter(0, 1, 2)))


def _led_to(look: Stamp, event: Stamp) -> bool:
    """Whether a document of this time may be what an event led to, and was not read before it."""
    return shows(look[0], event[0]) and (
        event[0] <= look[1] or event[0] - look[0] < timedelta(milliseconds=1)
    )


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


def own_statuses(number: NumberTold, told: Told) -> Trail[Status]:
    """What was said of a number's own status, in order."""
    return with_reasons(in_order(number.trails.get("status", ()), told))


def moved_in(runs: Sequence[Run]) -> Run | None:
    """The run in which the numbers moved, unless they were said to be somewhere else since."""
    if not runs or (runs[-1].state not in MOVED and runs[-1].state is not State.REVERTED):
        return None
    return next((run for run in reversed(runs) if run.state in MOVED), None)


def gone_of(told: Told) -> Mapping[str, Stamp]:
    """The numbers that were removed: when a whole list first lacked one after it was last spoken of."""
    lists: Trail[int] = told.trails.get("list", ())
    if not lists:
        return {}
    newest = lists[-1][0]
    return {
        key: lists[bisect_right(lists, number.last, key=_stamp)][0]
        for key, number in told.numbers.items()
        if number.last < newest
    }


def statuses_of(told: Told, gone: Mapping[str, Stamp]) -> Trail[Status]:
    """The order's own statuses where its provider gives one, else what those of its numbers add up to. That an
    order is complete does not say that each of its numbers moved, where these have a word of their own."""
    own: Trail[Status] = with_reasons(in_order(told.trails.get("status", ()), told))
    if not any(status.raw is not None for _, status in own):
        return summed_up(told, gone) or own
    if any(state_of(status) is State.PORTED for _, status in own):
        return _completed(own, summed_up(told, gone))
    return own


def _completed(own: Trail[Status], numbers: Trail[Status]) -> Trail[Status]:
    """An order's own statuses, but that it is what its numbers add up to while it is said to be ported and they
    have ended otherwise: partially ported, or cancelled where none moved. What was told of one moment counts as a whole."""
    if not any(state_of(status) in _NOT_ALL for _, status in numbers):
        return own
    told = [*((at, True, status) for at, status in own), *((at, False, status) for at, status in numbers)]
    trail: list[tuple[Stamp, Status]] = []
    word: Status | None = None
    sums: Status | None = None
    newest = told[0][0]
    for _, together in groupby(sorted(told, key=itemgetter(0)), key=lambda one: one[0][0]):
        said: list[tuple[Stamp, Status]] = []
        for at, of_order, status in together:
            if of_order:
                word = status
                said.append((at, status))
            else:
                sums, newest = status, at
        if word is None:
            continue
        meant = _meant(word, sums)
        if said:
            trail += [*said[:-1], (said[-1][0], meant)]
        elif trail and trail[-1][1] != meant:
            trail.append((newest, meant))
    return tuple(trail)


def _meant(word: Status, sums: Status | None) -> Status:
    """An order's own word beside what its numbers add up to."""
    if sums is None or word.meaning is None or sums.meaning is None or state_of(word) is not State.PORTED:
        return word
    if state_of(sums) not in _NOT_ALL:
        return word
    basis = min(word.meaning.basis, sums.meaning.basis, key=_WEAKEST_FIRST.index)
    return replace(word, meaning=Meaning(state_of(sums), basis))


def summed_up(told: Told, gone: Mapping[str, Stamp]) -> Trail[Status]:
    """What the statuses of an order's numbers add up to over time; nothing where they have none of their own."""
    said: list[tuple[Stamp, str, Status | None]] = [
        (at, key, status) for key, number in told.numbers.items() for at, status in own_statuses(number, told)
    ]
    if not said:
        return ()
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


def with_reasons(trail: Trail[Status]) -> Trail[Status]:
    """Statuses with the reasons that stood where none are told: those of the status before, as long as the word is
    the same. A new word begins without any."""
    if all(status.reasons is not NOT_TOLD for _, status in trail):
        return trail
    settled: list[tuple[Stamp, Status]] = []
    for at, status in trail:
        if status.reasons is NOT_TOLD:
            before = settled[-1][1] if settled else None
            same = before is not None and before.raw == status.raw
            status = replace(status, reasons=before.reasons if before and same else ())
        settled.append((at, status))
    return tuple(settled)


# --- reasons --------------------------------------------------------------------------------------------


def reasons_of(told: Told, before: Standing | None) -> tuple[Held, ...]:
    """Every reason of the order and of its numbers. What stood `before` spares the work for numbers that
    nothing new was said about."""
    held = [*_held("", with_reasons(in_order(told.trails.get("status", ()), told)))]
    was = before.told.numbers if before else {}
    kept = {key for key, number in told.numbers.items() if was.get(key) is number}
    for key, number in told.numbers.items():
        if key not in kept:
            held.extend(_held(key, own_statuses(number, told)))
    held.extend(one for one in (before.reasons if before else ()) if one.number_key in kept)
    return tuple(sorted(held, key=lambda one: (one.number_key, one.since, one.code, one.raw_code)))


def _held(number_key: str, trail: Trail[Status]) -> Iterator[Held]:
    """Each reason with the span over which it was given; a span of no length was not held."""
    standing: dict[tuple[str, str], Held] = {}
    for at, status in trail:
        if not status.given and not standing:
            continue
        given = {(reason.meaning.code, reason.code): reason for reason in status.given if reason.meaning}
        for key in [key for key in standing if key not in given]:
            was = standing.pop(key)
            if was.since < at[0]:
                yield Held(number_key, *key, was.raw_text, was.waiting_on, was.since, at[0])
        for key, reason in given.items():
            since = standing[key].since if key in standing else at[0]
            who = reason.meaning.waiting_on if reason.meaning else WaitingOn.US
            standing[key] = Held(number_key, *key, reason.text or reason.described, who, since, None)
    yield from standing.values()

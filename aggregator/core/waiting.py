"""Who must act on an order, and since when the answer has been the same."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, TypeAlias

from aggregator.core.model import Direction, State, Status, WaitingOn, Word
from aggregator.core.standing import Stamp, Told, Trail
from aggregator.core.states import TERMINAL, WAITING, state_of

REQUIRES_US = frozenset({"requirement-info-pending", "requirement-info-exception"})

_Kind: TypeAlias = Literal["status", "steps", "messaging", "requirement"]
_Moment: TypeAlias = tuple[Stamp, _Kind, str, Any]


@dataclass(frozen=True, slots=True)
class Waiting:
    """Who must act, since when, and with what a submitted order waits for us beside its status."""

    on: WaitingOn
    since: datetime | None
    needs: tuple[str, ...]


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


def waits(direction: Direction, statuses: Trail[Status], told: Told, gone: Mapping[str, Stamp]) -> Waiting:
    """The answer after everything that was told; `gone` are the numbers that were removed, and when. What
    was told of one moment counts as a whole, so that no answer stands between two parts of one look."""
    beside = _beside(told, gone)
    if not beside:
        return _by_status(direction, statuses)
    moments: list[_Moment] = [(at, "status", "", status) for at, status in statuses]
    moments = sorted((*moments, *beside), key=lambda moment: moment[0])
    now, on, since = _Now(direction), WaitingOn.UNKNOWN, None
    for place, (at, kind, key, value) in enumerate(moments, 1):
        now.hear(kind, key, value)
        if place < len(moments) and moments[place][0][0] == at[0]:
            continue
        here = now.on()
        if here is not on or since is None:
            on, since = here, at[0]
    return Waiting(on, since, now.needs())


def _by_status(direction: Direction, statuses: Trail[Status]) -> Waiting:
    """The same where the status alone counts: back from the newest to where the answer was another."""
    on, since, later = WaitingOn.UNKNOWN, None, None
    for (at, *_), status in reversed(statuses):
        if at == later:
            continue
        here = waiting(status, direction)
        if since is not None and here is not on:
            break
        on, since, later = here, at, at
    return Waiting(on, since, ())


def _beside(told: Told, gone: Mapping[str, Stamp]) -> list[_Moment]:
    """What can change the answer beside the status: steps and requirements of ours, trouble with messaging."""
    moments: list[_Moment] = []
    steps = told.trails.get("steps", ())
    if any(value for _, value in steps):
        moments += [(at, "steps", "", value) for at, value in steps]
    messaging: Trail[Word] = told.trails.get("messaging", ())
    if any(word.meaning == "exception" for _, word in messaging):
        moments += [(at, "messaging", "", word.meaning) for at, word in messaging]
    for key, number in told.numbers.items():
        required = number.trails.get("requirement", ())
        if any(value in REQUIRES_US for _, value in required):
            moments += [(at, "requirement", key, value) for at, value in required]
            if key in gone:
                moments.append((gone[key], "requirement", key, None))
    return moments


class _Now:
    """What holds at one moment."""

    def __init__(self, direction: Direction) -> None:
        self.direction = direction
        self.status = Status(None)
        self.messaging: str | None = None
        self.steps: tuple[str, ...] = ()
        self.required: dict[str, str] = {}

    def hear(self, kind: _Kind, key: str, value: Any) -> None:
        if kind == "status":
            self.status = value
        elif kind == "steps":
            self.steps = value
        elif kind == "messaging":
            self.messaging = value
        elif value in REQUIRES_US:
            self.required[key] = value
        else:
            self.required.pop(key, None)

    def on(self) -> WaitingOn:
        who = waiting(self.status, self.direction)
        if (self.steps or self.required) and self.needs():
            return WaitingOn.US
        if self.messaging == "exception" and state_of(self.status) is State.PORTED:
            return WaitingOn.PROVIDER  # it escalates by itself
        return who

    def needs(self) -> tuple[str, ...]:
        """A draft with steps left is only a draft, and an ended order needs nothing more."""
        state = state_of(self.status)
        if state in TERMINAL or state is State.DRAFT:
            return ()
        return (*self.steps, *sorted(set(self.required.values())))

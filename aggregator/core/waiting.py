"""Who must act on an order, and since when the answer has been the same."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from operator import itemgetter
from typing import Any, Literal, TypeAlias

from aggregator.core.history import own_statuses
from aggregator.core.model import Direction, State, Status, Task, Vocabulary, WaitingOn, Word
from aggregator.core.standing import Stamp, Told, Trail
from aggregator.core.states import TERMINAL, WAITING, state_of

_Kind: TypeAlias = Literal["status", "steps", "messaging", "requirement", "task", "number"]
_Moment: TypeAlias = tuple[Stamp, _Kind, str, Any]
_OURS = frozenset({str(WaitingOn.US), "failed"})
_NEEDY = (WaitingOn.US, WaitingOn.UNKNOWN)
_ENDED_UNPORTED = TERMINAL - {State.PORTED}


@dataclass(frozen=True, slots=True)
class Waiting:
    """Who must act, since when, and with what a submitted order waits for us beside its status: `needs` are
    steps and requirements in the provider's words, `numbers` open numbers whose own status says more than the
    order's."""

    on: WaitingOn
    since: datetime | None
    needs: tuple[str, ...]
    tasks: tuple[Task, ...] = ()
    numbers: tuple[tuple[str, Status], ...] = ()


def waiting(status: Status, direction: Direction) -> WaitingOn:
    """Who must act, from a status and its reasons: us if any reason says us or there is none, else the
    provider, else the losing carrier; the set decides, not its order."""
    state = state_of(status)
    if status.meaning and status.meaning.waiting_on:
        return status.meaning.waiting_on
    if state is State.EXCEPTION:
        who = {reason.meaning.waiting_on for reason in status.given if reason.meaning}
        for candidate in (WaitingOn.US, WaitingOn.PROVIDER, WaitingOn.LOSING_CARRIER):
            if candidate in who:
                return candidate
    return WAITING[direction, state]


def waits(direction: Direction, statuses: Trail[Status], told: Told, gone: Mapping[str, Stamp]) -> Waiting:
    """The answer after everything that was told; `gone` are the numbers that were removed, and when. What
    was told of one moment counts as a whole, so that no answer stands between two parts of one look."""
    beside = _beside(direction, told, gone)
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
    return Waiting(on, since, now.needs(), now.due(), now.troubled())


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


def _beside(direction: Direction, told: Told, gone: Mapping[str, Stamp]) -> list[_Moment]:
    """What can change the answer beside the status: steps, requirements and tasks of ours, trouble with
    messaging or with single numbers."""
    moments: list[_Moment] = []
    steps = told.trails.get("steps", ())
    if steps and any(value for _, value in steps):
        moments += [(at, "steps", "", value) for at, value in steps]
    messaging: Trail[Word] = told.trails.get("messaging", ())
    if messaging and any(word.meaning == "exception" for _, word in messaging):
        moments += [(at, "messaging", "", word.meaning) for at, word in messaging]
    tasks: Trail[Task] = told.trails.get("task", ())
    if tasks and any(task.is_ours or task.status.meaning in _OURS for _, task in tasks):
        moments += [(at, "task", f"{task.kind}/{task.id}", task) for at, task in tasks]
    for key, number in told.numbers.items():
        required: Trail[Word] = number.trails.get("requirement", ())
        if required and any(word.meaning == WaitingOn.US for _, word in required):
            moments += [(at, "requirement", key, value) for at, value in required]
            if key in gone:
                moments.append((gone[key], "requirement", key, Word(None)))
        own = own_statuses(number, told)
        if any(waiting(status, direction) in _NEEDY for _, status in own):
            moments += [(at, "number", key, status) for at, status in own]
            if key in gone:
                moments.append((gone[key], "number", key, None))
    return moments


class _Now:
    """What holds at one moment."""

    def __init__(self, direction: Direction) -> None:
        self.direction = direction
        self.status = Status(None)
        self.messaging: str | None = None
        self.steps: tuple[str, ...] = ()
        self.required: dict[str, str] = {}
        self.tasks: dict[str, Task] = {}
        self.numbers: dict[str, Status] = {}
        self.needy: Counter[WaitingOn] = Counter()

    def hear(self, kind: _Kind, key: str, value: Any) -> None:
        if kind == "status":
            self.status = value
        elif kind == "steps":
            self.steps = value
        elif kind == "messaging":
            self.messaging = value
        elif kind == "task":
            self.tasks[key] = value
        elif kind == "number":
            self._hear_number(key, value)
        elif value.meaning == WaitingOn.US:
            self.required[key] = value.raw
        else:
            self.required.pop(key, None)

    def on(self) -> WaitingOn:
        who = waiting(self.status, self.direction)
        if (self.steps or self.required) and self.needs():
            return WaitingOn.US
        if self.tasks and self.due():
            return WaitingOn.US
        if self.numbers and self._numbers_count():
            return next(who for who in _NEEDY if self.needy[who])
        if self.messaging == "exception" and state_of(self.status) is State.PORTED:
            return WaitingOn.PROVIDER  # it escalates by itself
        return who

    def troubled(self) -> tuple[tuple[str, Status], ...]:
        """The open numbers that need us where the order's own word does not say so, in a fixed order."""
        return tuple(sorted(self.numbers.items(), key=itemgetter(0))) if self._numbers_count() else ()

    def _numbers_count(self) -> bool:
        """An order that ended without moving needs nothing of its numbers, nor one that needs us by its own word."""
        if not self.numbers or state_of(self.status) in _ENDED_UNPORTED:
            return False
        return self.status.raw is None or waiting(self.status, self.direction) not in _NEEDY

    def _hear_number(self, key: str, status: Status | None) -> None:
        """Keep those that need us, and how many need what."""
        if known := self.numbers.pop(key, None):
            self.needy[waiting(known, self.direction)] -= 1
        if status is None or state_of(status) in TERMINAL:
            return
        who = waiting(status, self.direction)
        if who in _NEEDY:
            self.numbers[key] = status
            self.needy[who] += 1

    def needs(self) -> tuple[str, ...]:
        """A draft with steps left is only a draft, and an ended order needs nothing more."""
        state = state_of(self.status)
        if state in TERMINAL or state is State.DRAFT:
            return ()
        return (*sorted(set(self.steps)), *sorted(set(self.required.values())))

    def due(self) -> tuple[Task, ...]:
        """The tasks that wait for us, in a fixed order."""
        return tuple(task for _, task in sorted(self.tasks.items()) if self._is_due(task))

    def _is_due(self, task: Task) -> bool:
        """What an order requires counts while it is under way; its activation only while a date is agreed: an
        activation on demand from its window's start, and one that failed until another is made."""
        state, status = state_of(self.status), task.status.meaning
        if task.kind is Vocabulary.ACTION_REQUIREMENT:
            return status == WaitingOn.US and state not in TERMINAL and state is not State.DRAFT
        if state is not State.SCHEDULED:
            return False
        return (task.is_ours and status == "created") or (status == "failed" and not self._replaced(task))

    def _replaced(self, task: Task) -> bool:
        """Whether a younger task of its kind exists."""
        made = task.made_at
        return made is not None and any(
            other.kind is task.kind and other.made_at is not None and other.made_at > made
            for other in self.tasks.values()
        )

"""A fact as JSON text and back, in the provider's words: what makes `replay` and every fold possible.

Comment bodies are left out: they live in the comment table alone. What was not told is not written.
"""

import json
from collections.abc import Callable
from datetime import date, datetime
from typing import Any

from aggregator.core.account import Words
from aggregator.core.model import (
    NOT_TOLD,
    Carrier,
    Carriers,
    Comment,
    Dates,
    Fact,
    Link,
    Moment,
    NumberSaid,
    OrderRef,
    Part,
    Partial,
    ReasonSaid,
    References,
    Source,
    Status,
    Task,
    Terms,
    Vocabulary,
    Whole,
    Word,
)
from aggregator.core.normalise import SIDE, meanings

Said = dict[str, Any]
_compact = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode
_TERMS = ("port_type", "remaining_numbers", "number_type", "fast_port")
_REFERENCES = ("customer", "customer_group", "description", "support_key", "group_key", "sub_account", "pon")


def encoded(fact: Fact) -> str:
    """What a fact says, as compact JSON."""
    said: Said = {}
    if fact.status:
        said["status"] = _status(fact.status)
    if fact.dates:
        said["dates"] = {
            name: _time(value)
            for name in ("requested", "confirmed", "created")
            if (value := getattr(fact.dates, name)) is not NOT_TOLD
        }
    if fact.carriers:
        said["carriers"] = {
            name: value and _carrier(value)
            for name in ("losing", "gaining")
            if (value := getattr(fact.carriers, name)) is not NOT_TOLD
        }
    if fact.references:
        said["references"] = {
            name: value for name in _REFERENCES if (value := getattr(fact.references, name)) is not NOT_TOLD
        }
    if fact.terms:
        said["terms"] = {
            name: value for name in _TERMS if (value := getattr(fact.terms, name)) is not NOT_TOLD
        }
    if fact.messaging:
        said["messaging"] = fact.messaging.raw
    if fact.activation:
        said["activation"] = fact.activation.raw
    if fact.numbers:
        kind = "whole" if isinstance(fact.numbers, Whole) else "partial"
        said["numbers"] = [kind, [_number(number) for number in fact.numbers.numbers]]
    if fact.comment:
        at = fact.comment.at
        said["comment"] = [fact.comment.id, fact.comment.author_type, at and at.isoformat()]
    if fact.link:
        said["link"] = [fact.link.parent, fact.link.child]
    if fact.task:
        said["task"] = _task(fact.task)
    if fact.said_at:
        said["said_at"] = fact.said_at.isoformat()
    if fact.facets_at:
        said["facets_at"] = {name: at.isoformat() for name, at in fact.facets_at}
    if fact.ordinal:
        said["ordinal"] = fact.ordinal
    if fact.deleted_at:
        said["deleted_at"] = fact.deleted_at.isoformat()
    for name in ("documents_changed", "absent", "asked"):
        if getattr(fact, name):
            said[name] = True
    for name in ("steps", "numbers_total", "listed", "requirements_met", "missing", "deleted"):
        if (value := getattr(fact, name)) is not None:
            said[name] = value
    return _compact(said)


def _carrier(carrier: Carrier) -> Said:
    told = {"name": carrier.name, "spid": carrier.spid}
    return {name: value for name, value in told.items() if value is not NOT_TOLD}


def _status(status: Status) -> list[Any]:
    if status.reasons is NOT_TOLD:
        return [status.raw, None]
    return [status.raw, [[reason.code, reason.text] for reason in status.reasons]]


def _time(value: Moment | datetime | None) -> Any:
    if isinstance(value, Moment):
        return [value.on.isoformat(), value.at and value.at.isoformat()]
    return value and value.isoformat()


def _number(number: NumberSaid) -> Said:
    said: Said = {"raw": number.raw}
    if number.key and number.key != number.raw:
        said["key"] = number.key
    if number.status is not NOT_TOLD:
        said["status"] = _status(number.status)
    for name in SIDE:
        if (word := getattr(number, name)) is not NOT_TOLD:
            said[name] = word.raw
    return said


def _task(task: Task) -> list[Any]:
    times = (at and at.isoformat() for at in (task.from_at, task.until_at, task.made_at))
    return [task.id, task.kind, task.status.raw, task.name, task.is_ours, *times]


def decoded(
    ref: OrderRef,
    source: str,
    source_id: str,
    part: str,
    as_of: datetime,
    read_at: datetime,
    text: str,
    words: Words,
) -> Fact:
    """The fact again, in our words."""
    told: Said = json.loads(text)
    again = {name: _AGAIN[name](value) if name in _AGAIN else value for name, value in told.items()}
    said = meanings(again, ref.direction, words)
    return Fact(ref, _SOURCES[source], source_id, as_of, read_at, _PARTS[part], **said)


def _status_again(said: list[Any]) -> Status:
    raw, reasons = said
    return Status(raw, NOT_TOLD if reasons is None else tuple(ReasonSaid(*reason) for reason in reasons))


def _dates_again(said: Said) -> Dates:
    again: Said = {}
    for name, value in said.items():
        if isinstance(value, list):
            at = value[1] and datetime.fromisoformat(value[1])
            again[name] = Moment(date.fromisoformat(value[0]), at)
        else:
            again[name] = value and datetime.fromisoformat(value)
    return Dates(**again)


def _carriers_again(said: Said) -> Carriers:
    return Carriers(**{name: value and _carrier_again(value) for name, value in said.items()})


def _carrier_again(said: Said | list[Any]) -> Carrier:
    """A carrier; facts of earlier versions have it as a list of both."""
    if isinstance(said, list):
        return Carrier(*said)
    return Carrier(said.get("name", NOT_TOLD), said.get("spid", NOT_TOLD))


def _comment_again(said: list[Any]) -> Comment:
    id, author_type, at = said
    return Comment(id, author_type, None, at and datetime.fromisoformat(at))


def _numbers_again(said: list[Any]) -> Whole | Partial:
    kind, lines = said
    numbers = tuple(_number_again(dict(line)) for line in lines)
    return Whole(numbers) if kind == "whole" else Partial(numbers)


def _number_again(said: Said) -> NumberSaid:
    if "status" in said:
        said["status"] = _status_again(said["status"])
    for name in SIDE.keys() & said.keys():
        said[name] = Word(said[name])
    return NumberSaid(**said)


def _task_again(said: list[Any]) -> Task:
    id, kind, status, name, ours, *times = said
    since, until, made = (at and datetime.fromisoformat(at) for at in times)
    return Task(id, Vocabulary(kind), Word(status), name, since or None, until or None, ours, made or None)


_AGAIN: dict[str, Callable[[Any], Any]] = {
    "status": _status_again,
    "dates": _dates_again,
    "carriers": _carriers_again,
    "references": lambda said: References(**said),
    "terms": lambda said: Terms(**said),
    "messaging": Word,
    "activation": Word,
    "steps": tuple,
    "missing": tuple,
    "deleted_at": datetime.fromisoformat,
    "numbers": _numbers_again,
    "task": _task_again,
    "comment": _comment_again,
    "said_at": datetime.fromisoformat,
    "facets_at": lambda said: tuple((name, datetime.fromisoformat(at)) for name, at in said.items()),
    "link": lambda said: Link(*said),
}
_SOURCES = {source.value: source for source in Source}
_PARTS = {part.value: part for part in Part}

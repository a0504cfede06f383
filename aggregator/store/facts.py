"""A fact as JSON text and back, in the provider's words: what makes `replay` and every fold possible.

Comment bodies are left out: they live in the comment table alone. What was not told is not written.
"""

import json
from datetime import date, datetime
from typing import Any

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
    Vocabulary,
    Whole,
    Word,
)
from aggregator.core.normalise import SIDE

Said = dict[str, Any]
_REFERENCES = ("customer", "customer_group", "description", "support_key", "group_key", "sub_account")


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
            name: value and [value.name, value.spid]
            for name in ("losing", "gaining")
            if (value := getattr(fact.carriers, name)) is not NOT_TOLD
        }
    if fact.references:
        said["references"] = {
            name: value for name in _REFERENCES if (value := getattr(fact.references, name)) is not NOT_TOLD
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
    for name in ("documents_changed", "absent", "asked"):
        if getattr(fact, name):
            said[name] = True
    for name in ("steps", "numbers_total", "requirements_met", "deleted"):
        if (value := getattr(fact, name)) is not None:
            said[name] = value
    return json.dumps(said, separators=(",", ":"), ensure_ascii=False)


def _status(status: Status) -> list[Any]:
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
    ref: OrderRef, source: str, source_id: str, part: str, as_of: datetime, read_at: datetime, text: str
) -> Fact:
    """The fact again, in the provider's words, ready for `normalise`."""
    said: Said = json.loads(text)
    dates, carriers, references = said.get("dates"), said.get("carriers"), said.get("references")
    numbers, comment, link = said.get("numbers"), said.get("comment"), said.get("link")
    return Fact(
        order=ref,
        source=Source(source),
        source_id=source_id,
        as_of=as_of,
        read_at=read_at,
        part=Part(part),
        status=_status_again(said["status"]) if "status" in said else None,
        dates=_dates_again(dates) if dates is not None else None,
        carriers=Carriers(**{name: value and Carrier(*value) for name, value in carriers.items()})
        if carriers is not None
        else None,
        references=References(**references) if references is not None else None,
        messaging=Word(said["messaging"]) if "messaging" in said else None,
        activation=Word(said["activation"]) if "activation" in said else None,
        steps=tuple(said["steps"]) if "steps" in said else None,
        numbers=_numbers_again(*numbers) if numbers else None,
        numbers_total=said.get("numbers_total"),
        requirements_met=said.get("requirements_met"),
        task=_task_again(*said["task"]) if "task" in said else None,
        comment=Comment(comment[0], comment[1], None, comment[2] and datetime.fromisoformat(comment[2]))
        if comment
        else None,
        link=Link(*link) if link else None,
        documents_changed="documents_changed" in said,
        deleted=said.get("deleted"),
        asked=said.get("asked"),
        absent=said.get("absent"),
    )


def _status_again(said: list[Any]) -> Status:
    return Status(said[0], tuple(ReasonSaid(*reason) for reason in said[1]))


def _dates_again(said: Said) -> Dates:
    again: Said = {}
    for name, value in said.items():
        if isinstance(value, list):
            at = value[1] and datetime.fromisoformat(value[1])
            again[name] = Moment(date.fromisoformat(value[0]), at)
        else:
            again[name] = value and datetime.fromisoformat(value)
    return Dates(**again)


def _numbers_again(kind: str, lines: list[Said]) -> Whole | Partial:
    numbers = tuple(_number_again(dict(line)) for line in lines)
    return Whole(numbers) if kind == "whole" else Partial(numbers)


def _number_again(said: Said) -> NumberSaid:
    if "status" in said:
        said["status"] = _status_again(said["status"])
    for name in SIDE.keys() & said.keys():
        said[name] = Word(said[name])
    return NumberSaid(**said)


def _task_again(id: str, kind: str, status: str | None, name: str | None, ours: bool, *times: str) -> Task:
    since, until, made = (at and datetime.fromisoformat(at) for at in times)
    return Task(id, Vocabulary(kind), Word(status), name, since or None, until or None, ours, made or None)

"""What an order waits for beside its status: its activation jobs and its action requirements.

https://developers.telnyx.com/docs/numbers/porting/on-demand-activations and
https://developers.telnyx.com/api-reference: porting orders, activation jobs and action requirements
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from hashlib import blake2b
from typing import Any
from urllib.parse import unquote

from aggregator.adapter import (
    Direction,
    Fact,
    OrderRef,
    Page,
    PageChanged,
    Part,
    Reading,
    Task,
    Vocabulary,
    Want,
    Word,
    document,
    entries,
    get,
    inner,
    instant,
    keep,
    snapshot,
    text,
)
from aggregator.providers.telnyx import envelope
from aggregator.providers.telnyx.requests import key

Item = dict[str, Any]

JOB = keep(
    "id",
    "status",
    "activation_type",
    "activate_at",
    "activation_windows.start_at",
    "activation_windows.end_at",
    "created_at",
    "updated_at",
)
# Left out on purpose: action_url, which lets whoever has it act for the customer.
REQUIREMENT = keep(
    "id", "porting_order_id", "action_type", "status", "requirement_type_id", "created_at", "updated_at"
)
SOONEST, LATEST, FORGOTTEN = timedelta(hours=1), timedelta(days=1), timedelta(days=60)
_ENDED = frozenset({"ported", "cancelled", "cancel-pending"})


def wanted(order: Fact, item: Item) -> tuple[Part, ...]:
    """Which of the two may matter now, so that all other orders cost no request. A job exists from the date's
    agreement on, and only FastPort orders are activated by a job that can wait for us; an act is required of an
    order under way that was refused or lacks documents."""
    settings = inner(item, "activation_settings")
    raw = order.status.raw if order.status else None
    if raw == "foc-date-confirmed":
        told = text(settings, "activation_type")
        jobs = told is not None or settings.get("fast_port_eligible") is True
        return (Part.ACTIVATION_JOBS,) if jobs else ()
    if raw == "draft" or raw in _ENDED:
        return ()
    return (Part.ACTION_REQUIREMENTS,) if raw == "exception" or order.requirements_met is False else ()


def jobs(page: Page) -> Reading:
    """A page of an order's activation jobs."""
    return _listed(page, Part.ACTIVATION_JOBS, _job, JOB)


def requirements(page: Page) -> Reading:
    """A page of an order's action requirements."""
    return _listed(page, Part.ACTION_REQUIREMENTS, _requirement, REQUIREMENT)


def _listed(
    page: Page, part: Part, read: Callable[[Item, Page], tuple[Task, datetime | None]], kept: Any
) -> Reading:
    """Each task is a fact of its own time, named by what it says; a 404 says that there is none."""
    if envelope.is_absent(page):
        return Reading(done=True)
    ref = OrderRef(Direction.PORT_IN, key(unquote(page.request.path.split("/")[2])))

    def said(item: Item) -> tuple[envelope.Said, ...]:
        if isinstance(item.get("status"), dict | list | bool):
            raise PageChanged("status: not a text")  # a task whose status cannot be read has the one it had
        task, again_at = read(item, page)
        at = instant(item, "updated_at") or page.at
        if task.is_ours and task.from_at:
            at = max(at, task.from_at)
        words = document(envelope.keyed(item), kept)
        words = words if "updated_at" in item else f"{words}@{at.isoformat()}"
        name = f"{task.kind}:{task.id}#{blake2b(words.encode(), digest_size=6).hexdigest()}"
        fact = snapshot(page, ref, part, updated_at=at, task=task)
        fact = replace(fact, source_id=f"{name}/ours" if task.is_ours else name, deleted=None)
        again = Want(part, ref.id, ref.direction, since=page.at, not_before=again_at)
        return ((fact, (again,) if again_at else ()),)

    return envelope.listed(page, said, kept)


def _job(item: Item, page: Page) -> tuple[Task, datetime | None]:
    """A job, and when it is worth another look: when its window begins, and when it should be done."""
    windows = [window for window in entries(item, "activation_windows") if isinstance(window, dict)]
    starts = [at for window in windows if (at := instant(window, "start_at"))]
    ends = [at for window in windows if (at := instant(window, "end_at"))]
    due = instant(item, "activate_at")
    start, end = min(starts, default=due), max(ends, default=due)
    status, on_demand = text(item, "status"), text(item, "activation_type") == "on-demand"
    task = Task(
        key(get(item, "id", str)),
        Vocabulary.ACTIVATION_JOB,
        Word(status),
        text(item, "activation_type"),
        start,
        end,
        is_ours=on_demand and status == "created" and (start is None or start <= page.at),
        made_at=instant(item, "created_at"),
    )
    moments = () if status in ("completed", "failed") else (start if on_demand else None, due, end)
    ahead = min((at for at in moments if at and at > page.at), default=None)
    return task, ahead or (None if status == "completed" else _later(item, page))


def _requirement(item: Item, page: Page) -> tuple[Task, datetime | None]:
    """A requirement, and when to look whether it has been met, which the order itself need not show."""
    task = Task(
        key(get(item, "id", str)),
        Vocabulary.ACTION_REQUIREMENT,
        Word(text(item, "status")),
        text(item, "action_type"),
        made_at=instant(item, "created_at"),
    )
    return task, None if task.status.raw in ("completed", "cancelled") else _later(item, page)


def _later(item: Item, page: Page) -> datetime | None:
    """When to look again at what is still open: the longer it has been so, the later, and not for ever."""
    age = page.at - (instant(item, "updated_at") or instant(item, "created_at") or page.at)
    return None if age > FORGOTTEN else page.at + min(max(age / 4, SOONEST), LATEST)

"""What follows from an order as it stood at some moment: the columns that the views compute by the clock."""

from datetime import datetime, timedelta

from aggregator.core.model import State, WaitingOn
from aggregator.core.standing import Order
from aggregator.core.states import TERMINAL

SOON, NEXT = timedelta(days=1), timedelta(days=3)


def judged(order: Order, at: datetime, keep_ended: timedelta) -> dict[str, object]:
    """`needs_us`, `urgency` and `display_group` as the views would have shown them at that moment."""
    waits = order.waiting_on == WaitingOn.US and (
        order.is_open or (order.ended_at is not None and order.ended_at >= at - keep_ended)
    )
    needs_us = order.deleted_at is None and (order.state == State.UNKNOWN or waits)
    return {
        "needs_us": needs_us,
        "urgency": _urgency(order, at) if needs_us else None,
        "display_group": _group(order, needs_us),
    }


def _urgency(order: Order, at: datetime) -> int:
    if order.deadline_at is not None and order.deadline_at <= at + SOON:
        return 1
    soon = order.deadline_at is not None and order.deadline_at <= at + NEXT
    return 2 if soon or order.state in (State.EXCEPTION, State.UNKNOWN) else 3


def _group(order: Order, needs_us: bool) -> str:
    if needs_us:
        return "waiting_for_us"
    if order.deleted_at is not None:
        return "closed"
    if order.state == State.PORTED:
        return "completed"
    if order.state in TERMINAL:
        return "closed"
    return "scheduled" if order.state == State.SCHEDULED else "in_progress"

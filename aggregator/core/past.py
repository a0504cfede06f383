"""What follows from an order as it stood at some moment: the columns that the views compute by the clock."""

from datetime import datetime, timedelta

from aggregator.core.clocks import Clocks
from aggregator.core.model import State, WaitingOn
from aggregator.core.standing import Order
from aggregator.core.states import TERMINAL

SOON, NEXT = timedelta(days=1), timedelta(days=3)


def judged(order: Order, said: Clocks, at: datetime, keep_ended: timedelta) -> dict[str, object]:
    """The columns of the clocks, `needs_us`, `urgency` and `display_group` as the views would have shown them at that moment."""
    waits = order.waiting_on in (WaitingOn.US, WaitingOn.UNKNOWN) and (
        order.is_open
        or order.numbers_open > 0
        or (order.ended_at is not None and order.ended_at >= at - keep_ended)
    )
    needs_us = order.deleted_at is None and (order.state == State.UNKNOWN or waits)
    stuck = order.is_open and said.stuck_at is not None and said.stuck_at <= at
    return {
        "deadline_at": said.deadline_at,
        "deadline_kind": said.deadline_kind,
        "is_stuck": stuck,
        "stuck_since": said.stuck_at if stuck else None,
        "needs_us": needs_us,
        "urgency": _urgency(order, said, at) if needs_us else None,
        "display_group": _group(order, needs_us),
    }


def _urgency(order: Order, said: Clocks, at: datetime) -> int:
    end = said.deadline_at if said.deadline_presses else None
    if end is not None and end <= at + SOON:
        return 1
    soon = end is not None and end <= at + NEXT
    return 2 if soon or {order.state, order.rollup_state} & {State.EXCEPTION, State.UNKNOWN} else 3


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

"""The clocks that providers run: what happens to an order by itself, and when.

Which clocks there are is the adapter's data, each with what it rests on (`Clock.basis`); here is only how one
is read. An order's deadline is the earliest of those that run. It stays when it is over: a port-out whose
day of grace is gone is authorised any moment, and an order past its lock cannot be cancelled any more.
"""

from dataclasses import dataclass, fields
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from hashlib import blake2b
from operator import attrgetter
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from aggregator.core.model import Basis, Direction, State, WaitingOn
from aggregator.core.standing import Order
from aggregator.core.stuck import USUAL, Usual, stuck_at

if TYPE_CHECKING:
    from aggregator.core.account import Account


class CountedFrom(StrEnum):
    """The moment a clock counts from."""

    STATE = "state"  # since when the order is in its state
    CREATED = "created"  # when it was made at the provider
    FOC = "foc"  # its confirmed date, while that is firm
    PORTED = "ported"  # when its numbers moved


@dataclass(frozen=True, slots=True)
class Clock:
    """`after` its beginning (before it, where negative) `kind` happens to an order in one of these states,
    and, where `waiting_on` is given, only while it waits for that side.

    `presses`: it happens against our will unless we act, so it makes an order that needs us urgent. The others
    are information: a door that closes, a time from which something is late.
    """

    kind: str
    direction: Direction
    states: frozenset[State]
    counted_from: CountedFrom
    after: timedelta
    basis: Basis = Basis.DOCUMENTED
    presses: bool = False
    waiting_on: WaitingOn | None = None


@dataclass(frozen=True, slots=True)
class Clocks:
    """What an order's clocks say: the columns of its row that follow from them. `foc_ends_at` is the end of the
    day of its confirmed date in the account's zone."""

    deadline_at: datetime | None = None
    deadline_kind: str | None = None
    deadline_presses: bool = False
    stuck_at: datetime | None = None
    foc_ends_at: datetime | None = None


NONE = Clocks()
_told = attrgetter(*(column.name for column in fields(Clock)))
_usual = attrgetter(*(column.name for column in fields(Usual)))


def clocks(order: Order, direction: Direction, account: "Account") -> Clocks:
    """What the clocks of an account's provider say about an order; nothing about one that is deleted."""
    if order.deleted_at is not None:
        return NONE
    zone = ZoneInfo(account.options.time_zone)
    ends = [
        (at, clock.kind, clock.presses)
        for clock in account.adapter.clocks
        if _runs(clock, order, direction) and (at := _end(clock, order, zone)) is not None
    ]
    ended = _end_of_day(order.confirmed_foc_on, zone) if order.confirmed_foc_on else None
    stuck = stuck_at(order, direction, account)
    return Clocks(*min(ends), stuck, ended) if ends else Clocks(stuck_at=stuck, foc_ends_at=ended)


def version(account: "Account") -> str:
    """A text that differs whenever the same order may have another deadline, or be stuck at another time."""
    usual = sorted((*key, *_usual(usual)) for key, usual in account.adapter.usual.items())
    here = (account.options.time_zone, account.options.region)
    said = (
        [*map(_plain, account.adapter.clocks)],
        usual,
        sorted(account.stuck.items()),
        [*USUAL.items()],
        here,
    )
    return blake2b(repr(said).encode(), digest_size=6).hexdigest()


def _plain(clock: Clock) -> tuple[object, ...]:
    """A clock the same in every process, which a set's own order is not."""
    return tuple(sorted(value) if isinstance(value, frozenset) else value for value in _told(clock))


def _runs(clock: Clock, order: Order, direction: Direction) -> bool:
    return (
        clock.direction is direction
        and order.state in clock.states
        and clock.waiting_on in (None, order.waiting_on)
    )


def _end(clock: Clock, order: Order, zone: ZoneInfo) -> datetime | None:
    try:
        start = _start(clock, order, zone)
        return start and start + clock.after
    except OverflowError:  # at the end of the calendar nothing happens
        return None


def _start(clock: Clock, order: Order, zone: ZoneInfo) -> datetime | None:
    match clock.counted_from:
        case CountedFrom.STATE:
            return order.state_since
        case CountedFrom.CREATED:
            return order.created_at
        case CountedFrom.PORTED:
            return order.ported_at
    if not order.foc_is_firm or order.confirmed_foc_on is None:
        return None
    return order.confirmed_foc_at or _of_day(order.confirmed_foc_on, clock.after, zone)


def _of_day(day: date, after: timedelta, zone: ZoneInfo) -> datetime:
    """A date without a time is a whole day of the account's zone: what comes before it counts from its start,
    what comes after it from its end, so that neither is told too late or too early."""
    whole = timedelta(days=after > timedelta(0))
    return datetime.combine(day + whole, time(), zone).astimezone(UTC)


def _end_of_day(day: date, zone: ZoneInfo) -> datetime | None:
    try:
        return _of_day(day, timedelta(days=1), zone)
    except OverflowError:  # the last day of the calendar does not end
        return None

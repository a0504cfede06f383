"""How long an order usually stays in a state, and from when on one that stays longer is stuck.

What the operator wrote under `[stuck]` wins, then what the adapter knows of its provider, then `USUAL`. Where a
provider speaks of business days, time runs on the working days of the account's region alone, from midnight to
midnight in its zone: 48 business hours are two working days.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from aggregator.core.model import Direction, State
from aggregator.core.standing import Order

if TYPE_CHECKING:
    from aggregator.core.account import Account

DAY = timedelta(days=1)
WEEKEND = frozenset({5, 6})
USUAL: Mapping[str, timedelta] = {
    State.ACTION_NEEDED: timedelta(days=3),
    State.WITH_PROVIDER: timedelta(days=1),
    State.WITH_CARRIER: timedelta(days=3),
    State.EXCEPTION: timedelta(days=3),
    State.CANCEL_PENDING: timedelta(days=2),
}
"""Where neither the operator nor the adapter says anything. A state without an entry has no usual time."""


@dataclass(frozen=True, slots=True)
class Usual:
    """A usual time; `business` where only working days count."""

    time: timedelta
    business: bool = False


def stuck_at(order: Order, direction: Direction, account: "Account") -> datetime | None:
    """From when on an order that stays as it is will be stuck; None for one that has ended, or may stay."""
    usual = usual_time(State(order.state), direction, account)
    if usual is None or order.state_since is None or not order.is_open:
        return None
    try:
        if usual.business:
            return later(order.state_since, usual.time, account.options.time_zone, account.options.region)
        return order.state_since + usual.time
    except OverflowError:  # at the end of the calendar
        return None


def usual_time(state: State, direction: Direction, account: "Account") -> Usual | None:
    """How long such an order of this account usually stays in this state."""
    if written := account.stuck.get(state):
        return Usual(written)
    if known := account.adapter.usual.get((direction, state)):
        return known
    general = USUAL.get(state)
    return Usual(general) if general else None


def later(start: datetime, time_left: timedelta, time_zone: str, region: str) -> datetime:
    """The moment so much business time after another.

    >>> friday = datetime(2026, 7, 3, 15, tzinfo=UTC)  # a public holiday in the US
    >>> later(friday, timedelta(hours=36), "UTC", "US").isoformat()
    '2026-07-07T12:00:00+00:00'
    """
    day, at = start.astimezone(ZoneInfo(time_zone)).date(), start
    while True:
        midnight = _begins(day + DAY, time_zone)
        if is_working_day(day, region):
            if midnight - at >= time_left:
                return at + time_left
            time_left -= midnight - at
        day, at = day + DAY, midnight


def is_working_day(day: date, region: str) -> bool:
    """Whether people work on that day: neither a weekend nor a public holiday of the region."""
    weekend, holidays = _calendar(region, day.year)
    return day.weekday() not in weekend and day not in holidays


@lru_cache(maxsize=4096)
def _begins(day: date, time_zone: str) -> datetime:
    """When a day begins."""
    return datetime.combine(day, time(), ZoneInfo(time_zone)).astimezone(UTC)


@lru_cache(maxsize=256)
def _calendar(region: str, year: int) -> tuple[frozenset[int], frozenset[date]]:
    """The days off of a region's year; a region that has no calendar has weekends only."""
    from holidays import country_holidays  # slow to import, and needed by few

    try:
        calendar = country_holidays(region, years=year)
    except NotImplementedError:
        return WEEKEND, frozenset()
    return frozenset(calendar.weekend), frozenset(calendar)

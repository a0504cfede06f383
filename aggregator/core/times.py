"""A provider's times. One place decides what a time is, whatever field of whatever provider it stands in.

Before the year 2000, and from 2100 on, there is no date: `0`, `0001-01-01`, eight digits (`20261220`, which as
seconds lie in 1970), milliseconds and microseconds (which as seconds lie far ahead) are no times. None of them is
guessed at: such a field is not told.
"""

import re
from datetime import UTC, date, datetime, time
from functools import lru_cache
from zoneinfo import ZoneInfo

from aggregator.core.model import NOT_TOLD, Moment, NotTold
from aggregator.core.unread import Json, unread

EARLIEST, LATEST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
_DAY = re.compile(r"(\d{4}-\d\d-\d\d)(?:Z|[+-]\d\d:?\d\d)?", re.ASCII)
_MIDNIGHT = (0, 0, 0, 0)


def instant(item: Json, name: str) -> datetime | None:
    """A moment that may be missing: ISO 8601 (without a zone it is read as UTC), or Unix seconds. None where it
    is missing or is no time."""
    value = item.get(name)
    if value is None or value == "":
        return None
    try:
        return moment_of(value)
    except (ValueError, OverflowError, OSError):
        pass  # without its cause, whose message would hold the content
    unread(item, name, "not a time")
    return None


def local_date(item: Json, name: str, time_zone: str) -> Moment | NotTold | None:
    """A date that may be missing and that is documented as a date with its time: an instant, with the day it
    falls on in the account's zone; midnight UTC too. A day that is written as one has no hour, whatever zone
    stands behind it. None where there is none, NOT_TOLD where it cannot be read.

    >>> local_date({"foc": "2026-04-30T15:00:00Z"}, "foc", "Australia/Sydney").on.isoformat()
    '2026-05-01'
    >>> local_date({"foc": "2026-06-16T00:00:00Z"}, "foc", "America/New_York").on.isoformat()
    '2026-06-15'
    >>> local_date({"foc": "2026-06-16Z"}, "foc", "America/New_York")
    Moment(on=datetime.date(2026, 6, 16), at=None)
    """
    return _date(item, name, time_zone, days=False)


def day(item: Json, name: str, time_zone: str) -> Moment | NotTold | None:
    """A date that may be missing and that is documented as a day. One that is written as an instant at midnight
    UTC is that day, which does not shift with the zone; one with an hour is told with it, as `local_date` does.

    >>> day({"foc": 1780358400}, "foc", "America/New_York")
    Moment(on=datetime.date(2026, 6, 2), at=None)
    """
    return _date(item, name, time_zone, days=True)


def _date(item: Json, name: str, time_zone: str, days: bool) -> Moment | NotTold | None:
    value = item.get(name)
    if value is None or value == "":
        return None
    try:
        if (on := _day(value)) is not None:
            return Moment(on)
        at = moment_of(value)
        if days and (at.hour, at.minute, at.second, at.microsecond) == _MIDNIGHT:
            return Moment(at.date())
        return Moment(at.astimezone(_zone(time_zone)).date(), at)
    except (ValueError, OverflowError, OSError):
        pass
    unread(item, name, "not a time", blunt=False)
    return NOT_TOLD


def moment_of(value: object) -> datetime:
    """ISO 8601 text or Unix seconds as an aware UTC datetime. Raises ValueError, OverflowError or OSError for
    what is no time of this age.

    >>> moment_of("2021-03-19T10:07:15.527Z").isoformat()
    '2021-03-19T10:07:15.527000+00:00'
    >>> moment_of(1780000000).isoformat()
    '2026-05-28T20:26:40+00:00'
    """
    if isinstance(value, str) and not value.isdigit():
        on = _day(value)
        at = datetime.fromisoformat(value) if on is None else datetime.combine(on, time.min)
        at = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    elif isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError("not a time")
    else:
        at = datetime.fromtimestamp(float(value), UTC)
    if not EARLIEST <= at < LATEST:
        raise ValueError("not a time of this age")
    return at


def _day(value: object) -> date | None:
    """A day that is written as one; None for another form. Raises ValueError for one that cannot be."""
    if not isinstance(value, str) or (written := _DAY.fullmatch(value)) is None:
        return None
    on = date.fromisoformat(written[1])
    if not EARLIEST.date() <= on < LATEST.date():
        raise ValueError("not a day of this age")
    return on


@lru_cache(maxsize=64)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)

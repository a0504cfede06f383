"""What a reply says beside its page: in its headers when to come back, and why it refuses, fit for a log."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from aggregator.core.model import CLOCK_DOUBT

LONGEST_LIMIT = timedelta(minutes=15)
_WORD = re.compile(r"[A-Za-z][A-Za-z_'-]{0,19}[,.:;!]?")
_CODE = re.compile(r"[A-Za-z_]{1,40}|[0-9]{1,6}")


def retry_after(headers: Mapping[str, str], now: datetime) -> timedelta | None:
    """How long `Retry-After` asks us to wait, in seconds or as a date by the provider's own clock. Negative
    and absurd values are refused, long ones capped."""
    said = headers.get("retry-after")
    pause = _seconds(said)
    if pause is None and (at := http_date(said)) is not None:
        pause = max(0.0, (at - _their_time(headers, now)).total_seconds())
    return None if pause is None else min(timedelta(seconds=pause), LONGEST_LIMIT)


def reset(headers: Mapping[str, str], now: datetime) -> timedelta | None:
    """How long `x-ratelimit-reset` has us wait: a provider may document seconds in one place and show a Unix time in another."""
    number = _seconds(headers.get("x-ratelimit-reset"), 10**12)
    if number is not None and number >= 10**9:
        number -= _their_time(headers, now).timestamp()
    return None if number is None or number < 0 else min(timedelta(seconds=number), LONGEST_LIMIT)


def _their_time(headers: Mapping[str, str], now: datetime) -> datetime:
    """The provider's own clock, where the reply shows one that can be believed."""
    at = None if "age" in headers else http_date(headers.get("date"))
    return at if at is not None and abs(at - now) <= CLOCK_DOUBT else now


def _seconds(said: str | None, most: float = 10**7) -> float | None:
    try:
        number = float(said or "")
    except ValueError:
        return None
    return number if 0 <= number <= most else None


def http_date(said: str | None) -> datetime | None:
    """An HTTP date as an aware UTC datetime, or None when there is none to read.

    >>> http_date("Tue, 24 Nov 2026 12:00:00 GMT").isoformat()
    '2026-11-24T12:00:00+00:00'
    """
    try:
        at = parsedate_to_datetime(said or "")
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


def spoken(said: tuple[str, str]) -> str:
    """A refusal in the provider's words, fit for a log: its code, and its title where that is plain words. A word
    that could be a number, an address or a key it was sent is left out."""
    code, title = (str(one)[:2_000] for one in said)
    words = [word if _WORD.fullmatch(word) else "…" for word in title[:200].split()]
    return " ".join(filter(None, (code if _CODE.fullmatch(code) else "", " ".join(words)[:80])))

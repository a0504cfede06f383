"""Typed look-ups for adapters: they name what is missing or wrong, and nothing else of a page gets past them.

Every function here raises `PageChanged` (never `KeyError` or `TypeError`) when the page is not what it
should be, and its message names the field, never the content.
"""

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from functools import lru_cache
from hashlib import blake2b
from itertools import chain
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from aggregator.core.account import KeepTree
from aggregator.core.documents import document
from aggregator.core.model import Fact, Moment, OrderRef, Page, Part, Skipped, Source
from aggregator.errors import PageChanged

Json = Mapping[str, Any]
T = TypeVar("T")

MAX_INTEGER = 2**63 - 1
MAX_COUNT = 2**31 - 1  # what a column for a count holds on both databases
MAX_DEPTH = 32  # of a page; the deepest published one has eight levels
MAX_VALUES = 400_000  # of a page: as many as its longest body holds when each takes the room of a real field
MAX_ITEMS = 10_000  # of a page; the largest that we ask for has 500
MAX_SKIPPED = 1_000  # so many that cannot be read are no single bad ones
LONGEST_ID = 200  # characters; no provider's id has more than 40
NESTED = frozenset({dict, list})
SCRUBBED = re.compile("[\x00\ud800-\udfff]")


# --- a page as a whole ----------------------------------------------------------------------------------


def json_object(page: Page) -> dict[str, Any]:
    """The page's body as a JSON object. Refused: other status than 2xx, HTML, lists, cut or deep bodies,
    `NaN`. Bytes that are no UTF-8, NUL and lone surrogates become U+FFFD, raw control characters within a text are
    let be; a number that no database holds is taken as its text, so that it
    costs at most its own field or item, never the page."""
    if not 200 <= page.status < 300:
        raise PageChanged(f"{page.request.path}: status {page.status}")
    value = loads(page.body, page.request.path)
    if not isinstance(value, dict):
        raise PageChanged(f"{page.request.path}: not a JSON object")
    return value


def loads(body: bytes, where: str) -> Any:
    """JSON read with our limits; see `json_object`."""
    try:
        if len(body) - len(body.translate(None, b",[{")) > MAX_VALUES:
            raise ValueError("too many values")  # small values swell to fifty times their text
        text = body.decode("utf-8-sig", "replace")
        value = json.loads(
            text, parse_constant=_refuse, parse_int=_integer, parse_float=_finite, strict=False
        )
        _shallow(value)
    except (ValueError, RecursionError) as error:
        raise PageChanged(f"{where}: not JSON ({type(error).__name__})") from error
    if "\0" in text or ("\\" in text and ("\\u0000" in text or "\\ud" in text or "\\uD" in text)):
        return _scrubbed(value)
    return value


def _refuse(constant: str) -> None:
    raise ValueError(constant)


def _integer(digits: str) -> int | str:
    if len(digits) > 20 or not -MAX_INTEGER <= (value := int(digits)) <= MAX_INTEGER:
        return digits
    return value


def _finite(digits: str) -> float | str:
    return value if math.isfinite(value := float(digits)) else digits


def _shallow(value: Any) -> None:
    """Refuse what no page needs and later recursion could not bear."""
    level: list[Any] = [[value]]
    for _ in range(MAX_DEPTH + 1):
        inside = chain.from_iterable(o.values() if isinstance(o, dict) else o for o in level)
        level = [entry for entry in inside if type(entry) in NESTED]
        if not level:
            return
    raise ValueError("too deep")


def _scrubbed(value: Any) -> Any:
    if isinstance(value, str):
        return SCRUBBED.sub("\ufffd", value)
    if isinstance(value, list):
        return [_scrubbed(item) for item in value]
    if isinstance(value, dict):
        return {_scrubbed(key): _scrubbed(item) for key, item in value.items()}
    return value


def each(
    items: Sequence[Any],
    read: Callable[[dict[str, Any]], Iterable[T | Skipped]],
    name: str,
    keep: KeepTree,
) -> tuple[tuple[T, ...], tuple[Skipped, ...]]:
    """Read every item of a page, as `sift` does. A page on which nothing can be read is not a page we know;
    one item that at least is named may just be a bad one."""
    if len(items) > MAX_ITEMS:
        raise PageChanged(f"{len(items)} items on one page")
    good, skipped, unread = _sifted(items, read, name, keep, "")
    if unread and unread == len(items) and (unread > 1 or not named(items, name)):
        raise PageChanged(f"none of {unread} items can be read: {skipped[-1].error}")
    return good, skipped


def sift(
    items: Sequence[Any],
    read: Callable[[dict[str, Any]], Iterable[T | Skipped]],
    name: str,
    keep: KeepTree,
    within: str,
) -> tuple[tuple[T, ...], tuple[Skipped, ...]]:
    """Read every entry of a list inside the item `within`. One that cannot be read is skipped and named by
    its `name` field, else by a hash of what may be kept of it; so is what `read` itself sets aside."""
    return _sifted(items, read, name, keep, f"{within}/")[:2]


def _sifted(
    items: Sequence[Any],
    read: Callable[[dict[str, Any]], Iterable[T | Skipped]],
    name: str,
    keep: KeepTree,
    prefix: str,
) -> tuple[tuple[T, ...], tuple[Skipped, ...], int]:
    good: list[T] = []
    skipped: list[Skipped] = []
    unread = 0
    for item in items:
        try:
            said = list(read(_object(item, name)))
        except PageChanged as error:
            unread += 1
            said = [Skipped(prefix + _ref(item, name, keep), str(error))]
        for part in said:
            if isinstance(part, Skipped):
                skipped.append(part)
            else:
                good.append(part)
        if len(skipped) > MAX_SKIPPED:
            raise PageChanged(f"more than {MAX_SKIPPED} items cannot be read: {skipped[-1].error}")
    return tuple(good), tuple(skipped), unread


def named(items: Sequence[Any], name: str, *within: str) -> frozenset[str]:
    """The ids of what a page brought, readable or not; an id that is not unique is told with what it is `within`."""
    return frozenset(
        "/".join((ref, *(str(item.get(field)) for field in within)))
        for item in items
        if isinstance(item, dict) and isinstance(ref := item.get(name), str) and ref
    )


def _object(item: object, name: str) -> dict[str, Any]:
    if not isinstance(item, dict):
        raise PageChanged(f"item with {name}: not an object but {_kind(item)}")
    return item


def _ref(item: object, name: str, keep: KeepTree) -> str:
    ref = item.get(name) if isinstance(item, dict) else None
    if isinstance(ref, str) and ref:
        return ref[:LONGEST_ID]
    kept = document(item, keep) if isinstance(item, dict) else _kind(item)
    return blake2b(kept.encode(), digest_size=12).hexdigest()


# --- single fields --------------------------------------------------------------------------------------


def get(item: Json, name: str, kind: type[T]) -> T:
    """A field that must be there, of that type (an empty string counts as missing)."""
    value = item.get(name)
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool) or value == "":
        raise PageChanged(f"{name}: {'missing' if value in (None, '') else 'not ' + kind.__name__}")
    return value


def is_overlong(id: str) -> bool:
    """Whether a text is too long to be an id: of an order, an event, a comment, a task, or a page's token."""
    return len(id) > LONGEST_ID


def text(item: Json, name: str) -> str | None:
    """A text field that may be missing, null or empty; a bare number is read as its digits."""
    value = item.get(name)
    if value is None or isinstance(value, str):
        return value or None
    if isinstance(value, bool) or not isinstance(value, int):
        raise PageChanged(f"{name}: not a text but {_kind(value)}")
    return str(value)


def inner(item: Json, name: str) -> dict[str, Any]:
    """An inner object that may be missing or null: then it is empty."""
    value = item.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise PageChanged(f"{name}: not an object but {_kind(value)}")
    return value


def several(item: Json, name: str) -> list[Any]:
    """A list that may be missing or null: then it is empty."""
    value = item.get(name)
    if value is None:
        return []
    if not isinstance(value, list):
        raise PageChanged(f"{name}: not a list but {_kind(value)}")
    return value


def entries(item: Json, name: str) -> list[Any]:
    """Like `several`, for a list whose entries stand for themselves: something else in its place is one entry
    that cannot be read."""
    value = item.get(name)
    return [] if value is None else value if isinstance(value, list) else [value]


def whole(item: Json, name: str) -> int | None:
    """A count that may be missing; `3.0` and `"3"` are 3, anything else is not told."""
    value = item.get(name)
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 11:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if 0 <= value <= MAX_COUNT and value == int(value) else None


def instant(item: Json, name: str) -> datetime | None:
    """A moment that may be missing: ISO 8601 with a zone (none is read as UTC), or Unix seconds."""
    value = item.get(name)
    if value is None or value == "":
        return None
    try:
        return moment_of(value)
    except (ValueError, OverflowError, OSError):
        # Without its cause, whose message would hold the content.
        raise PageChanged(f"{name}: not a time") from None


def moment_of(value: object) -> datetime:
    """ISO 8601 text or Unix seconds as an aware UTC datetime.

    >>> moment_of("2021-03-19T10:07:15.527Z").isoformat()
    '2021-03-19T10:07:15.527000+00:00'
    >>> moment_of(1780000000).isoformat()
    '2026-05-28T20:26:40+00:00'
    """
    if isinstance(value, str) and not value.isdigit():
        at = datetime.fromisoformat(value)
        if at.tzinfo is UTC:
            return at
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError("not a time")
    return datetime.fromtimestamp(float(value), UTC)


def local_date(item: Json, name: str, time_zone: str) -> Moment | None:
    """A date that may be missing: a day, or an instant with its day in the account's zone. Midnight UTC is
    a day that was written as an instant: it has no hour and does not shift with the zone.

    >>> local_date({"foc": "2026-04-30T15:00:00Z"}, "foc", "Australia/Sydney").on.isoformat()
    '2026-05-01'
    >>> local_date({"foc": 1780358400}, "foc", "America/New_York")
    Moment(on=datetime.date(2026, 6, 2), at=None)
    """
    value = item.get(name)
    if isinstance(value, str) and len(value) == 10:
        try:
            return Moment(date.fromisoformat(value))
        except ValueError:
            pass
    at = instant(item, name)
    if at is None:
        return None
    if at.hour == at.minute == at.second == at.microsecond == 0:
        return Moment(at.date())
    try:
        return Moment(at.astimezone(_zone(time_zone)).date(), at)
    except OverflowError as error:
        raise PageChanged(f"{name}: not a time") from error


@lru_cache(maxsize=64)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


def _kind(value: object) -> str:
    return "null" if value is None else type(value).__name__


# --- facts ----------------------------------------------------------------------------------------------


def in_listed_order(facts: Iterable[Fact], before: int = 0) -> tuple[Fact, ...]:
    """The facts of a list, each with its place in it, by which those of one moment are ordered; `before`: how many
    items came on the pages before. The places of a list that begins with its newest run backwards."""
    told = tuple(facts)
    down = bool(told) and told[0].as_of > told[-1].as_of
    return tuple(
        replace(fact, ordinal=-place if down else place) for place, fact in enumerate(told, before + 1)
    )


def snapshot(
    page: Page,
    ref: OrderRef,
    part: Part = Part.ORDER,
    *,
    updated_at: datetime | None = None,
    kept: str | None = None,
    **said: Any,
) -> Fact:
    """A fact of the moment we looked: `as_of` is the provider's own time of last change where it gives one,
    else the reply's `Date`, else our read time. A snapshot shows that the order exists. What it says is part of
    its id: one reply may hold an order twice, in two states."""
    words = ""
    if part is Part.ORDER and kept is not None:
        words = f"#{blake2b(kept.encode(), digest_size=6).hexdigest()}"
    return Fact(
        order=ref,
        source=Source.SNAPSHOT,
        source_id=f"{part}:{ref.direction}/{ref.id}@{page.fetched_at.isoformat()}{words}",
        as_of=updated_at or page.at,
        read_at=page.fetched_at,
        part=part,
        document=kept,
        looked_at=page.at,
        said_at=updated_at if part in (Part.ORDER, Part.NUMBERS) else None,
        deleted=False,
        **said,
    )

"""Typed look-ups for adapters: they name what is missing or wrong, and nothing else of a page gets past them.

A page that is not what it should be, and an item without what `get` demands, raise `PageChanged` (never `KeyError`
or `TypeError`); its message names the field, never the content. Any other field of an item that cannot be read costs
nothing but itself: it is not told, and `each` names it with its path beside what it read of the item.
"""

import json
import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields as columns_of
from dataclasses import replace
from datetime import datetime
from hashlib import blake2b
from itertools import chain
from typing import Any, TypeVar

from aggregator.core.account import KeepTree
from aggregator.core.documents import document
from aggregator.core.fields import kind_of, written
from aggregator.core.model import (
    NOT_TOLD,
    Carrier,
    Fact,
    NumberSaid,
    OrderRef,
    Page,
    Part,
    Skipped,
    Source,
    Status,
    Whole,
)
from aggregator.core.unread import is_noting, noted, noting, path_of, unread
from aggregator.errors import PageChanged, TooLarge

T = TypeVar("T")

MAX_INTEGER = 2**63 - 1
MAX_DEPTH = 32  # of a page; the deepest published one has eight levels
MAX_VALUES = 400_000  # of a page: as many as its longest body holds when each takes the room of a real field
MAX_ITEMS = 10_000  # of a page; the largest that we ask for has 500
MAX_SKIPPED = 1_000  # so many that cannot be read are no single bad ones
LONGEST_ID = 200  # characters; no provider's id has more than 40
MAX_FIELDS = 1_000  # fields of items that are named when they cannot be read; further ones are counted
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


def refused(page: Page) -> dict[str, Any]:
    """The body of a reply of any status as a JSON object; empty when it is none, like the page of a firewall."""
    try:
        value = loads(page.body[:65_536], page.request.path)
    except PageChanged:
        return {}
    return value if isinstance(value, dict) else {}


def loads(body: bytes, where: str) -> Any:
    """JSON read with our limits; see `json_object`."""
    # Small values swell to fifty times their text.
    if len(body) - len(body.translate(None, b",[{")) > MAX_VALUES:
        raise TooLarge(f"{where}: more than {MAX_VALUES} values")
    try:
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
    key: Callable[[str], str] = str,
) -> tuple[tuple[T, ...], tuple[Skipped, ...]]:
    """Read every item of a page, as `sift` does. A field of an item that cannot be read is named by the item and
    its path; an item by its id in the form in which ids are compared (`key`). A page on which nothing can be read is not a page we know; one item that at least is named may just be
    a bad one."""
    if len(items) > MAX_ITEMS:
        raise TooLarge(f"{len(items)} items on one page")
    good, skipped, lost = _sifted(items, read, name, keep, "", True, key)
    if lost and lost == len(items) and (lost > 1 or not named(items, name)):
        raise PageChanged(f"none of {lost} items can be read: {skipped[-1].error}")
    return good, skipped


def one(
    item: dict[str, Any],
    read: Callable[[dict[str, Any]], Iterable[T | Skipped]],
    name: str,
    key: Callable[[str], str] = str,
) -> tuple[tuple[T, ...], tuple[Skipped, ...]]:
    """Read the one item of a page, as `each` does; what `read` refuses refuses the page."""
    parts, beside = _parted(item, read, name, True, key)
    good = tuple(part for part in parts if not isinstance(part, Skipped))
    return good, (*(part for part in parts if isinstance(part, Skipped)), *_first(beside))


def sift(
    items: Sequence[Any],
    read: Callable[[dict[str, Any]], Iterable[T | Skipped]],
    name: str,
    keep: KeepTree,
    within: str,
) -> tuple[tuple[T, ...], tuple[Skipped, ...]]:
    """Read every entry of a list inside the item `within`. One that cannot be read is skipped and named by
    its `name` field, else by a hash of what may be kept of it; so is what `read` itself sets aside."""
    return _sifted(items, read, name, keep, f"{within}/", not is_noting())[:2]


def _sifted(
    items: Sequence[Any],
    read: Callable[[dict[str, Any]], Iterable[T | Skipped]],
    name: str,
    keep: KeepTree,
    prefix: str,
    outermost: bool,
    key: Callable[[str], str] = str,
) -> tuple[tuple[T, ...], tuple[Skipped, ...], int]:
    good: list[T] = []
    skipped: list[Skipped] = []
    fields: list[Skipped] = []
    lost = 0
    for item in items:
        try:
            said, beside = _parted(_object(item, name), read, name, outermost, key)
        except PageChanged as error:
            lost += 1
            said, beside = [Skipped(prefix + key(_ref(item, name, keep)), str(error))], []
        fields += beside
        for part in said:
            if isinstance(part, Skipped):
                skipped.append(part)
            else:
                good.append(part)
        if len(skipped) > MAX_SKIPPED:
            raise PageChanged(f"more than {MAX_SKIPPED} items cannot be read: {skipped[-1].error}")
    return tuple(good), (*skipped, *_first(fields)), lost


def _parted(
    item: dict[str, Any],
    read: Callable[[dict[str, Any]], Iterable[T | Skipped]],
    name: str,
    outermost: bool,
    key: Callable[[str], str],
) -> tuple[list[T | Skipped], list[Skipped]]:
    """What an item says, and the fields of it that cannot be read; those of an entry inside of another item are
    noted there."""
    with noting() as found:
        parts = [_without_guesses(part) for part in read(item)]
    if not outermost:
        for said in found:
            unread(said.within, said.name, said.error, blunt=False)
        return parts, []
    ref = key(written(item.get(name)) or "item")
    return parts, [Skipped(f"{ref[:200]}/{path_of(item, said)}", said.error) for said in found]


def _without_guesses(part: T) -> T:
    """A number whose status cannot be read has the status it had."""
    if isinstance(part, NumberSaid) and part.status == Status(None) and _is_blunt():
        return replace(part, status=NOT_TOLD)
    return part


def _first(fields: list[Skipped]) -> list[Skipped]:
    """The unreadable fields of a page, each once; of very many the first, and how many there are."""
    distinct = list(dict.fromkeys(fields))
    if len(distinct) <= MAX_FIELDS:
        return distinct
    return [*distinct[:MAX_FIELDS], Skipped("fields", f"{len(distinct)} fields cannot be read")]


def _is_blunt() -> bool:
    return any(said.blunt for said in noted())


def named(items: Sequence[Any], name: str, *within: str) -> frozenset[str]:
    """The ids of what a page brought, readable or not; an id that is not unique is told with what it is `within`."""
    return frozenset(
        "/".join((ref, *(str(item.get(field)) for field in within)))
        for item in items
        if isinstance(item, dict) and (ref := written(item.get(name)))
    )


def _object(item: object, name: str) -> dict[str, Any]:
    if not isinstance(item, dict):
        raise PageChanged(f"item with {name}: not an object but {kind_of(item)}")
    return item


def _ref(item: object, name: str, keep: KeepTree) -> str:
    if isinstance(item, dict) and (ref := written(item.get(name))):
        return ref[:LONGEST_ID]
    kept = document(item, keep) if isinstance(item, dict) else kind_of(item)
    return blake2b(kept.encode(), digest_size=12).hexdigest()


def is_overlong(id: str) -> bool:
    """Whether a text is too long to be an id: of an order, an event, a comment, a task, or a page's token."""
    return len(id) > LONGEST_ID


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
    if _is_blunt():
        said = _emptying_nothing(said)
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


def _emptying_nothing(said: dict[str, Any]) -> dict[str, Any]:
    """What a look says of an order, some field of which could not be read: then "there is none" may only mean
    that field, so it empties nothing that stands."""
    said = dict(said)
    if isinstance(status := said.get("status"), Status) and status.raw is None:
        said["status"] = None
    for group in ("dates", "references", "carriers"):
        if (values := said.get(group)) is not None:
            none = [one.name for one in columns_of(values) if getattr(values, one.name) in (None, Carrier())]
            said[group] = replace(values, **dict.fromkeys(none, NOT_TOLD))
    if said.get("numbers") == Whole(()):
        said["numbers"] = None
    return said

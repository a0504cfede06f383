"""Before, after → changes: a row for every column that moved, so the rows alone rebuild the order. Left out
is only what a number merely copies from its order.
"""

import json
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime
from functools import lru_cache
from itertools import compress
from operator import attrgetter, itemgetter, ne
from typing import Any, TypeAlias

from aggregator.core.fold import NUMBER_FACET, facet_stamp, said_of_order, stamp
from aggregator.core.history import with_reasons
from aggregator.core.model import NOT_TOLD, Change, Fact, Moment, Source, State, Status
from aggregator.core.standing import (
    COPIED,
    NUMBER_FIELDS,
    ORDER_FIELDS,
    Number,
    NumberTold,
    Stamp,
    Standing,
    Told,
    Value,
)
from aggregator.core.states import is_expected, is_regression, state_of

KINDS = {
    "state": "state_changed",
    "waiting_on": "waiting_on_changed",
    "reasons": "reasons_changed",
    "requested_foc_on": "date_changed",
    "requested_foc_at": "date_changed",
    "confirmed_foc_on": "date_changed",
    "confirmed_foc_at": "date_changed",
    "ported_at": "date_changed",
    "losing_carrier": "carrier_changed",
    "losing_carrier_spid": "carrier_changed",
    "gaining_carrier": "carrier_changed",
    "gaining_carrier_spid": "carrier_changed",
    "customer_reference": "reference_changed",
    "customer_group_reference": "reference_changed",
    "description": "reference_changed",
    "support_key": "reference_changed",
    "group_key": "reference_changed",
    "sub_account": "reference_changed",
    "pon": "reference_changed",
    "messaging_state": "messaging_changed",
    "activation_state": "activation_changed",
    "carrier_status_raw": "raw_status_changed",
    "requirements_status": "requirements_changed",
    "requirements_met": "requirements_changed",
    "activation_job_status": "activation_changed",
    "foc_state": "date_changed",
    "parent_order_id": "order_linked",
}
"""The kind of change by column; every other column makes `attribute_changed`, but see `_kind`."""
EVERY_KIND = (
    *("order_seen", "order_deleted", "order_reappeared", "number_added", "number_removed", "number_moved"),
    *dict.fromkeys([*KINDS.values(), "raw_status_changed"]),
    *("attribute_changed", "comment_added", "document_changed", "cancel_asked"),
)
"""Every kind of change there is."""

_compact = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode
_number_values = attrgetter(*NUMBER_FIELDS)
_COPIES = tuple(name in COPIED for name in NUMBER_FIELDS)


def diff(before: Standing | None, after: Standing, because: Fact) -> tuple[Change, ...]:
    """What this one fact taught us, as change rows; nothing where nothing changed."""
    return tuple(_changes(before, after, because))


def _changes(before: Standing | None, after: Standing, because: Fact) -> Iterator[Change]:
    told = because.as_of if because.source is Source.EVENT else None
    if before is None:
        # A link is told by a row of its own, whether the order was known before it or not.
        order = after.order._asdict() | {"parent_order_id": None}
        yield Change("order_seen", new=_json(order), occurred_at=told)
        if parent := after.order.parent_order_id:
            yield Change("order_linked", "parent_order_id", None, parent, occurred_at=told)
    else:
        yield from _moved(ORDER_FIELDS, before.order, after.order, "", told)
        yield from _late(before, after, because)
    for key, number in after.numbers.items():
        known = before.numbers.get(key) if before else None
        if known is None:
            here = dict(zip(NUMBER_FIELDS, _own_values(number), strict=True))
            yield Change("number_added", "number_key", None, _json(here), key, told)
        elif known is not number:
            yield from _moved(NUMBER_FIELDS, _own_values(known), _own_values(number), key, told)
    if because.comment and (before is None or because.comment.id not in before.told.comments):
        at = because.comment.at or told
        yield Change("comment_added", "comment", None, because.comment.id, occurred_at=at)
    if because.asked and (before is None or _asked(before) != facet_stamp(because, "asked")):
        yield Change("cancel_asked", occurred_at=told)
    if because.documents_changed and (before is None or because.source_id not in before.told.documents):
        yield Change("document_changed", "documents", occurred_at=told)


def _asked(standing: Standing) -> Stamp | None:
    """The newest fact that shows our asking."""
    facet = standing.told.facets.get("asked")
    return facet and facet[0]


def _own_values(number: Number) -> tuple[Value, ...]:
    """A number's columns; those that it only copies from its order are absent."""
    values: tuple[Value, ...] = _number_values(number)
    if number.own:
        return values
    return tuple(None if copy else value for copy, value in zip(_COPIES, values, strict=True))


def _moved(
    names: tuple[str, ...],
    before: tuple[Value, ...],
    after: tuple[Value, ...],
    number_key: str,
    told: datetime | None,
    late: bool = False,
) -> Iterator[Change]:
    moved = [*compress(zip(names, before, after, strict=True), map(ne, before, after))]
    state_moved = "state" in [name for name, _, _ in moved]
    for name, old, new in moved:
        step = (State(str(old)), State(str(new))) if name == "state" and old and new else None
        yield Change(
            _kind(name, old, new, state_moved),
            name,
            as_text(old),
            as_text(new),
            number_key,
            told,
            late,
            step is not None and is_regression(*step),
            step is not None and not is_expected(*step),
        )


def _kind(name: str, old: Value, new: Value, state_moved: bool) -> str:
    if name == "raw_status" and not state_moved:
        return "raw_status_changed"
    if name == "is_current":
        return "number_added" if new else "number_removed"
    if name == "deleted_at" and (old is None or new is None):
        return "order_deleted" if new else "order_reappeared"
    return KINDS.get(name, "attribute_changed")


# --- what comes late ------------------------------------------------------------------------------------

_Columns: TypeAlias = tuple[tuple[str, ...], Callable[[Any], tuple[Value, ...]]]


def _status_columns(status: Status | None) -> tuple[Value, ...]:
    if status is None:
        return (None, None, ())
    reasons = sorted({reason.meaning.code for reason in status.given if reason.meaning})
    return (state_of(status), status.raw, tuple(reasons))


def _date_columns(moment: Moment | None) -> tuple[Value, ...]:
    return (moment.on, moment.at) if moment else (None, None)


_ORDER_HISTORY: Mapping[str, _Columns] = {
    "status": (("state", "raw_status", "reasons"), _status_columns),
    "confirmed": (("confirmed_foc_on", "confirmed_foc_at"), _date_columns),
    "messaging": (("messaging_state",), lambda word: (word and word.meaning,)),
}
_NUMBER_HISTORY: Mapping[str, _Columns] = {
    "status": (("state", "raw_status"), lambda s: _status_columns(s)[:2])
}
"""The facets whose past steps are told, even late, each with the columns it shows in."""


def _late(before: Standing, after: Standing, because: Fact) -> Iterator[Change]:
    """Steps that a late fact shows to have lain between two known ones. They tell history; what stands, and
    what was reported as a step before, stays."""
    yield from _late_steps(before.told, after.told, _ORDER_HISTORY, because, "")
    said = because.numbers.numbers if because.numbers else ()
    for key in dict.fromkeys(one.key for one in said if one.status is not NOT_TOLD):
        if key in before.told.numbers:
            numbers = before.told.numbers[key], after.told.numbers[key]
            yield from _late_steps(*numbers, _NUMBER_HISTORY, because, key)


def _late_steps(
    before: Told | NumberTold,
    after: Told | NumberTold,
    history: Mapping[str, _Columns],
    because: Fact,
    number_key: str,
) -> Iterator[Change]:
    for facet, (names, values) in history.items():
        at = facet_stamp(because, NUMBER_FACET + facet if number_key else facet)
        trail = after.trails.get(facet, ())
        if len(trail) == len(before.trails.get(facet, ())) or trail[-1][0] <= at:
            continue
        if facet == "status":
            trail = with_reasons(trail)
        place = bisect_left(trail, at, key=itemgetter(0))
        if trail[place][0] != at:
            continue
        earlier = values(trail[place - 1][1] if place else None)
        here, later = values(trail[place][1]), values(trail[place + 1][1])
        news = tuple(
            old if value in (old, new) else value
            for old, value, new in zip(earlier, here, later, strict=True)
        )
        yield from _moved(names, earlier, news, number_key, at[0], late=True)


def is_late(before: Standing | None, because: Fact) -> bool:
    """Whether a fact is older than what stood for a facet whose history it tells."""
    if before is None:
        return False
    at, trails = stamp(because), before.told.trails
    later = [name for name in _ORDER_HISTORY if (trail := trails.get(name)) and at < trail[-1][0]]
    if later and any(name in later for name, _ in said_of_order(because)):
        return True
    for said in because.numbers.numbers if because.numbers else ():
        known = before.told.numbers.get(said.key)
        trail = known.trails.get("status") if known and said.status is not NOT_TOLD else None
        if trail and at < trail[-1][0]:
            return True
    return False


# --- values as text -------------------------------------------------------------------------------------


def as_text(value: Value) -> str | None:
    """A column's value the way a change row writes it, alike on both databases.

    >>> as_text(True), as_text(("b", "a")), as_text(date(2026, 5, 1))
    ('true', '["a","b"]', '2026-05-01')
    """
    if value is None or isinstance(value, str):
        return value and str(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return _instant(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, tuple):
        return _compact(sorted(value))
    return str(value)


@lru_cache(maxsize=4_096)
def _instant(at: datetime) -> str:
    return at.isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"


def _json(columns: Mapping[str, Value]) -> str:
    """All columns of a row as a JSON object."""
    plain = {name: _plain(value) for name, value in columns.items()}
    return _compact(plain)


def _plain(value: Value) -> object:
    if value is None or isinstance(value, bool | int):
        return value
    return sorted(value) if isinstance(value, tuple) else as_text(value)

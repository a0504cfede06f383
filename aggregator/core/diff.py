"""Before, after → changes. A change row for every column that was told or decided; none for a column that
only follows from others (`FOLLOWS`), unless it moved alone, so the rows alone rebuild the order.
"""

import json
from collections.abc import Iterable, Iterator
from datetime import date, datetime
from typing import TypeVar

from aggregator.core.fold import stamp
from aggregator.core.model import NOT_TOLD, Change, Fact, Moment, Source, State, Status
from aggregator.core.rollup import state_of
from aggregator.core.standing import (
    NUMBER_FIELDS,
    ORDER_FIELDS,
    Number,
    Order,
    Stamp,
    Standing,
    Value,
)
from aggregator.core.states import is_expected, is_regression

T = TypeVar("T")

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
    "messaging_state": "messaging_changed",
    "activation_state": "activation_changed",
    "parent_order_id": "order_linked",
}
"""The kind of change by column; every other column makes `attribute_changed`."""

FOLLOWS = {
    "is_open": ("state", "deleted_at"),
    "foc_is_firm": ("state", "confirmed_foc_on"),
    "messaging_open": ("state", "messaging_state"),
    "numbers_ported": ("state",),
    "numbers_open": ("state",),
    "numbers_ended_unported": ("state",),
    "numbers_active": (),
    "rollup_state": ("state",),
    "is_mixed": (),
    "state_since": ("state",),
    "waiting_since": ("waiting_on",),
    "deletion_basis": ("deleted_at",),
}
"""Columns that follow from others: from those named here, or (the empty ones) from the order's numbers."""

CLOCK = frozenset({"deadline_at", "deadline_kind"})


def diff(before: Standing | None, after: Standing, because: Fact) -> tuple[Change, ...]:
    """What this one fact taught us, as change rows; nothing where nothing changed."""
    return tuple(_changes(before, after, because))


def _changes(before: Standing | None, after: Standing, because: Fact) -> Iterator[Change]:
    told = because.as_of if because.source is Source.EVENT else None
    if before is None:
        yield Change("order_seen", new=_object(after.order, ORDER_FIELDS), occurred_at=told)
    else:
        yield from differences(before.order, after.order, because)
        yield from _late(before, after, because)
    for key, number in after.numbers.items():
        known = before.numbers.get(key) if before else None
        yield from _number(key, known, number, told)
    if because.comment and (before is None or because.comment.id not in before.told.comments):
        yield Change(
            "comment_added", "comment", None, because.comment.id, occurred_at=because.comment.at or told
        )
    if because.documents_changed:
        yield Change("document_changed", "documents", occurred_at=told)


# --- the order ------------------------------------------------------------------------------------------


def differences(before: Order, after: Order, because: Fact) -> Iterator[Change]:
    """A change for every column that moved and does not merely follow."""
    told = because.as_of if because.source is Source.EVENT else None
    moved = [name for name in ORDER_FIELDS if getattr(before, name) != getattr(after, name)]
    for name in moved:
        if name in CLOCK or _implied(name, moved, after, because):
            continue
        old, new = getattr(before, name), getattr(after, name)
        if name == "deleted_at":
            kind = "order_deleted" if new else "order_reappeared"
        elif name == "raw_status" and "state" not in moved:
            kind = "raw_status_changed"
        else:
            kind = KINDS.get(name, "attribute_changed")
        step = name == "state"
        yield Change(
            kind,
            name,
            as_text(old),
            as_text(new),
            occurred_at=told,
            regression=step and is_regression(State(old), State(new)),
            unexpected=step and not is_expected(State(old), State(new)),
        )


def _implied(name: str, moved: list[str], after: Order, because: Fact) -> bool:
    """Whether a reader of the other rows knows this column already."""
    if name in ("state_since", "waiting_since"):
        leader = FOLLOWS[name][0]
        return leader in moved and getattr(after, name) == because.as_of
    return name in FOLLOWS


def _late(before: Standing, after: Standing, because: Fact) -> Iterator[Change]:
    """Steps that a late fact shows to have lain between two known ones. They tell history; what stands, and
    what was reported as a step before, stays."""
    at = stamp(because)
    if because.status is not None and because.status is not after.told.statuses[-1][1]:
        yield from _late_step(after.told.statuses, at, because, "")
    for said in because.numbers.numbers if because.numbers else ():
        trail = after.told.numbers[said.key].statuses
        known = said.key in before.numbers and before.numbers[said.key].own
        if said.status is not NOT_TOLD and known:
            yield from _late_step(trail, at, because, said.key)
    if because.dates and because.dates.confirmed is not NOT_TOLD:
        earlier, here, later = _around(after.told.confirmed, at)
        if later is not None and here not in (earlier, later[0]):
            old, new = _day(earlier), _day(here)
            if old != new:
                yield Change(
                    "date_changed", "confirmed_foc_on", old, new, occurred_at=because.as_of, late=True
                )


def _late_step(
    trail: tuple[tuple[Stamp, Status], ...], at: Stamp, because: Fact, number_key: str
) -> Iterator[Change]:
    earlier, here, later = _around(trail, at)
    if later is None or here is None:
        return
    same = {(state_of(s), s.raw) for s in (earlier, later[0]) if s is not None}
    if (state_of(here), here.raw) in same:
        return
    old = state_of(earlier) if earlier else None
    new = state_of(here)
    if old is new:
        raw = earlier.raw if earlier else None
        yield Change("raw_status_changed", "raw_status", raw, here.raw, number_key, because.as_of, late=True)
        return
    yield Change(
        "state_changed",
        "state",
        as_text(old),
        as_text(new),
        number_key,
        because.as_of,
        late=True,
        regression=old is not None and is_regression(old, new),
        unexpected=old is not None and not is_expected(old, new),
    )


def _around(trail: Iterable[tuple[Stamp, T]], at: Stamp) -> tuple[T | None, T | None, tuple[T] | None]:
    """The values before, at and after a stamp; what comes after is boxed, for it may itself be None."""
    earlier: T | None = None
    here: T | None = None
    for place, value in trail:
        if place < at:
            earlier = value
        elif place == at:
            here = value
        else:
            return earlier, here, (value,)
    return earlier, here, None


def _day(moment: Moment | None) -> str | None:
    return moment.on.isoformat() if moment else None


# --- its numbers ----------------------------------------------------------------------------------------

_COPIED = frozenset({"state", "raw_status", "mapping_basis", "state_since", "ported_at"})
_NUMBER_FOLLOWS = {"state_since": "state", "removed_at": "is_current"}


def _number(key: str, before: Number | None, after: Number, told: datetime | None) -> Iterator[Change]:
    if before is None:
        yield Change("number_added", "number_key", None, _object(after, NUMBER_FIELDS), key, told)
        return
    if before == after:
        return
    moved = [name for name in NUMBER_FIELDS if getattr(before, name) != getattr(after, name)]
    for name in moved:
        old, new = getattr(before, name), getattr(after, name)
        if (name in _COPIED and not after.own) or _NUMBER_FOLLOWS.get(name) in moved:
            continue
        if name == "is_current":
            kind = "number_added" if new else "number_removed"
        elif name == "carrier_status_raw" or (name == "raw_status" and "state" not in moved):
            kind = "raw_status_changed"
        else:
            kind = KINDS.get(name, "attribute_changed")
        step = name == "state"
        yield Change(
            kind,
            name,
            as_text(old),
            as_text(new),
            key,
            told,
            regression=step and is_regression(State(old), State(new)),
            unexpected=step and not is_expected(State(old), State(new)),
        )


def is_late(before: Standing | None, because: Fact) -> bool:
    """Whether a fact is older than what stood for a facet it speaks of."""
    if before is None:
        return False
    at = stamp(because)
    told = before.told
    trails: list[Stamp] = []
    if because.status is not None and told.statuses:
        trails.append(told.statuses[-1][0])
    if because.dates is not None and because.dates.confirmed is not NOT_TOLD and told.confirmed:
        trails.append(told.confirmed[-1][0])
    for said in because.numbers.numbers if because.numbers else ():
        known = told.numbers.get(said.key)
        if known is not None and known.statuses and said.status is not NOT_TOLD:
            trails.append(known.statuses[-1][0])
    return any(at < standing for standing in trails)


# --- values as text -------------------------------------------------------------------------------------


def as_text(value: Value) -> str | None:
    """A column's value the way a change row writes it, alike on both databases.

    >>> as_text(True), as_text(("b", "a")), as_text(date(2026, 5, 1))
    ('true', '["a","b"]', '2026-05-01')
    """
    if value is None or (isinstance(value, str)):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, tuple):
        return json.dumps(sorted(value), separators=(",", ":"), ensure_ascii=False)
    return str(value)


def _object(row: Order | Number, names: tuple[str, ...]) -> str:
    """All columns of a row as a JSON object."""
    return json.dumps(
        {name: _plain(getattr(row, name)) for name in names if name not in CLOCK},
        separators=(",", ":"),
        ensure_ascii=False,
    )


def _plain(value: Value) -> object:
    if value is None or isinstance(value, bool | int):
        return value
    return sorted(value) if isinstance(value, tuple) else as_text(value)

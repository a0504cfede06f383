"""An order as it stands: what was told for each facet, and the columns that follow from it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import date, datetime
from typing import TypeAlias

from aggregator.core.model import Basis, Moment, OrderRef, State, Status, WaitingOn

Stamp: TypeAlias = tuple[datetime, datetime, int, str]
"""The place of a fact in the one order of facts: (as_of, read_at, snapshot 0 before event 1, source id)."""

Value: TypeAlias = str | int | bool | date | datetime | tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class Order:
    """The columns of `v1_orders` that follow from an order's facts alone: no clock, no bookkeeping."""

    customer_reference: str | None = None
    customer_group_reference: str | None = None
    description: str | None = None
    support_key: str | None = None
    group_key: str | None = None
    sub_account: str | None = None
    state: str = State.UNKNOWN
    raw_status: str | None = None
    mapping_basis: str = Basis.NONE
    waiting_on: str = WaitingOn.UNKNOWN
    why: str | None = None
    waiting_since: datetime | None = None
    reasons: tuple[str, ...] = ()
    is_open: bool = True
    requested_foc_on: date | None = None
    requested_foc_at: datetime | None = None
    confirmed_foc_on: date | None = None
    confirmed_foc_at: datetime | None = None
    foc_is_firm: bool = False
    ported_at: datetime | None = None
    ported_at_source: str | None = None
    losing_carrier: str | None = None
    losing_carrier_spid: str | None = None
    gaining_carrier: str | None = None
    gaining_carrier_spid: str | None = None
    messaging_state: str | None = None
    messaging_open: bool = False
    numbers_total: int = 0
    numbers_ported: int = 0
    numbers_open: int = 0
    numbers_ended_unported: int = 0
    numbers_active: int = 0
    rollup_state: str | None = None
    is_mixed: bool = False
    disagreement: str | None = None
    parent_order_id: str | None = None
    submission_cycle: int = 0
    foc_changes: int = 0
    created_at: datetime | None = None
    submitted_at: datetime | None = None
    first_scheduled_at: datetime | None = None
    ended_at: datetime | None = None
    end_cause: str | None = None
    state_since: datetime | None = None
    deadline_at: datetime | None = None
    deadline_kind: str | None = None
    deleted_at: datetime | None = None
    deletion_basis: str | None = None


@dataclass(frozen=True, slots=True)
class Number:
    """The columns of `v1_numbers` that follow from the facts. `own` is False where the state is only a copy
    of the order's (it then makes no change rows)."""

    raw_number: str
    e164: str | None = None
    state: str = State.UNKNOWN
    raw_status: str | None = None
    mapping_basis: str = Basis.NONE
    activation_state: str | None = None
    messaging_state: str | None = None
    carrier_status_raw: str | None = None
    state_since: datetime | None = None
    added_at: datetime | None = None
    ported_at: datetime | None = None
    removed_at: datetime | None = None
    is_current: bool = True
    own: bool = False


@dataclass(frozen=True, slots=True)
class Held:
    """One reason over one span of time; `until` None while it holds. `number_key` '' for the order's own."""

    number_key: str
    code: str
    raw_code: str
    raw_text: str | None
    waiting_on: str
    since: datetime
    until: datetime | None


@dataclass(frozen=True, slots=True)
class Told:
    """All that the facts said, ready to be folded further: for each facet the newest word and its stamp, and
    the whole trail of those facets whose history counts (statuses, confirmed dates, lists, deletions)."""

    facets: Mapping[str, tuple[Stamp, object]]
    statuses: tuple[tuple[Stamp, Status], ...] = ()
    confirmed: tuple[tuple[Stamp, Moment | None], ...] = ()
    lists: tuple[tuple[Stamp, frozenset[str]], ...] = ()
    existence: tuple[tuple[Stamp, bool], ...] = ()
    numbers: Mapping[str, "NumberTold"] = field(default_factory=dict)
    comments: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class NumberTold:
    """The same for one number: its facets, its own statuses, and when it was first and last mentioned."""

    facets: Mapping[str, tuple[Stamp, object]]
    first: Stamp
    last: Stamp
    statuses: tuple[tuple[Stamp, Status], ...] = ()


@dataclass(frozen=True, slots=True)
class Standing:
    """An order as it stands. Equal facts give equal standings, in whatever order they came."""

    ref: OrderRef
    told: Told
    order: Order
    numbers: Mapping[str, Number]
    reasons: tuple[Held, ...]


ORDER_FIELDS = tuple(column.name for column in fields(Order))
NUMBER_FIELDS = tuple(column.name for column in fields(Number) if column.name != "own")

"""An order as it stands: what was told for each facet, and the columns that follow from it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import date, datetime
from typing import Any, NamedTuple, TypeAlias, TypeVar

from aggregator.core.model import Basis, OrderRef, State, WaitingOn

T = TypeVar("T")

Stamp: TypeAlias = tuple[datetime, datetime, int, int, str]
"""The place of a fact in the one order of facts: (as_of, read_at, snapshot 0 before event 1, ordinal, source id)."""

Trail: TypeAlias = tuple[tuple[Stamp, T], ...]
"""All that was ever said about one facet, oldest first."""

Value: TypeAlias = str | int | bool | date | datetime | tuple[str, ...] | None


class Order(NamedTuple):
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
    deleted_at: datetime | None = None
    deletion_basis: str | None = None
    requirements_met: bool | None = None
    activation_job_status: str | None = None
    activation_state: str | None = None
    port_type: str | None = None
    remaining_numbers: str | None = None
    number_type: str | None = None
    fast_port: bool | None = None
    foc_state: str = "none"
    pon: str | None = None


@dataclass(frozen=True, slots=True)
class Number:
    """The columns of `v1_numbers` that follow from the facts. `own` is False where the state is only a copy
    of the order's: then `COPIED` are the order's columns, and make no change rows."""

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
    portability_status: str | None = None
    requirements_status: str | None = None
    carrier_status: str | None = None
    own: bool = False


class Gone(NamedTuple):
    """How a fact shows that its order is gone, and since when, where it tells that."""

    basis: str
    at: datetime | None


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
    """All that the facts said, ready to be folded further: for each facet the newest word and its stamp, the
    whole trail of those whose history counts (`fold.ORDER_TRAILS`), and what was said once."""

    facets: Mapping[str, tuple[Stamp, object]] = field(default_factory=dict)
    trails: Mapping[str, Trail[Any]] = field(default_factory=dict)
    numbers: Mapping[str, "NumberTold"] = field(default_factory=dict)
    comments: frozenset[str] = frozenset()
    documents: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class NumberTold:
    """The same for one number, with the stamps under which it was first and last mentioned."""

    first: Stamp
    last: Stamp
    facets: Mapping[str, tuple[Stamp, object]]
    trails: Mapping[str, Trail[Any]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Standing:
    """An order as it stands. Equal facts give equal standings, in whatever order they came."""

    ref: OrderRef
    told: Told
    order: Order
    numbers: Mapping[str, Number]
    reasons: tuple[Held, ...]


ORDER_FIELDS = Order._fields
COPIED = frozenset({"state", "raw_status", "mapping_basis", "state_since", "ported_at"})
NUMBER_FIELDS = tuple(column.name for column in fields(Number) if column.name != "own")

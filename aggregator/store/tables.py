"""The tables. Times are UTC instants; lists and kept documents are JSON text; ids are small integers that the
one writer hands out, so that rows stay in the order they came and nothing depends on a sequence.
"""

from collections.abc import Mapping
from datetime import date, datetime

from sqlalchemy import BigInteger, Column, Index, Integer, Table, Text, UniqueConstraint, text
from sqlmodel import Field, SQLModel

BIG = BigInteger().with_variant(Integer(), "sqlite")
"""A key that may grow past 2**31. SQLite's own INTEGER is as wide, and as a key it is the row's address: no
index of its own has to be kept beside the table."""


def _where(name: str, column: str, condition: str) -> Index:
    """An index over the few rows that readers look up by this column."""
    return Index(name, column, sqlite_where=text(condition), postgresql_where=text(condition))


class AccountRow(SQLModel, table=True):
    """A credential's view. It keeps its rows when it is no longer configured."""

    __tablename__ = "account"

    id: int = Field(primary_key=True)
    name: str = Field(unique=True)
    provider: str
    label: str = ""
    configured: bool = True
    region: str
    time_zone: str
    paused_reason: str | None = None
    paused_until: datetime | None = None
    refusals: int = 0
    described_at: datetime | None = None


class LeaseRow(SQLModel, table=True):
    """Who may write an account: the holder of the newest epoch."""

    __tablename__ = "lease"

    account_id: int = Field(primary_key=True, foreign_key="account.id")
    epoch: int = 0
    holder: str | None = None
    renewed_at: datetime | None = None


class FeedRow(SQLModel, table=True):
    """One feed of one account: its cursor and the record of its last run, updated in place."""

    __tablename__ = "feed"

    account_id: int = Field(primary_key=True, foreign_key="account.id")
    feed: str = Field(primary_key=True)
    enabled: bool = True
    known_since: datetime
    stale_after_s: int = Field(sa_column=Column(BigInteger, nullable=False))
    cursor_at: datetime | None = None
    last_attempt_at: datetime | None = None
    last_complete_at: datetime | None = None
    last_new_at: datetime | None = None
    last_outcome: str | None = None
    last_error: str | None = None
    failing_since: datetime | None = None
    consecutive_failures: int = 0
    not_before: datetime | None = None
    next_due_at: datetime | None = None
    deep_at: datetime | None = None
    skew_s: float = 0.0
    pages: int = 0
    covers: str | None = None
    covered_at: datetime | None = None
    list_place: str | None = None
    longest_quiet_s: int | None = Field(default=None, sa_column=Column(BigInteger))


class BackfillRow(SQLModel, table=True):
    """How far the walk through one feed's history is: everything from `since` to `done_until` is stored.
    It goes forward from the older end, so one instant says it all. The feed's own cursor is another matter."""

    __tablename__ = "backfill"

    account_id: int = Field(primary_key=True, foreign_key="account.id")
    feed: str = Field(primary_key=True)
    since: datetime
    until: datetime
    done_until: datetime
    started_at: datetime
    orders: int = 0
    events: int = 0
    changes: int = 0


class ReplayRow(SQLModel, table=True):
    """How far a replay is that has not come to its end: every order up to the row `done_until` was rebuilt
    with the words of `version`."""

    __tablename__ = "replay"

    account_id: int = Field(primary_key=True, foreign_key="account.id")
    version: str
    done_until: int = 0
    orders: int = 0
    sealed: int = 0
    differing: int = 0
    changes: int = 0


class FeedIdentityRow(SQLModel, table=True):
    """The one row that names the change feed, hands out ids and knows how far the pruning is."""

    __tablename__ = "feed_identity"

    id: int = Field(primary_key=True)
    feed_id: str
    floor: int = Field(default=0, sa_column=Column(BigInteger, nullable=False))
    newest_seq: int = Field(default=0, sa_column=Column(BigInteger, nullable=False))
    newest_fact: int = Field(default=0, sa_column=Column(BigInteger, nullable=False))
    newest_event: int = Field(default=0, sa_column=Column(BigInteger, nullable=False))
    newest_order: int = Field(default=0, sa_column=Column(BigInteger, nullable=False))
    keep_ended_s: int = Field(default=14 * 86_400, sa_column=Column(BigInteger, nullable=False))
    pruned_until: int = Field(default=0, sa_column=Column(BigInteger, nullable=False))
    pruned_at: datetime | None = None


class OrderRow(SQLModel, table=True):
    """A porting order as it stands: the columns of `core.standing.Order`, and our own bookkeeping."""

    __tablename__ = "port_order"
    __table_args__ = (
        _where("ix_port_order_missed", "account_id", "misses = 1"),
        _where("ix_port_order_parent", "parent_order_id", "parent_order_id is not null"),
    )

    id: int = Field(primary_key=True)
    account_id: int = Field(foreign_key="account.id", index=True)
    order_id: str = Field(unique=True)
    direction: str
    provider_order_id: str = Field(index=True)
    customer_reference: str | None = Field(default=None, index=True)
    customer_group_reference: str | None = None
    description: str | None = None
    support_key: str | None = Field(default=None, index=True)
    group_key: str | None = Field(default=None, index=True)
    sub_account: str | None = None
    state: str = Field(index=True)
    raw_status: str | None = None
    mapping_basis: str
    map_version: str
    waiting_on: str = Field(index=True)
    why: str | None = None
    waiting_since: datetime | None = None
    reasons: str = "[]"
    is_open: bool
    requested_foc_on: date | None = None
    requested_foc_at: datetime | None = None
    confirmed_foc_on: date | None = Field(default=None, index=True)
    confirmed_foc_at: datetime | None = None
    foc_is_firm: bool
    ported_at: datetime | None = None
    ported_at_source: str | None = None
    losing_carrier: str | None = None
    losing_carrier_spid: str | None = None
    gaining_carrier: str | None = None
    gaining_carrier_spid: str | None = None
    messaging_state: str | None = None
    messaging_open: bool
    numbers_total: int
    numbers_ported: int
    numbers_open: int
    numbers_ended_unported: int
    numbers_active: int
    rollup_state: str | None = None
    is_mixed: bool
    disagreement: str | None = None
    parent_order_id: str | None = None
    submission_cycle: int
    foc_changes: int
    created_at: datetime | None = None
    submitted_at: datetime | None = None
    first_scheduled_at: datetime | None = None
    ended_at: datetime | None = None
    end_cause: str | None = None
    state_since: datetime | None = None
    deadline_at: datetime | None = None
    deadline_kind: str | None = None
    deadline_presses: bool = False
    stuck_at: datetime | None = None
    foc_ends_at: datetime | None = None
    clock_version: str = ""
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
    first_seen_at: datetime
    last_changed_at: datetime
    last_read_at: datetime | None = None
    last_seq: int = Field(sa_column=Column(BigInteger, index=True, nullable=False))
    # What the door asks of a new read without loading the order's facts: what stands, its place among the facts, and
    # the provider's own time of it.
    document: str | None = None
    document_as_of: datetime | None = None
    document_said_at: datetime | None = None
    numbers_document: str | None = None
    numbers_document_as_of: datetime | None = None
    numbers_document_said_at: datetime | None = None
    event_as_of: datetime | None = None
    # How many complete lists lacked it, one after the other (see `absence.py`).
    misses: int = 0


class NumberRow(SQLModel, table=True):
    """One number of one order; marked, never removed. `unsettled_at`: since when its coming or going waits to be
    told; `moved_to`: the order it went to (see `moves.py`)."""

    __tablename__ = "port_number"
    __table_args__ = (_where("ix_port_number_unsettled", "unsettled_at", "unsettled_at is not null"),)

    order_pk: int = Field(primary_key=True, foreign_key="port_order.id")
    number_key: str = Field(primary_key=True, index=True)
    e164: str | None = None
    raw_number: str
    state: str
    raw_status: str | None = None
    mapping_basis: str
    activation_state: str | None = None
    messaging_state: str | None = None
    carrier_status_raw: str | None = None
    state_since: datetime | None = None
    added_at: datetime | None = None
    ported_at: datetime | None = None
    removed_at: datetime | None = None
    is_current: bool
    unsettled_at: datetime | None = None
    moved_to: int | None = None
    portability_status: str | None = None
    requirements_status: str | None = None
    carrier_status: str | None = None
    last_seq: int = Field(sa_column=Column(BigInteger, index=True, nullable=False))


class ReasonRow(SQLModel, table=True):
    """A reason and the span over which it was given; `number_key` '' for the order's own."""

    __tablename__ = "reason"

    order_pk: int = Field(primary_key=True, foreign_key="port_order.id")
    number_key: str = Field(primary_key=True)
    code: str = Field(primary_key=True)
    raw_code: str = Field(primary_key=True)
    from_at: datetime = Field(primary_key=True)
    to_at: datetime | None = None
    raw_text: str | None = None
    waiting_on: str


class DocumentRow(SQLModel, table=True):
    """The kept part of a document about an order, by the hash of exactly that part; `read_at` is when it was
    last news. Nothing is computed from it: what it says stands in its facts."""

    __tablename__ = "document"

    order_pk: int = Field(primary_key=True, foreign_key="port_order.id")
    hash: str = Field(primary_key=True)
    read_at: datetime
    body: str = Field(sa_column=Column(Text, nullable=False))


class FactRow(SQLModel, table=True):
    """One thing said about one order at one time, in the provider's words: the source of all else."""

    __tablename__ = "fact"
    __table_args__ = (UniqueConstraint("source_id", "source", "account_id"),)

    id: int = Field(sa_column=Column(BIG, primary_key=True, autoincrement=False))
    account_id: int = Field(foreign_key="account.id")
    order_pk: int = Field(foreign_key="port_order.id", index=True)
    source: str
    source_id: str
    part: str
    as_of: datetime
    read_at: datetime
    document: str | None = None
    said: str = Field(sa_column=Column(Text, nullable=False))


class EventRow(SQLModel, table=True):
    """Something the provider announced. A payload that comes later fills the same row."""

    __tablename__ = "event"
    __table_args__ = (
        UniqueConstraint("provider_event_id", "feed", "account_id"),
        Index("ix_event_order", "order_pk", "occurred_at"),
        _where("ix_event_number", "number_key", "number_key is not null"),
        _where("ix_event_owed", "first_seen_at", "not payload_complete"),
    )

    id: int = Field(sa_column=Column(BIG, primary_key=True, autoincrement=False))
    account_id: int = Field(foreign_key="account.id")
    feed: str
    provider_event_id: str
    order_pk: int = Field(foreign_key="port_order.id")
    number_key: str | None = None
    event_type: str
    occurred_at: datetime = Field(index=True)
    first_seen_at: datetime
    late: bool
    raw_from: str | None = None
    raw_to: str | None = None
    payload_complete: bool
    payload: str | None = Field(default=None, sa_column=Column(Text))


class ChangeRow(SQLModel, table=True):
    """The feed: append-only, in commit order. `replay` is 0, or tells two replays of one fact apart."""

    __tablename__ = "change"
    __table_args__ = (
        UniqueConstraint("fact_id", "kind", "number_key", "field", "replay"),
        _where("ix_change_number", "number_key", "number_key <> ''"),
        _where("ix_change_moved", "old_value", "kind = 'number_moved'"),
    )

    seq: int = Field(sa_column=Column(BIG, primary_key=True, autoincrement=False))
    batch: int = Field(sa_column=Column(BigInteger, nullable=False))
    fact_id: int = Field(sa_column=Column(BigInteger, nullable=False))
    replay: int = Field(default=0, sa_column=Column(BigInteger, nullable=False))
    order_pk: int = Field(foreign_key="port_order.id", index=True)
    number_key: str
    kind: str
    field: str
    old_value: str | None = Field(default=None, sa_column=Column(Text))
    new_value: str | None = Field(default=None, sa_column=Column(Text))
    occurred_at: datetime | None = None
    observed_at: datetime = Field(index=True)
    not_before: datetime | None = None
    late: bool
    regression: bool
    unexpected: bool
    initial: bool
    source: str
    provider_event_id: str | None = None


class CommentRow(SQLModel, table=True):
    """A comment; the only place its body is kept."""

    __tablename__ = "comment"

    order_pk: int = Field(primary_key=True, foreign_key="port_order.id")
    comment_id: str = Field(primary_key=True)
    author_type: str
    body: str | None = Field(default=None, sa_column=Column(Text))
    occurred_at: datetime | None = None
    observed_at: datetime
    last_seq: int = Field(sa_column=Column(BigInteger, index=True, nullable=False))


class WantRow(SQLModel, table=True):
    """What must still be asked; deleted by the transaction that stores the answer."""

    __tablename__ = "wanted"

    account_id: int = Field(primary_key=True, foreign_key="account.id")
    kind: str = Field(primary_key=True)
    ref: str = Field(primary_key=True)
    since: datetime
    wanted_at: datetime
    tries: int = 0
    not_before: datetime | None = None
    expected: int | None = None
    answer: str | None = None
    answers: int = 0


class QuarantineRow(SQLModel, table=True):
    """An item that could not be read: named, explained, counted; never its content."""

    __tablename__ = "quarantine"
    __table_args__ = (_where("ix_quarantine_open", "ref", "resolved_at is null"),)

    account_id: int = Field(primary_key=True, foreign_key="account.id")
    feed: str = Field(primary_key=True)
    ref: str = Field(primary_key=True)
    error: str
    first_seen_at: datetime
    last_seen_at: datetime
    count: int = 1
    resolved_at: datetime | None = None


class ReasonTextRow(SQLModel, table=True):
    """What an account's provider says that one of its reasons means, for when it gives the reason without a
    text."""

    __tablename__ = "reason_text"

    account_id: int = Field(primary_key=True, foreign_key="account.id")
    code: str = Field(primary_key=True)
    text: str
    read_at: datetime


class UnknownWordRow(SQLModel, table=True):
    """A word nobody knows, and an order it stood in."""

    __tablename__ = "unknown_word"

    account_id: int = Field(primary_key=True, foreign_key="account.id")
    vocabulary: str = Field(primary_key=True)
    word: str = Field(primary_key=True)
    order_pk: int = Field(primary_key=True, foreign_key="port_order.id")
    first_seen_at: datetime
    last_seen_at: datetime


TABLES: Mapping[str, Table] = SQLModel.metadata.tables
"""Every table of ours, by its name."""

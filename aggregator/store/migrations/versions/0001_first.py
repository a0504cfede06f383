"""The first schema.

A hand-kept step: later changes are new files beside this one, and this one is never edited again.
"""

import sqlalchemy as sa
from alembic import op
from sqlmodel.sql.sqltypes import AutoString, UTCDateTime

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

revision = "0001"
down_revision = None


def _index_where(name: str, table: str, condition: str, column: str = "number_key") -> None:
    where = sa.text(condition)
    op.create_index(name, table, [column], sqlite_where=where, postgresql_where=where)


def upgrade() -> None:
    """Make every table; the views are made by `env.py`."""
    op.create_table(
        "account",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", AutoString(), nullable=False),
        sa.Column("provider", AutoString(), nullable=False),
        sa.Column("label", AutoString(), nullable=False),
        sa.Column("configured", sa.Boolean(), nullable=False),
        sa.Column("region", AutoString(), nullable=False),
        sa.Column("time_zone", AutoString(), nullable=False),
        sa.Column("paused_reason", AutoString(), nullable=True),
        sa.Column("paused_until", UTCDateTime(), nullable=True),
        sa.Column("refusals", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("name"),
    )
    op.create_table(
        "feed_identity",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("feed_id", AutoString(), nullable=False),
        sa.Column("floor", sa.BigInteger(), nullable=False),
        sa.Column("newest_seq", sa.BigInteger(), nullable=False),
        sa.Column("newest_fact", sa.BigInteger(), nullable=False),
        sa.Column("newest_event", sa.BigInteger(), nullable=False),
        sa.Column("newest_order", sa.BigInteger(), nullable=False),
        sa.Column("keep_ended_s", sa.BigInteger(), nullable=False),
        sa.Column("pruned_until", sa.BigInteger(), nullable=False),
        sa.Column("pruned_at", UTCDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "feed",
        sa.Column("account_id", sa.Integer(), nullable=False),
        sa.Column("feed", AutoString(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("known_since", UTCDateTime(), nullable=False),
        sa.Column("stale_after_s", sa.BigInteger(), nullable=False),
        sa.Column("cursor_at", UTCDateTime(), nullable=True),
        sa.Column("last_attempt_at", UTCDateTime(), nullable=True),
        sa.Column("last_complete_at", UTCDateTime(), nullable=True),
        sa.Column("last_new_at", UTCDateTime(), nullable=True),
        sa.Column("last_outcome", AutoString(), nullable=True),
        sa.Column("last_error", AutoString(), nullable=True),
        sa.Column("failing_since", UTCDateTime(), nullable=True),
        sa.Column("consecutive_failures", sa.Integer(), nullable=False),
        sa.Column("not_before", UTCDateTime(), nullable=True),
        sa.Column("next_due_at", UTCDateTime(), nullable=True),
        sa.Column("deep_at", UTCDateTime(), nullable=True),
        sa.Column("skew_s", sa.Float(), nullable=False),
        sa.Column("pages", sa.Integer(), nullable=False),
        sa.Column("covers", AutoString(), nullable=True),
        sa.Column("covered_at", UTCDateTime(), nullable=True),
        sa.ForeignKeyConstraint(
            ["account_id"],
            ["account.id"],
        ),
        sa.PrimaryKeyConstraint("account_id", "feed"),
    )
    op.create_table(
        "replay",
        sa.Column("account_id", sa.Integer(), nullable=False),
        sa.Column("version", AutoString(), nullable=False),
        sa.Column("done_until", sa.Integer(), nullable=False),
        sa.Column("orders", sa.Integer(), nullable=False),
        sa.Column("sealed", sa.Integer(), nullable=False),
        sa.Column("differing", sa.Integer(), nullable=False),
        sa.Column("changes", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"],
            ["account.id"],
        ),
        sa.PrimaryKeyConstraint("account_id"),
    )
    op.create_table(
        "backfill",
        sa.Column("account_id", sa.Integer(), nullable=False),
        sa.Column("feed", AutoString(), nullable=False),
        sa.Column("since", UTCDateTime(), nullable=False),
        sa.Column("until", UTCDateTime(), nullable=False),
        sa.Column("done_until", UTCDateTime(), nullable=False),
        sa.Column("started_at", UTCDateTime(), nullable=False),
        sa.Column("orders", sa.Integer(), nullable=False),
        sa.Column("events", sa.Integer(), nullable=False),
        sa.Column("changes", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"],
            ["account.id"],
        ),
        sa.PrimaryKeyConstraint("account_id", "feed"),
    )
    op.create_table(
        "lease",
        sa.Column("account_id", sa.Integer(), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("holder", AutoString(), nullable=True),
        sa.Column("renewed_at", UTCDateTime(), nullable=True),
        sa.ForeignKeyConstraint(
            ["account_id"],
            ["account.id"],
        ),
        sa.PrimaryKeyConstraint("account_id"),
    )
    op.create_table(
        "port_order",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("account_id", sa.Integer(), nullable=False),
        sa.Column("order_id", AutoString(), nullable=False),
        sa.Column("direction", AutoString(), nullable=False),
        sa.Column("provider_order_id", AutoString(), nullable=False),
        sa.Column("customer_reference", AutoString(), nullable=True),
        sa.Column("customer_group_reference", AutoString(), nullable=True),
        sa.Column("description", AutoString(), nullable=True),
        sa.Column("support_key", AutoString(), nullable=True),
        sa.Column("group_key", AutoString(), nullable=True),
        sa.Column("sub_account", AutoString(), nullable=True),
        sa.Column("state", AutoString(), nullable=False),
        sa.Column("raw_status", AutoString(), nullable=True),
        sa.Column("mapping_basis", AutoString(), nullable=False),
        sa.Column("map_version", AutoString(), nullable=False),
        sa.Column("waiting_on", AutoString(), nullable=False),
        sa.Column("why", AutoString(), nullable=True),
        sa.Column("waiting_since", UTCDateTime(), nullable=True),
        sa.Column("reasons", AutoString(), nullable=False),
        sa.Column("is_open", sa.Boolean(), nullable=False),
        sa.Column("requested_foc_on", sa.Date(), nullable=True),
        sa.Column("requested_foc_at", UTCDateTime(), nullable=True),
        sa.Column("confirmed_foc_on", sa.Date(), nullable=True),
        sa.Column("confirmed_foc_at", UTCDateTime(), nullable=True),
        sa.Column("foc_is_firm", sa.Boolean(), nullable=False),
        sa.Column("ported_at", UTCDateTime(), nullable=True),
        sa.Column("ported_at_source", AutoString(), nullable=True),
        sa.Column("losing_carrier", AutoString(), nullable=True),
        sa.Column("losing_carrier_spid", AutoString(), nullable=True),
        sa.Column("gaining_carrier", AutoString(), nullable=True),
        sa.Column("gaining_carrier_spid", AutoString(), nullable=True),
        sa.Column("messaging_state", AutoString(), nullable=True),
        sa.Column("messaging_open", sa.Boolean(), nullable=False),
        sa.Column("numbers_total", sa.Integer(), nullable=False),
        sa.Column("numbers_ported", sa.Integer(), nullable=False),
        sa.Column("numbers_open", sa.Integer(), nullable=False),
        sa.Column("numbers_ended_unported", sa.Integer(), nullable=False),
        sa.Column("numbers_active", sa.Integer(), nullable=False),
        sa.Column("rollup_state", AutoString(), nullable=True),
        sa.Column("is_mixed", sa.Boolean(), nullable=False),
        sa.Column("disagreement", AutoString(), nullable=True),
        sa.Column("parent_order_id", AutoString(), nullable=True),
        sa.Column("submission_cycle", sa.Integer(), nullable=False),
        sa.Column("foc_changes", sa.Integer(), nullable=False),
        sa.Column("created_at", UTCDateTime(), nullable=True),
        sa.Column("submitted_at", UTCDateTime(), nullable=True),
        sa.Column("first_scheduled_at", UTCDateTime(), nullable=True),
        sa.Column("ended_at", UTCDateTime(), nullable=True),
        sa.Column("end_cause", AutoString(), nullable=True),
        sa.Column("state_since", UTCDateTime(), nullable=True),
        sa.Column("deadline_at", UTCDateTime(), nullable=True),
        sa.Column("deadline_kind", AutoString(), nullable=True),
        sa.Column("deadline_presses", sa.Boolean(), nullable=False),
        sa.Column("stuck_at", UTCDateTime(), nullable=True),
        sa.Column("clock_version", AutoString(), nullable=False),
        sa.Column("deleted_at", UTCDateTime(), nullable=True),
        sa.Column("deletion_basis", AutoString(), nullable=True),
        sa.Column("requirements_met", sa.Boolean(), nullable=True),
        sa.Column("activation_job_status", AutoString(), nullable=True),
        sa.Column("first_seen_at", UTCDateTime(), nullable=False),
        sa.Column("last_changed_at", UTCDateTime(), nullable=False),
        sa.Column("last_read_at", UTCDateTime(), nullable=True),
        sa.Column("last_seq", sa.BigInteger(), nullable=False),
        sa.Column("document", AutoString(), nullable=True),
        sa.Column("document_as_of", UTCDateTime(), nullable=True),
        sa.Column("document_said_at", UTCDateTime(), nullable=True),
        sa.Column("numbers_document", AutoString(), nullable=True),
        sa.Column("numbers_document_as_of", UTCDateTime(), nullable=True),
        sa.Column("numbers_document_said_at", UTCDateTime(), nullable=True),
        sa.Column("event_as_of", UTCDateTime(), nullable=True),
        sa.Column("misses", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"],
            ["account.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("order_id"),
    )
    op.create_index(op.f("ix_port_order_account_id"), "port_order", ["account_id"], unique=False)
    op.create_index(op.f("ix_port_order_confirmed_foc_on"), "port_order", ["confirmed_foc_on"], unique=False)
    op.create_index(
        op.f("ix_port_order_customer_reference"), "port_order", ["customer_reference"], unique=False
    )
    op.create_index(op.f("ix_port_order_group_key"), "port_order", ["group_key"], unique=False)
    op.create_index(op.f("ix_port_order_last_seq"), "port_order", ["last_seq"], unique=False)
    op.create_index(
        op.f("ix_port_order_provider_order_id"), "port_order", ["provider_order_id"], unique=False
    )
    op.create_index(op.f("ix_port_order_state"), "port_order", ["state"], unique=False)
    op.create_index(op.f("ix_port_order_support_key"), "port_order", ["support_key"], unique=False)
    op.create_index(op.f("ix_port_order_waiting_on"), "port_order", ["waiting_on"], unique=False)
    _index_where("ix_port_order_missed", "port_order", "misses = 1", "account_id")
    op.create_table(
        "quarantine",
        sa.Column("account_id", sa.Integer(), nullable=False),
        sa.Column("feed", AutoString(), nullable=False),
        sa.Column("ref", AutoString(), nullable=False),
        sa.Column("error", AutoString(), nullable=False),
        sa.Column("first_seen_at", UTCDateTime(), nullable=False),
        sa.Column("last_seen_at", UTCDateTime(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("resolved_at", UTCDateTime(), nullable=True),
        sa.ForeignKeyConstraint(
            ["account_id"],
            ["account.id"],
        ),
        sa.PrimaryKeyConstraint("account_id", "feed", "ref"),
    )
    _index_where("ix_quarantine_open", "quarantine", "resolved_at is null", "ref")
    op.create_table(
        "wanted",
        sa.Column("account_id", sa.Integer(), nullable=False),
        sa.Column("kind", AutoString(), nullable=False),
        sa.Column("ref", AutoString(), nullable=False),
        sa.Column("since", UTCDateTime(), nullable=False),
        sa.Column("wanted_at", UTCDateTime(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("not_before", UTCDateTime(), nullable=True),
        sa.ForeignKeyConstraint(
            ["account_id"],
            ["account.id"],
        ),
        sa.PrimaryKeyConstraint("account_id", "kind", "ref"),
    )
    op.create_table(
        "change",
        sa.Column("seq", BIG, autoincrement=False, nullable=False),
        sa.Column("batch", sa.BigInteger(), nullable=False),
        sa.Column("fact_id", sa.BigInteger(), nullable=False),
        sa.Column("replay", sa.BigInteger(), nullable=False),
        sa.Column("order_pk", sa.Integer(), nullable=False),
        sa.Column("number_key", AutoString(), nullable=False),
        sa.Column("kind", AutoString(), nullable=False),
        sa.Column("field", AutoString(), nullable=False),
        sa.Column("old_value", sa.Text(), nullable=True),
        sa.Column("new_value", sa.Text(), nullable=True),
        sa.Column("occurred_at", UTCDateTime(), nullable=True),
        sa.Column("observed_at", UTCDateTime(), nullable=False),
        sa.Column("not_before", UTCDateTime(), nullable=True),
        sa.Column("late", sa.Boolean(), nullable=False),
        sa.Column("regression", sa.Boolean(), nullable=False),
        sa.Column("unexpected", sa.Boolean(), nullable=False),
        sa.Column("initial", sa.Boolean(), nullable=False),
        sa.Column("source", AutoString(), nullable=False),
        sa.Column("provider_event_id", AutoString(), nullable=True),
        sa.ForeignKeyConstraint(
            ["order_pk"],
            ["port_order.id"],
        ),
        sa.PrimaryKeyConstraint("seq"),
        sa.UniqueConstraint("fact_id", "kind", "number_key", "field", "replay"),
    )
    op.create_index(op.f("ix_change_observed_at"), "change", ["observed_at"], unique=False)
    op.create_index(op.f("ix_change_order_pk"), "change", ["order_pk"], unique=False)
    _index_where("ix_change_number", "change", "number_key <> ''")
    _index_where("ix_change_moved", "change", "kind = 'number_moved'", "old_value")
    op.create_table(
        "comment",
        sa.Column("order_pk", sa.Integer(), nullable=False),
        sa.Column("comment_id", AutoString(), nullable=False),
        sa.Column("author_type", AutoString(), nullable=False),
        sa.Column("body", sa.Text(), nullable=True),
        sa.Column("occurred_at", UTCDateTime(), nullable=True),
        sa.Column("observed_at", UTCDateTime(), nullable=False),
        sa.Column("last_seq", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["order_pk"],
            ["port_order.id"],
        ),
        sa.PrimaryKeyConstraint("order_pk", "comment_id"),
    )
    op.create_index(op.f("ix_comment_last_seq"), "comment", ["last_seq"], unique=False)
    op.create_table(
        "document",
        sa.Column("order_pk", sa.Integer(), nullable=False),
        sa.Column("hash", AutoString(), nullable=False),
        sa.Column("read_at", UTCDateTime(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["order_pk"],
            ["port_order.id"],
        ),
        sa.PrimaryKeyConstraint("order_pk", "hash"),
    )
    op.create_table(
        "event",
        sa.Column("id", BIG, autoincrement=False, nullable=False),
        sa.Column("account_id", sa.Integer(), nullable=False),
        sa.Column("feed", AutoString(), nullable=False),
        sa.Column("provider_event_id", AutoString(), nullable=False),
        sa.Column("order_pk", sa.Integer(), nullable=False),
        sa.Column("number_key", AutoString(), nullable=True),
        sa.Column("event_type", AutoString(), nullable=False),
        sa.Column("occurred_at", UTCDateTime(), nullable=False),
        sa.Column("first_seen_at", UTCDateTime(), nullable=False),
        sa.Column("late", sa.Boolean(), nullable=False),
        sa.Column("raw_from", AutoString(), nullable=True),
        sa.Column("raw_to", AutoString(), nullable=True),
        sa.Column("payload_complete", sa.Boolean(), nullable=False),
        sa.Column("payload", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["account_id"],
            ["account.id"],
        ),
        sa.ForeignKeyConstraint(
            ["order_pk"],
            ["port_order.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("provider_event_id", "feed", "account_id"),
    )
    op.create_index(op.f("ix_event_occurred_at"), "event", ["occurred_at"], unique=False)
    op.create_index("ix_event_order", "event", ["order_pk", "occurred_at"], unique=False)
    _index_where("ix_event_number", "event", "number_key is not null")
    op.create_table(
        "fact",
        sa.Column("id", BIG, autoincrement=False, nullable=False),
        sa.Column("account_id", sa.Integer(), nullable=False),
        sa.Column("order_pk", sa.Integer(), nullable=False),
        sa.Column("source", AutoString(), nullable=False),
        sa.Column("source_id", AutoString(), nullable=False),
        sa.Column("part", AutoString(), nullable=False),
        sa.Column("as_of", UTCDateTime(), nullable=False),
        sa.Column("read_at", UTCDateTime(), nullable=False),
        sa.Column("document", AutoString(), nullable=True),
        sa.Column("said", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"],
            ["account.id"],
        ),
        sa.ForeignKeyConstraint(
            ["order_pk"],
            ["port_order.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("source_id", "source", "account_id"),
    )
    op.create_index(op.f("ix_fact_order_pk"), "fact", ["order_pk"], unique=False)
    op.create_table(
        "port_number",
        sa.Column("order_pk", sa.Integer(), nullable=False),
        sa.Column("number_key", AutoString(), nullable=False),
        sa.Column("e164", AutoString(), nullable=True),
        sa.Column("raw_number", AutoString(), nullable=False),
        sa.Column("state", AutoString(), nullable=False),
        sa.Column("raw_status", AutoString(), nullable=True),
        sa.Column("mapping_basis", AutoString(), nullable=False),
        sa.Column("activation_state", AutoString(), nullable=True),
        sa.Column("messaging_state", AutoString(), nullable=True),
        sa.Column("carrier_status_raw", AutoString(), nullable=True),
        sa.Column("state_since", UTCDateTime(), nullable=True),
        sa.Column("added_at", UTCDateTime(), nullable=True),
        sa.Column("ported_at", UTCDateTime(), nullable=True),
        sa.Column("removed_at", UTCDateTime(), nullable=True),
        sa.Column("is_current", sa.Boolean(), nullable=False),
        sa.Column("unsettled_at", UTCDateTime(), nullable=True),
        sa.Column("moved_to", sa.Integer(), nullable=True),
        sa.Column("portability_status", AutoString(), nullable=True),
        sa.Column("requirements_status", AutoString(), nullable=True),
        sa.Column("carrier_status", AutoString(), nullable=True),
        sa.Column("last_seq", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["order_pk"],
            ["port_order.id"],
        ),
        sa.PrimaryKeyConstraint("order_pk", "number_key"),
    )
    op.create_index(op.f("ix_port_number_last_seq"), "port_number", ["last_seq"], unique=False)
    op.create_index(op.f("ix_port_number_number_key"), "port_number", ["number_key"], unique=False)
    _index_where("ix_port_number_unsettled", "port_number", "unsettled_at is not null", "unsettled_at")
    op.create_table(
        "reason",
        sa.Column("order_pk", sa.Integer(), nullable=False),
        sa.Column("number_key", AutoString(), nullable=False),
        sa.Column("code", AutoString(), nullable=False),
        sa.Column("raw_code", AutoString(), nullable=False),
        sa.Column("from_at", UTCDateTime(), nullable=False),
        sa.Column("to_at", UTCDateTime(), nullable=True),
        sa.Column("raw_text", AutoString(), nullable=True),
        sa.Column("waiting_on", AutoString(), nullable=False),
        sa.ForeignKeyConstraint(
            ["order_pk"],
            ["port_order.id"],
        ),
        sa.PrimaryKeyConstraint("order_pk", "number_key", "code", "raw_code", "from_at"),
    )
    op.create_table(
        "unknown_word",
        sa.Column("account_id", sa.Integer(), nullable=False),
        sa.Column("vocabulary", AutoString(), nullable=False),
        sa.Column("word", AutoString(), nullable=False),
        sa.Column("order_pk", sa.Integer(), nullable=False),
        sa.Column("first_seen_at", UTCDateTime(), nullable=False),
        sa.Column("last_seen_at", UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"],
            ["account.id"],
        ),
        sa.ForeignKeyConstraint(
            ["order_pk"],
            ["port_order.id"],
        ),
        sa.PrimaryKeyConstraint("account_id", "vocabulary", "word", "order_pk"),
    )

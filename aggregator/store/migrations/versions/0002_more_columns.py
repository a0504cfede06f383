"""What came after the first schema; not released yet, so whoever changes a table adds the step here.

A column that may not be null gets a default for the rows that are there, and keeps it: the program always
writes the column itself.
"""

import sqlalchemy as sa
from alembic import op
from sqlmodel.sql.sqltypes import AutoString, UTCDateTime

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Each part by itself, in the order in which they came."""
    _orders()
    _reason_texts()


def _orders() -> None:
    for name in ("activation_state", "port_type", "remaining_numbers", "number_type", "pon"):
        op.add_column("port_order", sa.Column(name, AutoString(), nullable=True))
    op.add_column("port_order", sa.Column("fast_port", sa.Boolean(), nullable=True))
    foc: sa.Column[str] = sa.Column("foc_state", AutoString(), nullable=False, server_default="none")
    op.add_column("port_order", foc)
    op.execute(
        "update port_order set foc_state = case when confirmed_foc_on is not null and foc_is_firm then 'firm' "
        "when confirmed_foc_on is not null then 'proposed' when requested_foc_on is not null then 'requested' "
        "else 'none' end"
    )
    op.add_column("port_order", sa.Column("foc_ends_at", UTCDateTime(), nullable=True))
    where = sa.text("parent_order_id is not null")
    op.create_index(
        "ix_port_order_parent",
        "port_order",
        ["parent_order_id"],
        sqlite_where=where,
        postgresql_where=where,
    )
    # Read again with the present rules at the next look, or by `replay`; the clocks at the next start.
    op.execute("update port_order set map_version = '', clock_version = ''")


def _reason_texts() -> None:
    """What a provider says that its reasons mean, and when an account of it was last asked."""
    op.create_table(
        "reason_text",
        sa.Column("provider", AutoString(), nullable=False),
        sa.Column("code", AutoString(), nullable=False),
        sa.Column("text", AutoString(), nullable=False),
        sa.Column("read_at", UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("provider", "code"),
    )

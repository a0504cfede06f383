"""What came after the first schema; not released yet, so whoever changes a table adds the step here.

A column that may not be null gets a default for the rows that are there, and keeps it: the program always
writes the column itself.
"""

import json
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlmodel.sql.sqltypes import AutoString, UTCDateTime

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Each part by itself, in the order in which they came."""
    _orders()
    _reason_texts()
    _silences()
    _answers()


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
    _facts()
    # Read again with the present rules at the next look, or by `replay`; the clocks at the next start.
    op.execute("update port_order set map_version = '', clock_version = ''")


def _facts() -> None:
    """What the kept documents of Telnyx's orders held and no fact told yet, so that a replay finds it: what was
    ordered, and the purchase order number, which only stood in the description."""
    tx = op.get_bind()
    page = sa.text(
        "select f.id, f.said, d.body from fact f join account a on a.id = f.account_id "
        "join document d on d.order_pk = f.order_pk and d.hash = f.document "
        "where a.provider = 'telnyx' and f.part = 'order' and f.id > :after order by f.id limit 1000"
    )
    after = -1
    while rows := tx.execute(page, {"after": after}).all():
        after = rows[-1].id
        told = [(row.id, row.said, _told(json.loads(row.said), json.loads(row.body))) for row in rows]
        news = [{"id": id, "said": said} for id, before, said in told if said != before]
        if news:
            tx.execute(sa.text("update fact set said = :said where id = :id"), news)


def _told(said: dict[str, Any], item: dict[str, Any]) -> str:
    misc, settings = item.get("misc") or {}, item.get("activation_settings") or {}
    places = {
        "port_type": (misc, "type", str),
        "remaining_numbers": (misc, "remaining_numbers_action", str),
        "number_type": (item, "phone_number_type", str),
        "fast_port": (settings, "fast_port_eligible", bool),
    }
    terms = {name: o[key] for name, (o, key, kind) in places.items() if isinstance(o.get(key), kind)}
    if terms:
        said.setdefault("terms", terms)
    if isinstance(item.get("pon"), str) and item["pon"]:
        said.setdefault("references", {}).setdefault("pon", item["pon"])
    return json.dumps(said, ensure_ascii=False, separators=(",", ":"))


def _reason_texts() -> None:
    """What a provider says that its reasons mean, and when it was last asked for an account."""
    op.add_column("account", sa.Column("described_at", UTCDateTime(), nullable=True))
    op.create_table(
        "reason_text",
        sa.Column("account_id", sa.Integer(), nullable=False),
        sa.Column("code", AutoString(), nullable=False),
        sa.Column("text", AutoString(), nullable=False),
        sa.Column("read_at", UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"],
            ["account.id"],
        ),
        sa.PrimaryKeyConstraint("account_id", "code"),
    )


def _silences() -> None:
    """How long a feed has been known to bring nothing; and what is owed for long, found without a walk."""
    op.add_column("feed", sa.Column("longest_quiet_s", sa.BigInteger(), nullable=True))
    op.add_column("feed", sa.Column("list_place", AutoString(), nullable=True))
    owed = sa.text("not payload_complete")
    op.create_index("ix_event_owed", "event", ["first_seen_at"], sqlite_where=owed, postgresql_where=owed)


def _answers() -> None:
    """What a want was answered with that is no whole answer, and how often."""
    op.add_column("wanted", sa.Column("expected", sa.Integer(), nullable=True))
    op.add_column("wanted", sa.Column("answer", AutoString(), nullable=True))
    op.add_column("wanted", sa.Column("answers", sa.Integer(), nullable=False, server_default="0"))

"""Orders that complete lists show no more. Absence is not deletion: an order that two complete lists lacked is asked
for by itself, and only a 404 then makes the tombstone.

Only what differs from the list before is written: the first and the second miss, and the end of a line of misses.
"""

from collections.abc import Set
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, literal_column, select

from aggregator.core.model import Direction, Part
from aggregator.core.states import FINAL_BASES, TERMINAL
from aggregator.store.statements import alter, insert, several, table_of
from aggregator.store.tables import OrderRow, WantRow

MISSES = 2
"""So many complete lists without an order, one after the other, are a reason to ask for it."""
WANT = ("account_id", "kind", "ref")


def missed(
    tx: Connection, account_id: int, direction: Direction, started_at: datetime, seen: Set[str]
) -> tuple[set[str], set[str]]:
    """Count what a complete list lacked; returns the provider's ids of all orders that have been missed often
    enough, and of those among them to ask for now: open ones after every list, for nothing else tells how they
    stand; ended ones once."""
    order = table_of(OrderRow)
    columns = ("id", "provider_order_id", "misses", "last_read_at", "state", "mapping_basis")
    query = select(*(order.c[name] for name in columns)).where(
        order.c.account_id == account_id,
        order.c.direction == direction,
        order.c.deleted_at.is_(None),
        order.c.first_seen_at < started_at,
    )
    counted, absent, ask = [], set(), set()
    for row in tx.execute(query):
        here = row.provider_order_id in seen or (
            row.last_read_at is not None and row.last_read_at >= started_at
        )
        misses = 0 if here else min(row.misses + 1, MISSES)
        if misses != row.misses:
            counted.append({"id": row.id, "misses": misses})
        if misses == MISSES:
            absent.add(row.provider_order_id)
            if row.misses < MISSES or not (row.state in TERMINAL and row.mapping_basis in FINAL_BASES):
                ask.add(row.provider_order_id)
    alter(tx, OrderRow, ("id",), counted, only=("misses",))
    return absent, ask


def is_open(tx: Connection, account_id: int, direction: Direction) -> bool:
    """Whether the last complete list lacked an order that the one before it showed: the next one tells more."""
    order = table_of(OrderRow)
    query = select(order.c.id).where(
        order.c.account_id == account_id,
        order.c.direction == direction,
        order.c.deleted_at.is_(None),
        order.c.misses == literal_column("1"),  # as the index says it
    )
    return tx.execute(query.limit(1)).first() is not None


def asked(tx: Connection, account_id: int, direction: Direction, ids: Set[str]) -> list[dict[str, Any]]:
    """The order wants that there are for these orders."""
    table = table_of(WantRow)
    here = select(table).where(table.c.account_id == account_id, table.c.kind == Part.ORDER)
    return [row._asdict() for row in several(tx, here, table.c.ref, {f"{direction}/{id}" for id in ids})]


def ask(
    tx: Connection,
    account_id: int,
    direction: Direction,
    ids: Set[str],
    kept: list[dict[str, Any]],
    since: datetime,
    at: datetime,
) -> None:
    """Want these orders themselves, and go on wanting what was `kept`, each with its own pause."""
    insert(tx, WantRow, kept, unless_there=WANT)
    fresh = {"account_id": account_id, "kind": Part.ORDER, "since": since, "wanted_at": at}
    rows = [{**fresh, "ref": f"{direction}/{id}", "tries": 0, "not_before": None} for id in sorted(ids)]
    insert(tx, WantRow, rows, unless_there=WANT)

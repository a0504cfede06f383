"""Orders that complete lists show no more. Absence is not deletion: an order that two complete lists lacked is asked
for by itself, and only a 404 then makes the tombstone.

Only what differs from the list before is written: the first and the second miss, and the end of a line of misses.
"""

from collections.abc import Container, Set
from datetime import datetime

from sqlalchemy import Connection, bindparam, literal_column, select

from aggregator.core.model import Direction, Part
from aggregator.core.states import FINAL_BASES, TERMINAL
from aggregator.store.rows import ref_of
from aggregator.store.statements import alter, insert, table_of
from aggregator.store.tables import OrderRow, WantRow

MISSES = 2
"""So many complete lists without an order, one after the other, are a reason to ask for it."""
WANT = ("account_id", "kind", "ref")

_ORDER = table_of(OrderRow)
_THERE = (_ORDER.c.account_id == bindparam("account_id"), _ORDER.c.deleted_at.is_(None))
_COLUMNS = (
    "id",
    "order_id",
    "direction",
    "provider_order_id",
    "misses",
    "last_read_at",
    "state",
    "mapping_basis",
)
_SEEN = select(*(_ORDER.c[name] for name in _COLUMNS)).where(
    *_THERE, _ORDER.c.direction == bindparam("direction"), _ORDER.c.first_seen_at < bindparam("started_at")
)
_ONCE = select(_ORDER.c.direction).distinct().where(*_THERE, _ORDER.c.misses == literal_column("1"))
"""With the index's own words, without which it is not used."""


def missed(
    tx: Connection, account_id: int, direction: Direction, started_at: datetime, seen: Container[str]
) -> set[str]:
    """Count what a complete list lacked; returns the provider's ids of the orders that have been missed often
    enough and are to be asked for now: open ones after every list, for nothing else tells how they stand; ended
    ones once."""
    counted, ask = [], set()
    there = {"account_id": account_id, "direction": direction, "started_at": started_at}
    for row in tx.execute(_SEEN, there):
        id = ref_of(row._asdict()).id
        here = id in seen or (row.last_read_at is not None and row.last_read_at >= started_at)
        misses = 0 if here else min(row.misses + 1, MISSES)
        if misses != row.misses:
            counted.append({"id": row.id, "misses": misses})
        ended = row.state in TERMINAL and row.mapping_basis in FINAL_BASES
        if misses == MISSES and (row.misses < MISSES or not ended):
            ask.add(id)
    alter(tx, OrderRow, ("id",), counted, only=("misses",))
    return ask


def open_in(tx: Connection, account_id: int) -> set[Direction]:
    """The directions of which the last complete list lacked an order that the one before it showed: the next one
    tells more."""
    return {Direction(row.direction) for row in tx.execute(_ONCE, {"account_id": account_id})}


def ask(
    tx: Connection, account_id: int, direction: Direction, ids: Set[str], since: datetime, at: datetime
) -> None:
    """Want these orders themselves, unless they are wanted already."""
    fresh = {"account_id": account_id, "kind": Part.ORDER, "since": since, "wanted_at": at, "answers": 0}
    rows = [{**fresh, "ref": f"{direction}/{id}", "tries": 0, "not_before": None} for id in sorted(ids)]
    insert(tx, WantRow, rows, unless_there=WANT)

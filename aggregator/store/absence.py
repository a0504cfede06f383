"""Orders that complete lists show no more. Absence is not deletion: an order that two complete lists lacked is asked
for by itself, and only a 404 then makes the tombstone.

Only what differs from the list before is written: the first and the second miss, and the end of a line of misses.
"""

from collections.abc import Set
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, literal_column, select

from aggregator.core.model import Direction, Part
from aggregator.core.states import FINAL_BASES, TERMINAL
from aggregator.store.statements import alter, insert, several, table_of
from aggregator.store.tables import OrderRow, WantRow

MISSES = 2
"""So many complete lists without an order, one after the other, are a reason to ask for it."""
WANT = ("account_id", "kind", "ref")

_ORDER, _WANT = table_of(OrderRow), table_of(WantRow)
_THERE = (_ORDER.c.account_id == bindparam("account_id"), _ORDER.c.deleted_at.is_(None))
_COLUMNS = ("id", "provider_order_id", "misses", "last_read_at", "state", "mapping_basis")
_SEEN = select(*(_ORDER.c[name] for name in _COLUMNS)).where(
    *_THERE, _ORDER.c.direction == bindparam("direction"), _ORDER.c.first_seen_at < bindparam("started_at")
)
_ONCE = select(_ORDER.c.direction).distinct().where(*_THERE, _ORDER.c.misses == literal_column("1"))
"""With the index's own words, without which it is not used."""
_ASKED = select(_WANT).where(_WANT.c.account_id == bindparam("account_id"), _WANT.c.kind == Part.ORDER)


def missed(
    tx: Connection, account_id: int, direction: Direction, started_at: datetime, seen: Set[str]
) -> tuple[set[str], set[str]]:
    """Count what a complete list lacked; returns the provider's ids of all orders that have been missed often
    enough, and of those among them to ask for now: open ones after every list, for nothing else tells how they
    stand; ended ones once."""
    counted, absent, ask = [], set(), set()
    there = {"account_id": account_id, "direction": direction, "started_at": started_at}
    for row in tx.execute(_SEEN, there):
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


def open_in(tx: Connection, account_id: int) -> set[Direction]:
    """The directions of which the last complete list lacked an order that the one before it showed: the next one
    tells more."""
    return {Direction(row.direction) for row in tx.execute(_ONCE, {"account_id": account_id})}


def asked(tx: Connection, account_id: int, direction: Direction, ids: Set[str]) -> list[dict[str, Any]]:
    """The order wants that there are for these orders."""
    refs = {f"{direction}/{id}" for id in ids}
    return [row._asdict() for row in several(tx, _ASKED, _WANT.c.ref, refs, account_id=account_id)]


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

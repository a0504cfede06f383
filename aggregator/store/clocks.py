"""The columns that follow from the providers' clocks: written with their order, and anew for every order of
an account whose clocks are others than they were."""

from collections.abc import Iterable, Mapping
from dataclasses import fields
from itertools import islice
from typing import Any

from sqlalchemy import Connection, select

from aggregator.core.account import Account
from aggregator.core.clocks import Clocks, clocks, version
from aggregator.core.model import Direction
from aggregator.core.standing import Order
from aggregator.store.rows import order_of
from aggregator.store.statements import alter, table_of
from aggregator.store.tables import OrderRow

SAID = tuple(column.name for column in fields(Clocks))
COLUMNS = (*SAID, "clock_version")
PORTION = 2_000  # orders in memory at a time


def clocked(rows: Iterable[tuple[Mapping[str, Any], Order]], account: Account) -> list[dict[str, Any]]:
    """Rows of orders with what their clocks say."""
    now = version(account)
    written = []
    for row, order in rows:
        said = clocks(order, Direction(row["direction"]), account)
        written.append({**row, **{name: getattr(said, name) for name in SAID}, "clock_version": now})
    return written


def wind(tx: Connection, account: Account, account_id: int) -> None:
    """Write those columns again for the orders that were last written with other clocks."""
    table = table_of(OrderRow)
    here = (table.c.account_id == account_id, table.c.clock_version != version(account))
    ids = iter(tx.execute(select(table.c.id).where(*here)).scalars().all())
    while some := list(islice(ids, PORTION)):
        found = [row._asdict() for row in tx.execute(select(table).where(table.c.id.in_(some)))]
        rows = clocked(((row, order_of(row)) for row in found), account)
        alter(
            tx, OrderRow, ("id",), [{name: row[name] for name in ("id", *COLUMNS)} for row in rows], COLUMNS
        )

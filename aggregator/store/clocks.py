"""The columns that follow from the providers' clocks: written with their order, and anew for every order of
an account whose clocks are others than they were."""

from collections.abc import Iterable, Iterator
from dataclasses import fields
from itertools import islice
from operator import attrgetter
from typing import Any

from sqlalchemy import Connection, select

from aggregator.core.account import Account
from aggregator.core.clocks import Clocks, clocks, version
from aggregator.core.model import Direction
from aggregator.core.standing import Order
from aggregator.store.rows import CLOCKED, order_of
from aggregator.store.statements import alter, table_of
from aggregator.store.tables import OrderRow

_said = attrgetter(*(column.name for column in fields(Clocks)))
PORTION = 2_000  # orders in memory at a time


def clocked(orders: Iterable[tuple[Direction, Order]], account: Account) -> Iterator[tuple[Any, ...]]:
    """What their clocks say of these orders: the columns in `CLOCKED`."""
    now = version(account)
    for direction, order in orders:
        yield (*_said(clocks(order, direction, account)), now)


def wind(tx: Connection, account: Account, account_id: int) -> None:
    """Write those columns again for the orders that were last written with other clocks."""
    table = table_of(OrderRow)
    here = (table.c.account_id == account_id, table.c.clock_version != version(account))
    ids = iter(tx.execute(select(table.c.id).where(*here)).scalars().all())
    while some := list(islice(ids, PORTION)):
        found = [row._asdict() for row in tx.execute(select(table).where(table.c.id.in_(some)))]
        said = clocked(((Direction(row["direction"]), order_of(row)) for row in found), account)
        rows = [(row["id"], *columns) for row, columns in zip(found, said, strict=True)]
        alter(tx, OrderRow, ("id",), rows, CLOCKED, ("id", *CLOCKED))

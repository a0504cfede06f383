"""Orders as the last slices left them, so that the next one need not read and fold all their facts again.

What is remembered is good exactly as long as the database holds the facts it was folded from, which it is asked
each time: as many, and the same newest one. So nobody has to say when something was forgotten or done by others.
"""

from collections.abc import Iterable, Mapping
from threading import Lock
from typing import NamedTuple

from sqlalchemy import Connection, func, select

from aggregator.core.standing import Standing
from aggregator.store.statements import several, table_of
from aggregator.store.tables import FactRow

MOST = 2_000  # orders
LARGEST = 50  # numbers of an order: a longer list is seldom told of, and takes much memory

_FACT = table_of(FactRow)
_COUNTED = select(
    _FACT.c.order_pk, func.count().label("facts"), func.max(_FACT.c.id).label("newest")
).group_by(_FACT.c.order_pk)


class Kept(NamedTuple):
    """An order's standing, with how many facts it was folded from, the newest of them, and what the words were."""

    standing: Standing
    facts: int
    newest: int
    version: object


class Remembered:
    """The standings of the orders that were recorded last, by their rows' ids, for every account of a store."""

    def __init__(self) -> None:
        self._kept: dict[int, Kept] = {}
        self._lock = Lock()

    def keep(self, orders: Mapping[int, Kept]) -> None:
        """Remember orders as a transaction that was committed left them; the oldest are forgotten."""
        with self._lock:
            for pk, kept in orders.items():
                self._kept.pop(pk, None)
                if len(kept.standing.numbers) <= LARGEST:
                    self._kept[pk] = kept
            for pk in list(self._kept)[: max(0, len(self._kept) - MOST)]:
                del self._kept[pk]

    def known(self, tx: Connection, orders: Iterable[int], version: object) -> dict[int, Kept]:
        """Those of these orders that are remembered as the database has them now."""
        with self._lock:
            here = {pk: kept for pk in orders if (kept := self._kept.get(pk)) and kept.version == version}
        return {
            row.order_pk: here[row.order_pk]
            for row in several(tx, _COUNTED, _FACT.c.order_pk, here)
            if here[row.order_pk][1:3] == (row.facts, row.newest)
        }

"""A store for tests, facts as an adapter hands them over, and everything a database holds, to compare."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from made import NOW, account, hour
from sqlalchemy import select
from sqlmodel import SQLModel

from aggregator.core.account import Account
from aggregator.core.findings import Backfill, Findings, Progress, Recorded
from aggregator.core.model import (
    Announced,
    Direction,
    Fact,
    NumberSaid,
    OrderRef,
    Part,
    ReasonSaid,
    Source,
    Status,
    Want,
    Whole,
)
from aggregator.store import Store, open_store
from aggregator.store.queries import Reader, open_reader
from aggregator.store.store import Lease

FEED = "porting_events"
NUMBER = "+13035550123"
FOR_EACH_PROCESS = ("lease", "feed")
"""Tables that tell how the polling goes, not what was learned."""


def event(
    hours: float,
    status: str | None = None,
    *codes: str,
    order: str = "order-1",
    key: str | None = None,
    feed: str = FEED,
    read: float | None = None,
    direction: Direction = Direction.PORT_IN,
    **said: Any,
) -> Fact:
    """What a provider announced at that hour; without anything, an event whose payload is still owed."""
    key = key or f"{order}@{hours}"
    complete = status is not None or bool(said)
    payload = json.dumps({"status": status}) if complete else None
    return Fact(
        order=OrderRef(direction, order),
        source=Source.EVENT,
        source_id=f"{feed}/{key}",
        as_of=hour(hours),
        read_at=hour(hours if read is None else read),
        announced=Announced(feed, key, "porting_order.status_changed", payload, complete, raw_to=status),
        status=Status(status, tuple(map(ReasonSaid, codes))) if status else None,
        **said,
    )


def look(
    hours: float,
    status: str = "submitted",
    *numbers: str,
    order: str = "order-1",
    as_of: float | None = None,
    part: Part = Part.ORDER,
    direction: Direction = Direction.PORT_IN,
    **said: Any,
) -> Fact:
    """An order as we read it at that hour, last changed at `as_of`."""
    at = hour(hours)
    return Fact(
        order=OrderRef(direction, order),
        source=Source.SNAPSHOT,
        source_id=f"{part}:{direction}/{order}@{at.isoformat()}",
        as_of=at if as_of is None else hour(as_of),
        read_at=at,
        part=part,
        document=json.dumps([status, numbers]),
        looked_at=at,
        status=Status(status),
        numbers=Whole(tuple(map(NumberSaid, numbers))) if numbers else None,
        deleted=said.pop("deleted", False),
        **said,
    )


def wants(fact: Fact, part: Part = Part.ORDER) -> Want:
    """What an event makes us ask: for its order, or for the payload it still owes."""
    said = fact.announced
    if part is Part.EVENT:
        assert said is not None
        return Want(part, said.key, feed=said.feed, since=fact.as_of, because=fact.source_id)
    return Want(part, fact.order.id, fact.order.direction, since=fact.as_of, because=fact.source_id)


@dataclass
class Desk:
    """One account of a store, held by us."""

    store: Store
    account: Account
    lease: Lease

    def record(
        self,
        *facts: Fact,
        feed: str = FEED,
        at: datetime = NOW,
        cursor: datetime | None = None,
        complete: bool | None = None,
        progress: Progress | None = None,
        backfill: Backfill | None = None,
        **said: Any,
    ) -> Recorded:
        """Record a slice; with `cursor` or `complete` it is the last one of a sweep."""
        if cursor is not None or complete is not None:
            progress = Progress(feed, "complete", at, complete is not False, cursor)
        findings = Findings(feed, at, facts, **said)
        return self.store.record(self.account, self.lease, findings, progress, backfill=backfill)

    def rows(self, query: str, **values: object) -> list[dict[str, Any]]:
        """What a query of the database gives, as the views show it."""
        reader = Reader(self.store.engine)
        return list(reader.query(query, values))

    def one(self, query: str, **values: object) -> Any:
        """The one row, or the one value of the one row."""
        (row,) = self.rows(query, **values)
        return row if len(row) > 1 else next(iter(row.values()))

    def steps(self, field: str = "state") -> list[tuple[str | None, str | None]]:
        """Every change of a column of the orders, oldest first."""
        query = "select old_value, new_value from v1_changes where field = :field order by seq"
        return [(row["old_value"], row["new_value"]) for row in self.rows(query, field=field)]

    def everything(self, *but: str) -> dict[str, list[Any]]:
        """All that the database holds, table by table."""
        found = {}
        with self.store.engine.connect() as connection:
            for name, table in SQLModel.metadata.tables.items():
                if name not in but:
                    found[name] = sorted(map(tuple, connection.execute(select(table))), key=str)
        return found

    def again(self) -> "Desk":
        """The same account through another store of ours."""
        store = open_store(_url(self.store), _schema(self.store))
        lease = store.take(self.account.name, NOW)
        assert lease is not None
        return replace(self, store=store, lease=lease)

    def reader(self) -> Reader:
        """The views, for who may only read."""
        return open_reader(_url(self.store), _schema(self.store))


def _url(store: Store) -> str:
    url = store.engine.url
    return url.set(drivername=url.get_backend_name()).render_as_string(hide_password=False)


def _schema(store: Store) -> str:
    return str(store.engine.get_execution_options().get("schema_name", "porting"))


@contextmanager
def desk(url: str, one: Account | None = None) -> Iterator[Desk]:
    """A store with one account, held by us."""
    one = one or account(name="acme")
    store = open_store(url)
    try:
        store.sync([one], timedelta(days=14), NOW)
        lease = store.take(one.name, NOW)
        assert lease is not None
        yield Desk(store, one, lease)
    finally:
        store.close()

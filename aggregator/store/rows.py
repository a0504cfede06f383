"""Values → rows, and the statements that write them as lists (executemany, the quick way on both databases)."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from hashlib import blake2b
from typing import Any

from sqlalchemy import Column, Connection, Row, Select, Update, bindparam, func, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import SQLModel

from aggregator.core.model import Fact, OrderRef
from aggregator.core.standing import NUMBER_FIELDS, ORDER_FIELDS, Held, Number, Order
from aggregator.store.tables import EventRow, OrderRow

CHUNK = 500
INSERT: dict[str, Any] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}
FILLS = (
    "account_id",
    "feed",
    "provider_event_id",
    "late",
    "raw_from",
    "raw_to",
    "payload_complete",
    "payload",
)
_ORDER_COLUMNS = tuple(column.name for column in OrderRow.__table__.columns)  # type: ignore[attr-defined]


@dataclass(slots=True)
class Rows:
    """What one transaction is going to write."""

    facts: list[dict[str, Any]] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    changes: list[dict[str, Any]] = field(default_factory=list)
    comments: list[dict[str, Any]] = field(default_factory=list)
    words: list[dict[str, Any]] = field(default_factory=list)
    documents: dict[str, str] = field(default_factory=dict)
    numbers: dict[tuple[int, str], int] = field(default_factory=dict)
    orders: set[str] = field(default_factory=set)
    reasons: set[str] = field(default_factory=set)
    filled: set[str] = field(default_factory=set)


# --- values as rows -------------------------------------------------------------------------------------


def order_id(account: str, ref: OrderRef) -> str:
    """The stable text id of an order: account/direction/provider's id."""
    return f"{account}/{ref.direction}/{ref.id}"


def digest(document: str) -> str:
    """The hash of a kept document; never of raw bytes, which may hold what a hash would give away."""
    return blake2b(document.encode(), digest_size=16).hexdigest()


def order_row(row: Mapping[str, Any], order: Order) -> dict[str, Any]:
    """A row of `port_order` from our bookkeeping and the order's columns."""
    said = {name: getattr(order, name) for name in ORDER_FIELDS}
    said["reasons"] = json.dumps(order.reasons)
    return {name: said[name] if name in said else row.get(name) for name in _ORDER_COLUMNS}


def order_of(row: Mapping[str, Any]) -> Order:
    """The order's columns again from its row."""
    said = {column.name: row[column.name] for column in fields(Order)}
    said["reasons"] = tuple(json.loads(said["reasons"]))
    return Order(**said)


def number_row(order_pk: int, key: str, number: Number, seq: int) -> dict[str, Any]:
    """A row of `port_number`."""
    said = {name: getattr(number, name) for name in NUMBER_FIELDS}
    return {"order_pk": order_pk, "number_key": key, "last_seq": seq, **said}


def reason_row(order_pk: int, held: Held) -> dict[str, Any]:
    """A row of `reason`."""
    return {
        "order_pk": order_pk,
        "number_key": held.number_key,
        "code": held.code,
        "raw_code": held.raw_code,
        "from_at": held.since,
        "to_at": held.until,
        "raw_text": held.raw_text,
        "waiting_on": held.waiting_on,
    }


def comment_row(fact: Fact, order_pk: int, seq: int) -> dict[str, Any]:
    """A row of `comment`."""
    comment = fact.comment
    assert comment is not None
    return {
        "order_pk": order_pk,
        "comment_id": comment.id,
        "author_type": comment.author_type,
        "body": comment.body,
        "occurred_at": comment.at or fact.as_of,
        "observed_at": fact.read_at,
        "last_seq": seq,
    }


# --- statements -----------------------------------------------------------------------------------------


def insert(
    tx: Connection, model: type[SQLModel], rows: Sequence[Mapping[str, Any]], ignore: Sequence[str] = ()
) -> None:
    """Insert rows; with `ignore`, those whose key is there already are left as they are."""
    if rows:
        statement = INSERT[tx.dialect.name](_table(model))
        tx.execute(statement.on_conflict_do_nothing(index_elements=ignore) if ignore else statement, rows)


def upsert(
    tx: Connection,
    model: type[SQLModel],
    keys: Sequence[str],
    rows: Sequence[Mapping[str, Any]],
    only: Sequence[str] = (),
    keep_if_null: Sequence[str] = (),
) -> None:
    """Insert rows or update those that are there (`only` these columns, where given)."""
    if not rows:
        return
    table = _table(model)
    statement = INSERT[tx.dialect.name](table)
    changed: dict[str, Any] = {}
    for column in table.columns:
        if column.name in keys or (only and column.name not in only):
            continue
        new: Any = statement.excluded[column.name]
        changed[column.name] = func.coalesce(new, column) if column.name in keep_if_null else new
    tx.execute(statement.on_conflict_do_update(index_elements=keys, set_=changed), rows)


def fill_event() -> Update:
    """The update that gives an event the payload the provider still owed."""
    table = _table(EventRow)
    statement = update(table)
    for name in FILLS[:3]:
        statement = statement.where(table.c[name] == bindparam(f"b_{name}"))
    return statement.values({name: bindparam(f"b_{name}") for name in FILLS[3:]})


def several(
    tx: Connection, statement: Select[Any], column: Column[Any], values: Iterable[Any]
) -> Iterator[Row[Any]]:
    """The rows whose column is one of many values, asked in chunks."""
    for chunk in chunks(sorted(values)):
        yield from tx.execute(statement.where(column.in_(chunk)))


def chunks(values: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """A sequence in pieces of at most `CHUNK`."""
    return (values[at : at + CHUNK] for at in range(0, len(values), CHUNK))


def _table(model: type[SQLModel]) -> Any:
    return model.__table__  # type: ignore[attr-defined]

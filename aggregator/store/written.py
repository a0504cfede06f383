"""The rows of one transaction, written down: a list for each table."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, bindparam, select

from aggregator.core.account import Account
from aggregator.core.standing import Standing
from aggregator.store.clocks import clocked
from aggregator.store.rows import (
    CHANGE,
    EVENT_KEY,
    FILLS,
    FURTHER,
    MOST_WORDS,
    OFTEN,
    ORDER,
    SELDOM,
    Rows,
    number_row,
    order_row,
    reason_row,
)
from aggregator.store.statements import alter, insert, remove, table_of, upsert
from aggregator.store.tables import (
    ChangeRow,
    CommentRow,
    DocumentRow,
    EventRow,
    FactRow,
    NumberRow,
    OrderRow,
    ReasonRow,
    UnknownWordRow,
)

COMMENT = ("author_type", "body", "occurred_at", "last_seq")
WORD = ("account_id", "vocabulary", "word", "order_pk")
_WORD = table_of(UnknownWordRow)
_NOTED = (
    select(_WORD.c.word)
    .distinct()
    .where(_WORD.c.account_id == bindparam("account_id"), _WORD.c.vocabulary == bindparam("vocabulary"))
)


def write(
    tx: Connection,
    account: Account,
    rows: Rows,
    orders: Mapping[str, Mapping[str, Any]],
    standings: Mapping[str, Standing],
) -> None:
    """Write what a transaction gathered about these orders, by name, as they stand after it."""
    _write_orders(tx, account, rows, orders, standings)
    documents = [
        {"order_pk": pk, "hash": hash, "read_at": read_at, "body": body}
        for (pk, hash), (body, read_at) in rows.documents.items()
    ]
    upsert(tx, DocumentRow, ("order_pk", "hash"), documents, only=("read_at",))
    insert(tx, FactRow, rows.facts)
    insert(tx, EventRow, [*rows.events.values()])
    alter(tx, EventRow, EVENT_KEY, rows.filled, FILLS)
    insert(tx, ChangeRow, rows.changes, CHANGE)
    keys = {orders[name]["id"]: standings[name].numbers for name in rows.orders}
    numbers = [number_row(pk, key, keys[pk][key], seq) for (pk, key), seq in rows.numbers.items()]
    upsert(tx, NumberRow, ("order_pk", "number_key"), numbers)
    reasons = sorted(rows.reasons)
    remove(tx, ReasonRow, ("order_pk",), [{"order_pk": orders[name]["id"]} for name in reasons])
    held = [(orders[name]["id"], reason) for name in reasons for reason in standings[name].reasons]
    insert(tx, ReasonRow, [reason_row(pk, reason) for pk, reason in held])
    key = ("order_pk", "comment_id")
    upsert(tx, CommentRow, key, rows.comments, only=COMMENT, keep_if_null=("body",))
    remove(tx, UnknownWordRow, WORD, rows.known)
    upsert(tx, UnknownWordRow, WORD, _few(tx, rows.words), only=("last_seen_at",))


def _few(tx: Connection, words: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """So many words that nobody knows are noted of each account and list of words; all further ones count as one."""
    noted: dict[tuple[int, str], set[str]] = {}
    kept: dict[tuple[Any, ...], dict[str, Any]] = {}
    for row in words:
        table = (row["account_id"], row["vocabulary"])
        if table not in noted:
            noted[table] = {
                word for (word,) in tx.execute(_NOTED, {"account_id": table[0], "vocabulary": table[1]})
            }
        if row["word"] not in noted[table]:
            if len(noted[table] - {FURTHER}) < MOST_WORDS:
                noted[table].add(row["word"])
            else:
                row = {**row, "word": FURTHER}
        kept[tuple(row[name] for name in WORD)] = row
    return [*kept.values()]


def _write_orders(
    tx: Connection,
    account: Account,
    rows: Rows,
    orders: Mapping[str, Mapping[str, Any]],
    standings: Mapping[str, Standing],
) -> None:
    names = sorted(rows.orders)
    said = clocked(((standings[name].ref.direction, standings[name].order) for name in names), account)
    lines = {
        name: order_row(orders[name], standings[name].order, columns)
        for name, columns in zip(names, said, strict=True)
    }
    insert(tx, OrderRow, [line for name, line in lines.items() if name in rows.born], ORDER)
    known = [(orders[name], line) for name, line in lines.items() if name not in rows.born]
    alter(tx, OrderRow, ("id",), [line for _, line in known], OFTEN, ORDER)
    for column in SELDOM:
        place = ORDER.index(column)
        changed = [line for row, line in known if line[place] != row[column]]
        alter(tx, OrderRow, ("id",), changed, (column,), ORDER)

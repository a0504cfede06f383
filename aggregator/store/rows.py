"""Values → rows, and back."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from functools import lru_cache
from hashlib import blake2b
from typing import Any

from aggregator.core.clocks import Clocks
from aggregator.core.model import Direction, Fact, OrderRef
from aggregator.core.normalise import number as number_key
from aggregator.core.standing import NUMBER_FIELDS, ORDER_FIELDS, Held, Number, Order
from aggregator.store.facts import encoded
from aggregator.store.statements import table_of
from aggregator.store.tables import OrderRow

EVENT_KEY = ("provider_event_id", "feed", "account_id")
FILLS = ("late", "raw_from", "raw_to", "payload_complete", "payload")
CHANGE = (
    *("batch", "fact_id", "replay", "order_pk", "observed_at", "not_before", "initial", "source"),
    *("provider_event_id", "seq", "kind", "field", "old_value", "new_value", "number_key", "occurred_at"),
    *("late", "regression", "unexpected"),
)
"""The columns of `change`: what is alike in all that a fact taught, the place in the feed, the `Change` itself."""
FURTHER = "…"
"""Stands for all words that nobody knows beyond the first `MOST_WORDS` of an account's list of words."""
MOST_WORDS = 1_000
CLOCKED = (*(column.name for column in fields(Clocks)), "clock_version")
_BOOKKEEPING = tuple(
    sorted({column.name for column in table_of(OrderRow).columns} - {*ORDER_FIELDS, *CLOCKED})
)
ORDER = (*_BOOKKEEPING, *ORDER_FIELDS, *CLOCKED)
"""The columns of `port_order`: our bookkeeping, what follows from the facts, what the clocks say."""
SETTLED = frozenset({"id", "account_id", "order_id", "direction", "provider_order_id", "first_seen_at"})
"""Those that never change."""
SELDOM = ("customer_reference", "support_key", "group_key", "confirmed_foc_on")
"""Those with an index that seldom change. To write such a column again costs as much as a row."""
OFTEN = tuple(name for name in ORDER if name not in SETTLED and name not in SELDOM)

_as_json = lru_cache(maxsize=4_096)(json.dumps)


@dataclass(slots=True)
class Rows:
    """What one transaction is going to write."""

    facts: list[dict[str, Any]] = field(default_factory=list)
    events: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    filled: list[dict[str, Any]] = field(default_factory=list)
    changes: list[tuple[Any, ...]] = field(default_factory=list)
    comments: list[dict[str, Any]] = field(default_factory=list)
    words: list[dict[str, Any]] = field(default_factory=list)
    known: list[dict[str, Any]] = field(default_factory=list)
    documents: dict[tuple[int, str], tuple[str, datetime]] = field(default_factory=dict)
    numbers: dict[tuple[int, str], int] = field(default_factory=dict)
    orders: set[str] = field(default_factory=set)
    reasons: set[str] = field(default_factory=set)
    born: set[str] = field(default_factory=set)


# --- values as rows -------------------------------------------------------------------------------------


def order_id(account: str, ref: OrderRef) -> str:
    """The stable text id of an order: account/direction/provider's id."""
    return f"{account}/{ref.direction}/{ref.id}"


def ref_of(row: Mapping[str, Any]) -> OrderRef:
    """The order that a row is about, by the id under which it is known."""
    return OrderRef(Direction(row["direction"]), row["order_id"].split("/", 2)[2], row["provider_order_id"])


def digest(document: str) -> str:
    """The hash of a kept document; never of raw bytes, which may hold what a hash would give away."""
    return blake2b(document.encode(), digest_size=16).hexdigest()


def order_row(row: Mapping[str, Any], order: Order, clocked: tuple[Any, ...]) -> tuple[Any, ...]:
    """A row of `port_order`, by the columns in `ORDER`."""
    told = order._replace(reasons=_as_json(order.reasons))  # type: ignore[arg-type]
    return (*map(row.get, _BOOKKEEPING), *told, *clocked)


def order_of(row: Mapping[str, Any]) -> Order:
    """The order's columns again from its row."""
    said = {name: row[name] for name in ORDER_FIELDS}
    said["reasons"] = tuple(json.loads(said["reasons"]))
    return Order(**said)


def number_row(order_pk: int, key: str, number: Number, seq: int) -> dict[str, Any]:
    """A row of `port_number`."""
    said = {name: getattr(number, name) for name in NUMBER_FIELDS}
    return {"order_pk": order_pk, "number_key": key, "last_seq": seq, **said}


def number_of(row: Mapping[str, Any], own: bool) -> Number:
    """A number's columns again from its row."""
    return Number(**{name: row[name] for name in NUMBER_FIELDS}, own=own)


def event_row(fact: Fact, account_id: int, order_pk: int, region: str, late: bool) -> dict[str, Any]:
    """A row of `event`, as yet without an id."""
    said = fact.announced
    assert said is not None
    return {
        "account_id": account_id,
        "feed": said.feed,
        "provider_event_id": said.key,
        "order_pk": order_pk,
        "number_key": number_key(said.number, region)[0] if said.number else None,
        "event_type": said.type,
        "occurred_at": fact.as_of,
        "first_seen_at": fact.read_at,
        "late": late,
        "raw_from": said.raw_from,
        "raw_to": said.raw_to,
        "payload_complete": said.complete,
        "payload": said.payload,
    }


def fact_row(fact: Fact, account_id: int, order_pk: int, fact_id: int) -> dict[str, Any]:
    """A row of `fact`."""
    return {
        "id": fact_id,
        "account_id": account_id,
        "order_pk": order_pk,
        "source": fact.source,
        "source_id": fact.source_id,
        "part": fact.part,
        "as_of": fact.as_of,
        "read_at": fact.read_at,
        "document": digest(fact.document) if fact.document is not None else None,
        "said": encoded(fact),
    }


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
    """A row of `comment`; the first sight of it is the one that counts."""
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

"""Empty number lists. An order has a number at least, so an empty list of one that is no draft tells nothing, unless
its numbers are known to have gone to another order. Decided when the look is taken in, again at each later one."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, select

from aggregator.core.account import Account
from aggregator.core.model import Fact, OrderRef, Part, State, Whole
from aggregator.core.normalise import meaning, status_words
from aggregator.store.rows import order_id
from aggregator.store.statements import several, table_of
from aggregator.store.tables import NumberRow, OrderRow

_NUMBER, _ORDER = table_of(NumberRow), table_of(OrderRow)
_THERE = select(_NUMBER.c.number_key, _NUMBER.c.order_pk).where(_NUMBER.c.is_current)
_CHILD = (
    select(_ORDER.c.id)
    .where(_ORDER.c.account_id == bindparam("account_id"), _ORDER.c.parent_order_id == bindparam("name"))
    .limit(1)
)
_RELATED = select(_ORDER.c.id).where(
    _ORDER.c.account_id == bindparam("account_id"), _ORDER.c.group_key == bindparam("group")
)

Rows = Mapping[str, Mapping[str, Any]]
"""Rows of `port_order`, by their order_id."""


def without_empty_lists(
    tx: Connection, account: Account, account_id: int, facts: Iterable[Fact], orders: Rows
) -> list[Fact]:
    """These facts without the empty number lists that tell nothing."""
    facts = list(facts)
    if not any(_is_empty(fact) for fact in facts):
        return facts
    drafts = _drafts(account, facts)
    parents = {fact.link.parent for fact in facts if fact.link is not None}
    kept = []
    for fact in facts:
        if _is_empty(fact):
            name = order_id(account.name, fact.order)
            row = orders.get(name, {})
            draft = drafts.get((fact.order, fact.read_at), row.get("state") == State.DRAFT)
            if not (draft or name in parents or _went_elsewhere(tx, account_id, name, row)):
                if fact.part is Part.NUMBERS:
                    continue
                fact = replace(fact, numbers=None)
        kept.append(fact)
    return kept


def _is_empty(fact: Fact) -> bool:
    return isinstance(fact.numbers, Whole) and not fact.numbers.numbers


def _drafts(account: Account, facts: Iterable[Fact]) -> dict[tuple[OrderRef, datetime], bool]:
    """For each look that tells a status, whether it shows a draft."""
    return {
        (fact.order, fact.read_at): meaning(
            fact.status.raw, status_words(fact.order.direction), account.words
        ).value
        == State.DRAFT
        for fact in facts
        if fact.status is not None
    }


def _went_elsewhere(tx: Connection, account_id: int, name: str, row: Mapping[str, Any]) -> bool:
    """Whether an order's numbers went to others: one came out of it, or all of them stand in orders of its group."""
    if "id" not in row:
        return False
    if tx.execute(_CHILD, {"account_id": account_id, "name": name}).first() is not None:
        return True
    if row["group_key"] is None:
        return False
    here = tx.execute(_THERE.where(_NUMBER.c.order_pk == bindparam("pk")), {"pk": row["id"]})
    keys = {place.number_key for place in here}
    group = tx.execute(_RELATED, {"account_id": account_id, "group": row["group_key"]})
    others = {other.id for other in group} - {row["id"]}
    moved = {
        place.number_key
        for place in several(tx, _THERE, _NUMBER.c.number_key, keys)
        if place.order_pk in others
    }
    return keys <= moved

"""What the rows of some orders say, as values to compare with what their facts say."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, select

from aggregator.core.standing import Held, Number, Standing
from aggregator.store.rows import number_of, order_of
from aggregator.store.statements import several, table_of
from aggregator.store.tables import NumberRow, ReasonRow, UnknownWordRow

_NUMBER, _REASON, _WORD = table_of(NumberRow), table_of(ReasonRow), table_of(UnknownWordRow)
_NUMBERS, _REASONS, _WORDS = select(_NUMBER), select(_REASON), select(_WORD)

Orders = Mapping[str, Mapping[str, Any]]
"""Rows of `port_order`, by their order_id."""


def stood(tx: Connection, orders: Orders, now: Mapping[str, Standing]) -> dict[str, Standing]:
    """How these orders stand by their rows. Whether a number speaks for itself is no column, and what was told
    is not derived: both are as they are now. A number that no fact names is left alone."""
    names = {row["id"]: name for name, row in orders.items()}
    numbers: dict[str, dict[str, Number]] = {name: {} for name in orders}
    for row in several(tx, _NUMBERS, _NUMBER.c.order_pk, names):
        name = names[row.order_pk]
        if here := now[name].numbers.get(row.number_key):
            numbers[name][row.number_key] = number_of(row._asdict(), here.own)
    reasons: dict[str, list[Held]] = {name: [] for name in orders}
    for row in several(tx, _REASONS, _REASON.c.order_pk, names):
        span = (row.from_at, row.to_at)
        held = Held(row.number_key, row.code, row.raw_code, row.raw_text, row.waiting_on, *span)
        reasons[names[row.order_pk]].append(held)
    return {
        name: Standing(
            now[name].ref,
            now[name].told,
            order_of(row),
            numbers[name],
            tuple(sorted(reasons[name], key=lambda one: (one.number_key, one.since, one.code, one.raw_code))),
        )
        for name, row in orders.items()
    }


def unknown_words(tx: Connection, orders: Orders) -> dict[str, set[tuple[str, str]]]:
    """The words (vocabulary, word) of each order that are noted as known to nobody."""
    names = {row["id"]: name for name, row in orders.items()}
    words: dict[str, set[tuple[str, str]]] = {name: set() for name in orders}
    for row in several(tx, _WORDS, _WORD.c.order_pk, names):
        words[names[row.order_pk]].add((row.vocabulary, row.word))
    return words

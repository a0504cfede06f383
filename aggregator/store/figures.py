"""What the database knows in numbers, for metrics: asked of the views, so a role that may only read them will do.

Accounts that are no longer configured are left out: nobody waits for them, and they never go stale.
"""

from datetime import datetime

from aggregator.core.figures import (
    DeadlineFigure,
    FeedFigure,
    Figures,
    OrdersFigure,
    OwedFigure,
    WordsFigure,
)
from aggregator.core.model import MOVES_STATE, State, Vocabulary
from aggregator.store.queries import Reader, Row

_FEEDS = "select f.* from v1_feeds f join v1_accounts a on a.account = f.account where a.configured order by f.account, f.feed"
_ORDERS = """
select o.provider, o.account, o.direction, o.state, count(*) as orders
from v1_orders o join v1_accounts a on a.account = o.account
where a.configured and o.deleted_at is null group by o.provider, o.account, o.direction, o.state
"""
_WAITING = "select count(*) as waiting from v1_waiting"
_DEADLINES = """
select account, direction, coalesce(deadline_kind, '') as kind, min(deadline_at) as deadline_at from v1_waiting
where deadline_at is not null group by account, direction, coalesce(deadline_kind, '')
order by account, direction, kind
"""
_UNKNOWN = """
select account, vocabulary, count(distinct word) as words from v1_unknown_words
where account in (select account from v1_accounts where configured) group by account, vocabulary
"""
_ACCOUNTS = "select account from v1_accounts where configured order by account"
_OWED = """
select account, count(*) as hour, count(case when first_seen_at < {day} then 1 end) as day from v1_events
where not payload_complete and first_seen_at < {hour} group by account
"""
_AGO = {
    "sqlite": "strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-1 {}')",
    "postgresql": "now() - interval '1 {}'",
}
_QUARANTINED = "select count(*) as records from v1_quarantine where resolved_at is null and account in (select account from v1_accounts where configured)"
_NUMBERLESS = """
select count(*) as orders from v1_orders o join v1_accounts a on a.account = o.account
where a.configured and o.deleted_at is null and o.numbers_total > 0
  and o.first_seen_at < (select max(f.last_complete_at) from v1_feeds f where f.account = o.account)
  and not exists (select 1 from v1_numbers n where n.order_id = o.order_id)
"""


def figures(reader: Reader) -> Figures:
    """All of it, as it is now."""
    return Figures(
        feeds=tuple(
            FeedFigure(
                row["account"],
                row["provider"],
                row["feed"],
                _seconds(row["last_complete_at"]) or 0.0,
                row["stale"],
                row["is_quiet"],
            )
            for row in reader.query(_FEEDS, {})
        ),
        orders=_orders(reader),
        waiting=_one(reader, _WAITING)["waiting"],
        deadlines=_deadlines(reader),
        unknown_words=_unknown_words(reader),
        quarantined=_one(reader, _QUARANTINED)["records"],
        numberless=numberless(reader),
        owed=owed(reader),
    )


def _deadlines(reader: Reader) -> tuple[DeadlineFigure, ...]:
    """Those that have passed too: an order that still waits for us is no better off by that."""
    return tuple(
        DeadlineFigure(row["account"], row["direction"], row["kind"], _seconds(row["deadline_at"]) or 0.0)
        for row in reader.query(_DEADLINES, {})
    )


def _unknown_words(reader: Reader) -> tuple[WordsFigure, ...]:
    """For every account and word list, those without unknown words too."""
    counted = {(row["account"], row["vocabulary"]): row["words"] for row in reader.query(_UNKNOWN, {})}
    return tuple(
        WordsFigure(
            row["account"], word_list, word_list in MOVES_STATE, counted.get((row["account"], word_list), 0)
        )
        for row in reader.query(_ACCOUNTS, {})
        for word_list in Vocabulary
    )


def owed(reader: Reader) -> tuple[OwedFigure, ...]:
    """For every account, the events that its provider announced and whose payload has not come for long."""
    hour, day = (_AGO[reader.engine.dialect.name].format(unit) for unit in ("hour", "day"))
    found = {row["account"]: row for row in reader.query(_OWED.format(hour=hour, day=day), {})}
    none: Row = {"hour": 0, "day": 0}
    names = [row["account"] for row in reader.query(_ACCOUNTS, {})]
    return tuple(OwedFigure(name, *(found.get(name, none)[age] for age in ("hour", "day"))) for name in names)


def numberless(reader: Reader) -> int:
    """How many orders have numbers by their provider's count and none here, though a poll was complete since they
    were first seen: what was to be asked for them has not been, or was not answered."""
    return int(_one(reader, _NUMBERLESS)["orders"])


def _orders(reader: Reader) -> tuple[OrdersFigure, ...]:
    """Orders by state. Where there are some, states without any are 0: a series that comes and goes is of no use
    in an alert."""
    counted: dict[tuple[str, str, str], dict[str, int]] = {}
    for row in reader.query(_ORDERS, {}):
        whose = (row["provider"], row["account"], row["direction"])
        counted.setdefault(whose, {})[row["state"]] = row["orders"]
    return tuple(
        OrdersFigure(provider, account, direction, state, states.get(state, 0))
        for (provider, account, direction), states in sorted(counted.items())
        for state in map(str, State)
    )


def _one(reader: Reader, query: str) -> Row:
    (row,) = reader.query(query, {})
    return row


def _seconds(at: str | None) -> float | None:
    return datetime.fromisoformat(at).timestamp() if at else None

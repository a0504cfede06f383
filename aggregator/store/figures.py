"""What the database knows in numbers, for metrics: asked of the views, so a role that may only read them will do.

Accounts that are no longer configured are left out: nobody waits for them, and they never go stale.
"""

from datetime import datetime

from aggregator.core.figures import FeedFigure, Figures, OrdersFigure
from aggregator.core.model import State
from aggregator.store.queries import Reader, Row

_FEEDS = "select f.* from v1_feeds f join v1_accounts a on a.account = f.account where a.configured order by f.account, f.feed"
_ORDERS = """
select o.provider, o.account, o.direction, o.state, count(*) as orders
from v1_orders o join v1_accounts a on a.account = o.account
where a.configured and o.deleted_at is null group by o.provider, o.account, o.direction, o.state
"""
_WAITING = "select count(*) as waiting from v1_waiting"
_DEADLINE = "select min(deadline_at) as deadline_at from v1_waiting where deadline_at > {now}"
_NOW = {"sqlite": "strftime('%Y-%m-%dT%H:%M:%fZ', 'now')", "postgresql": "now()"}
_UNKNOWN = "select count(*) as words from v1_unknown_words where account in (select account from v1_accounts where configured)"
_QUARANTINED = "select count(*) as records from v1_quarantine where resolved_at is null and account in (select account from v1_accounts where configured)"
_NUMBERLESS = """
select count(*) as orders from v1_orders o join v1_accounts a on a.account = o.account
where a.configured and o.deleted_at is null and o.numbers_total > 0
  and o.first_seen_at < (select max(f.last_complete_at) from v1_feeds f where f.account = o.account)
  and not exists (select 1 from v1_numbers n where n.order_id = o.order_id)
"""


def figures(reader: Reader) -> Figures:
    """All of it, as it is now."""
    deadline = _one(reader, _DEADLINE.format(now=_NOW[reader.engine.dialect.name]))["deadline_at"]
    return Figures(
        feeds=tuple(
            FeedFigure(
                row["account"],
                row["provider"],
                row["feed"],
                _seconds(row["last_complete_at"]) or 0.0,
                row["stale"],
            )
            for row in reader.query(_FEEDS, {})
        ),
        orders=_orders(reader),
        waiting=_one(reader, _WAITING)["waiting"],
        next_deadline=_seconds(deadline),
        unknown_words=_one(reader, _UNKNOWN)["words"],
        quarantined=_one(reader, _QUARANTINED)["records"],
        numberless=numberless(reader),
    )


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

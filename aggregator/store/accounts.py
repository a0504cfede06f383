"""The accounts and feeds that the database knows, and those that pause because their key was refused."""

import secrets
from collections.abc import Iterable
from datetime import datetime, timedelta

from sqlalchemy import Connection, bindparam, func, select, update

from aggregator.core.account import Account, Feed
from aggregator.core.due import backoff
from aggregator.core.model import Vocabulary
from aggregator.core.normalise import is_known
from aggregator.store.clocks import wind
from aggregator.store.statements import alter, insert, remove, table_of, upsert
from aggregator.store.tables import AccountRow, FeedIdentityRow, FeedRow, LeaseRow, UnknownWordRow

FIRST_REFUSAL = timedelta(minutes=5)
COUNTERS = ("floor", "newest_seq", "newest_fact", "newest_event", "newest_order", "pruned_until")

_ACCOUNT, _FEED, _WORD = table_of(AccountRow), table_of(FeedRow), table_of(UnknownWordRow)
NAMED = _ACCOUNT.c.name == bindparam("account")
_ID = select(_ACCOUNT.c.id).where(NAMED)
_LAST = select(func.max(_ACCOUNT.c.id))
_KEEP = update(table_of(FeedIdentityRow)).values(keep_ended_s=bindparam("seconds"))
_LEAVE_OUT = (
    update(_ACCOUNT)
    .where(_ACCOUNT.c.name.not_in(bindparam("names", expanding=True)))
    .values(configured=False)
)
_WORDS = (
    select(_WORD.c.vocabulary, _WORD.c.word).where(_WORD.c.account_id == bindparam("account_id")).distinct()
)
_REFUSALS = select(_ACCOUNT.c.refusals).where(_ACCOUNT.c.id == bindparam("account_id"))
_GO_ON = update(_ACCOUNT).where(NAMED).values(paused_reason=None, paused_until=None, refusals=0)
_AT_ONCE = (
    update(_FEED)
    .where(_FEED.c.account_id == _ID.scalar_subquery(), _FEED.c.last_outcome.in_(("denied", "no_key")))
    .values(last_attempt_at=None, next_due_at=None, consecutive_failures=0)
)


def sync(
    tx: Connection,
    accounts: Iterable[Account],
    keep_ended: timedelta,
    now: datetime,
    broken: Iterable[str] = (),
) -> None:
    """Make the database know the accounts and feeds of the configuration; others are marked. Those that are `broken`
    stay as they are: they are configured, but nothing of theirs can be read now."""
    accounts = tuple(accounts)
    identity = {"id": 1, "feed_id": secrets.token_hex(8), "keep_ended_s": 0, **dict.fromkeys(COUNTERS, 0)}
    insert(tx, FeedIdentityRow, [identity], unless_there=("id",))
    tx.execute(_KEEP, {"seconds": int(keep_ended.total_seconds())})
    tx.execute(_LEAVE_OUT, {"names": [*(account.name for account in accounts), *broken]})
    for account in accounts:
        account_id = _known(tx, account)
        feeds = [_feed(account_id, feed, now) for feed in account.feeds.values()]
        upsert(tx, FeedRow, ("account_id", "feed"), feeds, only=("enabled", "stale_after_s"))
        _forget_known_words(tx, account, account_id)
        wind(tx, account, account_id)


def _known(tx: Connection, account: Account) -> int:
    """The account's row as it is configured; one that is new gets its lease with it."""
    values = {
        "provider": account.provider,
        "label": account.label,
        "configured": True,
        "region": account.options.region,
        "time_zone": account.options.time_zone,
    }
    account_id = id_of(tx, account.name)
    if account_id is None:
        account_id = (tx.execute(_LAST).scalar() or 0) + 1
        insert(tx, AccountRow, [{"id": account_id, "name": account.name, "refusals": 0, **values}])
        insert(tx, LeaseRow, [{"account_id": account_id, "epoch": 0}])
    else:
        alter(tx, AccountRow, ("id",), [{"id": account_id, **values}], only=tuple(values))
    return account_id


def _feed(account_id: int, feed: Feed, now: datetime) -> dict[str, object]:
    """The row of a feed that was never polled."""
    return {
        "account_id": account_id,
        "feed": feed.name,
        "known_since": now,
        "enabled": feed.enabled,
        "stale_after_s": int(feed.stale_after.total_seconds()),
        "consecutive_failures": 0,
        "skew_s": 0.0,
        "pages": 0,
    }


def _forget_known_words(tx: Connection, account: Account, account_id: int) -> None:
    """A word that somebody has explained since is not unknown any more."""
    explained = [
        {"account_id": account_id, "vocabulary": vocabulary, "word": word}
        for vocabulary, word in tx.execute(_WORDS, {"account_id": account_id})
        if is_known(word, Vocabulary(vocabulary), account.words)
    ]
    remove(tx, UnknownWordRow, ("account_id", "vocabulary", "word"), explained)


def id_of(tx: Connection, name: str) -> int | None:
    """An account's row, if the database knows it."""
    return tx.execute(_ID, {"account": name}).scalar()


# --- refused keys ---------------------------------------------------------------------------------------


def pause(tx: Connection, account_id: int, why: str, now: datetime) -> datetime:
    """A refused key: pause the account, longer each time; returns until when."""
    refusals = (tx.execute(_REFUSALS, {"account_id": account_id}).scalar() or 0) + 1
    until = now + min(backoff(refusals, FIRST_REFUSAL) * 4, timedelta(hours=6))
    values = {"paused_reason": why, "paused_until": until, "refusals": refusals}
    alter(tx, AccountRow, ("id",), [{"id": account_id, **values}], only=tuple(values))
    return until


def unpause(tx: Connection, name: str) -> None:
    """Forget that a key was refused or missing."""
    tx.execute(_AT_ONCE, {"account": name})
    tx.execute(_GO_ON, {"account": name})

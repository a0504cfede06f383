"""The accounts and feeds that the database knows, and those that pause because their key was refused."""

import secrets
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, bindparam, delete, select, update
from sqlmodel import col

from aggregator.core.account import Account
from aggregator.core.due import backoff
from aggregator.core.model import Basis, Vocabulary
from aggregator.core.normalise import NO_REASON, meaning, reason
from aggregator.store.clocks import wind
from aggregator.store.statements import insert, table_of, upsert
from aggregator.store.tables import AccountRow, FeedIdentityRow, FeedRow, LeaseRow, UnknownWordRow

FIRST_REFUSAL = timedelta(minutes=5)
COUNTERS = ("floor", "newest_seq", "newest_fact", "newest_event", "newest_order", "pruned_until")

_ACCOUNT, _WORD = table_of(AccountRow), table_of(UnknownWordRow)
NAMED = _ACCOUNT.c.name == bindparam("account")
_ID = select(_ACCOUNT.c.id).where(NAMED)
_PAUSED = select(_ACCOUNT.c.paused_reason, _ACCOUNT.c.paused_until).where(NAMED)


def sync(tx: Connection, accounts: Iterable[Account], keep_ended: timedelta, now: datetime) -> None:
    """Make the database know the accounts and feeds of the configuration; others are marked."""
    accounts = tuple(accounts)
    identity = {"id": 1, "feed_id": secrets.token_hex(8), "keep_ended_s": 0, **dict.fromkeys(COUNTERS, 0)}
    insert(tx, FeedIdentityRow, [identity], unless_there=("id",))
    tx.execute(update(FeedIdentityRow).values(keep_ended_s=int(keep_ended.total_seconds())))
    names = [account.name for account in accounts]
    tx.execute(update(AccountRow).where(col(AccountRow.name).not_in(names)).values(configured=False))
    for account in accounts:
        _sync(tx, account, now)


def _sync(tx: Connection, account: Account, now: datetime) -> None:
    values = {
        "provider": account.provider,
        "label": account.label,
        "configured": True,
        "region": account.options.region,
        "time_zone": account.options.time_zone,
    }
    account_id = id_of(tx, account.name)
    if account_id is None:
        last = tx.execute(select(_ACCOUNT.c.id).order_by(_ACCOUNT.c.id.desc()).limit(1)).scalar()
        account_id = (last or 0) + 1
        insert(tx, AccountRow, [{"id": account_id, "name": account.name, "refusals": 0, **values}])
        insert(tx, LeaseRow, [{"account_id": account_id, "epoch": 0}])
    else:
        tx.execute(update(AccountRow).where(_ACCOUNT.c.id == account_id).values(values))
    for feed in account.feeds.values():
        known = {"enabled": feed.enabled, "stale_after_s": int(feed.stale_after.total_seconds())}
        row = {"account_id": account_id, "feed": feed.name, "known_since": now, **known}
        row |= {"consecutive_failures": 0, "skew_s": 0.0, "pages": 0}
        upsert(tx, FeedRow, ("account_id", "feed"), [row], only=tuple(known))
    _forget_known_words(tx, account, account_id)
    wind(tx, account, account_id)


def _forget_known_words(tx: Connection, account: Account, account_id: int) -> None:
    """A word that somebody has explained since is not unknown any more."""
    here = _WORD.c.account_id == account_id
    for row in tx.execute(select(_WORD.c.vocabulary, _WORD.c.word).where(here).distinct()).all():
        if row.vocabulary == Vocabulary.REASON:
            known = reason(row.word, account.words) is not NO_REASON
        else:
            found = meaning(row.word, Vocabulary(row.vocabulary), account.words)
            known = found.basis is not Basis.NONE
        if known:
            tx.execute(
                delete(_WORD).where(here, _WORD.c.vocabulary == row.vocabulary, _WORD.c.word == row.word)
            )


def id_of(tx: Connection, name: str) -> int | None:
    """An account's row, if the database knows it."""
    return tx.execute(_ID, {"account": name}).scalar()


# --- refused keys ---------------------------------------------------------------------------------------


def pause(tx: Connection, account_id: int, reason: str, now: datetime) -> datetime:
    """A refused key: pause the account, longer each time; returns until when."""
    here = _ACCOUNT.c.id == account_id
    refusals = (tx.execute(select(_ACCOUNT.c.refusals).where(here)).scalar() or 0) + 1
    until = now + min(backoff(refusals, FIRST_REFUSAL) * 4, timedelta(hours=6))
    values = {"paused_reason": reason, "paused_until": until, "refusals": refusals}
    tx.execute(update(AccountRow).where(here).values(values))
    return until


def unpause(tx: Connection, name: str) -> None:
    """Forget that a key was refused or missing."""
    kept_back = col(FeedRow.last_outcome).in_(("denied", "no_key"))
    here = update(FeedRow).where(col(FeedRow.account_id) == id_of(tx, name), kept_back)
    tx.execute(here.values(last_attempt_at=None, next_due_at=None, consecutive_failures=0))
    values: dict[str, Any] = {"paused_reason": None, "paused_until": None, "refusals": 0}
    tx.execute(update(AccountRow).where(_ACCOUNT.c.name == name).values(values))


def paused(tx: Connection, name: str) -> tuple[str, datetime] | None:
    """Why and until when an account pauses, if it does."""
    row = tx.execute(_PAUSED, {"account": name}).one_or_none()
    return None if row is None or row.paused_until is None else (row.paused_reason, row.paused_until)

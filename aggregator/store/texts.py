"""What providers say that their reasons mean: kept for each account, read again once a day."""

from dataclasses import replace
from datetime import datetime, timedelta

from sqlalchemy import Connection, bindparam, select

from aggregator.core.account import Account
from aggregator.store.statements import table_of
from aggregator.store.tables import AccountRow, ReasonTextRow

EVERY, AGAIN = timedelta(days=1), timedelta(hours=1)
"""How long texts are good, and after what time they are asked for again where they could not be read."""

_ACCOUNT, _TEXT = table_of(AccountRow), table_of(ReasonTextRow)
_ASKED = select(_ACCOUNT.c.described_at).where(_ACCOUNT.c.id == bindparam("account_id"))
_KNOWN = select(_TEXT.c.code, _TEXT.c.text).where(_TEXT.c.account_id == bindparam("account_id"))


def due(tx: Connection, account_id: int, now: datetime) -> bool:
    """Whether it is time to ask; a time ahead of now is one that a clock set back has left behind."""
    asked: datetime | None = tx.execute(_ASKED, {"account_id": account_id}).scalar()
    return asked is None or not now - EVERY < asked <= now


def of(tx: Connection, account_id: int) -> dict[str, str]:
    """The texts that are kept for an account, by their codes."""
    return {row.code: row.text for row in tx.execute(_KNOWN, {"account_id": account_id})}


def described(tx: Connection, account: Account, account_id: int) -> Account:
    """The account with what its provider says that its reasons mean, as far as that was read."""
    if account.adapter.describe is None or not (texts := of(tx, account_id)):
        return account
    return replace(account, words=replace(account.words, texts=texts))

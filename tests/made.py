"""Values that tests are made of: accounts with a provider's real adapter, and facts by hand."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from functools import cache, partial
from typing import Any

from aggregator import providers
from aggregator.core.account import Account, Feed
from aggregator.core.model import (
    Dates,
    Direction,
    Fact,
    Meaning,
    Moment,
    OrderRef,
    Page,
    Reason,
    ReasonSaid,
    Request,
    Source,
    Status,
    Vocabulary,
)
from aggregator.core.normalise import normalise, words

NOW = datetime(2026, 6, 15, 12, 0, tzinfo=UTC)
ACCOUNT_SID = "A5EQ333XCXHTRHUS5DEOXLLA36ZQSZQQ"
Operator = Mapping[Vocabulary, Mapping[str, Meaning | Reason]]


def account(
    provider: str = "telnyx", name: str | None = None, operator: Operator | None = None, **said: Any
) -> Account:
    """An account as the poller sees it, with its adapter's defaults and these options."""
    adapter = providers.load(provider)
    values = {"region": adapter.region, "time_zone": adapter.time_zone, **said}
    if provider == "fonedynamics":
        values.setdefault("account_sid", ACCOUNT_SID)
    options = adapter.options(**values)
    feeds = {
        feed: Feed(
            feed, kind, True, kind.every, kind.lookback, max(3 * kind.every, timedelta(minutes=5)), kind.start
        )
        for feed, kind in adapter.feeds.items()
    }
    guess = bool(getattr(options, "guess_statuses", True))
    return Account(
        name or f"{provider}-test",
        provider,
        adapter,
        options,
        words(adapter, operator or {}, options.region, guess),
        feeds,
    )


def page(
    path: str,
    body: bytes | str,
    *,
    status: int = 200,
    at: datetime = NOW,
    provider_at: datetime | None = None,
    **params: str,
) -> Page:
    """A reply with this body to a request for this path."""
    raw = body.encode() if isinstance(body, str) else body
    return Page(Request(path, tuple(params.items())), status, raw, at, provider_at)


# --- facts by hand --------------------------------------------------------------------------------------


def hour(hours: float) -> datetime:
    """A moment so many hours after NOW."""
    return NOW + timedelta(hours=hours)


def day(day_of_month: int) -> Dates:
    """A confirmed FOC date in the month of NOW; 0 for "there is none"."""
    return Dates(confirmed=Moment(date(2026, 6, day_of_month)) if day_of_month else None)


def told(
    source: Source,
    hours: float,
    status: str | None = None,
    *codes: str,
    provider: str = "telnyx",
    direction: Direction = Direction.PORT_IN,
    read: float | None = None,
    **said: Any,
) -> Fact:
    """A normalised fact about the one order of a test: its status with reason codes, and whatever else."""
    status_said = Status(status, tuple(ReasonSaid(code) for code in codes)) if status is not None else None
    fact = Fact(
        order=OrderRef(direction, "order-1"),
        source=source,
        source_id=said.pop("source_id", f"{source}/{hours}"),
        as_of=hour(hours),
        read_at=hour(hours if read is None else read),
        status=status_said,
        deleted=said.pop("deleted", False if source is Source.SNAPSHOT else None),
        **said,
    )
    return normalise(fact, _account(provider).words)


event, look = partial(told, Source.EVENT), partial(told, Source.SNAPSHOT)
_account = cache(account)

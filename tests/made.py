"""Values that tests are made of: accounts with a provider's real adapter, and facts by hand."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from aggregator import providers
from aggregator.core.account import Account, Feed
from aggregator.core.model import Meaning, Page, Reason, Request, Vocabulary
from aggregator.core.normalise import words

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

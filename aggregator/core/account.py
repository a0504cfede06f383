"""What a provider is to us, and one account at it: data and two pure functions, no secret and no URL with one."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TypeAlias

from aggregator.core.clocks import Clock
from aggregator.core.model import (
    Ask,
    Direction,
    Meaning,
    OrderRef,
    Page,
    Reading,
    Reason,
    Request,
    State,
    Vocabulary,
)
from aggregator.core.stuck import Usual

# --- providers ------------------------------------------------------------------------------------------


class Auth(StrEnum):
    """How a credential goes out: `Authorization: Bearer`, Basic with the adapter's user, or a header."""

    BEARER = "bearer"
    BASIC = "basic"
    HEADER = "header"


@dataclass(frozen=True, slots=True)
class Pacing:
    """How gently a provider is asked: the least time between two requests, and how many may be in flight."""

    min_interval_s: float = 0.0
    in_flight: int = 1


@dataclass(frozen=True, slots=True)
class Paging:
    """The query parameters that say how many rows of a list a page shows, and where it begins: the number of the page
    (from 1), or how many rows to skip. A page that is too large is asked for again with fewer rows."""

    size: str
    number: str | None = None
    skip: str | None = None


class FeedKind(StrEnum):
    """What polling a feed means."""

    EVENTS = "events"  # a cursor, a window, a lookback
    LISTING = "listing"  # the whole list, no cursor
    OPEN_ORDERS = "open_orders"  # each open order again, and now and then a wide window


@dataclass(frozen=True, slots=True)
class FeedDefaults:
    """A feed's kind and its defaults, which the configuration may override.

    `resweeps` says how often a window is swept again when its pages did not fit together; `trust_totals`
    whether a total that went on moving leaves it incomplete. `deep` is the once-a-day lookback.
    """

    kind: FeedKind
    direction: Direction
    every: timedelta
    lookback: timedelta = timedelta(0)
    deep: timedelta | None = None
    start: timedelta | None = None
    resweeps: int = 1
    trust_totals: bool = True
    frozen_by_date: bool = True
    """`frozen_by_date`: the first request has no upper end; else the window ends a little before now."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """The account keys every provider has; an adapter may add its own by inheriting."""

    time_zone: str = "UTC"
    region: str = "US"
    keep_comments: bool = True


@dataclass(frozen=True, slots=True)
class Cancelling:
    """How a provider is asked to cancel an order: the request (None for an order it has no call for), and the
    time before the FOC date in which it refuses."""

    request: Callable[[OrderRef], Request | None]
    lock: timedelta | None = None


KeepTree: TypeAlias = Mapping[str, "KeepTree"]
"""Which fields of a JSON object may be stored; an empty tree keeps a plain value."""


@dataclass(frozen=True, slots=True)
class Adapter:
    """All that a provider is to us: data and two pure functions. `plan` says which requests answer an ask
    (each begins a chain of pages of its own), `read` what a page means; neither does I/O."""

    label: str
    base_url: str
    auth: Auth
    region: str
    time_zone: str
    feeds: Mapping[str, FeedDefaults]
    words: Mapping[Vocabulary, Mapping[str, Meaning]]
    reasons: Mapping[str, Reason]
    keep: Mapping[str, KeepTree]
    plan: Callable[[Ask, Options], tuple[Request, ...]]
    read: Callable[[Page, Options], Reading]
    pacing: Pacing = Pacing()
    options: type[Options] = Options
    auth_user: Callable[[Options], str] | None = None
    auth_header: str = "Authorization"
    milder: Callable[[Request], Request | None] | None = None
    #: Other requests for what is in a list of which a later page was refused; each begins a chain of its own.
    otherwise: Callable[[Request], tuple[Request, ...]] | None = None
    check: Ask | None = None
    describe: Ask | None = None
    cancel: Cancelling | None = None
    clocks: tuple[Clock, ...] = ()
    usual: Mapping[tuple[Direction, State], Usual] = field(default_factory=dict)
    refusal: Callable[[Page], tuple[str, str] | None] | None = None
    limited_by: frozenset[str] = frozenset()
    #: How a page of a list is made smaller, where the provider's lists have a page size.
    paging: Paging | None = None
    """`milder`: what to ask in place of a request that was refused. `check`: one cheap ask that shows whether
    the credential is good. `describe`: one that brings what its reasons mean (`Reading.texts`), for those that
    it gives without a text; asked once a day. `clocks`: what the provider does by itself, and when. `usual`: how
    long its orders stay in a state before they are stuck. `cancel`: how to ask for a cancellation, where the
    provider has a call for it. `refusal`: the code and title of a refusal in the provider's own error envelope, None for a
    reply without it, which is that of a firewall or proxy before the provider; `limited_by`: codes that mean "too many requests"."""


# --- accounts -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Feed:
    """One feed of one account as configured: its adapter's defaults with the operator's wishes applied.
    `start` is how far the first poll looks back: a duration, an instant, or None for everything."""

    name: str
    defaults: FeedDefaults
    enabled: bool
    every: timedelta
    lookback: timedelta
    stale_after: timedelta
    start: timedelta | datetime | None


@dataclass(frozen=True, slots=True)
class Words:
    """Every word an account's provider may use, the operator's first; `version` changes when any of them does.
    Documented words match exactly, guessed and operator's words after `normalise.folded`."""

    exact: Mapping[tuple[Vocabulary, str], Meaning]
    folded: Mapping[tuple[Vocabulary, str], Meaning]
    reasons: Mapping[str, Reason]
    region: str
    version: str
    texts: Mapping[str, str] = field(default_factory=dict)
    """`texts`: what the provider says that its reasons mean, by their codes, for those it gives without a text."""

    @property
    def in_memory(self) -> tuple[str, frozenset[tuple[str, str]]]:
        """What differs whenever the same facts may stand for something else."""
        return self.version, frozenset(self.texts.items())


@dataclass(frozen=True, slots=True)
class Account:
    """One credential at one provider, as the poller sees it: no secret, no URL."""

    name: str
    provider: str
    adapter: Adapter
    options: Options
    words: Words
    feeds: Mapping[str, Feed]
    label: str = ""
    allow_actions: bool = False
    stuck: Mapping[str, timedelta] = field(default_factory=dict)
    """`stuck`: the usual time in a state, where the operator wrote one."""

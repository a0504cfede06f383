"""One request to cancel an order: asked once, and what comes of it taken in as facts.

It is never repeated. Where no usable answer comes it is not known whether the provider took it: then the order is
read, which does no harm, and where that fails too it stays wanted for the next poll.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol, TypeVar

from aggregator.core.account import Account, FeedKind
from aggregator.core.findings import Findings, Recorded
from aggregator.core.model import Fact, OrderRef, Orders, Page, Part, Request, State, Want
from aggregator.core.normalise import normalise
from aggregator.errors import FetchError, PageChanged, ProviderError, Refused
from aggregator.sweep import Fetch, read, sweep

L = TypeVar("L", contravariant=True)
TAKEN = frozenset({State.CANCEL_PENDING, State.CANCELLED})


class Store(Protocol[L]):
    """What is needed of the store."""

    def record(self, account: Account, held: L, findings: Findings) -> Recorded: ...


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of it. `taken`: the provider shows the order as being cancelled, or cancelled. `trouble`: why
    there was no usable answer; `unread`: why the order could not be read after that."""

    taken: bool
    recorded: Recorded
    trouble: ProviderError | None = None
    unread: ProviderError | None = None


def cancel(
    account: Account,
    order: OrderRef,
    request: Request,
    store: Store[L],
    held: L,
    fetch: Fetch,
    clock: Callable[[], datetime],
) -> Answer:
    """Ask the provider to cancel an order. What it refuses (AccessDenied, Refused) is raised: nothing happened."""
    trouble: FetchError | PageChanged | None = None
    facts: tuple[Fact, ...] = ()
    wants: tuple[Want, ...] = ()
    unread = None
    try:
        page = fetch(request)
        if page.status == 404 and _is_own(account, page):
            raise Refused(f"{request.method} {request.path}: the provider does not know the order", 404)
        reading = read(account, page)
        facts, wants = reading.facts, reading.wants
    except (FetchError, PageChanged) as error:
        trouble = error
    if trouble is not None:
        found = sweep(account, Orders(order.direction, (order.id,)), fetch)
        facts, wants, unread = tuple(found.facts), tuple(found.wants), found.error
    if unread is not None:
        wants = (*wants, Want(Part.ORDER, order.id, order.direction, since=clock()))
    facts = tuple(replace(fact, asked=True) if _shows_it(account, order, fact) else fact for fact in facts)
    recorded = store.record(account, held, Findings(_feed(account, order), clock(), facts, wants))
    return Answer(any(fact.asked for fact in facts), recorded, trouble, unread)


def _is_own(account: Account, page: Page) -> bool:
    """Whether a reply is the provider's own, and not one of something before it."""
    return account.adapter.refusal is None or account.adapter.refusal(page) is not None


def _shows_it(account: Account, order: OrderRef, fact: Fact) -> bool:
    """Whether a fact shows the order as being cancelled, so that our asking belongs to it."""
    status = normalise(fact, account.words).status
    meaning = status.meaning if status and fact.order == order and fact.part is Part.ORDER else None
    return meaning is not None and meaning.value in TAKEN


def _feed(account: Account, order: OrderRef) -> str:
    """The feed that what cannot be read is set aside under: the listing of such orders."""
    feeds = [feed for feed in account.feeds.values() if feed.defaults.direction is order.direction]
    return next((feed.name for feed in feeds if feed.defaults.kind is FeedKind.LISTING), feeds[0].name)

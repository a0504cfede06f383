"""A provider of another package: a list of orders, whose adapter masks nothing and trusts what it reads. And a poll
of it, into a real database."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import text as sql

from aggregator.adapter import (
    Adapter,
    Ask,
    Auth,
    Comment,
    Direction,
    Fact,
    FeedDefaults,
    FeedKind,
    Meaning,
    NumberSaid,
    Options,
    OrderRef,
    Page,
    Partial,
    Reading,
    ReasonSaid,
    References,
    Request,
    State,
    Status,
    Vocabulary,
    document,
    each,
    get,
    json_object,
    keep,
    named,
    snapshot,
    text,
)
from aggregator.core.account import Account, Feed
from aggregator.core.normalise import words
from aggregator.poll import poll_account
from aggregator.slices import Outcome
from aggregator.store.store import open_store

NOW = datetime(2026, 6, 15, 12, 0, tzinfo=UTC)
KEPT = keep("Id", free=("State", "Errors.Code", "Errors.Description"))


def plan(ask: Ask, options: Options) -> tuple[Request, ...]:
    """The whole list, whatever is asked."""
    return (Request("/ports"),)


def read(page: Page, options: Options) -> Reading:
    """Each order with all that it says, as it says it."""
    items = get(json_object(page), "Ports", list)
    facts, skipped = each(items, lambda item: (_said(item, page),), "Id", KEPT)
    return Reading(facts, skipped=skipped, ids=named(items, "Id"), items=len(items), done=True)


def _said(item: dict[str, Any], page: Page) -> Fact:
    errors = item.get("Errors", [])
    return snapshot(
        page,
        OrderRef(Direction.PORT_IN, get(item, "Id", str)),
        kept=document(item, KEPT),
        status=Status(
            text(item, "State"),
            tuple(ReasonSaid(error["Code"], error.get("Description")) for error in errors),
        ),
        references=References(description=text(item, "Remark")),
        comment=Comment("c1", "provider", text(item, "Note")) if "Note" in item else None,
        numbers=Partial((NumberSaid("+13035550123"),)),
    )


ADAPTER = Adapter(
    label="Elsewhere",
    base_url="https://api.example.com",
    auth=Auth.BEARER,
    region="US",
    time_zone="UTC",
    feeds={"ports": FeedDefaults(FeedKind.LISTING, Direction.PORT_IN, timedelta(hours=1))},
    words={Vocabulary.PORT_IN: {"refused": Meaning(State.EXCEPTION), "new": Meaning(State.WITH_PROVIDER)}},
    reasons={},
    keep={"order": KEPT},
    plan=plan,
    read=read,
)


def account(adapter: Adapter = ADAPTER, name: str = "elsewhere-test") -> Account:
    """An account at such a provider."""
    options = adapter.options()
    feeds = {
        feed: Feed(feed, kind, True, kind.every, kind.lookback, 3 * kind.every, kind.start)
        for feed, kind in adapter.feeds.items()
    }
    return Account(name, "elsewhere", adapter, options, words(adapter, {}, options.region), feeds)


@dataclass
class Polled:
    """What polls of an account left in its database."""

    outcomes: list[Outcome]
    rows: Callable[[str], list[tuple[Any, ...]]]


@contextmanager
def polled(folder: Path, *pages: Page | dict[str, Any], adapter: Adapter = ADAPTER) -> Iterator[Polled]:
    """Poll once for each of these pages (or bodies), the last one at NOW."""
    store = open_store(f"sqlite:///{folder / 'aggregator.db'}")
    own, outcomes = account(adapter), list[Outcome]()
    try:
        for number, said in enumerate(pages):
            now = NOW - timedelta(hours=len(pages) - 1 - number)
            page = said if isinstance(said, Page) else answer(said, now)
            store.sync([own], timedelta(days=14), now)
            held = store.take(own.name, now)
            assert held is not None
            feeds, fetch = list(own.feeds.values()), partial(_asked, page)
            outcomes += poll_account(own, feeds, store, held, fetch, partial(datetime.astimezone, now, UTC))

        def rows(statement: str) -> list[tuple[Any, ...]]:
            with store.engine.connect() as connection:
                return [tuple(row) for row in connection.execute(sql(statement))]

        yield Polled(outcomes, rows)
    finally:
        store.close()


def _asked(page: Page, request: Request) -> Page:
    return replace(page, request=request)


def answer(body: dict[str, Any], at: datetime = NOW, date: datetime | None = None) -> Page:
    """A reply of this provider."""
    return Page(Request("/ports"), 200, json.dumps(body).encode(), at, date)

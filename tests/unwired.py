"""The stand-in's answers as pages, without a wire: a `Request` in, a `Page` or an error out; and an account with
its database that asks for them."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import text
from standin import Faults, Reply, fone_page, telnyx_page
from standin_lives import DAY, FoneDynamics, Knobs, Telnyx

from aggregator.core.account import Account
from aggregator.core.findings import Backfill, Findings, Mark, Progress, Recorded
from aggregator.core.model import Page, Request
from aggregator.errors import ProviderError, Refused
from aggregator.poll import poll_account
from aggregator.slices import Outcome
from aggregator.store.store import Lease, Store, open_store

SID = "A5EQ333XCXHTRHUS5DEOXLLA36ZQSZQQ"


def calm(orders: int = 12, seed: int = 1, **knobs: float) -> Telnyx:
    """A small world in which something has happened."""
    world = Telnyx(seed, Knobs(**{"many_numbers": 0, "split": 0, **knobs}))
    world.fill(orders, max(1, orders // 4), 6 * DAY)
    return world


@dataclass
class Unwired:
    """What a fetcher would bring. `ahead` is how far our clock runs before the provider's; `trouble` may raise
    in place of an answer; `asked` keeps every request."""

    world: Telnyx | FoneDynamics
    faults: Faults = field(default_factory=Faults)
    ahead: timedelta = timedelta(0)
    trouble: Callable[[Request], None] = lambda request: None
    asked: list[Request] = field(default_factory=list)

    def clock(self) -> datetime:
        """What our own clock says."""
        return self.world.now + self.ahead

    def __call__(self, request: Request) -> Page:
        self.asked.append(request)
        self.trouble(request)
        query: dict[str, list[str]] = {}
        for name, value in request.params:
            query.setdefault(name, []).append(value)
        status, said = 200, {}
        try:
            if isinstance(self.world, FoneDynamics):
                said = fone_page(self.world, self.faults, request.path, query)
            else:
                said = telnyx_page(self.world, self.faults, request.path, query)
        except Reply as reply:
            if reply.status != 404:
                raise Refused(f"{request.path}: status {reply.status}", reply.status) from None
            status, said = 404, reply.body or {}
        date = self.world.now.replace(microsecond=0) if self.faults.dated else None
        return Page(request, status, json.dumps(said).encode(), self.clock(), date)

    def paths(self) -> list[str]:
        """The paths asked for since the last time."""
        paths = [request.path for request in self.asked]
        self.asked.clear()
        return paths


class Killed(BaseException):
    """The process ends here."""


class Spied:
    """The real store, with what was recorded; it may be killed before its n-th record."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.records: list[tuple[Findings, Progress | None]] = []
        self.dies_at: int | None = None

    def marks(self, account: str) -> Any:
        return self.store.marks(account)

    def wants(self, held: Lease, now: datetime | None) -> Any:
        return self.store.wants(held, now)

    def lists_owed(self, *arguments: Any) -> Any:
        return self.store.lists_owed(*arguments)

    def open_orders(self, *arguments: Any) -> Any:
        return self.store.open_orders(*arguments)

    def begin_backfill(self, *arguments: Any) -> Backfill:
        return self.store.begin_backfill(*arguments)

    def record(
        self,
        account: Account,
        held: Lease,
        findings: Findings,
        progress: Progress | None = None,
        *,
        backfill: Backfill | None = None,
    ) -> Recorded:
        if len(self.records) == self.dies_at:
            raise Killed
        recorded = self.store.record(account, held, findings, progress, backfill=backfill)
        self.records.append((findings, progress))
        return recorded


@dataclass
class Setting:
    """An account, its database and its provider."""

    account: Account
    wire: Unwired
    store: Spied

    def poll(self, *feeds: str) -> dict[str, Outcome]:
        """Poll these feeds (all of them, where none is named); how each went."""
        held = self.hold()
        chosen = [self.account.feeds[name] for name in feeds or self.account.feeds]
        outcomes = poll_account(self.account, chosen, self.store, held, self.wire, self.wire.clock)
        return {outcome.feed: outcome for outcome in outcomes}

    def hold(self) -> Lease:
        """Make the database know the account, and take it."""
        now = self.wire.clock()
        self.store.store.sync([self.account], timedelta(days=14), now)
        held = self.store.store.take(self.account.name, now)
        assert held is not None
        return held

    def mark(self, feed: str) -> Mark:
        return self.store.store.marks(self.account.name)[feed]

    def rows(self, statement: str) -> list[Any]:
        with self.store.store.engine.connect() as connection:
            return [tuple(row) for row in connection.execute(text(statement))]

    @property
    def wanted(self) -> set[tuple[str, str]]:
        return {(kind, ref) for kind, ref in self.rows("select kind, ref from wanted")}

    @property
    def events(self) -> list[str]:
        return [id for (id,) in self.rows("select provider_event_id from v1_events")]

    def progress(self, feed: str) -> list[Progress]:
        return [made for _, made in self.store.records if made is not None and made.feed == feed]


@contextmanager
def setting(wire: Unwired, ours: Account, folder: Path, url: str | None = None) -> Iterator[Setting]:
    store = open_store(url or f"sqlite:///{folder / 'aggregator.db'}")
    try:
        yield Setting(ours, wire, Spied(store))
    finally:
        store.close()


def failing(
    error: ProviderError, when: Callable[[Request], bool] = lambda request: True
) -> Callable[[Request], None]:
    """Trouble for the requests that are meant."""

    def trouble(request: Request) -> None:
        if when(request):
            raise error

    return trouble

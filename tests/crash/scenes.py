"""What the processes of a crash sweep live through: accounts at both providers, and a time that can be found again."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from made import account
from standin_lives import DAY, HOUR, MINUTE, Event, FoneDynamics, Knobs, Telnyx
from tapped import point
from unwired import SID, Unwired

from aggregator.core.account import Account
from aggregator.core.model import Page, Request
from aggregator.errors import Fenced
from aggregator.once import Polled, Verdict, poll_once
from aggregator.store import lease as leases
from aggregator.store.store import Lease, Store, open_store

World = Telnyx | FoneDynamics
Moments = Mapping[str, datetime]
KEEP = timedelta(days=14)


def strict(one: Account, deep: bool, only: frozenset[str]) -> Account:
    """The account without any lookback, which would hide what a commit gets wrong; `only` these feeds."""
    zero = timedelta(0)
    feeds = {
        name: replace(
            feed,
            lookback=zero,
            defaults=feed.defaults if deep else replace(feed.defaults, deep=None),
            enabled=not only or name in only,
        )
        for name, feed in one.feeds.items()
    }
    return replace(one, feeds=feeds)


@dataclass
class Scene:
    """The accounts of a process, and their providers at a moment. `step`: what passes with every request;
    `after`: the times that pass until everything has come to rest."""

    make: Mapping[str, Callable[[], World]]
    step: timedelta = timedelta(0)
    after: tuple[timedelta, ...] = (timedelta(0),)
    deep: bool = False
    only: frozenset[str] = frozenset()
    interrupted_at: tuple[int, ...] = ()
    moments: Moments = field(default_factory=dict)
    interrupt: Callable[["Scene"], None] | None = None

    def __post_init__(self) -> None:
        self.worlds = {name: make() for name, make in self.make.items()}
        for name, at in self.moments.items():
            if at > self.worlds[name].now:
                self.worlds[name].run(at)
        self.accounts = {
            name: strict(
                account("telnyx" if isinstance(world, Telnyx) else "fonedynamics", name), self.deep, self.only
            )
            for name, world in self.worlds.items()
        }
        self.requests = 0

    def now(self) -> Moments:
        """The time at each provider."""
        return {name: world.now for name, world in self.worlds.items()}

    def at(self, moments: Moments) -> "Scene":
        """The same scene, found again at these moments."""
        return replace(self, moments=moments, interrupt=None)

    def run(self, time: timedelta) -> None:
        """Let time pass and happen what happens."""
        for world in self.worlds.values():
            world.run(world.now + time)

    def rest(self, time: timedelta) -> None:
        """Let time pass in which nothing new happens, but what is late comes."""
        for world in self.worlds.values():
            world.now += time

    def fetch(self, name: str, request: Request) -> Page:
        """One request, between two moments at which the process may die."""
        point(f"before GET {request.path}")
        self.requests += 1
        if self.interrupt is not None and self.requests in self.interrupted_at:
            self.interrupt(self)
        page = Unwired(self.worlds[name])(request)
        self.worlds[name].run(self.worlds[name].now + self.step)
        point(f"after GET {request.path}")
        return page


@dataclass
class Process:
    """A process with its own store; `holder` is who it is said to be (None: this very process)."""

    url: str
    scene: Scene
    holder: str | None = None

    def open(self) -> Store:
        """As the program begins."""
        store = open_store(self.url)
        if self.holder is not None:
            store.me = self.holder
        store.sync(self.scene.accounts.values(), KEEP, max(self.scene.now().values()))
        return store

    def poll(self, store: Store) -> dict[str, Polled | Fenced]:
        """Poll every account once."""

        @contextmanager
        def hold(name: str) -> Iterator[Lease | None]:
            held = store.take(name, self.scene.worlds[name].now)
            try:
                yield held
            finally:
                if held is not None:
                    store.release(held)

        done: dict[str, Polled | Fenced] = {}
        for name, ours in self.scene.accounts.items():
            world = self.scene.worlds[name]
            try:
                done[name] = poll_once(
                    ours,
                    store,
                    hold,
                    lambda request, name=name: self.scene.fetch(name, request),  # type: ignore[misc]
                    lambda world=world: world.now,  # type: ignore[misc]
                )
            except Fenced as error:
                done[name] = error
        return done

    def settle(self, store: Store) -> None:
        """Poll until everything is complete."""
        for _ in range(5):
            polled = self.poll(store).values()
            if all(isinstance(one, Polled) and one.verdict is Verdict.COMPLETE for one in polled):
                return
            self.scene.rest(MINUTE)
        raise AssertionError(f"never complete: {polled}")


def dead(number: int) -> str:
    """The name of a process of this host that is dead."""
    return f"{leases._place()}/{2**22 + number}/1"


# --- the scenes -----------------------------------------------------------------------------------------


def _telnyx(
    orders: int, seed: int, over: timedelta = 4 * DAY, poison: bool = False, late: float = 0, empty: float = 0
) -> Telnyx:
    world = Telnyx(seed, Knobs(late, empty, split=0, many_numbers=0))
    world.fill(orders, 1, over)
    if poison:
        said = {"id": world.uuid(), "event_type": "porting_order.new_comment", "created_at": "some day"}
        world.events["porting"].insert(3, Event(said, {}, world.now - HOUR, world.now - HOUR, world.now))
    return world


def _fone(requests: int, seed: int, over: timedelta = 4 * DAY) -> FoneDynamics:
    world = FoneDynamics(seed, SID)
    world.fill(requests, over)
    world.run(world.now + MINUTE)
    return world


def both(
    orders: int = 3, requests: int = 2, seed: int = 1, empty: float = 0
) -> dict[str, Callable[[], World]]:
    """An account at each provider; the Telnyx one has an event that nobody can read."""
    return {
        "telnyx-main": lambda: _telnyx(orders, seed, poison=True, empty=empty),
        "fone-au": lambda: _fone(requests, seed),
    }


def first_poll() -> Scene:
    """Everything is new."""
    return Scene(both(empty=0.2), after=(timedelta(0), 2 * HOUR))


def telnyx_alone() -> Scene:
    """The same with one account and two feeds, for what shows anywhere."""
    only = frozenset({"porting_events", "porting_orders"})
    return Scene({"telnyx-main": lambda: _telnyx(3, 1)}, only=only)


def drifting() -> Scene:
    """Events come late and without their payload, and others while the pages are read."""
    make: dict[str, Callable[[], World]] = {
        "telnyx-main": lambda: _telnyx(3, 3, 2 * DAY, late=0.4, empty=0.3),
        "fone-au": lambda: _fone(2, 3, 2 * DAY),
    }
    return Scene(make, step=20 * MINUTE, after=(2 * HOUR, 26 * HOUR), deep=True)


def takeover() -> Scene:
    """A second process takes the accounts over while the first one waits for a page."""
    return Scene(both(seed=5), after=(timedelta(0), 2 * HOUR), interrupted_at=(2, 5))

"""One simulated life of a few days, drawn from a seed: the real daemon on virtual time, the real store on a real
file, the real adapters and fetcher, against both providers in this process.

    start → [the daemon ticks and polls; storms, clock steps, second pollers] → it ends or is killed → start …
    → evening: the provider rests, everything is read once more → the promises are held against the truth

A second process may run to its end inside any request of the first: that is how sweeps interleave without
threads, and how a holder that was stopped beyond its lease comes back as one with an old epoch.
"""

import hashlib
import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from heapq import heappop, heappush
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import httpx
import structlog
from host import CALM, COMMITTED, LOST, TORN, Host, Process
from made import ACCOUNT_SID, account
from promises import Promises
from provider import Provider, provider
from sqlalchemy import Connection, text
from sqlmodel import SQLModel
from structlog.testing import LogCapture
from virtual import Killed, Loop, Time, virtual
from weather import DAY, MINUTE, Plan, Storm, plan, storm

from aggregator import daemon as daemons
from aggregator.config import AccountConfig, Config
from aggregator.core.account import Account, Feed, FeedKind
from aggregator.daemon import Daemon, Limits
from aggregator.errors import Fenced, StoreError
from aggregator.fetch import Fetcher
from aggregator.once import Polled, Verdict, held, poll_once
from aggregator.simulator.settings import Faults, Settings
from aggregator.store.replay import compare
from aggregator.store.store import Store
from aggregator.systemd import Notifier

KEY = "KEY-OF-THE-SIMULATION-CANARY"
CANARIES = (b"canary", b"pin 4321", KEY.lower().encode())
DEADLY = 15  # of so many lives one is nothing but deaths
MOST_STARTS, MOST_MEDDLING = 40, 10
START = datetime(2025, 3, 1, tzinfo=UTC)
Tables = dict[str, list[tuple[Any, ...]]]
"""The rows of each table."""


@dataclass
class Result:
    """How a life went: what was wrong, and what its feed is, byte for byte."""

    seed: int
    wrong: list[str]
    digest: str
    polls: int
    changes: int
    kills: int
    meddled: int
    fenced: int


class Heard(Notifier):
    """systemd, as far as it is told."""

    def __init__(self, tick_s: float) -> None:
        super().__init__({})
        self.watchdog_s = 6 * tick_s
        self.fed = 0

    def watchdog(self) -> None:
        self.fed += 1


class Simulated(Daemon):
    """The daemon, watched while it polls."""

    life: "Life"
    process: Process

    def _poll_once(self, account: Account, fetch: Fetcher) -> Polled:
        with self.life.polling(account.name, self.process) as told:
            polled = super()._poll_once(account, fetch)
            told.append(polled)
        return polled


@dataclass
class Life:
    """One seed's life on a host."""

    host: Host
    seed: int
    days: float = 5.0
    deadly: bool = False
    plan: Plan = field(init=False)
    promises: Promises = field(init=False)

    def __post_init__(self) -> None:
        self.deadly |= self.seed % DEADLY == 0
        self.rng = random.Random(f"{self.seed}/life")
        self.plan = plan(random.Random(f"{self.seed}/plan"), self.days)
        self.time = Time(START + self.rng.random() * 300 * DAY)
        self.faults = Faults()
        self.faults.set_all(self.plan.knobs)
        history = self.rng.choice((0.2, 2.0, 6.0))
        settings = Settings(
            seed=self.seed, orders=self.plan.orders, days=int(self.days + history) + 1, start=self.time.start
        )
        self.provider: Provider = provider(
            self.time, settings, self.faults, random.Random(f"{self.seed}/wire")
        )
        self.provider.before = self.provider.after = self._at_request
        self.time.pass_(history * 86_400)
        self.accounts = {f"{name}-sim": self._account(name) for name in self.plan.providers}
        self.promises = Promises(self.provider, self.accounts, self.plan.lookback)
        self.log = LogCapture()
        self.running: Process | None = None
        self.polling_since: datetime | None = None
        self.zombie: tuple[str, Any] | None = None
        self.spoiled = False
        self.agenda: list[tuple[datetime, int, Callable[[], None]]] = []
        self.planned = 0
        self.loop: Loop | None = None
        self.daemon: Simulated | None = None
        self.polls = self.kills = self.meddled = self.fenced = 0
        self.tried: dict[str, datetime] = {}

    # --- what there is ----------------------------------------------------------------------------------

    def _account(self, name: str) -> Account:
        one = account(name, f"{name}-sim")
        feeds = {feed.name: self._feed(feed) for feed in one.feeds.values()}
        return Account(
            one.name, one.provider, one.adapter, one.options, one.words, feeds, label="", stuck=one.stuck
        )

    def _feed(self, feed: Feed) -> Feed:
        events = feed.defaults.kind is FeedKind.EVENTS
        every = self.plan.every if events else self.plan.listing
        return Feed(
            feed.name,
            feed.defaults,
            True,
            every,
            self.plan.lookback if events else feed.lookback,
            DAY,
            feed.start,
        )

    def _fetcher(self, account: Account) -> Fetcher:
        adapter = account.adapter
        return Fetcher(
            adapter.base_url,
            adapter.auth,
            ACCOUNT_SID,
            lambda: KEY,
            min_interval_s=adapter.pacing.min_interval_s,
            clock=self.time.wall,
            sleep=self.time.pass_,
            monotonic=self.time.monotonic,
            rng=random.Random(self.rng.random()),
            transport=self.provider.transport(),
        )

    def _config(self) -> Config:
        accounts = {
            name: AccountConfig(
                name, one.provider, one.adapter, one.options, one.feeds, "file:key", one.adapter.base_url
            )
            for name, one in self.accounts.items()
        }
        return Config(Path("simulation.toml"), accounts=accounts)

    # --- the whole of it --------------------------------------------------------------------------------

    def run(self) -> Result:
        """Live, and say what was wrong."""
        self.host.begin(random.Random(f"{self.seed}/host"))
        with self._world():
            try:
                self._live()
                tables = self._evening()
            finally:
                self.host.end()
        self._logs()
        return Result(
            self.seed,
            self.promises.wrong,
            _digest(tables),
            self.polls,
            len(self.promises.seen),
            self.kills,
            self.meddled,
            self.fenced,
        )

    @contextmanager
    def _world(self) -> Iterator[None]:
        accounts = SimpleNamespace(
            account_of=lambda one: self.accounts[one.name],
            fetcher=lambda config, one: self._fetcher(self.accounts[one.name]),
        )
        before = structlog.get_config()
        with ExitStack() as stack:
            stack.enter_context(virtual(lambda: self.time, self.host.alive))
            stack.enter_context(patch.object(daemons, "accounts", accounts))
            structlog.configure(
                processors=[
                    structlog.contextvars.merge_contextvars,
                    structlog.processors.format_exc_info,
                    self.log,
                ],
                cache_logger_on_first_use=False,
            )
            stack.callback(lambda: structlog.configure(**before))
            yield

    def _live(self) -> None:
        up = self.plan.uptime / self.plan.spans
        down = max(timedelta(0), (self.days * DAY - self.plan.uptime) / self.plan.spans)
        for _ in range(self.plan.spans):
            self._storms(up)
            self._clocks(up)
            until = self.time.truth + up
            for _ in range(MOST_STARTS):
                if self.time.truth >= until:
                    break
                self._daemon(until)
            else:
                self.time.pass_((until - self.time.truth).total_seconds())
            self.time.pass_(self.rng.uniform(0.5, 1.5) * down.total_seconds())

    def _daemon(self, until: datetime) -> None:
        """One process from its start to its end, or its death."""
        process = self.host.start(self.host.main)
        tick_s = self.plan.every.total_seconds() / 2
        limits = Limits(
            tick_s=tick_s,
            look_s=tick_s,
            silent_s=12 * tick_s,
            renew_s=2 * tick_s,
            prune_s=4 * tick_s,
            wal_s=8 * tick_s,
            rest_s=15.0,
            poll_s=100 * 3_600.0,
            probe_s=20 * tick_s,
        )
        self.tried.clear()
        loop = self.loop = Loop(self.time, self.rng, self._due)
        heard = Heard(tick_s)
        self.daemon = None

        async def served() -> None:
            daemon = Simulated(self._config(), process.store(), self._config, heard, self.time.wall, limits)
            daemon.life, daemon.process = self, process
            self.daemon = daemon
            try:
                await daemon.run()
            finally:
                loop.stop()

        self._deaths(process, until)
        self._plan(until, self._stop)
        task = loop.create_task(served())
        began = self.time.mono
        loop.run_forever()
        self.loop = None
        if loop.died is None and task.done():
            task.result()
        died, loop.died = loop.died is not None, None
        lived = self.time.mono - began
        if not died and lived > 12 * tick_s and not heard.fed:
            self.promises.say("watchdog", "it was not fed although polls went on")
        loop.bury()
        self._ended(process, died)

    def _stop(self) -> None:
        """SIGTERM."""
        if self.daemon is not None:
            self.daemon.stopping.set()

    def _ended(self, process: Process, killed: bool) -> None:
        """The daemon is over; what is left is what the next one finds."""
        self.host.exit(process)
        since, self.polling_since, self.running = self.polling_since, None, None
        self.zombie = None
        if killed:
            self.kills += 1
            self.host.reboot()
        with self.host.unwatched() as db:
            if killed and self.host.url is None:
                if [row[0] for row in db.execute(text("pragma integrity_check"))] != ["ok"]:
                    self.promises.say("P3", "the file is damaged")
                if process.way == LOST:
                    self.promises.forgotten(db)
            self.promises.look(db, since)
        self.agenda = [one for one in self.agenda if one[0] > self.time.truth]
        self.agenda.sort()

    # --- time -------------------------------------------------------------------------------------------

    def _plan(self, at: datetime, action: Callable[[], None]) -> None:
        self.planned += 1
        heappush(self.agenda, (at, self.planned, action))

    def _due(self, timeout: float | None) -> float | None:
        """How long the loop may wait; what is planned before that happens now."""
        if not self.agenda:
            return timeout
        left = (self.agenda[0][0] - self.time.truth).total_seconds()
        if timeout is not None and timeout < left:
            return timeout
        self.time.pass_(max(0.0, left))
        _, _, action = heappop(self.agenda)
        try:
            action()
        except Killed as killed:
            assert self.loop is not None
            self.loop.died = killed
            return None
        return 0.0

    def _storms(self, up: timedelta) -> None:
        for _ in range(self.plan.storms if self.plan.spans == 1 else min(1, self.plan.storms)):
            begin = self.time.truth + self.rng.random() * up
            weather = storm(self.rng)
            length = self.rng.choice((1, 2, 6)) * self.plan.every
            self._plan(begin, lambda weather=weather: self._storm(weather))  # type: ignore[misc]
            self._plan(begin + length, lambda: self._storm(Storm()))

    def _storm(self, weather: Storm) -> None:
        """The weather changes: back to what is usual for this life, and then this."""
        self.provider.world.now()
        self.faults.clear()
        self.faults.set_all({**self.plan.knobs, **weather.knobs})
        self.provider.broken = weather.broken
        self.promises.honest = not (weather.lies or weather.spoils)
        self.spoiled |= weather.spoils

    def _clocks(self, up: timedelta) -> None:
        for _ in range(int(self.plan.clocks)):
            at = self.time.truth + self.rng.random() * up
            kind = self.rng.choice(("step", "step", "suspend", "mend"))
            ahead = timedelta(seconds=self.rng.choice((-7_200, -3_600, -30, 30, 3_600, 7_200)))
            self._plan(at, lambda kind=kind, ahead=ahead: self._clock(kind, ahead))  # type: ignore[misc]

    def _clock(self, kind: str, ahead: timedelta) -> None:
        if kind == "suspend":
            self.time.suspend(3_600.0)
            self.tried.clear()
        else:
            self.time.ahead = ahead if kind == "step" else timedelta(0)

    def _deaths(self, process: Process, until: datetime) -> None:
        """With this share of lives, the process is killed at some step."""
        if self.deadly:
            process.way, process.left = COMMITTED, self.rng.randrange(150)
            return
        if self.rng.random() >= self.plan.kills * 0.7:
            return
        process.way = self.rng.choice((CALM, CALM, COMMITTED, TORN, LOST))
        at = self.time.truth + self.rng.random() * (until - self.time.truth)
        steps = self.rng.choice((3, 40, 150))

        def arm() -> None:
            process.left = self.rng.randrange(steps)

        if self.rng.random() < 0.3:
            arm()
        else:
            self._plan(at, arm)

    # --- polls ------------------------------------------------------------------------------------------

    @contextmanager
    def polling(self, name: str, process: Process) -> Iterator[list[Polled]]:
        """A poll of the daemon from its start to its end."""
        began, told = self.time.truth, list[Polled]()
        self._regular(name, began)
        self.running, self.polling_since = process, began
        self.polls += 1
        try:
            yield told
        except Fenced:
            self.fenced += 1
            raise
        finally:
            self.running = None
            if not process.dead:
                self._after(name, began, told)
                self.polling_since = None

    def _after(self, name: str, began: datetime, told: list[Polled]) -> None:
        with self.host.unwatched() as db:
            if self.zombie is not None:
                whose, state = self.zombie
                if whose == name and self._state(db) != state:
                    self.promises.say("fencing", f"{name}: a holder of an old epoch wrote")
                self.zombie = None
            for polled in told:
                self._told(db, polled, began)
            self.promises.look(db, began)

    def _told(self, db: Connection, polled: Polled, began: datetime) -> None:
        """What a poll says of itself."""
        if polled.verdict in (Verdict.INTERNAL, Verdict.CONFIG):
            self.promises.say("P10", f"{polled.account}: {polled.trouble}")
        for outcome in polled.outcomes:
            if outcome.complete:
                self.promises.swept_at(db, (polled.account, outcome.feed), began)

    def _regular(self, name: str, now: datetime) -> None:
        """A feed that is due is polled soon, whatever the clock does."""
        before = self.tried.get(name)
        self.tried[name] = now
        longest = 9 * self.plan.every + 30 * MINUTE  # polls of other accounts take their time in between
        if before is not None and now - before > longest and not self._paused():
            self.promises.say("P11", f"{name} was not polled from {before} to {now}")

    def _paused(self) -> bool:
        with self.host.unwatched() as db:
            return any(db.execute(text("select 1 from account where paused_until is not null")).all())

    def _state(self, db: Any) -> Any:
        """All that a poll could write."""
        queries = (
            "select newest_seq, newest_fact, newest_event, newest_order from feed_identity",
            "select * from feed order by account_id, feed",
            "select * from wanted order by 1, 2, 3",
            "select * from quarantine order by 1, 2, 3",
        )
        return [[tuple(row) for row in db.execute(text(query))] for query in queries]

    def _at_request(self, request: httpx.Request) -> None:
        """Before and after every request: the process may die; a second one may run to its end."""
        process = self.running
        if process is None:
            return
        process.step("request")
        if process.engine is not self.host.main or self.zombie is not None:
            return
        if self.rng.random() < self.plan.meddling and self.meddled < MOST_MEDDLING:
            self._meddle()
        elif self.rng.random() < 0.1:
            with self.host.unwatched() as db:
                self.promises.look(db, self.polling_since)

    # --- a second process -------------------------------------------------------------------------------

    def _meddle(self) -> None:
        """Another process polls one of our accounts, now; it may take it over, and it may die of it."""
        self.meddled += 1
        name = self.rng.choice(sorted(self.accounts))
        first, since = self.running, self.polling_since
        if self.daemon is not None and self.rng.random() < 0.4:
            self.daemon.store.renew_all(self.daemon.leases.values(), self.time.wall())
        second = self.host.start(self.host.other)
        if self.rng.random() < 0.2:
            second.left = self.rng.randrange(200)
        store = second.store()
        began, taken = self.time.truth, False
        with self.host.unwatched() as db:
            self.promises.look(db, since)
        self.running = second
        rounds = self.rng.choice((1, 1, 3))
        try:
            for _ in range(rounds):
                polled = self._one_shot(store, name, due=self.rng.random() < 0.5)
                taken |= bool(polled.outcomes)
                with self.host.unwatched() as db:
                    self._told(db, polled, began)
                    self.promises.look(db, began)
                if rounds > 1:
                    self.time.pass_(self.plan.every.total_seconds() * self.rng.random())
                    began = self.time.truth
        except (Killed, StoreError):
            taken = True
        finally:
            self.running, self.polling_since = first, since
            self.host.exit(second)
            with self.host.unwatched() as db:
                epochs = {
                    row[0]: row[1]
                    for row in db.execute(
                        text("select a.name, l.epoch from lease l join account a on a.id = l.account_id")
                    )
                }
                self.promises.look(db, began)
                if taken and epochs[name] != self._epoch_of_first(name):
                    self.zombie = (name, self._state(db))

    def _epoch_of_first(self, name: str) -> int | None:
        lease = self.daemon.leases.get(name) if self.daemon else None
        return None if lease is None else lease.epoch

    def _one_shot(self, store: Store, name: str, due: bool) -> Polled:
        account = self.accounts[name]
        with self._fetcher(account) as fetch:
            return poll_once(
                account, store, lambda one: held(store, one, self.time.wall), fetch, self.time.wall, due=due
            )

    # --- evening ----------------------------------------------------------------------------------------

    def _evening(self) -> Tables:
        """The provider rests and is well; everything is read until nothing is owed."""
        world = self.provider.world
        self.agenda.clear()
        world.now()
        self._storm(Storm())
        world._ahead.clear()
        self.time.ahead = timedelta(0)
        hidden = max((at for at, _, _ in world._hidden), default=self.time.truth)
        process = self.host.start(self.host.main)
        store = process.store()
        store.sync(self.accounts.values(), 14 * DAY, self.time.wall())
        self.time.pass_(max((hidden - self.time.truth).total_seconds(), 0.0))
        for hours in (26, 1, 1, 1, 1):
            self.time.pass_(hours * 3_600.0)
            verdicts = {self._whole(store, name).verdict for name in self.accounts}
            if hours == 1 and verdicts == {Verdict.COMPLETE} and not self._owed():
                break
        # Pages cut from another order each time never fit together, nor do those of all numbers with copies in
        # them: such a number list is never whole.
        knobs = self.plan.knobs
        shuffled = knobs.get("list_order") == "shuffled" and "telnyx_clamp" in knobs
        copied = knobs.get("dropped_filters") == "ignored" and bool(knobs.keys() & {"duplicate", "twin"})
        unfit = shuffled or copied
        if verdicts != {Verdict.COMPLETE} and not unfit:
            self.promises.say("P11", f"not complete on a calm evening: {verdicts}")
        with self.host.unwatched() as db:
            self.promises.settle(db, self.spoiled or unfit)
            before = self._tables(db)
        for name in self.accounts:
            if self._whole(store, name).recorded.changes:
                self.promises.say("P7", f"{name}: one more look wrote changes")
        with self.host.unwatched() as db:
            after = self._tables(db)
        for table, rows in before.items():
            if rows != after[table] and _sorted(rows) != _sorted(after[table]):
                self.promises.say("P7", f"one more look changed the table {table}")
        for ours in self.accounts.values():
            for found in compare(self.host.main, ours, self.time.wall()):
                if found.differences:
                    self.promises.say(
                        "replay", f"{len(found.differences)} differences: {found.differences[0]}"
                    )
        store.close()
        self.host.exit(process)
        self._secrets(after)
        return after

    def _owed(self) -> bool:
        """Whether another look has something to ask for, or to find out: whether an order that one list lacked is in
        the next one too; and, by a clock that is behind, that an order was read after a list that lacked it."""
        missed = "misses = 1" if self.promises.told >= timedelta(0) else "misses > 0"
        queries = "select 1 from wanted", f"select 1 from port_order where {missed} and deleted_at is null"
        with self.host.unwatched() as db:
            return any(db.execute(text(f"{query} limit 1")).all() for query in queries)

    def _whole(self, store: Store, name: str) -> Polled:
        store.unpause(name)
        return self._one_shot(store, name, due=False)

    def _tables(self, db: Any) -> Tables:
        names = set(SQLModel.metadata.tables) - {"feed", "lease", "feed_identity"}
        if self.promises.told < timedelta(
            0
        ):  # what is wanted at a time is wanted again until the provider's has come
            names.discard("wanted")
        return {
            name: [tuple(row) for row in db.execute(text(f'select * from "{name}"'))]
            for name in sorted(names)
        }

    def _secrets(self, tables: Tables) -> None:
        body = str(tables).encode() if self.host.url else self.host.path.read_bytes()
        body = body.lower()
        for canary in CANARIES:
            if canary in body:
                self.promises.say("P12", f"the database holds {canary!r}")

    def _logs(self) -> None:
        """No poll crashed, a failing account was told once when it began, and no line holds a secret."""
        failing = set[str]()
        for entry in self.log.entries:
            match entry["event"]:
                case "poll.crashed":
                    said = entry["exception"].strip().splitlines()
                    self.promises.say("P10", f"a poll crashed: {said[-1]}: {said[-3].strip()}")
                case "daemon.started":
                    failing.clear()
                case "account.recovered":
                    failing.discard(entry["account"])
                case "account.failing":
                    if entry["account"] in failing:
                        self.promises.say("log", f"{entry['account']} was told to fail twice")
                    failing.add(entry["account"])
            line = str(entry).lower().encode()
            for canary in CANARIES:
                if canary in line:
                    self.promises.say("P12", f"the log holds {canary!r}")


def _digest(tables: Tables) -> str:
    """What tells these rows from all others, in whatever order they came."""
    said = str({name: _sorted(rows) for name, rows in tables.items()})
    return hashlib.sha256(said.encode()).hexdigest()[:16]


def _sorted(rows: list[tuple[Any, ...]]) -> list[str]:
    return sorted(map(str, rows))

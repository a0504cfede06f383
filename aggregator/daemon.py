"""The daemon: APScheduler ticks, `core/due.py` says what is due, worker threads poll, signals are obeyed.

    tick → agenda (from the database) → due → a worker is free → poll in its thread → told once when it fails or recovers

Nothing here remembers when a feed was polled: a restart forgets nothing and catches up nothing twice. The
scheduler goes by the wall clock and can die silently, so a supervisor that goes by the monotonic clock wakes
it, and the watchdog is fed by evidence of ticks alone.
"""

import asyncio
import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from contextvars import copy_context
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import structlog
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.interval import IntervalTrigger

from aggregator import accounts, descriptors, logs, publish
from aggregator.config import Config
from aggregator.core.account import Account
from aggregator.core.due import is_due
from aggregator.core.findings import Mark
from aggregator.desk import Desk
from aggregator.errors import ConfigError, Fenced, HostSilent, Stopped, StoreError, Unusable
from aggregator.hosts import Hosts, Place, Waiting, next_ones, place
from aggregator.once import Polled, Verdict, poll_once
from aggregator.systemd import Notifier

if TYPE_CHECKING:
    from aggregator.fetch import Fetcher
    from aggregator.store import Store
    from aggregator.store.prune import Pruned
    from aggregator.store.store import Lease

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Limits:
    """The daemon's own times, in seconds; tests shorten them."""

    tick_s: float = 1.0
    prune_s: float = 1.0  # between two small steps of retention
    renew_s: float = 5.0
    look_s: float = 5.0  # how often the supervisor looks whether the scheduler ticks
    silent_s: float = 60.0  # a scheduler that has not ticked for so long is dead
    rest_s: float = 15.0  # an account without a key, or without a database, is left alone for so long
    poll_s: float = 1_800.0  # a poll that records nothing for so long hangs: a sweep, repeated, ends before
    wal_s: float = 60.0  # how often SQLite's log is looked at
    probe_s: float = 15.0  # a database that neither answers nor fails for so long hangs
    grace_s: float = 4.0  # polls may end by themselves for so long after SIGTERM
    closing_s: float = 3.0  # and for so long once their connections are closed
    workers: int = 16  # polls at a time


LIMITS = Limits()


class Daemon:
    """One running service. `load` reads the configuration again for SIGHUP; `clock` is the wall clock; `count` is
    told of each poll and how long it took."""

    def __init__(
        self,
        config: Config,
        store: "Store",
        load: Callable[[], Config],
        notifier: Notifier,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        limits: Limits | None = None,
        count: Callable[[Polled, float], None] = lambda polled, seconds: None,
    ) -> None:
        self.count = count
        self.store, self.load, self.notifier, self.clock = store, load, notifier, clock
        self.limits = limits = limits or LIMITS
        self.config = config
        self.accounts: dict[str, Account] = {}
        self.fetchers: dict[str, Fetcher] = {}
        self.leases: dict[str, Lease] = {}
        self.places: dict[str, Place] = {}
        self.hosts = Hosts(lambda: time.monotonic())
        self.waiting: dict[str, Waiting] = {}  # accounts that are due and have no worker yet
        self.polls: dict[str, asyncio.Task[None]] = {}
        self.began: dict[str, float] = {}  # when each poll began in its thread
        self.since: dict[str, float] = {}  # when each of them last recorded something, or began
        store.committed = self._goes_on
        self.resting: dict[str, float] = {}
        self.failing: dict[str, str] = {}
        self.held_elsewhere: set[str] = set()
        self.stopping = asyncio.Event()
        self.pool = ThreadPoolExecutor(limits.workers, thread_name_prefix="poll")
        self.desk = Desk()
        self.scheduler = AsyncIOScheduler(
            timezone=UTC, job_defaults={"coalesce": True, "misfire_grace_time": None, "max_instances": 1}
        )
        self.ticked = time.monotonic()
        self.polled = self.changed = 0
        self.pruned: Pruned | None = None
        self.pruning = asyncio.Lock()

    # --- start and stop ---------------------------------------------------------------------------------

    async def run(self) -> bool:
        """Serve until SIGTERM or SIGINT; returns whether every thread has ended."""
        loop = asyncio.get_running_loop()
        for name in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(name, self.stopping.set)
        reloads: set[asyncio.Task[None]] = set()
        loop.add_signal_handler(signal.SIGHUP, lambda: reloads.add(loop.create_task(self.reload())))
        await self.desk.do(self._adopt, self.config)
        self.scheduler.add_job(
            self.tick, IntervalTrigger(seconds=self.limits.tick_s, timezone=UTC), id="tick"
        )
        self.scheduler.add_job(
            self.prune, IntervalTrigger(seconds=self.limits.prune_s, timezone=UTC), id="prune"
        )
        self.scheduler.start()
        works = (self._keep_leases, self._keep_wal_short, self._supervise, self._watchdog)
        helpers = [loop.create_task(work()) for work in works]
        self.notifier.ready(f"polling {len(self.accounts)} accounts")
        files = descriptors.told(descriptors.open_files(), min(self.limits.workers, len(self.accounts)))
        log.info("daemon.started", accounts=len(self.accounts), open_files=files)
        await self.stopping.wait()
        return await self._drain(helpers)

    async def _drain(self, helpers: list[asyncio.Task[None]]) -> bool:
        """Let the polls end; close their connections when they do not; then let everything go."""
        self.notifier.stopping()
        log.info("daemon.stopping", polls=len(self.polls))
        self.scheduler.pause()
        await self._wait_for_polls(self.limits.grace_s)
        for fetch in self.fetchers.values():
            fetch.close()
        ended = await self._wait_for_polls(self.limits.closing_s)
        with suppress(TimeoutError):  # a step under way is let end too
            await asyncio.wait_for(self.pruning.acquire(), self.limits.closing_s)
        for helper in helpers:
            helper.cancel()
        self.scheduler.shutdown(wait=False)
        await self.desk.emptied(self.limits.closing_s)
        try:
            await asyncio.wait_for(self.desk.do(self._release), self.limits.closing_s)
        except TimeoutError:  # a database that hangs
            ended = False
        except StoreError as error:
            log.warning("daemon.not_released", error=str(error))
        self.pool.shutdown(wait=False, cancel_futures=True)
        self.desk.close()
        log.info("daemon.stopped", whole=ended)
        return ended and not self.desk.busy

    async def _wait_for_polls(self, seconds: float) -> bool:
        if self.polls:
            await asyncio.wait(set(self.polls.values()), timeout=seconds)
        return not self.polls

    def _release(self) -> None:
        for lease in self.leases.values():
            self.store.release(lease)
        self.store.close()

    # --- configuration ----------------------------------------------------------------------------------

    async def reload(self) -> None:
        """Take a new configuration over; one that is broken leaves the old one in force."""
        self.notifier.reloading()
        try:
            config = await self.desk.do(self.load)
            if config.database != self.config.database:
                log.warning("reload.database", advice="restart the daemon to use another database")
            if config.http != self.config.http:
                log.warning("reload.http", advice="restart the daemon to serve on another address")
            await self.desk.do(self._adopt, config)
            log.info("reload.done", accounts=len(self.accounts))
        except (ConfigError, StoreError) as error:
            log.error("reload.refused", error=str(error), advice="the configuration before stays in force")
        self.notifier.ready(f"polling {len(self.accounts)} accounts")

    def _adopt(self, config: Config) -> None:
        """Make these accounts the ones that are polled. Refused keys are tried again."""
        chosen = {name: one for name, one in config.accounts.items() if one.enabled}
        every = [accounts.account_of(one) for one in config.accounts.values()]
        self.store.sync(every, config.waiting.keep_ended, self.clock(), config.broken)
        for name in chosen:
            self.store.unpause(name)
        fetchers = {name: accounts.fetcher(config, one) for name, one in chosen.items()}
        gone, self.fetchers = self.fetchers, fetchers
        self.accounts = {account.name: account for account in every if account.name in chosen}
        self.places = {name: place(one.provider, one.base_url) for name, one in chosen.items()}
        self.config = config
        for name, fetch in gone.items():
            if name not in self.polls:  # a poll under way closes its own
                fetch.close()
        for name in self.leases.keys() - chosen.keys():
            self.store.release(self.leases.pop(name))
        self._take_leases()

    # --- ticks ------------------------------------------------------------------------------------------

    async def tick(self) -> None:
        """Find every account that has something due, and start as many polls as there are workers for. Never waits
        for one."""
        self.ticked = time.monotonic()
        agenda = await self.desk.guarded("agenda", self.store.agenda)
        if agenda is None or self.stopping.is_set():
            return
        now, before, self.waiting = self.clock(), self.waiting, {}
        for name, account in self.accounts.items():
            marks, paused = agenda.get(name, ({}, None))
            resting = self.resting.get(name, self.ticked) > self.ticked
            busy = name in self.polls or name not in self.leases or resting
            if not busy and not (paused and paused[1] > now) and self._any_due(account, marks, now):
                failing = name in self.failing or any(mark.failures for mark in marks.values())
                since = before[name].since if name in before else self.ticked
                self.waiting[name] = Waiting(name, self.places[name], failing, since)
        self._begin()

    def _begin(self) -> None:
        """Start polls of those that wait, as far as there are workers: no host gets all of them."""
        if self.stopping.is_set():
            return
        running = Counter(self.places[name] for name in self.polls if name in self.places)
        running_elsewhere = len(self.polls) - sum(running.values())  # of accounts that are gone by now
        workers = self.limits.workers - running_elsewhere
        for one in next_ones(self.waiting.values(), running, set(self.places.values()), workers):
            del self.waiting[one.account]
            account = self.accounts.get(one.account)
            if account is not None and one.account in self.leases:
                self.polls[one.account] = asyncio.create_task(self._poll(account), name=f"poll {one.account}")

    def _any_due(self, account: Account, marks: Any, now: datetime) -> bool:
        return any(is_due(feed, marks.get(feed.name, Mark()), now) for feed in account.feeds.values())

    async def _poll(self, account: Account) -> None:
        """One poll in a worker thread; whatever goes wrong stays with its account."""
        with logs.polling(account.provider, account.name):
            await self._polled(account)
        self._begin()

    async def _polled(self, account: Account) -> None:
        fetch = self.fetchers[account.name]
        try:
            polled = await asyncio.get_running_loop().run_in_executor(
                self.pool, copy_context().run, self._poll_once, account, fetch
            )
            await self.desk.do(publish.published, self.store.engine, polled.recorded.newest_seq)
            self._tell(polled)
        except Stopped:
            log.info("poll.stopped")
        except Fenced as error:
            self.leases.pop(account.name, None)
            log.warning("account.fenced", error=str(error))
        except StoreError as error:
            self._rest(account.name)
            verdict = Verdict.CONFIG if isinstance(error, Unusable) else Verdict.LATER
            self._tell(Polled(account.name, verdict, trouble=str(error)))
        except Exception:
            self._rest(account.name)
            log.exception("poll.crashed")
        finally:
            self.polls.pop(account.name, None)
            self.since.pop(account.name, None)
            self.began.pop(account.name, None)
            if self.fetchers.get(account.name) is not fetch:  # replaced while it was in use
                fetch.close()

    def _rest(self, name: str) -> None:
        """A poll whose failure no run record shows (no key, no database) is not tried at every tick."""
        self.resting[name] = time.monotonic() + self.limits.rest_s

    def _poll_once(self, account: Account, fetch: "Fetcher") -> Polled:
        """A poll, in its thread: only from here on is it one that could hang."""
        self.began[account.name] = self.since[account.name] = time.monotonic()
        lease = self.leases.get(account.name)

        @contextmanager
        def hold(_: str) -> Iterator["Lease | None"]:
            yield lease

        fetch.refresh()
        with self.hosts[self.places[account.name]].polled(account.name, fetch) as ask:
            try:
                return poll_once(account, self.store, hold, ask, self.clock, due=True)
            finally:
                fetch.rest()

    def _goes_on(self, account: str) -> None:
        """A poll has recorded a slice; called in its thread."""
        if account in self.since:
            self.since[account] = time.monotonic()

    def _tell(self, polled: Polled) -> None:
        """A failing account is named when it starts to fail and when it recovers, not at every poll."""
        self.polled += 1
        began = self.began.get(polled.account)
        self.count(polled, time.monotonic() - began if began is not None else 0.0)
        recorded = polled.recorded
        self.changed += recorded.changes
        trouble, known = polled.trouble, self.failing.get(polled.account)
        if trouble is None:
            if self.failing.pop(polled.account, None) is not None:
                log.info("account.recovered")
        elif not any(isinstance(outcome.error, HostSilent) for outcome in polled.outcomes):
            self.failing[polled.account] = trouble
            if known is None:
                log.warning("account.failing", error=trouble, verdict=polled.verdict)
        level = log.info if recorded.changes or recorded.events else log.debug
        drift = sum(outcome.drift for outcome in polled.outcomes)
        told = {"events": recorded.events, "changes": recorded.changes}
        level("poll.done", **told, **({"drift": drift} if drift else {}))
        failing = f", failing: {', '.join(sorted(self.failing))}" if self.failing else ""
        silent = f", silent: {', '.join(self.hosts.silent)}" if self.hosts.silent else ""
        self.notifier.status(
            f"{len(self.accounts)} accounts, {self.polled} polls, {self.changed} changes{failing}{silent}"
        )

    # --- retention --------------------------------------------------------------------------------------

    async def prune(self) -> None:
        """One small step of the walk that is due, between the commits of polls. The database knows how far it is."""
        ages = self.config.retention
        if self.stopping.is_set() or not any(vars(ages).values()):
            return
        try:
            async with self.pruning:
                step = await self.desk.guarded("prune", lambda: self.store.prune_if_due(ages, self.clock()))
        except Exception:
            log.exception("prune.crashed", advice="nothing is removed any more until the next start")
            self.scheduler.remove_job("prune")
            return
        if step is None:
            return
        self.pruned = step if self.pruned is None else self.pruned + step
        if step.done:
            log.info("prune.done", removed=str(self.pruned))
            self.pruned = None

    # --- leases -----------------------------------------------------------------------------------------

    async def _keep_leases(self) -> None:
        """Renew what we hold and try for what we do not."""
        while True:
            await asyncio.sleep(self.limits.renew_s)
            await self.desk.guarded("leases", self._renew, writes=True)

    def _renew(self) -> None:
        for name in self.store.renew_all(self.leases.values(), self.clock()):
            self.leases.pop(name, None)
            log.warning("account.lost", account=name, error="another process has taken it over")
        self._take_leases()
        if self.desk.failing:  # with no account of ours, nothing was written so far
            self.store.require_writable()

    def _take_leases(self) -> None:
        for name in self.accounts.keys() - self.leases.keys():
            lease = self.store.take(name, self.clock())
            if lease is not None:
                self.leases[name] = lease
                self.held_elsewhere.discard(name)
            elif name not in self.held_elsewhere:
                self.held_elsewhere.add(name)
                log.warning("account.held", account=name, error="held by another process; waiting for it")

    async def _keep_wal_short(self) -> None:
        """A reader that sits in a transaction lets SQLite's log grow: said once when it starts and once when
        it ends."""
        known = None
        while True:
            await asyncio.sleep(self.limits.wal_s)
            wrong = await self.desk.do(self._shorten_wal)
            if wrong and not known:
                log.warning("database.wal_grows", error=wrong)
            elif known and not wrong:
                log.info("database.wal_short")
            known = wrong

    def _shorten_wal(self) -> str | None:
        with suppress(StoreError):  # an outage is told by whoever needs the database
            return self.store.shorten_wal()
        return None

    # --- health -----------------------------------------------------------------------------------------

    async def _supervise(self) -> None:
        """Wake a scheduler that has stopped ticking: the wall clock was set back, or its timer died."""
        pause = min(self.limits.look_s, self.limits.silent_s / 6)
        known = 0.0  # the tick after which it fell silent, when that was last said
        while True:
            await asyncio.sleep(pause)
            silent = time.monotonic() - self.ticked
            if silent > pause + 5 * self.limits.tick_s and not self.stopping.is_set():
                if known != self.ticked:
                    known = self.ticked
                    log.warning("scheduler.silent", seconds=round(silent))
                self.scheduler.reschedule_job(
                    "tick", trigger=IntervalTrigger(seconds=self.limits.tick_s, timezone=UTC)
                )
                self.scheduler.wakeup()

    async def _watchdog(self) -> None:
        """Tell systemd that polling goes on, for as long as there is evidence of it."""
        interval = self.notifier.watchdog_s
        if interval is None:
            return
        while True:
            if self.is_alive():
                self.notifier.watchdog()
            self.desk.probe(self.store.probe)
            await asyncio.sleep(interval / 3)

    def is_alive(self) -> bool:
        """Whether the scheduler ticks, no poll hangs, and the database answered or failed quickly when it was
        asked. An outage of a provider or of the database is no reason to be restarted: that would heal neither."""
        now, limits = time.monotonic(), self.limits
        ticking = now - self.ticked < limits.silent_s
        hanging = [name for name, since in self.since.items() if now - since > limits.poll_s]
        return ticking and not hanging and not self.desk.hangs(limits.probe_s)


def serve(daemon: Daemon) -> None:
    """Run a daemon to its end. A poll, or a database, that could not be ended does not keep the process."""
    if not asyncio.run(daemon.run()):
        os._exit(0)

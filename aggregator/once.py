"""One poll of one account, from its pause to a verdict: what the one-shot, the daemon and the tests call."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING

from aggregator.core.account import Account, Feed
from aggregator.core.due import LONGEST_PAUSE, is_due
from aggregator.core.findings import Findings, Mark, Progress, Recorded
from aggregator.errors import (
    AccessDenied,
    AdapterFailed,
    AggregatorError,
    ConfigError,
    FetchError,
    PollFailed,
    RateLimited,
    Refused,
    StoreError,
)
from aggregator.poll import poll_account
from aggregator.slices import Outcome
from aggregator.sweep import Fetch, Sweep, sweep

if TYPE_CHECKING:
    from aggregator.store.store import Lease, Store

RENEW_S = 5.0
TROUBLED = (AccessDenied, RateLimited, FetchError)
"""After these nothing is asked that can wait."""
Clock = Callable[[], datetime]
Hold = Callable[[str], AbstractContextManager["Lease | None"]]


class Verdict(StrEnum):
    """How a poll ended, for whoever must react."""

    COMPLETE = "complete"
    LATER = "try later"
    BAD_NEWS = "bad news"
    DENIED = "credentials refused"
    CONFIG = "configuration"
    INTERNAL = "internal error"


@dataclass(frozen=True, slots=True)
class Polled:
    """How the poll of one account went: its feeds, a verdict, and what is wrong in words."""

    account: str
    verdict: Verdict
    outcomes: tuple[Outcome, ...] = ()
    trouble: str | None = None

    @property
    def recorded(self) -> Recorded:
        """What it wrote, over all feeds."""
        return sum((outcome.recorded for outcome in self.outcomes), Recorded())


def poll_once(
    account: Account, store: "Store", hold: Hold, fetch: Fetch, clock: Clock, *, due: bool = False
) -> Polled:
    """Poll an account's feeds (`due`: only those that are), unless it pauses or the provider wants to be left
    alone. Faults of the store are raised; nothing of the provider is."""
    now = clock()
    marks, paused = store.memory(account.name)
    if paused is not None and paused[1] > now:
        return Polled(account.name, Verdict.DENIED, trouble=f"paused until {_minute(paused[1])}: {paused[0]}")
    feeds, limited = ready(account, marks, now, due)
    if not feeds:
        if limited is None:
            return Polled(account.name, Verdict.COMPLETE)
        trouble = f"the provider asks us to wait until {_minute(limited)}"
        return Polled(account.name, Verdict.LATER, trouble=trouble)
    with hold(account.name) as lease:
        if lease is None:
            return Polled(account.name, Verdict.LATER, trouble="held by another process")
        try:
            outcomes = poll_account(account, feeds, store, lease, fetch, clock)
            if not any(isinstance(outcome.error, TROUBLED) for outcome in outcomes):
                _describe(account, store, lease, fetch, clock())
        except ConfigError as error:  # the key, which is read when it is needed
            _without_key(account, feeds, store, lease, clock(), str(error))
            return Polled(account.name, Verdict.CONFIG, trouble=str(error))
        if paused is not None and outcomes and not any(outcome.error for outcome in outcomes):
            store.unpause(account.name)
        return _judged(account, store, lease, outcomes, clock)


def _describe(account: Account, store: "Store", lease: "Lease", fetch: Fetch, now: datetime) -> None:
    """Once a day, and after everything else: ask what the provider's reasons mean, where it says so. Nothing
    depends on the answer: where it cannot be read, what is known stays, and it is asked for in an hour again."""
    ask = account.adapter.describe
    if ask is not None and store.texts_due(lease, now):
        try:
            found = sweep(account, ask, fetch)
        except AggregatorError:  # of the key or a stop: for whoever polls
            raise
        except Exception:
            found = Sweep(incomplete="failed")
        store.take_texts(account, lease, found.texts or None if found.complete else None, now)


def _without_key(
    account: Account, feeds: Sequence[Feed], store: "Store", lease: "Lease", now: datetime, error: str
) -> None:
    """Let the run record show why nothing is polled."""
    for feed in feeds:
        progress = Progress(feed.name, "no_key", now, error=error)
        store.record(account, lease, Findings(feed.name, now), progress)


def ready(
    account: Account, marks: Mapping[str, Mark], now: datetime, due: bool
) -> tuple[list[Feed], datetime | None]:
    """The feeds to poll now, and until when the provider asked us to leave the whole account alone. A time
    further ahead than any pause can be is one that a clock set back has left behind."""
    asked = (mark.not_before for mark in marks.values() if mark.not_before is not None)
    limited = max((at for at in asked if now < at <= now + LONGEST_PAUSE), default=None)
    if limited is not None:
        return [], limited
    enabled = [feed for feed in account.feeds.values() if feed.enabled]
    return [feed for feed in enabled if not due or is_due(feed, marks.get(feed.name, Mark()), now)], None


def _judged(
    account: Account, store: "Store", lease: "Lease", outcomes: tuple[Outcome, ...], clock: Clock
) -> Polled:
    errors = [outcome.error for outcome in outcomes if outcome.error is not None]
    denied = next((error for error in errors if isinstance(error, AccessDenied)), None)
    if denied is not None:
        until = store.pause(lease, "the provider refused the key", clock())
        trouble = (
            f"{denied}; the key was refused, paused until {_minute(until)} "
            f"(mend it, then type: porting-aggregator poll {account.name})"
        )
        return Polled(account.name, Verdict.DENIED, outcomes, trouble)
    broken = next((error for error in errors if isinstance(error, AdapterFailed | PollFailed)), None)
    if broken is not None:
        return Polled(account.name, Verdict.INTERNAL, outcomes, str(broken))
    refused = [o.error for o in outcomes if o.feed in account.feeds and isinstance(o.error, Refused)]
    if refused:
        return Polled(account.name, Verdict.BAD_NEWS, outcomes, str(refused[0]))
    if any(isinstance(error, RateLimited) for error in errors) or not all(o.complete for o in outcomes):
        trouble = _first_trouble(outcomes)
        return Polled(account.name, Verdict.LATER, outcomes, trouble)
    return Polled(account.name, Verdict.COMPLETE, outcomes)


def _first_trouble(outcomes: tuple[Outcome, ...]) -> str:
    """The first feed that is not complete, what is wrong, and how many more there are."""
    broken = [outcome for outcome in outcomes if not outcome.complete or outcome.error]
    said = f"{broken[0].feed}: {broken[0].error or broken[0].outcome + ', try later'}"
    if left := sum(outcome.left for outcome in outcomes):
        said += f"; {left} single questions are left for later polls"
    return said + (f" (and {len(broken) - 1} more)" if len(broken) > 1 else "")


def _minute(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"


@contextmanager
def held(store: "Store", account: str, clock: Clock) -> Iterator["Lease | None"]:
    """Hold an account's lease, renewed in the background; None while another process has it."""
    lease = store.take(account, clock())
    if lease is None:
        yield None
        return
    stop = threading.Event()

    def renew() -> None:
        while not stop.wait(RENEW_S):
            try:
                if not store.renew(lease, clock()):
                    return
            except StoreError:
                continue  # the next write will say so

    thread = threading.Thread(target=renew, name=f"lease-{account}", daemon=True)
    thread.start()
    try:
        yield lease
    finally:
        stop.set()
        thread.join()
        store.release(lease)

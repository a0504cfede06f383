"""A walk through an account's history, with a progress bar; it can be stopped and goes on where it was."""

import threading
import time
from datetime import datetime
from typing import TYPE_CHECKING

from aggregator import accounts, logs, publish
from aggregator.backfill import backfill
from aggregator.cli import setup
from aggregator.cli.app import BAD_NEWS, DENIED, OK, TRY_LATER, say
from aggregator.cli.bar import interruptible, shown
from aggregator.core.findings import Recorded
from aggregator.errors import AccessDenied, Refused, Stopped
from aggregator.once import held

if TYPE_CHECKING:
    from aggregator.slices import Outcome


def walk(name: str, since: datetime, until: datetime | None) -> int:
    """Walk from `since` to `until` (up to now, where it is None)."""
    config = setup.configuration()
    (chosen,) = setup.chosen(config, [name])
    setup.logging(config, quiet=True)
    account, stop = accounts.account_of(chosen), threading.Event()
    with (
        logs.polling(chosen.provider, name),
        setup.store(config) as store,
        held(store, name, setup.now) as lease,
        accounts.fetcher(config, chosen) as fetch,
    ):
        if lease is None:
            say(f"{name}: held by another process; stop the daemon, or take the account out of it meanwhile")
            return TRY_LATER
        with interruptible(stop, fetch.close), shown(name) as bar:
            started = time.monotonic()

            def tell(share: float, orders: int, events: int, changes: int) -> None:
                rate = events / max(time.monotonic() - started, 0.001)
                bar(share, f"{orders} orders, {events} events, {changes} changes, {rate:.0f} events/s")

            try:
                outcomes = backfill(
                    account, since, until, store, lease, fetch, setup.now, stop=stop, tell=tell
                )
            except Stopped:
                outcomes = ()
        recorded = sum((outcome.recorded for outcome in outcomes), Recorded())
        publish.published(store.engine, recorded.newest_seq)
    return _told(name, outcomes, stop.is_set())


def _told(name: str, outcomes: "tuple[Outcome, ...]", stopped: bool) -> int:
    """What is said at the end, and the exit code."""
    broken = next((outcome for outcome in outcomes if not outcome.complete), None)
    if stopped and (broken or not outcomes):
        say(f"{name}: stopped; the same command goes on where it was")
        return TRY_LATER
    if broken is None:
        return OK
    say(f"{name}: {broken.feed}: {broken.error or broken.outcome}; the same command goes on where it was")
    if isinstance(broken.error, AccessDenied):
        return DENIED
    return BAD_NEWS if isinstance(broken.error, Refused) else TRY_LATER

"""One poll of every account, and one event asked for by id."""

from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from datetime import datetime
from typing import TYPE_CHECKING

import structlog
import typer

from aggregator import accounts, logs, publish
from aggregator.cli import output, setup
from aggregator.cli.app import BAD_NEWS, CONFIG, DENIED, INTERNAL, OK, TRY_LATER, say
from aggregator.cli.pruning import prune_a_little
from aggregator.config import AccountConfig
from aggregator.core.findings import Recorded
from aggregator.errors import ConfigError, Stopped, StoreError, Unusable
from aggregator.hosts import Fetch, Host, Hosts, Waiting, next_ones, place
from aggregator.once import Polled, Verdict, held, poll_once
from aggregator.poll import poll_events

if TYPE_CHECKING:
    from aggregator.fetch import Fetcher
    from aggregator.store import Store

log = structlog.get_logger()
WORKERS = 8  # polls at a time

CODES = {
    Verdict.COMPLETE: OK,
    Verdict.LATER: TRY_LATER,
    Verdict.BAD_NEWS: BAD_NEWS,
    Verdict.DENIED: DENIED,
    Verdict.CONFIG: CONFIG,
    Verdict.INTERNAL: INTERNAL,
}


def poll_all(names: list[str] | None, due: bool, json: bool) -> int:
    """Poll these accounts, or every enabled one, side by side; the exit code tells how it went."""
    config = setup.configuration()
    broken = [one for one in config.broken.values() if (one.name in names if names else one.enabled)]
    usable = [name for name in names or () if name not in config.broken]
    chosen = setup.chosen(config, usable) if usable or not names else []
    setup.logging(config, quiet=True)
    if not chosen:
        raise setup.nothing_to_poll(config)
    with (
        setup.store(config) as store,
        ThreadPoolExecutor(max_workers=WORKERS) as pool,
        ExitStack() as fetchers,  # left first: an interrupt closes the connections, which ends the polls
        output.busy(f"asking {', '.join(one.name for one in chosen)}"),
    ):
        hosts = Hosts()

        def polls(one: AccountConfig) -> Callable[[], Polled]:
            fetch = fetchers.enter_context(accounts.fetcher(config, one))
            host = hosts[place(one.provider, one.base_url)]
            return lambda: _poll(one, store, fetch, host, due, bool(names))

        polled = _in_turn(chosen, {one.name: polls(one) for one in chosen}, store, pool)
        prune_a_little(config, store)
    polled += [Polled(one.name, Verdict.CONFIG, trouble=one.error) for one in broken]
    output.polled([(one.account, outcome) for one in polled for outcome in one.outcomes], json)
    for one in polled:
        if one.trouble:
            say(f"{one.account}: {one.trouble}")
    return combined([CODES[one.verdict] for one in polled])


def _in_turn(
    chosen: list[AccountConfig],
    polls: Mapping[str, Callable[[], Polled]],
    store: "Store",
    pool: ThreadPoolExecutor,
) -> list[Polled]:
    """Poll these accounts side by side, and give how each went in their order. No host takes all the workers, and
    what failed last comes after what did not."""
    remembered = store.agenda()
    waiting, results = dict[str, Waiting](), dict[str, Polled]()
    for number, one in enumerate(chosen):
        marks, _ = remembered.get(one.name, ({}, None))
        failing = any(mark.failures for mark in marks.values())
        waiting[one.name] = Waiting(one.name, place(one.provider, one.base_url), failing, number)
    places = {one.place for one in waiting.values()}
    running: dict[Future[Polled], Waiting] = {}
    while waiting or running:
        busy = Counter(one.place for one in running.values())
        for turn in next_ones(waiting.values(), busy, places, WORKERS):
            del waiting[turn.account]
            running[pool.submit(polls[turn.account])] = turn
        for ended in wait(running, return_when=FIRST_COMPLETED).done:
            results[running.pop(ended).account] = ended.result()
    return [results[one.name] for one in chosen]


def combined(codes: list[int]) -> int:
    """One exit code for several accounts: all alike, that code; mixed, 1 if any failed for good, else 75."""
    if len(set(codes)) == 1:
        return codes[0]
    return BAD_NEWS if set(codes) - {OK, TRY_LATER} else TRY_LATER


def _poll(
    chosen: AccountConfig, store: "Store", fetch: "Fetcher", host: Host, due: bool, named: bool
) -> Polled:
    """Poll one account; whatever goes wrong stays with it."""
    with logs.polling(chosen.provider, chosen.name):
        try:
            return _poll_alone(chosen, store, fetch, host, due, named)
        finally:
            fetch.rest()


def _poll_alone(
    chosen: AccountConfig, store: "Store", fetch: Fetch, host: Host, due: bool, named: bool
) -> Polled:
    try:
        if named:
            store.unpause(chosen.name)
        with host.polled(chosen.name, fetch) as ask:
            return poll_one(chosen, store, ask, due)
    except ConfigError as error:
        return Polled(chosen.name, Verdict.CONFIG, trouble=str(error))
    except Unusable as error:
        return Polled(chosen.name, Verdict.CONFIG, trouble=str(error))
    except StoreError as error:
        return Polled(chosen.name, Verdict.LATER, trouble=str(error))
    except Stopped:
        return Polled(chosen.name, Verdict.LATER, trouble="stopped")
    except Exception as error:
        log.exception("poll.crashed")
        return Polled(chosen.name, Verdict.INTERNAL, trouble=f"internal error: {type(error).__name__}")


def poll_one(
    chosen: AccountConfig,
    store: "Store",
    fetch: Fetch,
    due: bool = False,
    clock: Callable[[], datetime] = setup.now,
) -> Polled:
    """Poll one account now, as the `clock` has it, holding its lease meanwhile."""
    account = accounts.account_of(chosen)
    polled = poll_once(account, store, lambda name: held(store, name, setup.now), fetch, clock, due=due)
    publish.published(store.engine, polled.recorded.newest_seq)
    return polled


def take_in(account: str, event_id: str) -> int:
    """Fetch one event by id, from whichever of the account's event feeds has it, and record it."""
    config = setup.configuration()
    (chosen,) = setup.chosen(config, [account])
    setup.logging(config, quiet=True)
    ours = accounts.account_of(chosen)
    feeds = [name for name in ours.feeds if name.endswith("_events")]
    if not feeds:
        raise ConfigError(f"{chosen.provider} has no events that can be asked for by id")
    with (
        logs.polling(chosen.provider, account),
        setup.store(config) as store,
        held(store, account, setup.now) as lease,
        accounts.fetcher(config, chosen) as fetch,
    ):
        if lease is None:
            say(f"{account}: held by another process")
            return TRY_LATER
        taken = Recorded()
        found = False
        for feed in feeds:
            swept, recorded = poll_events(ours, feed, (event_id,), store, lease, fetch, setup.now())
            if swept.error is not None:
                raise swept.error
            taken += recorded
            found |= bool(swept.facts)
        publish.published(store.engine, taken.newest_seq)
    if not found:
        say(f"{account}: no such event: {event_id}")
        return BAD_NEWS
    typer.echo(f"taken in: {taken.events} new event, {taken.changes} changes")
    return OK

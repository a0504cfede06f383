"""The verbs that ask providers: poll, event, check."""

import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import structlog
import typer

from aggregator import accounts
from aggregator.cli import output, setup
from aggregator.cli.app import BAD_NEWS, CONFIG, DENIED, OK, TRY_LATER, app, say
from aggregator.config import AccountConfig, Config, database_url
from aggregator.core.findings import Recorded
from aggregator.core.model import Window
from aggregator.errors import AccessDenied, ConfigError, ProviderError, Refused, StoreError
from aggregator.once import Polled, Verdict, held, poll_once
from aggregator.poll import poll_events
from aggregator.sweep import sweep

if TYPE_CHECKING:
    from aggregator.fetch import Fetcher
    from aggregator.store import Store

log = structlog.get_logger()


CODES = {
    Verdict.COMPLETE: OK,
    Verdict.LATER: TRY_LATER,
    Verdict.BAD_NEWS: BAD_NEWS,
    Verdict.DENIED: DENIED,
    Verdict.CONFIG: CONFIG,
}


@app.command()
def poll(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[ACCOUNT]...", help="Only these accounts.")
    ] = None,
    due: Annotated[bool, typer.Option("--due", help="Only the feeds that are due.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print how each feed went, as JSON lines.")] = False,
) -> int:
    """Poll once: every feed of every account, then exit. For cron and timers.

    Examples: [bold]porting-aggregator poll[/] · [bold]porting-aggregator poll telnyx-main --due[/]
    """
    config = setup.configuration()
    chosen = setup.chosen(config, names)
    setup.logging(config, accounts.known_secrets(config, chosen), quiet=True)
    if not chosen:
        raise ConfigError(f"{config.path}: no account to poll; write an [accounts.NAME] section")
    with (
        setup.store(config) as store,
        ThreadPoolExecutor(max_workers=min(8, len(chosen))) as pool,
        ExitStack() as fetchers,  # left first: an interrupt closes the connections, which ends the polls
    ):
        jobs = [
            pool.submit(
                _poll,
                config,
                one,
                store,
                fetchers.enter_context(accounts.fetcher(config, one)),
                due,
                bool(names),
            )
            for one in chosen
        ]
        polled = [job.result() for job in jobs]
    output.polled([(one.account, outcome) for one in polled for outcome in one.outcomes], json)
    for one in polled:
        if one.trouble:
            say(f"{one.account}: {one.trouble}")
    return combined([CODES[one.verdict] for one in polled])


def combined(codes: list[int]) -> int:
    """One exit code for several accounts: all alike, that code; mixed, 1 if any failed for good, else 75."""
    if len(set(codes)) == 1:
        return codes[0]
    return BAD_NEWS if set(codes) - {OK, TRY_LATER} else TRY_LATER


def _poll(
    config: Config, chosen: AccountConfig, store: "Store", fetch: "Fetcher", due: bool, named: bool
) -> Polled:
    """Poll one account; whatever goes wrong stays with it."""
    try:
        accounts.key_of(config, chosen)
        if named:
            store.unpause(chosen.name)
        polled = poll_one(chosen, store, fetch, due)
    except ConfigError as error:
        return Polled(chosen.name, Verdict.CONFIG, trouble=str(error))
    except StoreError as error:
        return Polled(chosen.name, Verdict.LATER, trouble=str(error))
    for outcome in polled.outcomes:
        if not outcome.complete:
            said = str(outcome.error or "")
            log.warning(
                "poll.incomplete",
                account=chosen.name,
                feed=outcome.feed,
                outcome=outcome.outcome,
                error=said,
            )
    return polled


def poll_one(chosen: AccountConfig, store: "Store", fetch: "Fetcher", due: bool = False) -> Polled:
    """Poll one account now, holding its lease meanwhile."""
    account = accounts.account_of(chosen)
    return poll_once(account, store, lambda name: held(store, name, setup.now), fetch, setup.now, due=due)


@app.command()
def event(
    account: Annotated[str, typer.Argument(help="The account it belongs to.")],
    event_id: Annotated[str, typer.Argument(help="The provider's id of the event.")],
) -> int:
    """Fetch one provider event by id and take it in (Telnyx porting and port-out events).

    Example: [bold]porting-aggregator event telnyx-main 4c6f0a4e-1f8a-4c9a-9b3e-0a1b2c3d4e5f[/]
    """
    config = setup.configuration()
    (chosen,) = setup.chosen(config, [account])
    setup.logging(config, accounts.known_secrets(config, [chosen]), quiet=True)
    ours = accounts.account_of(chosen)
    feeds = [name for name in ours.feeds if name.endswith("_events")]
    if not feeds:
        raise ConfigError(f"{chosen.provider} has no events that can be asked for by id")
    with (
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
    if not found:
        say(f"{account}: no such event: {event_id}")
        return BAD_NEWS
    typer.echo(f"taken in: {taken.events} new event, {taken.changes} changes")
    return OK


@app.command()
def check(
    online: Annotated[bool, typer.Option("--online", help="Make one cheap call for each account.")] = False,
) -> int:
    """Check configuration, credentials, database and schema; with --online, each account's key.

    Example: [bold]porting-aggregator check --online[/]
    """
    from aggregator.store import open_store

    config = setup.configuration()
    setup.logging(config, accounts.known_secrets(config, list(config.accounts.values())), quiet=True)
    typer.echo(f"configuration  ok   {config.path}")
    codes = [OK]
    try:
        store = open_store(database_url(config, os.environ), config.database.schema_)
        store.close()
        typer.echo("database       ok")
    except (StoreError, ConfigError) as error:
        typer.echo(f"database       BAD  {error}")
        codes.append(CONFIG)
    for account in config.accounts.values():
        code, text = _checked(config, account, online)
        typer.echo(f"{account.name:<14} {'ok ' if code == OK else 'BAD'}  {text}")
        codes.append(code)
    worst = {code for code in codes if code != OK}
    return combined(sorted(worst)) if worst else OK


def _checked(config: Config, chosen: AccountConfig, online: bool) -> tuple[int, str]:
    try:
        accounts.key_of(config, chosen)
        if not online:
            return OK, f"{chosen.provider}, key found"
        account = accounts.account_of(chosen)
        until = setup.now() - timedelta(seconds=5)
        ask = chosen.adapter.check or Window(next(iter(account.feeds)), until - timedelta(minutes=1), until)
        with accounts.fetcher(config, chosen) as fetch:
            found = sweep(account, ask, fetch)
        if found.error is not None:
            raise found.error
        return OK, f"{chosen.provider}, key accepted"
    except ConfigError as error:
        return CONFIG, str(error)
    except AccessDenied as error:
        return DENIED, str(error)
    except Refused as error:
        return BAD_NEWS, str(error)
    except ProviderError as error:
        return TRY_LATER, str(error)

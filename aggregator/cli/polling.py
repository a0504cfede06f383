"""The verbs that ask providers: poll, event, check."""

import os
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import structlog
import typer

from aggregator.cli import output, setup
from aggregator.cli.app import BAD_NEWS, CONFIG, DENIED, OK, TRY_LATER, app, say
from aggregator.config import AccountConfig, Config, database_url
from aggregator.core.account import Account, Feed
from aggregator.core.due import is_due
from aggregator.core.findings import Mark, Recorded
from aggregator.core.model import Window
from aggregator.errors import (
    AccessDenied,
    ConfigError,
    Fenced,
    ProviderError,
    RateLimited,
    Refused,
    StoreError,
)
from aggregator.poll import Outcome, poll_account, poll_events
from aggregator.sweep import sweep

if TYPE_CHECKING:
    from aggregator.store.store import Lease, Store

log = structlog.get_logger()
RENEW_S = 5.0


@dataclass(frozen=True, slots=True)
class Polled:
    """How the poll of one account went: its feeds, and the exit code it alone would give."""

    account: str
    outcomes: tuple[Outcome, ...]
    code: int
    trouble: str | None = None


@app.command()
def poll(
    accounts: Annotated[list[str] | None, typer.Argument(help="Only these accounts.")] = None,
    due: Annotated[bool, typer.Option("--due", help="Only the feeds that are due.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print how each feed went, as JSON lines.")] = False,
) -> int:
    """Poll once: every feed of every account, then exit. For cron and timers.

    Examples: [bold]porting-aggregator poll[/] · [bold]porting-aggregator poll telnyx-main --due[/]
    """
    config = setup.configuration()
    chosen = setup.chosen(config, accounts)
    setup.logging(config, _known_secrets(config, chosen), quiet=True)
    if not chosen:
        raise ConfigError(f"{config.path}: no account to poll; write an [accounts.NAME] section")
    with setup.store(config) as store, ThreadPoolExecutor(max_workers=min(8, len(chosen))) as pool:
        jobs = [pool.submit(_poll, config, account, store, due, bool(accounts)) for account in chosen]
        polled = [job.result() for job in jobs]
    output.polled([(one.account, outcome) for one in polled for outcome in one.outcomes], json)
    for one in polled:
        if one.trouble:
            say(f"{one.account}: {one.trouble}")
    return combined([one.code for one in polled])


def combined(codes: list[int]) -> int:
    """One exit code for several accounts: all alike, that code; mixed, 1 if any failed for good, else 75."""
    if len(set(codes)) == 1:
        return codes[0]
    return BAD_NEWS if set(codes) - {OK, TRY_LATER} else TRY_LATER


def _known_secrets(config: Config, accounts: list[AccountConfig]) -> tuple[str, ...]:
    found = []
    for account in accounts:
        try:
            found.append(setup.key_of(config, account))
        except ConfigError:
            continue  # said when this account is polled
    return tuple(found)


def _poll(config: Config, chosen: AccountConfig, store: "Store", due: bool, named: bool) -> Polled:
    """Poll one account; whatever goes wrong stays with it."""
    account = setup.account_of(chosen)
    try:
        setup.key_of(config, chosen)
        if named:
            store.unpause(account.name)
        return _poll_held(config, chosen, account, store, due)
    except ConfigError as error:
        return Polled(account.name, (), CONFIG, str(error))
    except Fenced as error:
        return Polled(account.name, (), TRY_LATER, str(error))
    except StoreError as error:
        return Polled(account.name, (), TRY_LATER, str(error))


def poll_one(config: Config, chosen: AccountConfig, store: "Store", tries: int = 4) -> Polled:
    """Poll one account now, every feed of it."""
    return _poll_held(config, chosen, setup.account_of(chosen), store, due=False, tries=tries)


def _poll_held(
    config: Config, chosen: AccountConfig, account: Account, store: "Store", due: bool, tries: int = 4
) -> Polled:
    now = setup.now()
    paused = store.paused(account.name)
    if paused is not None and paused[1] > now:
        return Polled(account.name, (), DENIED, f"paused until {paused[1]:%Y-%m-%d %H:%M} UTC: {paused[0]}")
    marks = store.marks(account.name)
    feeds, limited = _ready(account, marks, due, now)
    if not feeds:
        code = TRY_LATER if limited else OK
        return Polled(
            account.name, (), code, f"the provider asks us to wait until {limited}" if limited else None
        )
    with held(store, account.name) as lease:
        if lease is None:
            return Polled(account.name, (), TRY_LATER, "held by another process")
        with setup.fetcher(config, chosen, tries) as fetch:
            outcomes = poll_account(account, feeds, store, lease, fetch, setup.now)
        return _judged(account, store, lease, outcomes)


def _ready(
    account: Account, marks: Mapping[str, Mark], due: bool, now: datetime
) -> tuple[list[Feed], datetime | None]:
    """The feeds to poll now, and until when the provider asked us to wait with the others."""
    feeds, limited = [], None
    for feed in account.feeds.values():
        mark = marks.get(feed.name, Mark())
        if mark.not_before is not None and mark.not_before > now:
            limited = max(filter(None, (limited, mark.not_before)))
        elif feed.enabled and (not due or is_due(feed, mark, now)):
            feeds.append(feed)
    return feeds, limited


def _judged(account: Account, store: "Store", lease: "Lease", outcomes: tuple[Outcome, ...]) -> Polled:
    errors = [outcome.error for outcome in outcomes if outcome.error is not None]
    for outcome in outcomes:
        if not outcome.complete:
            log.warning(
                "poll.incomplete",
                account=account.name,
                feed=outcome.feed,
                outcome=outcome.outcome,
                error=str(outcome.error or ""),
            )
    denied = next((error for error in errors if isinstance(error, AccessDenied)), None)
    if denied is not None:
        until = store.pause(lease, "the provider refused the key", setup.now())
        return Polled(
            account.name,
            outcomes,
            DENIED,
            f"{denied}; the key was refused, paused until {until:%Y-%m-%d %H:%M} UTC "
            f"(mend it, then type: porting-aggregator poll {account.name})",
        )
    if outcomes and not errors:
        store.unpause(account.name)
    if any(isinstance(error, Refused) for error in errors):
        return Polled(account.name, outcomes, BAD_NEWS, str(errors[0]))
    if any(isinstance(error, RateLimited) for error in errors) or not all(o.complete for o in outcomes):
        return Polled(
            account.name, outcomes, TRY_LATER, str(errors[0]) if errors else "incomplete, try later"
        )
    return Polled(account.name, outcomes, OK)


@contextmanager
def held(store: "Store", account: str) -> Iterator["Lease | None"]:
    """Hold an account's lease, renewed in the background; None while another process has it."""
    lease = store.take(account, setup.now())
    if lease is None:
        yield None
        return
    stop = threading.Event()

    def renew() -> None:
        while not stop.wait(RENEW_S):
            try:
                if not store.renew(lease, setup.now()):
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
    setup.logging(config, _known_secrets(config, [chosen]), quiet=True)
    ours = setup.account_of(chosen)
    feeds = [name for name in ours.feeds if name.endswith("_events")]
    if not feeds:
        raise ConfigError(f"{chosen.provider} has no events that can be asked for by id")
    with setup.store(config) as store, held(store, account) as lease, setup.fetcher(config, chosen) as fetch:
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
    setup.logging(config, _known_secrets(config, list(config.accounts.values())), quiet=True)
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
        setup.key_of(config, chosen)
        if not online:
            return OK, f"{chosen.provider}, key found"
        account = setup.account_of(chosen)
        until = setup.now() - timedelta(seconds=5)
        ask = chosen.adapter.check or Window(next(iter(account.feeds)), until - timedelta(minutes=1), until)
        with setup.fetcher(config, chosen) as fetch:
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

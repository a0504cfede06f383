"""Is everything right? Configuration, keys, database and schema, and with a cheap call each account's key."""

import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import typer

from aggregator import accounts, descriptors
from aggregator.cli import output, setup
from aggregator.cli.app import BAD_NEWS, CONFIG, DENIED, OK, TRY_LATER, say
from aggregator.cli.asking import combined
from aggregator.config import AccountConfig, Config, database_url
from aggregator.config.values import host_of, is_loopback
from aggregator.core.model import Window
from aggregator.daemon import LIMITS
from aggregator.errors import AccessDenied, ConfigError, ProviderError, Refused, StoreError, Unusable
from aggregator.sweep import first_page

Found = tuple[str, str, int, str]
"""What is checked, its name, the exit code it alone would end with, and how it is."""


def check_all(online: bool, json: bool = False) -> int:
    """Check one thing after another, a line for each; the exit code is that of what is wrong. A configuration that
    cannot be used is, as JSON lines, a line for each mistake."""
    try:
        config = setup.configuration()
        setup.logging(config, quiet=True)
        if not any(one.enabled for one in config.each):
            raise setup.nothing_to_poll(config)
    except ConfigError as error:
        if not json:
            raise
        for mistake in error.mistakes:
            _print(("configuration", "configuration", CONFIG, mistake), json)
        return CONFIG
    codes = []
    for found in _checks(config, online):
        _print(found, json)
        codes.append(found[2])
    for warning in (*reworded(config), *twins(config), *exposed(config), *unusable(config)):
        say(warning)
    worst = {code for code in codes if code != OK}
    return combined(sorted(worst)) if worst else OK


def _print(found: Found, json: bool) -> None:
    what, name, code, text = found
    if json:
        output.lines([{"what": what, "name": name, "ok": code == OK, "exit_code": code, "text": text}])
    else:
        typer.echo(f"{name:<14} {_word(code)}  {text}")


def _checks(config: Config, online: bool) -> Iterator[Found]:
    wanted = min(LIMITS.workers, sum(account.enabled for account in config.accounts.values()))
    files = descriptors.told(descriptors.open_files(), wanted)
    yield "configuration", "configuration", OK, f"{config.path} (open files: {files})"
    yield "database", "database", *_database(config)
    for account in config.accounts.values():
        yield "account", account.name, *_account(config, account, online)
    for broken in config.broken.values():
        yield "account", broken.name, CONFIG, broken.error


def _word(code: int) -> str:
    return "ok " if code == OK else "BAD"


def _database(config: Config) -> tuple[int, str]:
    """Whether the database can be read and has this version's schema; it is not made by looking at it."""
    from aggregator.store import schema
    from aggregator.store.engine import address_of
    from aggregator.store.queries import open_reader

    try:
        url = database_url(config, os.environ)
        address = address_of(url)
        if address.get_backend_name() == "sqlite":
            path = Path(address.database or "")
            if not path.parent.is_dir():
                return CONFIG, f"there is no folder {path.parent}; type: mkdir -p {path.parent}"
            if not path.exists():
                return OK, "none yet; the first poll makes it"
        reader = open_reader(url, config.database.schema)
        try:
            schema.require(reader.engine)
        finally:
            reader.close()
        return OK, f"schema {schema.head()}"
    except (Unusable, ConfigError) as error:
        return CONFIG, str(error)
    except StoreError as error:
        return TRY_LATER, str(error)


def _account(config: Config, chosen: AccountConfig, online: bool) -> tuple[int, str]:
    try:
        accounts.key_of(config, chosen)
        accounts.way_out(config)
        if not online:
            return OK, f"{chosen.provider}, key found"
        account = accounts.account_of(chosen)
        until = setup.now() - timedelta(seconds=5)
        ask = chosen.adapter.check or Window(next(iter(account.feeds)), until - timedelta(minutes=1), until)
        with accounts.fetcher(config, chosen) as fetch:
            first_page(account, ask, fetch)
        return OK, f"{chosen.provider}, key accepted"
    except ConfigError as error:
        return CONFIG, str(error)
    except AccessDenied as error:
        return DENIED, str(error)
    except Refused as error:
        return BAD_NEWS, str(error)
    except ProviderError as error:
        return TRY_LATER, str(error)


def unusable(config: Config) -> Iterator[str]:
    """A warning for each provider that is installed, cannot be relied on, and has no account that would say so."""
    from aggregator import providers

    for name in sorted({*providers.names()} - {one.provider for one in config.broken.values()}):
        try:
            providers.load(name)
        except ConfigError as error:
            yield f"warning: {error}"


def reworded(config: Config) -> list[str]:
    """A warning for each account whose orders were last written with other words than the present ones."""
    from aggregator.store.queries import open_reader

    warnings = []
    older = "select count(*) as orders from v1_orders where account = :account and map_version <> :version"
    try:
        url = database_url(config, os.environ)
        reader = open_reader(url, config.database.schema)
    except ConfigError:
        return []  # none yet, or told already
    try:
        for account in config.accounts.values():
            version = accounts.account_of(account).words.version
            (found,) = reader.query(older, {"account": account.name, "version": version})
            if found["orders"]:
                warnings.append(
                    f"warning: {account.name}: words changed since the last replay ({found['orders']} orders "
                    "were written with others); type: porting-aggregator replay --dry-run"
                )
    except StoreError:
        return []  # told already
    finally:
        reader.close()
    return warnings


def twins(config: Config) -> list[str]:
    """A warning for each two accounts that would read the same orders: alike but for name, key's place and
    feeds, or with the same key."""
    warnings, seen = [], dict[object, str]()
    for account in config.accounts.values():
        if not account.enabled:
            continue
        try:
            key = accounts.key_of(config, account)
        except ConfigError:
            key = account.secret
        own = tuple(str(getattr(account.options, name, None)) for name in ("account_sid", "property_sid"))
        first = seen.setdefault((account.provider, account.base_url, key, own), account.name)
        if first != account.name:
            warnings.append(f"warning: {first} and {account.name} would read the same orders")
    return warnings


def exposed(config: Config) -> list[str]:
    """A warning for an address of health and metrics that other machines can reach."""
    listen = config.http.listen
    if listen is None or is_loopback(host_of(listen)):
        return []
    return [
        f"warning: http.listen: {listen} is open to other machines, without password or TLS: states, accounts and "
        "counts, no order and no number; let a firewall or the container's network decide who may ask"
    ]

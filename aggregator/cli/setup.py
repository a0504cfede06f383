"""From the configuration to what the verbs need: accounts, fetchers, the store, a reader."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from aggregator import credentials, logs, providers
from aggregator.accounts import account_of
from aggregator.cli import output
from aggregator.cli.app import GLOBALS
from aggregator.cli.filters import unlike
from aggregator.config import AccountConfig, Config, database_url, find, load
from aggregator.errors import BrokenAdapter, ConfigError

if TYPE_CHECKING:
    from aggregator.store import Store
    from aggregator.store.queries import Reader


def now() -> datetime:
    """The present, in UTC."""
    return datetime.now(UTC)


def configuration() -> Config:
    """The configuration in force. From now on texts for people tell times in the zone that it names."""
    path = find(GLOBALS.config, os.environ, Path.cwd())
    config = load(path, providers.load, os.environ)
    output.tell_times_in(output.zone_of(config.display.time_zone, os.environ))
    return config


def logging(config: Config, quiet: bool = False) -> None:
    """Set logging up; a quiet verb shows warnings only, unless asked otherwise. Every secret that this process
    reads is hidden."""
    level = GLOBALS.log_level or ("warning" if quiet else config.log.level)
    logs.configure(level, GLOBALS.log_format or config.log.format, credentials.READ)


def chosen(config: Config, names: list[str] | None) -> list[AccountConfig]:
    """The accounts named, or every enabled one. A name that is not there is a usage error; one whose adapter
    cannot be relied on is one of the configuration."""
    for name in names or ():
        if name in config.broken:
            raise BrokenAdapter(f"{name}: {config.broken[name].error}")
        if name not in config.accounts:
            raise typer.BadParameter(f"no such account: {unlike(name, config.names)}", param_hint="ACCOUNT")
    found = [config.accounts[name] for name in names] if names else list(config.accounts.values())
    return [account for account in found if account.enabled or names]


def nothing_to_poll(config: Config) -> ConfigError:
    """What is wrong with a configuration without any account in use, and what to do."""
    if config.broken:
        return ConfigError(*(f"{one.name}: {one.error}" for one in config.broken.values()))
    return ConfigError(f"{config.path}: no account to poll; write an [accounts.NAME] section")


@contextmanager
def store(config: Config) -> Iterator["Store"]:
    """The database to write, closed cleanly."""
    from aggregator.store import open_store

    opened = open_store(database_url(config, os.environ), config.database.schema)
    try:
        opened.sync(
            [account_of(account) for account in config.accounts.values()],
            config.waiting.keep_ended,
            now(),
            config.broken,
        )
        yield opened
    finally:
        opened.close()


@contextmanager
def reader(config: Config | None = None, *, any_schema: bool = False) -> Iterator["Reader"]:
    """The database to read; no secret of an account is touched. One with another schema than this version's is
    refused, as far as a reader can see that, unless `any_schema` will do."""
    from aggregator.store import schema
    from aggregator.store.queries import open_reader

    config = config or configuration()
    opened = open_reader(database_url(config, os.environ), config.database.schema)
    try:
        if not any_schema:
            schema.explain(opened.engine)
        yield opened
    finally:
        opened.close()

"""The daemon, from its configuration to its end."""

import faulthandler
import os
import time

import structlog

from aggregator import accounts, daemon
from aggregator.cli import setup
from aggregator.cli.app import OK
from aggregator.cli.checking import not_yet
from aggregator.config import Config, database_url
from aggregator.errors import ConfigError, SchemaError, StoreError
from aggregator.store import Store, open_store
from aggregator.systemd import Notifier

log = structlog.get_logger()
PATIENCE_S = 60.0  # the longest that one attempt to connect may take


def serve() -> int:
    """Run the daemon until it is told to stop."""

    def load() -> Config:
        config = setup.configuration()
        setup.logging(config)
        return config

    faulthandler.enable()  # what the watchdog's SIGABRT shows: every thread's stack
    config = load()
    _with_keys(config)
    for warning in not_yet(config):
        log.warning("configuration.not_yet", text=warning.removeprefix("warning: "))
    notifier = Notifier()
    daemon.serve(daemon.Daemon(config, _opened(config, notifier), load, notifier))
    return OK


def _opened(config: Config, notifier: Notifier) -> Store:
    """The database, as soon as it is there: to end and be started again would not bring it back, and ten times
    of that would keep a unit down for good. A schema that is not ours ends us."""
    told = None
    while True:
        try:
            return open_store(database_url(config, os.environ), config.database.schema)
        except SchemaError:
            raise
        except StoreError as error:
            if str(error) != told:
                told = str(error)
                log.error("database.waiting", error=told)
            notifier.waiting(f"waiting for the database: {told}", daemon.LIMITS.rest_s + PATIENCE_S)
        time.sleep(daemon.LIMITS.rest_s)


def _with_keys(config: Config) -> None:
    """One account without its key stops that account alone; where none has one, there is nothing to run."""
    chosen = [one for one in config.accounts.values() if one.enabled]
    if not chosen:
        raise ConfigError(f"{config.path}: no account to poll; write an [accounts.NAME] section")
    mistakes = []
    for one in chosen:
        try:
            accounts.key_of(config, one)
        except ConfigError as error:
            mistakes.append(str(error))
    if len(mistakes) == len(chosen):
        raise ConfigError(*mistakes)
    for mistake in mistakes:
        log.error("account.no_key", error=mistake)

"""The daemon, from its configuration to its end."""

import faulthandler
import os

import structlog

from aggregator import accounts, daemon
from aggregator.cli import setup
from aggregator.cli.app import OK
from aggregator.cli.checking import not_yet
from aggregator.config import Config, database_url
from aggregator.errors import ConfigError
from aggregator.store import open_store
from aggregator.systemd import Notifier

log = structlog.get_logger()


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
    store = open_store(database_url(config, os.environ), config.database.schema)
    daemon.serve(daemon.Daemon(config, store, load, Notifier()))
    return OK


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

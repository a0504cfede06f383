"""The verb that runs for months: the daemon."""

import faulthandler
import os
from typing import TYPE_CHECKING

import structlog

from aggregator.cli import setup
from aggregator.cli.app import OK, app
from aggregator.errors import ConfigError

if TYPE_CHECKING:
    from aggregator.config import Config

log = structlog.get_logger()


@app.command()
def run() -> int:
    """Run the daemon: poll every feed when it is due, until SIGTERM. SIGHUP reads the configuration again.

    Examples: [bold]porting-aggregator run[/] · [bold]systemctl enable --now porting-aggregator[/]
    """
    from aggregator import accounts, daemon
    from aggregator.config import database_url
    from aggregator.store import open_store
    from aggregator.systemd import Notifier

    def load() -> "Config":
        config = setup.configuration()
        chosen = [one for one in config.accounts.values() if one.enabled]
        setup.logging(config, accounts.known_secrets(config, chosen))
        return config

    faulthandler.enable()  # what the watchdog's SIGABRT shows: every thread's stack
    config = load()
    _with_keys(config)
    store = open_store(database_url(config, os.environ), config.database.schema_)
    daemon.serve(daemon.Daemon(config, store, load, Notifier()))
    return OK


def _with_keys(config: "Config") -> None:
    """One account without its key stops that account alone; where none has one, there is nothing to run."""
    from aggregator import accounts

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

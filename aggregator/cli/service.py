"""The daemon, from its configuration to its end."""

import faulthandler
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import structlog

from aggregator import accounts, daemon
from aggregator.cli import figures, setup
from aggregator.cli.app import OK
from aggregator.cli.checking import exposed
from aggregator.cli.page import orders_page
from aggregator.config import Config, database_url
from aggregator.errors import ConfigError, StoreError, Unusable
from aggregator.once import Polled
from aggregator.store import Store, open_store
from aggregator.systemd import Notifier

if TYPE_CHECKING:
    from starlette.applications import Starlette

log = structlog.get_logger()
PATIENCE_S = 60.0  # the longest that one attempt to connect may take


def serve() -> int:
    """Run the daemon until it is told to stop."""

    def load() -> Config:
        config = setup.configuration()
        setup.logging(config)
        for one in config.broken.values():
            log.error("account.broken", account=one.name, error=one.error)
        return config

    faulthandler.enable()  # what the watchdog's SIGABRT shows: every thread's stack
    config = load()
    _with_keys(config)
    for warning in exposed(config):
        log.warning("http.exposed", text=warning.removeprefix("warning: "))
    notifier = Notifier()
    with _health(config) as count:
        daemon.serve(daemon.Daemon(config, _opened(config, notifier), load, notifier, count=count))
    return OK


@contextmanager
def _health(config: Config) -> Iterator[Callable[[Polled, float], None]]:
    """Health, metrics and the page, where they are asked for: what is to be told of each poll."""
    asked = config.http
    if asked.listen is None and not asked.page:
        yield lambda polled, seconds: None
        return
    from aggregator import health, metrics

    meter = metrics.Meter()
    apps: dict[str, Starlette] = {}
    if asked.listen is not None:
        apps[asked.listen] = health.application(
            lambda: figures.ready(config),
            lambda: metrics.exposition(figures.known(config), meter),
            metrics.CONTENT_TYPE,
        )
    where = asked.page_listen or asked.listen
    if asked.page and where is not None:
        apps[where] = health.with_page(apps.get(where), lambda: orders_page(config))
    served = [health.Served(app, address, asked.hosts) for address, app in apps.items()]
    for one in served:
        one.start()
    try:
        yield meter.polled
    finally:
        for one in served:
            one.stop()


def _opened(config: Config, notifier: Notifier) -> Store:
    """The database, as soon as it is there: to end and be started again would not bring it back, and ten times
    of that would keep a unit down for good. One that cannot be used as it is ends us."""
    told = None
    while True:
        try:
            return _writable(open_store(database_url(config, os.environ), config.database.schema))
        except Unusable:
            raise
        except StoreError as error:
            if str(error) != told:
                told = str(error)
                log.error("database.waiting", error=told)
            notifier.waiting(f"waiting for the database: {told}", daemon.LIMITS.rest_s + PATIENCE_S)
        time.sleep(daemon.LIMITS.rest_s)


def _writable(store: Store) -> Store:
    """The store, closed again where nothing can be written to it: a standby is waited for like an outage."""
    try:
        store.require_writable()
    except BaseException:
        store.close()
        raise
    return store


def _with_keys(config: Config) -> None:
    """One account without its key stops that account alone; where none has one, there is nothing to run."""
    chosen = [one for one in config.accounts.values() if one.enabled]
    if not chosen:
        raise setup.nothing_to_poll(config)
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

"""From the configuration to what a poll needs of an account: its words, its key, its fetcher."""

import os
from collections.abc import Callable
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from aggregator import trust
from aggregator.config import AccountConfig, Config, proxy_url
from aggregator.core.account import Account
from aggregator.core.normalise import words
from aggregator.credentials import secret
from aggregator.errors import ConfigError

if TYPE_CHECKING:
    from aggregator.fetch import Fetcher


def account_of(config: AccountConfig) -> Account:
    """The account as the poller sees it: no secret, no URL."""
    guess = bool(getattr(config.options, "guess_statuses", True))
    return Account(
        name=config.name,
        provider=config.provider,
        adapter=config.adapter,
        options=config.options,
        words=words(config.adapter, config.statuses, config.options.region, guess),
        feeds=config.feeds,
        label=config.label,
        allow_actions=config.allow_actions,
        stuck=config.stuck,
    )


def key_of(config: Config, account: AccountConfig) -> str:
    """The account's credential, read anew. ConfigError when it cannot be had."""
    return secret(account.secret, config.path.parent, os.environ, account=account.name).reveal()


def way_out(config: Config) -> tuple[str | None, str | None]:
    """The proxy's URL and the file of certificates, as far as they are set. ConfigError when one cannot be had, or
    when somebody else may write the file: whoever may could read every key."""
    ca_file = config.network.ca_file
    if ca_file is not None and (why := trust.others(Path(ca_file))) is not None:
        raise ConfigError(f"network.ca_file: {why}")
    return proxy_url(config, os.environ), ca_file


def _no_user(provider: str, error: str) -> str:
    raise ConfigError(f"provider {provider}: auth_user failed ({error})")


def fetcher(
    config: Config, account: AccountConfig, tries: int = 4, clock: Callable[[], datetime] | None = None
) -> "Fetcher":
    """A fetcher for one account; `clock` where the present is another than this machine's. It asks for the
    credential at its first request, and again after `refresh`."""
    from aggregator.fetch import Fetcher, present

    proxy, ca_file = way_out(config)
    key, user = partial(key_of, config, account), None
    try:
        user = account.adapter.auth_user and account.adapter.auth_user(account.options)
        if not isinstance(user, str | None):
            raise TypeError
    except (
        Exception,
        SystemExit,
    ) as error:  # the adapter's; said by this account's polls, and costs no other
        key = partial(_no_user, account.provider, type(error).__name__)
    return Fetcher(
        account.base_url,
        account.adapter.auth,
        user,
        key,
        min_interval_s=account.min_interval_s,
        header=account.adapter.auth_header,
        refusal=account.adapter.refusal,
        limited_by=account.adapter.limited_by,
        proxy=proxy,
        ca_file=ca_file,
        tries=tries,
        clock=clock or present,
    )

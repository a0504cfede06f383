"""From the configuration to what a poll needs of an account: its words, its key, its fetcher."""

import os
from collections.abc import Iterable

from aggregator.config import AccountConfig, Config
from aggregator.core.account import Account
from aggregator.core.normalise import words
from aggregator.credentials import secret
from aggregator.errors import ConfigError
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
    )


def key_of(config: Config, account: AccountConfig) -> str:
    """The account's credential, read anew. ConfigError when it cannot be had."""
    return secret(account.secret, config.path.parent, os.environ, account=account.name).reveal()


def known_secrets(config: Config, accounts: Iterable[AccountConfig]) -> tuple[str, ...]:
    """The credentials that can be read now, for the logs to hide; what is wrong with others is said when
    they are polled."""
    found = []
    for account in accounts:
        try:
            found.append(key_of(config, account))
        except ConfigError:
            continue
    return tuple(found)


def fetcher(config: Config, account: AccountConfig, tries: int = 4) -> Fetcher:
    """A fetcher for one account. It asks for the credential at its first request, and again after `refresh`."""
    user = account.adapter.auth_user
    return Fetcher(
        account.base_url,
        account.adapter.auth,
        user(account.options) if user else None,
        lambda: key_of(config, account),
        min_interval_s=account.min_interval_s,
        proxy=config.network.proxy,
        ca_file=config.network.ca_file,
        tries=tries,
    )

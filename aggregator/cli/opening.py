"""The database opened for one read verb: what was asked for must exist, and what is stale is told."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import typer

from aggregator.cli import output
from aggregator.cli.app import say
from aggregator.cli.filters import Filters
from aggregator.errors import StoreError

if TYPE_CHECKING:
    from aggregator.config import AccountConfig, Config
    from aggregator.store.queries import Reader

Row = dict[str, Any]
FEW = 3
"""So many accounts that are out of date are named in the one line about them."""


@contextmanager
def opened(asked: Filters, *, warn: bool = False) -> Iterator[tuple["Reader", "Config"]]:
    """The database and the configuration for what was asked. An account or provider that neither knows is
    refused: nothing would be found, and that would look like an answer. With `warn`, one line on standard
    error tells which accounts the answer is out of date for."""
    from aggregator.cli import setup

    config = setup.configuration()
    with setup.reader(config) as reader:
        _refuse_unknown(asked, reader, config)
        if warn:
            with suppress(StoreError):  # the verb's own question will fail too, or needs it not
                _warn(asked, reader, config)
        yield reader, config


def _refuse_unknown(asked: Filters, reader: "Reader", config: "Config") -> None:
    from aggregator import providers

    if asked.account is None and asked.provider is None:
        return
    rows = list(reader.query("select account, provider from v1_accounts", {}))
    configured = config.accounts.values()
    accounts = {row["account"] for row in rows} | {one.name for one in configured}
    served = {row["provider"] for row in rows} | {one.provider for one in configured} | {*providers.names()}
    for option, said, known in (
        ("account", asked.account, sorted(accounts)),
        ("provider", asked.provider, sorted(served)),
    ):
        if said is not None and said not in known:
            raise typer.BadParameter(f"no such {option}: {unlike(said, known)}", param_hint=f"--{option}")


def unlike(said: str, known: Iterable[str]) -> str:
    """What was said, with a hint at what may have been meant, or at what there is."""
    from aggregator.config.values import near, some

    there = list(known)
    return said + (near(said, there) or f" (there is {some(there) or 'none'})")


def _warn(asked: Filters, reader: "Reader", config: "Config") -> None:
    from aggregator.config.values import some

    feeds = reader.select("feeds")
    late = [
        said
        for account in config.accounts.values()
        if account.enabled
        and asked.account in (None, account.name)
        and asked.provider in (None, account.provider)
        and (said := _late(account, [row for row in feeds if row["account"] == account.name]))
    ]
    if late:
        say(f"{some(late, FEW, '; ')} (type: porting-aggregator feeds)")


def _late(account: "AccountConfig", feeds: list[Row]) -> str:
    """Which of an account's feeds are stale or have never been read whole, since when; empty where none is."""
    feeds = [row for row in feeds if row["feed"] in account.feeds and account.feeds[row["feed"]].enabled]
    late = [row for row in feeds if row["stale"] or row["last_complete_at"] is None]
    if feeds and not late:
        return ""
    which = "" if len(late) == len(feeds) else " " + ", ".join(row["feed"] for row in late)
    answered = [row["last_complete_at"] for row in late if row["last_complete_at"]]
    if not answered:
        return f"{account.name} has never answered{which} in full"
    # All of them: the last sign of life. Some: since when the first of them is missing.
    return f"{account.name} has not answered{which} since {output.when((min if which else max)(answered))}"

"""The database opened for one read verb: what was asked for must exist, and what is stale is told."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import typer

from aggregator.cli import lateness, output
from aggregator.cli.app import say
from aggregator.cli.filters import Filters, unlike
from aggregator.errors import StoreError

if TYPE_CHECKING:
    from aggregator.config import AccountConfig, Config
    from aggregator.store.queries import Reader

Row = dict[str, Any]
FEW = 3
"""So many accounts that are out of date are named in the one line about them."""
PORTION = 500  # orders asked for at a time
SHOWN = 20
"""So many of the orders that one name means are listed."""


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

    if not asked.account and not asked.provider:
        return
    rows = list(reader.query("select account, provider from v1_accounts", {}))
    configured = config.each
    accounts = {row["account"] for row in rows} | {one.name for one in configured}
    served = {row["provider"] for row in rows} | {one.provider for one in configured} | {*providers.names()}
    for option, said, known in (
        ("account", asked.account, sorted(accounts)),
        ("provider", asked.provider, sorted(served)),
    ):
        for name in said or ():
            if name not in known:
                raise typer.BadParameter(f"no such {option}: {unlike(name, known)}", param_hint=f"--{option}")


def orders_named(reader: "Reader", name: str) -> list[Row]:
    """The orders that a name means. One that means none is refused, with a hint at what may have been meant."""
    found = reader.orders_named(name)
    if not found:
        from aggregator.config.values import near

        alike = reader.names_like(name)
        hint = near(name, alike) or near(name, alike, beginnings=True)
        raise typer.BadParameter(f"no such order: {name}{hint}", param_hint="ORDER")
    many = range(0, len(found), PORTION)
    return [row for at in many for row in reader.select("orders", {"order_id": found[at : at + PORTION]})]


def say_which(name: str, orders: Sequence[Row]) -> None:
    """That a name means several orders, how many, and the first of them."""
    say(f"{name} means {len(orders)} orders; name one of them:")
    for row in sorted(orders, key=lambda row: str(row["order_id"]))[:SHOWN]:
        who = output.printable(row["customer_reference"] or "")
        say(f"  {row['order_id']}  {who}  {row['state']}")
    if len(orders) > SHOWN:
        say(f"  and {len(orders) - SHOWN} more")


def _warn(asked: Filters, reader: "Reader", config: "Config") -> None:
    from aggregator.config.values import some

    feeds = reader.select("feeds")
    late = [
        said
        for account in config.accounts.values()
        if account.enabled
        and asked.of_account(account.name, account.provider)
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
    return lateness.late(account.name, feeds, late)

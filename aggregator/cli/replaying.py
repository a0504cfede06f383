"""Derived rows again, from what is stored, with the present words; or a look at what would differ."""

import sys
import threading
from typing import TYPE_CHECKING

from aggregator import accounts, logs, publish
from aggregator.cli import output, setup
from aggregator.cli.app import BAD_NEWS, OK, TRY_LATER, say
from aggregator.cli.bar import Bar, interruptible, shown
from aggregator.config import AccountConfig, Config
from aggregator.once import held

if TYPE_CHECKING:
    from aggregator.core.findings import Replayed
    from aggregator.store import Store


def replay_all(dry_run: bool) -> int:
    """Every configured account, one after the other."""
    config = setup.configuration()
    setup.logging(config, quiet=True)
    stop = threading.Event()
    with interruptible(stop):
        return _compared(config, stop) if dry_run else _rebuilt(config, stop)


def _rebuilt(config: Config, stop: threading.Event) -> int:
    with setup.reader():
        pass  # a database is not made for want of one
    differing, later = 0, False
    with setup.store(config) as store:
        for chosen in config.accounts.values():
            found = _rebuild(chosen, store, stop)
            if found is None:
                say(f"{chosen.name}: held by another process; stop the daemon meanwhile")
            elif not found.done:
                say(f"{chosen.name}: stopped; the same command goes on where it was")
            elif found.sealed:
                say(
                    f"{chosen.name}: {found.sealed} {_orders(found.sealed)} without facts left alone (pruned)"
                )
            later |= found is None or not found.done
            differing += found.differing if found else 0
            if stop.is_set() and later:
                return TRY_LATER
    if later:
        return TRY_LATER
    _print(f"{differing} {_orders(differing)} differed" if differing else "nothing differed")
    return OK


def _rebuild(chosen: AccountConfig, store: "Store", stop: threading.Event) -> "Replayed | None":
    """Replay one account, from where the last call stopped; None while another process holds it."""
    account = accounts.account_of(chosen)
    with logs.polling(chosen.provider, chosen.name), held(store, chosen.name, setup.now) as lease:
        if lease is None:
            return None
        with shown(chosen.name) as bar:
            while True:
                found = store.replay(account, lease, setup.now())
                publish.published(store.engine, found.newest_seq)
                _tell(found, bar)
                if found.done or stop.is_set():
                    return found


def _compared(config: Config, stop: threading.Event) -> int:
    """What would differ. Nothing is written, so no account need be held."""
    from aggregator.store import schema
    from aggregator.store.replay import compare

    differing = 0
    with setup.reader() as reader:
        schema.require(reader.engine)
        for chosen in config.accounts.values():
            with shown(chosen.name) as bar:
                for found in compare(reader.engine, accounts.account_of(chosen), setup.now()):
                    _tell(found, bar)
                    if stop.is_set() and not found.done:
                        say("stopped; not every order was looked at")
                        return TRY_LATER
                    differing += len({one.order_id for one in found.differences})
    _print(f"{differing} {_orders(differing)} would differ" if differing else "nothing would differ")
    return BAD_NEWS if differing else OK


def _tell(found: "Replayed", bar: Bar) -> None:
    for one in found.differences:
        _print(output.printable(str(one)))
    left = f", {found.sealed} without their facts left alone" if found.sealed else ""
    bar(found.share, f"{found.orders} {_orders(found.orders)}, {found.differing} differing{left}")


def _orders(count: int) -> str:
    return "order" if count == 1 else "orders"


def _print(line: str) -> None:
    sys.stdout.write(f"{line}\n")

"""Ask a provider to cancel an order: which one, what its FOC date means for that, and then, once, the request."""

import sys
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import typer

from aggregator import accounts, logs, publish
from aggregator.cancel import Answer, cancel
from aggregator.cli import describing, output, setup, telling
from aggregator.cli.app import BAD_NEWS, DENIED, OK, TRY_LATER, USAGE, say
from aggregator.cli.opening import orders_named, say_which
from aggregator.cli.past import written
from aggregator.config import AccountConfig, Config
from aggregator.core.model import OrderRef, Request
from aggregator.errors import AccessDenied, ConfigError, FetchError, Refused
from aggregator.once import held
from aggregator.store.rows import ref_of

Row = dict[str, Any]
FEW = 5  # numbers that are named


def cancel_one(name: str, yes: bool) -> int:
    """Find the order, say what will be asked, ask for confirmation, and do it."""
    config = setup.configuration()
    setup.logging(config, quiet=True)
    with setup.reader() as reader:
        found = orders_named(reader, name)
        if len(found) > 1:
            say_which(name, found)
            return USAGE
        (order,) = found
        numbers = [row["number_key"] for row in reader.select("numbers", {"order_id": order["order_id"]})]
    chosen, ref = (
        config.accounts.get(order["account"]),
        ref_of(order),
    )
    if order["account"] in config.broken:
        raise ConfigError(config.broken[order["account"]].error)
    request = _allowed(config, order, chosen, ref)
    assert chosen is not None
    _describe(order, numbers, chosen)
    if not order["is_open"]:
        say("it has ended, so there is nothing to cancel")
        return BAD_NEWS
    if order["state"] == "cancel_pending":
        say("its cancellation has been asked for already; nothing was asked")
        return OK
    if not yes:
        if not sys.stdin.isatty():
            say("there is no terminal to ask on; to cancel it without being asked, add --yes")
            return USAGE
        if not typer.confirm("Ask the provider to cancel this order?", err=True):
            say("nothing was asked")
            return BAD_NEWS
    return _ask(config, chosen, order, ref, request)


def _allowed(config: Config, order: Row, chosen: AccountConfig | None, ref: OrderRef) -> Request:
    """The request; ConfigError where there is none, or the account may not make it."""
    name = describing.provider_name(order["provider"])
    if chosen is None:
        raise ConfigError(f"{order['account']} is not configured any more, so nothing can be asked for it")
    how = chosen.adapter.cancel
    request = how.request(ref) if how else None
    if request is None:
        what = "an order" if how is None else "such an order"
        raise ConfigError(f"{name} has no call to cancel {what}: ask its support")
    if not chosen.allow_actions:
        raise ConfigError(
            f"{config.path}: accounts.{chosen.name}.allow_actions is not true, so nothing may be changed at {name}"
        )
    return request


# --- what is said beforehand ----------------------------------------------------------------------------


def _describe(order: Row, numbers: list[str], chosen: AccountConfig) -> None:
    more = f" and {order['numbers_total'] - FEW} more" if order["numbers_total"] > FEW < len(numbers) else ""
    said = {
        "order": order["order_id"],
        "numbers": ", ".join(numbers[:FEW]) + more,
        "stands": describing.stands(order),
        "FOC date": describing.confirmed(order),
        "last read": order["last_read_ok_at"] and output.when(order["last_read_ok_at"]),
    }
    say(describing.title(order))
    for what, text in said.items():
        if text:
            say(describing.line(what, text))
    lock = chosen.adapter.cancel and chosen.adapter.cancel.lock
    if lock:
        say(output.printable(locked(order, lock, chosen.options.time_zone, setup.now())))


def locked(order: Row, lock: timedelta, time_zone: str, now: datetime) -> str:
    """What a provider's lock before the FOC date means for an order. A date without an hour counts from its
    first moment."""
    hours = f"{lock / timedelta(hours=1):g} hours"
    name = describing.provider_name(order["provider"])
    if order["confirmed_foc_on"] is None:
        return f"no FOC date is confirmed, so {name}'s lock ({hours} before it) does not apply yet"
    if order["confirmed_foc_at"]:
        foc = datetime.fromisoformat(order["confirmed_foc_at"])
    else:
        foc = datetime.fromisoformat(order["confirmed_foc_on"]).replace(tzinfo=ZoneInfo(time_zone))
    since = foc - lock
    if now >= since:
        return (
            f"its FOC date is less than {hours} away or past: {name} refuses to cancel it by this call and will most "
            "likely do so now; only its support can stop the port"
        )
    return f"{name} takes a cancellation until {output.when(written(since.astimezone(UTC)))}, {hours} before the FOC date"


# --- the request and its answer -------------------------------------------------------------------------


def _ask(config: Config, chosen: AccountConfig, order: Row, ref: OrderRef, request: Request) -> int:
    account = accounts.account_of(chosen)
    with (
        logs.polling(chosen.provider, chosen.name),
        setup.store(config) as store,
        held(store, chosen.name, setup.now) as lease,
        accounts.fetcher(config, chosen) as fetch,
    ):
        if lease is None:
            say(f"{chosen.name}: held by another process, so nothing was asked; stop the daemon meanwhile")
            return TRY_LATER
        try:
            answer = cancel(account, ref, request, store, lease, fetch, setup.now)
        except AccessDenied as error:
            say(f"{error}; the key was refused, and nothing was cancelled")
            return DENIED
        except Refused as error:
            say(f"{error}; the provider refused, and nothing was cancelled")
            return BAD_NEWS
        publish.published(store.engine, answer.recorded.newest_seq)
    with setup.reader() as reader:
        (after,) = reader.query("select * from v1_orders where order_id = :id", {"id": order["order_id"]})
    return told(answer, after)


def told(answer: Answer, after: Row) -> int:
    """Say what came of it; returns the exit code."""
    stands = f"{after['order_id']} is {telling.plain(after['state'])}"
    if answer.trouble is None and answer.taken:
        typer.echo(f"asked: {stands}")
        return OK
    if answer.trouble is None:
        say(f"the provider answered, but does not show the order as being cancelled: {stands}")
        return BAD_NEWS
    say(f"{answer.trouble}; it is not known whether the provider took the request, and it is not repeated")
    if answer.taken:
        typer.echo(f"it was taken: {stands}")
        return OK
    if answer.unread is not None:
        say(f"{answer.unread}; the order could not be read either, the next poll reads it")
    else:
        say(f"read just now, {stands}; look again before you ask again")
    return TRY_LATER if isinstance(answer.trouble, FetchError) else BAD_NEWS

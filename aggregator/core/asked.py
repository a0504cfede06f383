"""What an adapter asks for: whether its `plan` answers each ask of the poller, with requests that can be sent."""

from collections.abc import Iterator
from dataclasses import MISSING, fields
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from aggregator.core.account import Adapter, FeedKind, Options
from aggregator.core.model import Events, Listing, Orders, Request, Window

WHEN = datetime(2026, 1, 1, tzinfo=UTC)


class Mistake(NamedTuple):
    """What is wrong with an adapter: the field, and in it a word or name that may help to find the line."""

    field: str
    error: str
    word: str = ""


def unasked(adapter: Adapter) -> Iterator[Mistake]:
    """Whether `plan` answers each ask that the poller will come with: with requests for paths of the provider's."""
    options = _options(adapter)
    if options is None:
        return
    asks: list[tuple[Any, bool]] = []
    for name, feed in adapter.feeds.items():
        ids = Orders(feed.direction, ("P-1",), since=WHEN, until=WHEN + timedelta(days=1))
        if feed.kind is FeedKind.LISTING:
            asks.append((Listing(name), True))
        else:
            asks.append((Window(name, WHEN, WHEN + timedelta(days=1)), True))
        if feed.kind is FeedKind.EVENTS:
            asks.append((Events(name, ("E-1",)), False))
            if feed.frozen_by_date:
                asks.append((Window(name, WHEN), True))
        asks.append((ids, feed.kind is FeedKind.OPEN_ORDERS))
    asks += [(ask, True) for ask in (adapter.check, adapter.describe) if ask is not None]
    for ask, must in asks:
        try:
            said = adapter.plan(ask, options)
        except (Exception, SystemExit) as error:
            if must:
                yield Mistake("plan", f"fails for {_ask(ask)}: {type(error).__name__}")
            continue
        if said == () and not must:
            continue
        yield from (Mistake("plan", f"for {_ask(ask)}: {wrong}") for wrong in requested(said))


def requested(said: object) -> Iterator[str]:
    """What is wrong with the requests that a `plan` gave."""
    if not isinstance(said, tuple | list):
        yield f"not a tuple of requests but {kind_of(said)}"
        return
    if not said:
        yield "no request"
    for request in said:
        if not isinstance(request, Request):
            yield f"not a Request but {kind_of(request)}"
        elif (
            not isinstance(request.path, str) or not request.path.startswith("/") or request.path[:2] == "//"
        ):
            yield f"not a path below the base URL: {str(request.path)[:60]!r}"
        elif not isinstance(request.params, tuple) or not all(map(_is_pair, request.params)):
            yield f"parameters are pairs of texts, not {str(request.params)[:60]}"
        elif request.method != "GET":
            yield f"a poll asks with GET, which changes nothing, not with {str(request.method)[:20]}"


def _is_pair(pair: object) -> bool:
    return isinstance(pair, tuple) and len(pair) == 2 and all(isinstance(part, str) for part in pair)


def _options(adapter: Adapter) -> Options | None:
    """Options to ask with; None where what is required is no plain value."""
    said: dict[str, Any] = {"time_zone": adapter.time_zone, "region": adapter.region}
    plain = {str: "x1", "str": "x1", int: 1, "int": 1}
    for option in fields(adapter.options):
        if option.default is MISSING and option.default_factory is MISSING and option.name not in said:
            if option.type not in plain:
                return None
            said[option.name] = plain[option.type]
    try:
        return adapter.options(**said)
    except (Exception, SystemExit):
        return None


def _ask(ask: object) -> str:
    feed = getattr(ask, "feed", None)
    return f"{kind_of(ask)}" + (f" of {feed!r}" if feed else "")


def kind_of(value: object) -> str:
    """A value's type, by its name."""
    return "None" if value is None else type(value).__name__

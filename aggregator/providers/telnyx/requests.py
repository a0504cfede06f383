"""Which requests answer an ask. All paths are relative to https://api.telnyx.com/v2."""

import math
from datetime import UTC, datetime
from urllib.parse import quote

from aggregator.adapter import Ask, Direction, Events, Options, Orders, Part, Request, Window

EVENT_PATHS = {"porting_events": "/porting/events", "portout_events": "/portouts/events"}
LIST_PATHS = {
    "porting_orders": "/porting_orders",
    "portouts": "/portouts",
    "exception_types": "/porting_orders/exception_types",
}
ORDER_PATHS = {Direction.PORT_IN: "/porting_orders", Direction.PORT_OUT: "/portouts"}
PAGE_SIZE = 250  # the documented maximum
EMBEDDING_PAGE_SIZE = 100  # orders with up to 50 numbers each: keeps a page well below the byte cap


def plan(ask: Ask, options: Options) -> tuple[Request, ...]:
    """The first request of each chain of pages that answers an ask."""
    if isinstance(ask, Window):
        return (Request(EVENT_PATHS[ask.feed], (*_paged(PAGE_SIZE), *_span(ask))),)
    if isinstance(ask, Events):
        return tuple(Request(f"{EVENT_PATHS[ask.feed]}/{quote(id, safe='')}") for id in ask.ids)
    if isinstance(ask, Orders):
        return tuple(_order(ask, quote(id, safe="")) for id in ask.ids)
    if ask.feed == "porting_orders":
        sort = (("include_phone_numbers", "true"), ("sort[value]", "created_at"))
        return (Request(LIST_PATHS[ask.feed], (*_paged(EMBEDDING_PAGE_SIZE), *sort)),)
    return (Request(LIST_PATHS[ask.feed], _paged(PAGE_SIZE) if ask.feed == "portouts" else ()),)


def _order(ask: Orders, id: str) -> Request:
    path = ORDER_PATHS[ask.direction]
    if ask.part is Part.COMMENTS:
        return Request(
            f"{path}/{id}/comments", _paged(PAGE_SIZE) if ask.direction is Direction.PORT_IN else ()
        )
    if ask.part is Part.NUMBERS:
        # Undeclared since August 2025, yet the order's own `meta.phone_numbers_url` uses it.
        return Request("/porting_phone_numbers", (*_paged(PAGE_SIZE), ("filter[porting_order_id]", id)))
    if ask.direction is Direction.PORT_IN:
        return Request(f"{path}/{id}", (("include_phone_numbers", "true"),))
    return Request(f"{path}/{id}")


def _paged(size: int) -> tuple[tuple[str, str], ...]:
    return (("page[number]", "1"), ("page[size]", str(size)))


def _span(window: Window) -> tuple[tuple[str, str], ...]:
    """Whole seconds are the only form of time certainly accepted, so the window is widened to them."""
    since = (("filter[created_at][gte]", _seconds(window.since.timestamp() // 1)),)
    if window.until is None:
        return since
    return (*since, ("filter[created_at][lte]", _seconds(math.ceil(window.until.timestamp()))))


def _seconds(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def following(request: Request, page: int) -> Request:
    """The same request for another page."""
    params = tuple((key, str(page) if key == "page[number]" else value) for key, value in request.params)
    return Request(request.path, params)

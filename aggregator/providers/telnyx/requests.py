"""Which requests answer an ask. All paths are relative to https://api.telnyx.com/v2."""

from datetime import UTC, datetime, timedelta
from urllib.parse import quote

from aggregator.adapter import Ask, Direction, Events, Options, OrderRef, Orders, Part, Request, Window
from aggregator.providers.telnyx.words import PORT_OUT

EVENT_PATHS = {"porting_events": "/porting/events", "portout_events": "/portouts/events"}
LIST_PATHS = {
    "porting_orders": "/porting_orders",
    "portouts": "/portouts",
    "exception_types": "/porting_orders/exception_types",
}
ORDER_PATHS = {Direction.PORT_IN: "/porting_orders", Direction.PORT_OUT: "/portouts"}
BESIDE = (Part.ACTIVATION_JOBS, Part.ACTION_REQUIREMENTS)  # named as their paths are
CANCEL = "/actions/cancel"
PAGE_SIZE = 250  # the documented maximum
EMBEDDING_PAGE_SIZE = 100  # orders with up to 50 numbers each: keeps a page well below the byte cap


def key(id: str) -> str:
    """The form in which ids are compared: they are UUIDs, which mean the same in either case."""
    return id.lower()


def plan(ask: Ask, options: Options) -> tuple[Request, ...]:
    """The first request of each chain of pages that answers an ask."""
    if isinstance(ask, Window):
        return (Request(EVENT_PATHS[ask.feed], (*_paged(PAGE_SIZE), *_span(ask))),)
    if isinstance(ask, Events):
        return tuple(Request(f"{EVENT_PATHS[ask.feed]}/{quote(id, safe='')}") for id in ask.ids)
    if isinstance(ask, Orders):
        return tuple(_order(ask, id) for id in ask.ids)
    if ask.feed == "porting_orders":
        sort = (("include_phone_numbers", "true"), ("sort[value]", "created_at"))
        return (Request(LIST_PATHS[ask.feed], (*_paged(EMBEDDING_PAGE_SIZE), *sort)),)
    return (Request(LIST_PATHS[ask.feed], _paged(PAGE_SIZE) if ask.feed == "portouts" else ()),)


def otherwise(request: Request) -> tuple[Request, ...]:
    """The rest of a list that is not shown beyond some row: the orders newest first, the port-outs status by status
    (they have no order that can be asked for)."""
    params = dict(request.params) | {"page[number]": "1"}
    if request.path == LIST_PATHS["porting_orders"]:
        asked = [{"sort[value]": "-created_at"}]
    elif request.path == LIST_PATHS["portouts"]:
        asked = [{"filter[status]": status} for status in PORT_OUT]
    else:
        asked = []
    return tuple(Request(request.path, tuple((params | more).items())) for more in asked)


def _order(ask: Orders, id: str) -> Request:
    path = f"{ORDER_PATHS[ask.direction]}/{quote(id, safe='')}"
    if ask.part is Part.COMMENTS:
        # The comments of a port-out declare no paging, though their answer counts pages.
        return Request(f"{path}/comments", _paged(PAGE_SIZE) if ask.direction is Direction.PORT_IN else ())
    if ask.part in BESIDE:
        return Request(f"{path}/{ask.part}", _paged(PAGE_SIZE))
    if ask.part is Part.NUMBERS:
        # Undeclared since August 2025, yet the order's own `meta.phone_numbers_url` uses it.
        return Request("/porting_phone_numbers", (*_paged(PAGE_SIZE), ("filter[porting_order_id]", id)))
    if ask.direction is Direction.PORT_IN:
        return Request(path, (("include_phone_numbers", "true"),))
    return Request(path)


def cancel(order: OrderRef) -> Request | None:
    """Ask to cancel a porting order; for a port-out there is no such call. Its answer is the order."""
    if order.direction is not Direction.PORT_IN:
        return None
    path = f"{ORDER_PATHS[order.direction]}/{quote(order.id, safe='')}{CANCEL}"
    return Request(path, method="POST")


def _paged(size: int) -> tuple[tuple[str, str], ...]:
    return (("page[number]", "1"), ("page[size]", str(size)))


def _span(window: Window) -> tuple[tuple[str, str], ...]:
    """Whole seconds are the only form of time certainly accepted, so the window is widened to them."""
    since = (("filter[created_at][gte]", _second(window.since)),)
    if window.until is None:
        return since
    up = timedelta(seconds=1) if window.until.microsecond else timedelta(0)
    return (*since, ("filter[created_at][lte]", _second(window.until + up)))


def _second(at: datetime) -> str:
    return at.astimezone(UTC).replace(microsecond=0, tzinfo=None).isoformat() + "Z"


def following(request: Request, page: int, received: int) -> Request:
    """The same request for another page, after so many items."""
    params = dict(request.params) | {"page[number]": str(page)}
    return Request(request.path, tuple(params.items()), received)

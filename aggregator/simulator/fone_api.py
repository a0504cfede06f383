"""Fone Dynamics' status call, at account and property level, with every published field."""

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from aggregator.simulator import spoiled
from aggregator.simulator.things import Order
from aggregator.simulator.world import World

DEFAULT_COUNT = 20


def routes(world: World) -> list[Route]:
    """Both paths of the call."""

    async def account(request: Request) -> Response:
        return _status(world, request, request.path_params["sid"] == world.settings.account_sid)

    async def property_(request: Request) -> Response:
        return _status(world, request, request.path_params["sid"] == world.settings.property_sid)

    return [
        Route("/v2/Accounts/{sid}/Porting/Status", account),
        Route("/v2/Properties/{sid}/Porting/Status", property_),
    ]


def refused(status: int, code: str, message: str) -> JSONResponse:
    """An error in the provider's envelope."""
    return JSONResponse({"ResponseStatus": {"ErrorCode": code, "Message": message}}, status)


def _status(world: World, request: Request, known: bool) -> Response:
    if not known:
        return refused(404, "NotFound", "No such account or property.")
    query = request.query_params
    try:
        since, until = int(query["From"]), int(query["To"])
        count, skip = int(query.get("Results_Count", DEFAULT_COUNT)), int(query.get("Results_Skip", 0))
    except (KeyError, ValueError):
        return refused(400, "ArgumentException", "From and To are required timestamps.")
    if count < 1 or skip < 0 or since > until:
        return refused(400, "ArgumentException", "Results_Count, Results_Skip or the window is out of range.")
    asked = {no for value in query.getlist("PortingRequestNumbers") for no in value.split(",") if no}
    found = [
        order
        for order in world.there("fone")
        if (not asked or order.id in asked) and _updated(order, since, until, world.faults.window)
    ]
    count = min(count, world.faults.page_clamp or count)
    skip = _skip(world, query.get("NextPageToken"), skip, count)
    found = spoiled.listed(world.faults, found, frozen=True)
    page = found[skip : skip + count]
    body: dict[str, Any] = {
        "PortingRequests": spoiled.items(world.faults, [_shown(world, order) for order in page], "PortingNo")
    }
    total = {
        "requests": len(found),
        "numbers": sum(len(order.numbers) for order in found),
        "page": len(page),
    }.get(world.faults.total_style)
    if total is not None:
        body["TotalCount"] = total
    token = _token(
        world.faults.token_style, skip + len(page), 1 + skip // count, skip + len(page) < len(found)
    )
    if token is not None:
        body["NextPageToken"] = token
    return JSONResponse(body)


def _updated(order: Order, since: int, until: int, window: str) -> bool:
    times = [int(order.born_at.timestamp()), *(entry["Created"] for entry in order.history)]
    return any(since <= at <= until for at in (times[-1:] if window == "latest" else times))


def _skip(world: World, token: str | None, skip: int, count: int) -> int:
    """Where the page begins: by token or by offset, as the token style has it."""
    style = world.faults.token_style
    if style in ("offset_only", "constant", "none"):
        return skip
    if style == "token_only":
        return int(token.removeprefix("t")[::-1]) if token and token.startswith("t") else 0
    if token is not None and token.isdigit():
        return int(token) if style == "offset" else (int(token) - 1) * count
    return skip


def _token(style: str, following: int, page: int, more: bool) -> str | None:
    """The token of a page; the published last page carries one, and so do most styles here."""
    if style == "none":
        return None
    if style == "constant":
        return "1"
    if style == "token_only":
        return f"t{str(following)[::-1]}" if more else None
    return str(page + 1) if style == "page_number" else str(following)


def _shown(world: World, order: Order) -> dict[str, Any]:
    said = order.said
    item: dict[str, Any] = {
        "PortingNo": order.id,
        "AccountSid": world.settings.account_sid,
        "PropertySid": world.settings.property_sid,
        "CustomerDescription": said["customer"],
        "AuthorisedContactName": said["person"],
        "AuthorisedContactEmail": "canary.contact@example.com",
        "DaytimeContactNumber": "02-5550-0199",
        "CurrentCarrier": said["carrier"],
        "CurrentCarrierAccountNo": "ACCT-CANARY-99",
        "PreferredPortSchedule": "ASAP" if said["asap"] else "Date",
        "WebHookURL": "https://example.com/fone?secret=hook-canary",
        "Created": int(order.born_at.timestamp()),
        "Status": said["status"],
        "PortingNumbers": [_line(order, number) for number in order.numbers],
    }
    if not said["asap"]:
        item["PreferredPortDate"] = said["preferred"]
    if said["port_date"] is not None:
        item["PortDate"] = said["port_date"]
    return item


def _line(order: Order, number: str) -> dict[str, Any]:
    flow = int(number[-1]) % 2 == 0
    return {
        "Number": number,
        "Status": order.said["status"],
        "PortType": "Cat-A",
        "PortAddress": "1 Canary Street, Sydney",
        "IncomingActionType": "Flow" if flow else "Answering Point",
        **({"IncomingActionId": "flow-1"} if flow else {"IncomingAnswerPoint": "+61255500100"}),
        "StatusHistory": list(order.history),
    }

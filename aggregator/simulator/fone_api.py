"""Fone Dynamics' status call, at account and property level, with every published field."""

from typing import Any

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from aggregator.simulator.settings import Faults
from aggregator.simulator.spoiled import Spoiled
from aggregator.simulator.things import Line, Order, compact
from aggregator.simulator.world import World

DEFAULT_COUNT = 20
LONGEST_QUERY = 2_048  # the web server's, which answers 404 beyond it


def routes(world: World, spoiled: Spoiled) -> list[Route]:
    """Both paths of the call."""

    async def account(request: Request) -> Response:
        return _status(world, spoiled, request, request.path_params["sid"] == world.settings.account_sid)

    async def property_(request: Request) -> Response:
        return _status(world, spoiled, request, request.path_params["sid"] == world.settings.property_sid)

    return [
        Route("/v2/Accounts/{sid}/Porting/Status", account),
        Route("/v2/Properties/{sid}/Porting/Status", property_),
    ]


def refused(status: int, code: str, message: str) -> JSONResponse:
    """An error in the provider's envelope."""
    return JSONResponse({"ResponseStatus": {"ErrorCode": code, "Message": message, "Errors": []}}, status)


class _Asked:
    """The parameters of one call. ValueError says why they are refused."""

    def __init__(self, query: QueryParams, faults: Faults) -> None:
        try:
            self.since, self.until = int(query["From"]), int(query["To"])
            self.count, self.skip = (
                int(query.get("Results_Count", DEFAULT_COUNT)),
                int(query.get("Results_Skip", 0)),
            )
        except (KeyError, ValueError):
            raise ValueError("From, To, Results_Count and Results_Skip must be whole numbers.") from None
        if self.count < 1 or self.skip < 0 or self.since > self.until:
            raise ValueError("Results_Count, Results_Skip or the window is out of range.")
        if faults.count_max and self.count > faults.count_max:
            raise ValueError(f"Results_Count must not be more than {faults.count_max}.")
        if faults.window_max_s and self.until - self.since > faults.window_max_s:
            raise ValueError("The window is too large.")
        self.count = min(self.count, faults.page_clamp or self.count)
        self.token = query.get("NextPageToken")
        self.ids = _ids(query.getlist("PortingRequestNumbers"), faults.array_style)

    @property
    def later(self) -> bool:
        """Whether this is not the first page."""
        return self.skip > 0 or self.token is not None

    def holds(self, at: int, bounds: str) -> bool:
        """Whether a moment lies in the window."""
        if bounds == "exclusive":
            return self.since < at < self.until
        return self.since <= at <= self.until


def _ids(said: list[str], style: str) -> set[str]:
    if style == "ignored":
        return set()
    if style == "repeated":
        return set(said)
    return {id for value in (said[-1:] if style == "comma" else said) for id in value.split(",") if id}


def _status(world: World, spoiled: Spoiled, request: Request, known: bool) -> Response:
    if len(request.url.query) > LONGEST_QUERY:
        return HTMLResponse("<html><h1>404 - File or directory not found.</h1></html>", 404)
    if not known:
        return refused(404, "NotFound", "No such account or property.")
    try:
        asked = _Asked(request.query_params, world.faults)
    except ValueError as error:
        return refused(400, "ArgumentException", str(error))
    spoiled.drift("fone", asked.later)
    there = spoiled.arranged(world.there("fone"))
    chosen = [
        order
        for order in there
        if (not asked.ids or order.id in asked.ids) and _updated(order, asked, world.faults)
    ]
    found, total = spoiled.listed(chosen, asked.later)
    first = _first(world.faults.token_style, asked, len(found))
    page = spoiled.unwrapped(found[first : first + asked.count])
    shown = [_shown(world, order, asked) for order in page]
    body: dict[str, Any] = {"PortingRequests": spoiled.items(shown, "PortingNo")}
    numbers = sum(len(order.numbers) for order in chosen)
    body.update(_total(world.faults.total_style, total, numbers, len(page)))
    body.update(_token(world.faults.token_style, asked, first, len(page), len(found)))
    return Response(compact(body), media_type="application/json")


def _updated(order: Order, asked: _Asked, faults: Faults) -> bool:
    times = [entry["Created"] for line in order.lines.values() for entry in line.history]
    if faults.unstarted == "listed":
        times.append(int(order.born_at.timestamp()))
    if faults.window == "latest":
        times = [max(times)] if times else []
    return any(asked.holds(at, faults.bounds) for at in times)


def _first(style: str, asked: _Asked, there: int) -> int:
    """Where the page begins: by token or by offset, as the token style has it."""
    token = asked.token
    if style == "stuck":
        return 0
    if style == "endless":
        return int(token.removeprefix("e")) % there if there and token and token[1:].isdigit() else 0
    if style == "token_only":
        reversed_ = token.removeprefix("t")[::-1] if token else ""
        return int(reversed_) if reversed_.isdigit() else 0
    if style in ("offset", "page_number") and token is not None and token.isdigit():
        return int(token) if style == "offset" else (int(token) - 1) * asked.count
    return asked.skip


def _token(style: str, asked: _Asked, first: int, given: int, there: int) -> dict[str, str]:
    """The token of a page; the published last page carries one, and so do most styles here."""
    following = first + given
    if style == "none" or (style == "token_only" and following >= there):
        return {}
    if style == "endless":
        before = int(asked.token[1:]) if asked.token and asked.token[1:].isdigit() else 0
        return {"NextPageToken": f"e{before + given}"}
    if style == "stuck":
        following = asked.skip + given
    token = {
        "constant": "1",
        "token_only": f"t{str(following)[::-1]}",
        "page_number": str(2 + first // asked.count),
    }.get(style, str(following))
    return {"NextPageToken": token}


def _total(style: str, requests: int, numbers: int, page: int) -> dict[str, Any]:
    said: dict[str, Any] = {
        "requests": requests,
        "numbers": numbers,
        "page": page,
        "zero": 0,
        "more": requests + 5,
        "text": str(requests),
    }
    return {"TotalCount": said[style]} if style in said else {}


def _shown(world: World, order: Order, asked: _Asked) -> dict[str, Any]:
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
        "PortingNumbers": [_line(world.faults, number, line, asked) for number, line in order.lines.items()],
    }
    if not said["asap"]:
        item["PreferredPortDate"] = said["preferred"]
    if said["port_date"] is not None:
        item["PortDate"] = said["port_date"]
    return item


def _line(faults: Faults, number: str, line: Line, asked: _Asked) -> dict[str, Any]:
    flow = int(number[-1]) % 2 == 0
    whole = faults.history_style == "whole"
    return {
        "Number": number,
        "Status": line.status,
        "PortType": "Cat-A",
        "PortAddress": "1 Canary Street, Sydney",
        "IncomingActionType": "Flow" if flow else "Answering Point",
        **({"IncomingActionId": "flow-1"} if flow else {"IncomingAnswerPoint": "+61255500100"}),
        "StatusHistory": [
            entry for entry in line.history if whole or asked.holds(entry["Created"], faults.bounds)
        ],
    }

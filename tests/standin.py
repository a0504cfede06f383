"""A stand-in of both providers that nothing of ours had a hand in: plain `http.server` on loopback.

Written from the providers' papers. It knows the truth (`standin_lives`), shows it in pages, and fails
as it is told. Its time is its worlds' own: nothing in here waits.
"""

import base64
import contextlib
import json
import random
import socket
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal
from urllib.parse import parse_qs, unquote, urlsplit

from standin_lives import SECOND, Event, FoneDynamics, Json, Porting, Telnyx

Query = dict[str, list[str]]
Limit = Callable[[datetime], dict[str, str]]
LIMITS: tuple[Limit, ...] = (
    lambda now: {"Retry-After": "2"},
    lambda now: {"Retry-After": format_datetime(now + timedelta(seconds=3), usegmt=True)},
    lambda now: {"Retry-After": "-5"},
    lambda now: {"Retry-After": "nan"},
    lambda now: {"Retry-After": "soon"},
    lambda now: {"x-ratelimit-reset": "4"},
    lambda now: {"x-ratelimit-reset": str(int(now.timestamp()) + 5)},
    lambda now: {"Retry-After": "99999999999"},
    lambda now: {"Retry-After": "3600"},
    lambda now: {},
)
"""Every way of saying "later" that a provider is known to have."""


@dataclass
class Faults:
    """What goes wrong, as shares of all requests; and how the pages are made."""

    limited: float = 0.0
    failing: float = 0.0
    reset: float = 0.0
    cut: float = 0.0  # a page that ends in the middle
    repeated: float = 0.0  # share of a list's items that stand in it twice
    stir: int = 0  # rows born before each page of a list
    order: Literal["newest", "oldest", "unsorted"] = "newest"
    denied: bool = False
    dated: bool = True
    # Fone Dynamics
    token: Literal["offset", "page", "opaque", "constant", "none"] = "offset"
    honours: Literal["both", "offset", "token"] = "both"
    total: Literal["requests", "numbers", "page", "none"] = "requests"
    clamp: int = 200
    count_refused: bool = False
    longest: timedelta | None = None  # a wider window is a 400
    latest_only: bool = False  # a window selects by the latest update, not by any


@dataclass
class Account:
    """One credential and what it sees."""

    world: Telnyx | FoneDynamics
    faults: Faults = field(default_factory=Faults)
    asked: list[str] = field(default_factory=list)


class Reply(Exception):
    """An answer other than a page."""

    def __init__(self, status: int, body: Json | None = None, headers: dict[str, str] | None = None) -> None:
        super().__init__(status)
        self.status, self.body, self.headers = status, body, headers or {}


class StandIn:
    """Both providers on one port; Telnyx accounts by bearer token, Fone Dynamics by SID and token."""

    def __init__(self, **accounts: Account) -> None:
        self.accounts = accounts
        self.rng = random.Random(7)
        self.lock = threading.Lock()
        standin = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1  # head and body in one packet
            disable_nagle_algorithm = True

            def do_GET(self) -> None:
                with standin.lock:
                    standin.answer(self)

            def log_message(self, format: str, *args: Any) -> None:
                """Say nothing."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            block_on_close = False

            def handle_error(self, request: object, client_address: object) -> None:
                """A client that went away, or one that was reset on purpose."""

        self.server = Server(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)

    def __enter__(self) -> "StandIn":
        self.thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}/v2"

    # --- one request ------------------------------------------------------------------------------------

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        account = self.account(handler.headers.get("Authorization") or "")
        status, body, headers = 401, b'{"errors":[{"code":"10009","title":"Authentication failed"}]}', {}
        if account is not None:
            account.asked.append(handler.path)
            if self.rng.random() < account.faults.reset:
                self.slam(handler)
                return
            try:
                self.trouble(account)
                status, body = 200, json.dumps(self.page(account, handler.path)).encode()
            except Reply as reply:
                status, headers = reply.status, reply.headers
                body = b"" if reply.body is None else json.dumps(reply.body).encode()
            if status == 200 and self.rng.random() < account.faults.cut:
                body = body[: self.rng.randrange(len(body))]
        handler.send_response_only(status)
        if account is not None and account.faults.dated:
            handler.send_header("Date", format_datetime(account.world.now, usegmt=True))
        for name, value in {"Content-Type": "application/json", **headers}.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    def account(self, said: str) -> Account | None:
        kind, _, value = said.partition(" ")
        if kind == "Bearer":
            return self.accounts.get(value)
        with contextlib.suppress(ValueError):
            sid, _, token = base64.b64decode(value).decode().partition(":")
            account = self.accounts.get(token)
            if account and isinstance(account.world, FoneDynamics) and account.world.account == sid:
                return account
        return None

    def slam(self, handler: BaseHTTPRequestHandler) -> None:
        """Reset the connection."""
        handler.close_connection = True
        handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        handler.connection.close()

    def trouble(self, account: Account) -> None:
        faults = account.faults
        if faults.denied:
            raise Reply(401, {"errors": [{"code": "10009", "title": "Authentication failed"}]})
        if self.rng.random() < faults.limited:
            said = {"errors": [{"code": "10011", "title": "Too many requests"}]}
            raise Reply(429, said, self.rng.choice(LIMITS)(account.world.now))
        if self.rng.random() < faults.failing:
            raise Reply(self.rng.choice((500, 502, 503, 504)))

    def page(self, account: Account, target: str) -> Json:
        parts = urlsplit(target)
        path, query = parts.path.removeprefix("/v2"), parse_qs(parts.query)
        if isinstance(account.world, FoneDynamics):
            return fone_page(account.world, account.faults, path, query)
        return telnyx_page(account.world, account.faults, path, query)


# --- Telnyx ---------------------------------------------------------------------------------------------


def telnyx_page(world: Telnyx, faults: Faults, path: str, query: Query) -> Json:
    """One answer of `/v2` as documented."""
    match path.strip("/").split("/"):
        case ["porting" | "portouts" as feed, "events"]:
            world.stir(faults.stir)
            events = [event for event in world.events[feed] if event.seen_from <= world.now]
            span = query.get("filter[created_at][gte]"), query.get("filter[created_at][lte]")
            events = [event for event in events if _within(event, span)]
            return _listed(
                repeated(_sorted(events, faults), faults), query, lambda event: event.json(world.now)
            )
        case ["porting" | "portouts" as feed, "events", id]:
            for event in world.events[feed]:
                if event.said["id"] == unquote(id) and event.seen_from <= world.now:
                    return {"data": event.json(world.now)}
        case ["porting_orders"]:
            world.stir(faults.stir)
            oldest = query.get("sort[value]") == ["created_at"]
            orders = list(world.orders.values())  # born in this order
            embed = query.get("include_phone_numbers") != ["false"]
            return _listed(
                orders if oldest else orders[::-1], query, lambda order: _order(world, order, embed)
            )
        case ["porting_orders", id] if id in world.orders:
            return {"data": _order(world, world.orders[id], True), "meta": {"phone_numbers_url": "/v2/x"}}
        case ["portouts"]:
            world.stir(faults.stir)
            portouts = sorted(world.portouts.values(), key=lambda order: str(order["id"]))
            if "filter[status]" in query:
                portouts = [order for order in portouts if order["status"] in query["filter[status]"]]
            return _listed(
                portouts, query, lambda order: {**order, "phone_numbers": world.numbers[order["id"]]}
            )
        case ["portouts", id] if id in world.portouts:
            return {"data": {**world.portouts[id], "phone_numbers": world.numbers[id]}}
        case ["porting_orders" | "portouts", id, "comments"] if id in world.orders or id in world.portouts:
            return _listed(world.comments.get(id, []), query, lambda comment: comment)
        case ["porting_phone_numbers"]:
            (id,) = query["filter[porting_order_id]"]
            lines = _lines(world, world.orders[id]) if id in world.orders else []
            return _listed(lines, query, lambda line: line)
    raise Reply(404, {"errors": [{"code": "10005", "title": "Resource not found"}]})


def _within(event: Event, span: tuple[list[str] | None, list[str] | None]) -> bool:
    least, most = (datetime.fromisoformat(bound[0]) if bound else None for bound in span)
    return (least is None or event.at >= least) and (most is None or event.at <= most)


def _sorted(events: list[Event], faults: Faults) -> list[Event]:
    if faults.order == "unsorted":
        return sorted(events, key=lambda event: str(event.said["id"])[::-1])
    return sorted(events, key=lambda event: event.at, reverse=faults.order == "newest")


def repeated(items: list[Any], faults: Faults) -> list[Any]:
    """A list in which some items stand twice, the second time a few places later."""
    if not faults.repeated:
        return items
    found = list(items)
    for at in range(len(items) - 1, -1, -1):
        if hash_share(at, len(items)) < faults.repeated:
            found.insert(min(at + 9, len(found)), items[at])
    return found


def hash_share(at: int, length: int) -> float:
    """The same number between 0 and 1 for the same place of the same list."""
    return random.Random(at * 7919 + length).random()


def _listed(items: list[Any], query: Query, shown: Callable[[Any], Json]) -> Json:
    number, size = (
        int(query.get(f"page[{name}]", [least])[0]) for name, least in (("number", "1"), ("size", "20"))
    )
    if not 1 <= size <= 250 or number < 1:
        raise Reply(422, {"errors": [{"code": "10033", "title": "Out of range"}]})
    here = items[(number - 1) * size : number * size]
    pages = -(-len(items) // size)
    meta = {"page_number": number, "page_size": size, "total_pages": pages, "total_results": len(items)}
    return {"data": [shown(item) for item in here], "meta": meta}


def _lines(world: Telnyx, order: Json) -> list[Json]:
    return [
        {
            "record_type": "porting_phone_number",
            "phone_number": number,
            "phone_number_type": "local",
            "porting_order_id": order["id"],
            "porting_order_status": order["status"]["value"],
            "support_key": order["support_key"],
            "activation_status": order["activation_settings"].get("activation_status"),
            "portability_status": "confirmed",
        }
        for number in world.numbers[order["id"]]
    ]


def _order(world: Telnyx, order: Json, embed: bool) -> Json:
    lines = _lines(world, order)
    counted = {**order, "porting_phone_numbers_count": len(lines)}
    return {**counted, "phone_numbers": lines[:50]} if embed else counted


# --- Fone Dynamics --------------------------------------------------------------------------------------


def fone_page(world: FoneDynamics, faults: Faults, path: str, query: Query) -> Json:
    """One answer of the status call."""
    if path not in (f"/Accounts/{world.account}/Porting/Status", "/Properties/S6QW/Porting/Status"):
        raise Reply(404)
    asked = {no for value in query.get("PortingRequestNumbers", []) for no in value.split(",")}
    least, most = (datetime.fromtimestamp(int(query[name][0]), UTC) for name in ("From", "To"))
    if faults.longest is not None and most - least > faults.longest:
        raise refused("The window is too long")
    if faults.count_refused and "Results_Count" in query:
        raise refused("Results_Count")
    if faults.stir:
        world.run(world.now + faults.stir * 20 * SECOND)
    found = [
        request
        for request in _arranged(list(world.requests.values()), faults)
        if (not asked or request.no in asked) and _updated(request, least, most, faults.latest_only)
    ]
    found = repeated(found, faults)
    size = min(int(query.get("Results_Count", ["20"])[0]), faults.clamp)
    skip = _skipped(query, size, faults)
    here = found[skip : skip + size]
    said: Json = {"PortingRequests": [request.json(world.account) for request in here]}
    numbers = sum(len(request.numbers) for request in found)
    total = {"requests": len(found), "numbers": numbers, "page": len(here), "none": None}[faults.total]
    if total is not None:
        said["TotalCount"] = total
    token = _token(skip, len(here), len(found), size, faults)
    return said if token is None else {**said, "NextPageToken": token}


def refused(why: str) -> Reply:
    return Reply(400, {"ResponseStatus": {"ErrorCode": "ValidationFailed", "Message": why}})


def _arranged(requests: list[Porting], faults: Faults) -> list[Porting]:
    if faults.order == "unsorted":
        return sorted(requests, key=lambda request: request.no[::-1])
    return requests if faults.order == "oldest" else requests[::-1]


def _updated(request: Porting, least: datetime, most: datetime, latest_only: bool) -> bool:
    moments = [max(request.moments)] if latest_only else request.moments
    return any(least <= moment <= most for moment in moments)


def _skipped(query: Query, size: int, faults: Faults) -> int:
    if "NextPageToken" in query and faults.honours != "offset":
        (token,) = query["NextPageToken"]
        if faults.token == "page":
            return int(token) * size
        return int(token.removeprefix("after-"))
    return int(query.get("Results_Skip", ["0"])[0]) if faults.honours != "token" else 0


def _token(skip: int, came: int, total: int, size: int, faults: Faults) -> str | None:
    """The token beside a page. As published, an offset stands on the last page too."""
    over = skip + came >= total
    if faults.token == "offset":
        return str(skip + came)
    if faults.token == "constant":
        return "1"
    if faults.token == "none" or over:
        return None
    return str(skip // size + 1) if faults.token == "page" else f"after-{skip + came}"

"""The server: both providers under `/v2`, the admin calls under `/_sim`, and the faults around the former."""

import asyncio
import random
from base64 import b64encode
from datetime import timedelta
from email.utils import format_datetime
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from aggregator.simulator import fone_api, spoiled, telnyx_api
from aggregator.simulator.clock import Clock
from aggregator.simulator.settings import Faults, Settings
from aggregator.simulator.things import millis
from aggregator.simulator.world import World

FOREIGN = (b"<html><body>Please log in</body></html>", b"{}", b"null", b"[]")


def application(settings: Settings, faults: Faults) -> ASGIApp:
    """The whole stand-in."""
    world = World(settings, faults, Clock(settings))
    spoiled.seed(settings.seed)
    faulty = _Faulty(world)
    inner = Starlette(routes=[*_admin(world, faulty), *telnyx_api.routes(world), *fone_api.routes(world)])
    faulty.inner = inner
    return faulty


def _admin(world: World, faulty: "_Faulty") -> list[Route]:
    async def truth(request: Request) -> Response:
        return JSONResponse(world.truth())

    async def clock(request: Request) -> Response:
        if request.method == "POST":
            said = await request.json()
            if "speed" in said:
                world.clock.set_speed(float(said["speed"]))
            world.clock.advance(float(said.get("advance_s", 0)))
        return JSONResponse({"now": millis(world.now()), "start": millis(world.clock.start)})

    async def stats(request: Request) -> Response:
        return JSONResponse({"requests": faulty.requests, "faults": faulty.injected})

    async def knobs(request: Request) -> Response:
        if request.method == "PUT":
            try:
                for name, value in (await request.json()).items():
                    world.faults.set(name, value)
            except ValueError as error:
                return JSONResponse({"error": str(error)}, 422)
        return JSONResponse(world.faults.shown())

    async def surprise(request: Request) -> Response:
        return JSONResponse({"portout": world.surprise()})

    return [
        Route("/_sim/truth", truth),
        Route("/_sim/clock", clock, methods=["GET", "POST"]),
        Route("/_sim/stats", stats),
        Route("/_sim/faults", knobs, methods=["GET", "PUT"]),
        Route("/_sim/portout", surprise, methods=["POST"]),
    ]


class _Faulty:
    """Faults of whole replies, and the `Date` header from the simulated clock."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.inner: ASGIApp = Response()
        self.draws = random.Random(f"{world.settings.seed}/faults")
        self.requests: dict[str, int] = {}
        self.injected: dict[str, int] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        dated = self._dated(send)
        path: str = scope["path"]
        if path.startswith("/_sim"):
            await self.inner(scope, receive, dated)
            return
        self.requests[_kind(path)] = self.requests.get(_kind(path), 0) + 1
        faults = self.world.faults
        if faults.slow:
            await asyncio.sleep(faults.slow)
        reply = self._refusal(scope) or self._fault(path)
        if reply is not None:
            await reply(scope, receive, dated)
        elif self._hit("reset", faults.reset):
            await _torn(scope, dated)
        elif self._hit("cut", faults.cut):
            await self.inner(scope, receive, _cutting(dated))
        else:
            await self.inner(scope, receive, dated)

    def _hit(self, name: str, share: float) -> bool:
        if not share or self.draws.random() >= share:
            return False
        self.injected[name] = self.injected.get(name, 0) + 1
        return True

    def _refusal(self, scope: Scope) -> Response | None:
        settings = self.world.settings
        if not settings.require_auth:
            return None
        said = dict(scope["headers"]).get(b"authorization", b"").decode("latin-1")
        fone = "/Porting/Status" in scope["path"]
        basic = b64encode(f"{settings.account_sid}:{settings.fonedynamics_token}".encode()).decode()
        if said == (f"Basic {basic}" if fone else f"Bearer {settings.telnyx_key}"):
            return None
        if fone:
            return fone_api.refused(401, "Unauthorized", "The account or token is not valid.")
        return telnyx_api.refused(
            401, "10009", "Authentication failed", "The required authentication headers were invalid."
        )

    def _fault(self, path: str) -> Response | None:
        faults = self.world.faults
        if faults.outage:
            self.injected["outage"] = self.injected.get("outage", 0) + 1
            return HTMLResponse("<h1>Service Unavailable</h1>", 503)
        if self._hit("rate_limit", faults.rate_limit):
            reply = telnyx_api.refused(429, "10011", "Too many requests")
            reply.headers.update(self._limit_headers())
            return reply
        if self._hit("error", faults.error):
            status = self.draws.choice((500, 502, 503, 504))
            if self.draws.random() < 0.5:
                return HTMLResponse("<html><h1>Server Error</h1></html>", status)
            return telnyx_api.refused(status, "10007", "Unexpected error")
        if self._hit("foreign", faults.foreign):
            return Response(self.draws.choice(FOREIGN), 200, media_type="application/json")
        return None

    def _limit_headers(self) -> dict[str, str]:
        faults, now = self.world.faults, self.world.clock.now()
        until = now + timedelta(seconds=faults.rate_limit_s)
        return {
            "retry_after": {"Retry-After": str(faults.rate_limit_s)},
            "http_date": {"Retry-After": format_datetime(until, usegmt=True)},
            "reset_seconds": {"x-ratelimit-reset": str(faults.rate_limit_s), "x-ratelimit-remaining": "0"},
            "reset_unix": {"x-ratelimit-reset": str(int(until.timestamp())), "x-ratelimit-remaining": "0"},
        }.get(faults.rate_limit_style, {})

    def _dated(self, send: Send) -> Send:
        async def dated(message: Message) -> None:
            if message["type"] == "http.response.start":
                date = format_datetime(self.world.clock.now(), usegmt=True).encode()
                message["headers"] = [*message["headers"], (b"date", date)]
            await send(message)

        return dated


def _kind(path: str) -> str:
    parts = path.split("/")[2:]
    return "/".join(part for part in parts if not any(letter.isdigit() for letter in part)) or path


async def _torn(scope: Scope, send: Send) -> None:
    """Promise more than is sent, so that the server has to cut the connection."""
    headers = [(b"content-type", b"application/json"), (b"content-length", b"100000")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b'{"data": [{"id": "', "more_body": False})


def _cutting(send: Send) -> Send:
    """The reply with its JSON cut short, but whole as HTTP."""
    held: dict[str, Any] = {}

    async def cut(message: Message) -> None:
        if message["type"] == "http.response.start":
            held["start"] = message
            return
        body = message.get("body", b"")
        body = body[: len(body) * 2 // 3]
        start = held.pop("start")
        start["headers"] = [
            (k, str(len(body)).encode() if k == b"content-length" else v) for k, v in start["headers"]
        ]
        await send(start)
        await send({"type": "http.response.body", "body": body})

    return cut

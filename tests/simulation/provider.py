"""Both providers in this process: the stand-ins' own application, called without a wire.

What a wire does (resets, time-outs after the server acted) is done here; everything else are the stand-ins'
knobs. Before and after every request the life may step in: let a second process run, or kill this one.
"""

import random
from collections.abc import Callable, Coroutine, MutableMapping
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

import httpx
from starlette.routing import Router
from virtual import Time

from aggregator.simulator import fone_api, telnyx_api, wire
from aggregator.simulator.refusals import Refusals
from aggregator.simulator.settings import Faults, Settings
from aggregator.simulator.spoiled import Spoiled
from aggregator.simulator.things import Order
from aggregator.simulator.world import World

BROKEN = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.ReadTimeout,
    httpx.ReadError,
    httpx.RemoteProtocolError,
    httpx.WriteError,
)


@dataclass
class Provider:
    """A world, its server, and a transport that asks it. `broken` is the share of requests that end without a
    reply, before or after the server acted; `denied` are the ids that were answered 404 when last asked for."""

    time: Time
    world: World
    app: Any
    rng: random.Random
    broken: float = 0.0
    latency_s: float = 1.0
    before: Callable[[httpx.Request], None] = lambda request: None
    after: Callable[[httpx.Request], None] = lambda request: None
    asked: list[str] = field(default_factory=list)
    denied: set[str] = field(default_factory=set)

    def transport(self) -> httpx.MockTransport:
        """What a fetcher is given in place of a network."""
        return httpx.MockTransport(self.answer)

    def answer(self, request: httpx.Request) -> httpx.Response:
        """One request and its reply."""
        self.before(request)
        self.asked.append(request.url.path)
        self.time.pass_(self.rng.uniform(0.02, self.latency_s))
        error = self.rng.choice(BROKEN) if self.rng.random() < self.broken else None
        if error in (httpx.ConnectError, httpx.ConnectTimeout):
            raise error("refused", request=request)
        reply = self._asked(request)
        self.time.pass_(self.rng.uniform(0.02, self.latency_s))
        self.after(request)
        if error is not None:
            self.time.pass_(10.0 if error is httpx.ReadTimeout else 0.0)
            raise error("gone", request=request)
        id = request.url.path.rsplit("/", 1)[1]
        if reply.status_code == 404:
            self.denied.add(id)
        elif reply.status_code == 200:
            self.denied.discard(id)
        return reply

    def _asked(self, request: httpx.Request) -> httpx.Response:
        scope = {
            "type": "http",
            "method": request.method,
            "path": request.url.path,
            "raw_path": request.url.raw_path,
            "root_path": "",
            "scheme": request.url.scheme,
            "query_string": request.url.query,
            "headers": [(name.lower(), value) for name, value in request.headers.raw],
            "server": (request.url.host, 443),
        }
        taken = _Taken()
        _run(self.app(scope, _receive, taken.send))
        body = httpx.ByteStream(bytes(taken.body))
        return httpx.Response(taken.status, headers=taken.headers, stream=body, request=request)


class _Taken:
    """A reply as it is sent; it has a `transport` because the stand-ins' server has one."""

    transport: Any = None

    def __init__(self) -> None:
        self.status, self.headers, self.body = 500, list[tuple[bytes, bytes]](), bytearray()

    async def send(self, message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self.status, self.headers = message["status"], message["headers"]
        else:
            self.body.extend(message.get("body", b""))


async def _receive() -> dict[str, Any]:
    return {"type": "http.request", "body": b"", "more_body": False}


class _Spoiled(Spoiled):
    """Lists whose older copies can be told from the present: two steps within one second show the same time."""

    def _copies(self, thing: Any) -> list[Any]:
        copies = super()._copies(thing)
        if isinstance(thing, Order) and thing.kind != "fone":
            second = thing.updated_at.replace(microsecond=0)
            if thing.before_at.replace(microsecond=0) == second:
                return [thing]
        return copies


def provider(time: Time, settings: Settings, faults: Faults, rng: random.Random) -> Provider:
    """Both providers at the beginning of their time."""
    world = World(settings, faults, time)  # type: ignore[arg-type]
    spoiled = _Spoiled(world)
    router = Router(routes=[*telnyx_api.routes(world, spoiled), *fone_api.routes(world, spoiled)])

    def refusals(world: World, hit: Any, choose: Any) -> Refusals:
        return Refusals(world, hit, choose, time.monotonic)

    with patch.object(wire, "Refusals", refusals):
        app = wire.Wire(world, router)
    return Provider(time, world, app, rng)


def _run(coroutine: Coroutine[Any, Any, None]) -> None:
    """Run what never waits."""
    try:
        coroutine.send(None)
    except StopIteration:
        return
    raise AssertionError("the stand-in waits for something")

"""The server: both providers under `/v2`, the admin calls under `/_sim`, and the faults around the former."""

import json
import math
from collections import Counter

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from aggregator.simulator import fone_api, telnyx_api
from aggregator.simulator.clock import Clock
from aggregator.simulator.refusals import ELSEWHERE
from aggregator.simulator.settings import Faults, Settings
from aggregator.simulator.spoiled import Spoiled
from aggregator.simulator.things import compact, millis
from aggregator.simulator.truth import truth
from aggregator.simulator.wire import Wire
from aggregator.simulator.world import World


def application(settings: Settings, faults: Faults) -> ASGIApp:
    """The whole stand-in."""
    world = World(settings, faults, Clock(settings))
    spoiled = Spoiled(world)
    inner = Starlette(routes=[*telnyx_api.routes(world, spoiled), *fone_api.routes(world, spoiled)])
    wire = Wire(world, inner)
    inner.routes.extend(_admin(world, wire))
    return wire


def _admin(world: World, wire: Wire) -> list[Route]:
    came: Counter[str] = Counter()

    async def told(request: Request) -> Response:
        return Response(compact(truth(world)), media_type="application/json")

    async def clock(request: Request) -> Response:
        if request.method == "POST":
            try:
                speed, seconds = await _times(request)
            except ValueError as error:
                return JSONResponse({"error": str(error)}, 422)
            if speed is not None:
                world.clock.set_speed(speed)
            world.clock.advance(seconds)
        return JSONResponse({"now": millis(world.now()), "start": millis(world.clock.start)})

    async def stats(request: Request) -> Response:
        return JSONResponse({"requests": wire.requests, "faults": world.injected, "elsewhere": came})

    async def knobs(request: Request) -> Response:
        world.now()  # what happened before happened under the knobs of before
        if request.method == "DELETE":
            world.faults.clear()
        elif request.method == "PUT":
            try:
                said = json.loads(await request.body())
                if not isinstance(said, dict):
                    raise ValueError("an object of knobs and values is needed")
                world.faults.set_all(said)
            except ValueError as error:
                return JSONResponse({"error": str(error)}, 422)
            if "times" in said:
                wire.struck = 0
        return JSONResponse(world.faults.shown())

    async def surprise(request: Request) -> Response:
        return JSONResponse({"portout": world.surprise()})

    async def elsewhere(request: Request) -> Response:
        came["followed"] += 1
        came["with_credentials"] += "authorization" in request.headers
        return JSONResponse({"data": [], "meta": {"page_number": 1, "total_pages": 0, "total_results": 0}})

    return [
        Route("/_sim/truth", told),
        Route("/_sim/clock", clock, methods=["GET", "POST"]),
        Route("/_sim/stats", stats),
        Route("/_sim/faults", knobs, methods=["GET", "PUT", "DELETE"]),
        Route("/_sim/portout", surprise, methods=["POST"]),
        Route(ELSEWHERE, elsewhere),
    ]


async def _times(request: Request) -> tuple[float | None, float]:
    """The speed and the jump that were asked for. ValueError for what is no time."""
    try:
        said = json.loads(await request.body())
        speed = None if said.get("speed") is None else float(said["speed"])
        seconds = float(said.get("advance_s", 0))
    except (AttributeError, TypeError, ValueError):
        raise ValueError('{"speed": NUMBER} or {"advance_s": SECONDS} is needed') from None
    for value in (speed, seconds):
        if value is not None and not (math.isfinite(value) and value >= 0):
            raise ValueError("speed and advance_s must be finite and not negative")
    return speed, min(seconds, 1e9)

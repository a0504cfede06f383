"""Requests that are refused: credentials, limits, outages, errors, redirections."""

import time
from base64 import b64encode
from collections.abc import Callable
from datetime import timedelta
from email.utils import format_datetime

from starlette.datastructures import Headers
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.types import Scope

from aggregator.simulator import fone_api, telnyx_api
from aggregator.simulator.world import World

ELSEWHERE = "/_sim/elsewhere"
LIMIT = 1_000  # said in the headers where no quota is set


def provider(path: str) -> str:
    """Whose path it is."""
    return "fonedynamics" if path.endswith("/Porting/Status") else "telnyx"


def refused(path: str, status: int, title: str) -> JSONResponse:
    """An error in the envelope of the path's provider."""
    if provider(path) == "fonedynamics":
        return fone_api.refused(status, title.title().replace(" ", ""), title)
    codes = {401: "10009", 403: "10010", 429: "10011"}
    return telnyx_api.refused(status, codes.get(status, "10007"), title)


class Refusals:
    """Says which requests are refused, and how."""

    def __init__(
        self,
        world: World,
        hit: Callable[[str], bool],
        choose: Callable[[tuple[str, ...]], str],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.world, self.hit, self.choose, self._monotonic = world, hit, choose, monotonic
        self._spent: dict[str, tuple[float, int]] = {}  # of each quota: since when, and how many

    def standing(self, scope: Scope) -> Response | None:
        """What holds for every request: credentials, and the quota."""
        return self._credentials(scope) or self._over_quota(scope["path"])

    def _credentials(self, scope: Scope) -> Response | None:
        """401 or 403 where the key is wrong, or was taken away."""
        settings, faults = self.world.settings, self.world.faults
        path: str = scope["path"]
        name = provider(path)
        if faults.revoked in (name, "both"):
            self.world.injected["revoked"] += 1
            return self._denied(path, faults.revoked_status)
        if not settings.require_auth:
            return None
        basic = b64encode(f"{settings.account_sid}:{settings.fonedynamics_token}".encode()).decode()
        right = f"Basic {basic}" if name == "fonedynamics" else f"Bearer {settings.telnyx_key}"
        return None if Headers(scope=scope).get("authorization") == right else self._denied(path, 401)

    def _denied(self, path: str, status: int) -> Response:
        reply = refused(path, status, "Authentication failed" if status == 401 else "No permission")
        if status == 401 and provider(path) == "fonedynamics":
            reply.headers["WWW-Authenticate"] = "Basic"
        return reply

    def limits(self, path: str) -> dict[str, str]:
        """What the headers of a good reply say of the quota."""
        if provider(path) == "fonedynamics":
            return {}
        quota, left, seconds = self._left(path)
        return {
            "x-ratelimit-limit": str(quota),
            "x-ratelimit-remaining": str(max(0, left)),
            "x-ratelimit-reset": str(seconds),
        }

    def _left(self, path: str) -> tuple[int, int, int]:
        """The quota, how many requests are left of it, and in how many seconds it begins anew."""
        faults = self.world.faults
        if not faults.quota:
            return LIMIT, LIMIT - 1, 1
        since, used = self._spent[provider(path)]
        return faults.quota, faults.quota - used, max(1, round(since + faults.quota_s - self._monotonic()))

    def _over_quota(self, path: str) -> Response | None:
        faults, name, now = self.world.faults, provider(path), self._monotonic()
        if not faults.quota:
            return None
        since, used = self._spent.get(name, (now, 0))
        self._spent[name] = (now, 1) if now - since >= faults.quota_s else (since, used + 1)
        _, left, seconds = self._left(path)
        if left >= 0:
            return None
        self.world.injected["quota"] += 1
        reply = refused(path, 429, "Too many requests")
        reply.headers.update(self.limits(path) or {"Retry-After": str(seconds)})
        return reply

    def passing(self, scope: Scope) -> Response | None:
        """An outage, a limit, an error, a false 404 or a redirection, if one strikes."""
        faults, path = self.world.faults, scope["path"]
        if faults.outage:
            self.world.injected["outage"] += 1
            return HTMLResponse("<h1>Service Unavailable</h1>", 503)
        if self.hit("rate_limit"):
            reply = refused(path, 429, "Too many requests")
            reply.headers.update(self._when())
            return reply
        if self.hit("error"):
            return self._error(path)
        if _single(path) and self.hit("false_404"):
            return telnyx_api.missing()
        if self.hit("redirect"):
            host = Headers(scope=scope).get("host", "localhost")
            return Response(status_code=302, headers={"Location": f"http://{host}{ELSEWHERE}"})
        return None

    def _error(self, path: str) -> Response:
        status = int(self.choose(("500", "502", "503", "504")))
        style = self.world.faults.error_style
        style = self.choose(("json", "html", "empty")) if style == "any" else style
        if style == "html":
            return HTMLResponse("<html><h1>Server Error</h1></html>", status)
        return refused(path, status, "Unexpected error") if style == "json" else Response(status_code=status)

    def _when(self) -> dict[str, str]:
        """How a 429 says when to come back."""
        faults, now = self.world.faults, self.world.clock.now()
        seconds = faults.rate_limit_s
        until = now + timedelta(seconds=seconds)
        after = {
            "retry_after": str(seconds),
            "http_date": format_datetime(until, usegmt=True),
            "fraction": f"{seconds}.5",
            "negative": f"-{seconds}",
            "nan": "NaN",
            "infinite": "Infinity",
            "absurd": "9" * 30,
            "absurd_date": "Fri, 31 Dec 9999 23:59:59 GMT",
            "past_date": format_datetime(now - timedelta(days=1), usegmt=True),
            "words": "in a moment",
        }
        resets = {
            "reset_seconds": str(seconds),
            "reset_unix": str(int(until.timestamp())),
            "absurd_reset": "9" * 30,
        }
        style = faults.rate_limit_style
        if style in after:
            return {"Retry-After": after[style]}
        return {"x-ratelimit-reset": resets[style], "x-ratelimit-remaining": "0"} if style in resets else {}


def _single(path: str) -> bool:
    """Whether one order, port-out or event is asked for."""
    return provider(path) == "telnyx" and len(path.rsplit("/", 1)[1]) == 36

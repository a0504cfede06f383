"""Health, metrics and the page with orders over HTTP, in threads of their own: whatever happens here, polling goes on.

    /healthz   the process lives
    /readyz    schema and database answer; else 503 and why
    /metrics   for Prometheus; 503 and why where the database does not answer, so that a scrape fails visibly
    /          the page, where it is asked for: here or on an address of its own

None of them looks at a provider. The database is asked by one thread for each question at a time, which may hang
without holding anything up; whoever asks meanwhile waits for the same answer, and not for long.
"""

import asyncio
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import suppress
from html import escape
from ipaddress import ip_address
from urllib.parse import urlsplit

import structlog
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from aggregator.config.values import host_of, is_loopback
from aggregator.errors import AggregatorError
from aggregator.listeners import QUEUE, Connections, Server, share

PATIENCE_S = 5.0  # how long an answer of the database is waited for
FRESH_S = 1.0  # an answer is good for so long: many who ask cost no more than one
RETRY_S = 10.0  # after an address could not be taken
FAULT_S = 60.0  # between two lines about a fault of ours
WAITING = max(1, share() // 4)  # so many may wait for one answer: there is always room for /healthz

PAGE = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; "
    "base-uri 'none'; form-action 'none'",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}

NO_PAGE = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><meta http-equiv="refresh" content="30">'
    '<meta name="viewport" content="width=device-width"><title>out of order · porting</title>'
    "<style>:root{{color-scheme:light dark;font:15px/1.4 system-ui,sans-serif}}</style>"
    "<main><p>{why}</p><p>It is asked again every half minute.</p></main></html>"
)

log = structlog.get_logger()


class Silent(AggregatorError):
    """The database neither answered nor failed in time."""


class Question:
    """Something that is asked of the database, in a thread that ends with the process."""

    def __init__(self, ask: Callable[[], bytes]) -> None:
        self.ask = ask
        self.asking: asyncio.Future[bytes] | None = None
        self.asked_at = 0.0
        self.waiting = 0

    async def answer(self) -> bytes:
        """The answer, or what was raised in place of one; Silent when it takes too long or too many wait."""
        if self.waiting >= WAITING:
            raise Silent(f"database: {self.waiting} wait for this answer already")
        self.waiting += 1
        try:
            return await self._answer()
        finally:
            self.waiting -= 1

    async def _answer(self) -> bytes:
        old = time.monotonic() - self.asked_at > FRESH_S
        if self.asking is None or (self.asking.done() and old):
            self.asking, self.asked_at = asyncio.get_running_loop().create_future(), time.monotonic()
            self.asking.add_done_callback(lambda asked: asked.exception())  # perhaps nobody waits any more
            threading.Thread(
                target=self._ask, args=(self.asking,), name="health-question", daemon=True
            ).start()
        try:
            return await asyncio.wait_for(asyncio.shield(self.asking), PATIENCE_S)
        except TimeoutError:
            raise Silent(f"database: no answer for {time.monotonic() - self.asked_at:.0f} s") from None

    def _ask(self, asking: "asyncio.Future[bytes]") -> None:
        try:
            answer = self.ask()
        except Exception as error:
            self._tell(asking, asking.set_exception, error)
        else:
            self._tell(asking, asking.set_result, answer)

    def _tell(self, asking: "asyncio.Future[bytes]", tell: Callable[..., None], what: object) -> None:
        with suppress(RuntimeError):  # the loop is gone: nobody waits any more
            asking.get_loop().call_soon_threadsafe(tell, what)


def application(ready: Callable[[], None], metrics: Callable[[], bytes], kind: str) -> Starlette:
    """Health. `ready` raises what is wrong; `metrics` gives a text of this content type."""

    def is_ready() -> bytes:
        ready()
        return b"ok\n"

    async def healthz(request: Request) -> Response:
        return PlainTextResponse("ok\n")

    readyz = _answering(is_ready, {"Content-Type": "text/plain; charset=utf-8"})
    told = _answering(metrics, {"Content-Type": kind})
    return Starlette(routes=[Route("/healthz", healthz), Route("/readyz", readyz), Route("/metrics", told)])


def with_page(app: Starlette | None, page: Callable[[], bytes]) -> Starlette:
    """The page with orders at /, beside health or alone. Where there is none, what is shown in its place asks
    again by itself too, so that a screen on a wall recovers."""

    def instead(why: str) -> Response:
        return HTMLResponse(NO_PAGE.format(why=escape(why)), 503, PAGE)

    answer = _answering(page, {"Content-Type": "text/html; charset=utf-8", **PAGE}, instead)
    app = app or Starlette()
    app.routes.append(Route("/", answer))
    return app


class Named:
    """An application that answers to certain names only, so that no page from elsewhere can have a browser here
    fetch it under a name of its own: those of this machine, and where other machines can reach the address, any
    number of an address and the names that it is known by."""

    def __init__(self, app: ASGIApp, address: str, hosts: Collection[str] = ()) -> None:
        self.app = app
        self.open = not is_loopback(host_of(address))
        own = (host_of(address), socket.gethostname()) if self.open else ()
        self.names = {name.lower() for name in (*hosts, *own)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope["headers"])
        if self._is_ours(headers.get(b"host", b"").decode("latin-1")):
            await self.app(scope, receive, send)
            return
        text = "ask for it as localhost (a proxy must send that as Host), or name yours as [http] hosts\n"
        await PlainTextResponse(text, 421)(scope, receive, send)

    def _is_ours(self, said: str) -> bool:
        try:
            host = host_of(said)
        except ValueError:
            return False
        if "@" in said or not host:
            return False
        return is_loopback(host) or host in self.names or (self.open and _is_number(host))


def _is_number(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _plain(why: str) -> Response:
    return PlainTextResponse(f"{why}\n", 503)


def _answering(
    ask: Callable[[], bytes], headers: Mapping[str, str], instead: Callable[[str], Response] = _plain
) -> Callable[[Request], Awaitable[Response]]:
    """What answers with the words of the database, or with 503 and why there are none."""
    question, told_at = Question(ask), -FAULT_S

    async def answered(request: Request) -> Response:
        nonlocal told_at
        try:
            return Response(await question.answer(), headers=headers)
        except AggregatorError as error:
            return instead(str(error))
        except Exception as error:
            if time.monotonic() - told_at >= FAULT_S:  # whoever asks decides how often it fails
                told_at = time.monotonic()
                log.exception("http.failed", path=request.url.path)
            return instead(f"internal error: {type(error).__name__}")

    return answered


class Served:
    """An application on an address. One that cannot be taken is said once, and tried again."""

    def __init__(self, app: Starlette, address: str, hosts: Collection[str] = ()) -> None:
        self.app, self.address = Named(app, address, hosts), address
        self.stopping = threading.Event()
        self.server: Server | None = None
        self.thread = threading.Thread(target=self._serve, name="health", daemon=True)

    def start(self) -> None:
        """Serve from now on."""
        self.thread.start()

    def stop(self) -> None:
        """End, but wait for nobody."""
        self.stopping.set()
        if self.server is not None:
            self.server.should_exit = True
        self.thread.join(2.0)

    def _serve(self) -> None:
        refused = False
        while not self.stopping.is_set():
            try:
                with _listener(self.address) as listener:
                    host, port = listener.getsockname()[:2]
                    log.info("http.listening", listen=f"{host}:{port}")
                    refused = False
                    self._run(listener)
            except Exception as error:
                if not refused:
                    log.error("http.failing", listen=self.address, error=str(error), advice="polling goes on")
                refused = True
            self.stopping.wait(RETRY_S)

    def _run(self, listener: socket.socket) -> None:
        self.server = Server(self.app, Connections(self.address))
        if not self.stopping.is_set():
            self.server.run(sockets=[listener])


def _listener(address: str) -> socket.socket:
    """A socket on the first address that the name has."""
    parts = urlsplit(f"//{address}")
    found = socket.getaddrinfo(parts.hostname, parts.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, _, _, _, place = found[0]
    return socket.create_server(place[:2], family=family, backlog=QUEUE)

"""HTTP listeners that nobody outside can exhaust, on uvicorn.

Whoever connects and says nothing costs us a file and, in time, all of them. So a listener holds a limited number of
connections: one more closes the one that has been silent for longest, never the newcomer, so that a probe is answered
however many others hang on. A whole request must come within seconds, as must the next one on the same connection;
an answer that nobody reads is given up. What outsiders cause is counted, and told in one line a minute.
"""

import asyncio
import logging
import resource
import select
import time
from collections import Counter
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any, cast

import h11
import structlog
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

MOST = 128  # connections of one listener
REQUEST_S = 5.0  # a whole request, headers and body; and how long a connection may be idle
ANSWER_S = 20.0  # until an answer is made and taken
ACCEPTED_AT_ONCE = 8  # before those that are open are counted again
QUEUE = 128  # connections that wait in the kernel, where they cost us nothing
REPORT_S = 60.0

INVALID, UNHEARD, CROWDED, FAULTS = "invalid_requests", "never_asked", "closed_for_others", "faults"

log = structlog.get_logger()


def share(most: int = MOST, part: int = 8) -> int:
    """How many connections a listener may hold: of the files that this process may open it takes an eighth at
    most, so that polls always have theirs."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return most if soft == resource.RLIM_INFINITY else max(4, min(most, soft // part))


class Connections:
    """The open connections of one listener, in the order of their last progress, and what outsiders caused.
    Without `answer_s` an answer may take as long as it likes; a `quiet` listener logs nothing. All of it belongs
    to the listener's event loop."""

    def __init__(
        self,
        listen: str,
        most: int | None = None,
        request_s: float = REQUEST_S,
        answer_s: float | None = ANSWER_S,
        quiet: bool = False,
    ) -> None:
        self.listen, self.most = listen, share() if most is None else most
        self.request_s, self.answer_s = request_s, answer_s
        self.open: dict[Connection, None] = {}
        self.logger = logging.Logger("uvicorn.error", logging.WARNING)
        self.logger.parent = logging.getLogger("uvicorn.error")
        self.logger.addFilter(self._is_ours)
        self.logger.disabled = self.quiet = quiet
        self._counts: Counter[str] = Counter()
        self._told_at: float | None = None
        self._telling: asyncio.TimerHandle | None = None

    def _is_ours(self, record: logging.LogRecord) -> bool:
        """uvicorn's warnings are about what clients send: counted. Its errors are ours: logged."""
        if record.levelno < logging.ERROR:
            self.count(INVALID)
        return record.levelno >= logging.ERROR

    def joined(self, newcomer: "Connection") -> None:
        """One more is open; where that is one too many, another one is closed."""
        self.open[newcomer] = None
        if len(self.open) > self.most:
            self.count(CROWDED)
            silent = self._longest_silent(newcomer)
            self.left(silent)  # at once, so that the next newcomer meets another one
            silent.drop()

    def progressed(self, one: "Connection") -> None:
        """A connection has sent a whole request, or taken an answer."""
        if one in self.open:
            del self.open[one]
            self.open[one] = None

    def left(self, one: "Connection") -> None:
        """A connection is gone."""
        self.open.pop(one, None)

    def _longest_silent(self, newcomer: "Connection") -> "Connection":
        """The one that has been silent for longest: it owes a request, or does not take its answer. What it has
        sent may lie unread in its socket, so such a one goes after those that sent nothing."""
        silent = [one for one in self.open if not one.is_answered]
        poll = select.poll()
        for one in silent:
            poll.register(one.fileno(), select.POLLIN)
        unread = {descriptor for descriptor, _ in poll.poll(0)}
        mute = (one for one in silent if one.fileno() not in unread)
        return next(mute, silent[0] if silent else newcomer)

    def count(self, what: str) -> None:
        """Note what somebody outside has caused. The first is told at once, the others once a minute."""
        self._counts[what] += 1
        if self._telling is not None or self.quiet:
            return
        pause = 0.0 if self._told_at is None else self._told_at + REPORT_S - time.monotonic()
        if pause <= 0:
            self._tell()
        else:
            self._telling = asyncio.get_running_loop().call_later(pause, self._tell)

    def _tell(self) -> None:
        self._telling, self._told_at = None, time.monotonic()
        log.warning("http.refused", listen=self.listen, **self._counts)
        self._counts.clear()

    def fault(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """What the event loop would log with a traceback each time, such as a socket that cannot be accepted."""
        self.count(FAULTS)


class Connection(H11Protocol):
    """A connection with a time for each of its requests and each of its answers."""

    def __init__(self, connections: Connections, **given: Any) -> None:
        super().__init__(**given)
        self.all, self.logger = connections, connections.logger
        self._limit: asyncio.TimerHandle | None = None
        self._asked = False
        self.conn.next_event = partial(_framed_once, self.conn.next_event)  # type: ignore[method-assign]

    @property
    def is_answered(self) -> bool:
        """Whether an answer is being made, and taken."""
        return self._is_asking and not self.flow.write_paused

    @property
    def _is_asking(self) -> bool:
        """Whether a whole request has come whose answer is not finished."""
        return self.cycle is not None and not (self.cycle.response_complete or self.cycle.more_body)

    def fileno(self) -> int:
        """The descriptor of its socket."""
        return int(self.transport.get_extra_info("socket").fileno())

    def drop(self) -> None:
        """Close it now, whatever is still to be sent."""
        self.transport.abort()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._within(self.all.request_s)
        self.all.joined(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._within(None)
        self.all.left(self)
        super().connection_lost(exc)

    def handle_events(self) -> None:
        try:
            super().handle_events()
        except h11.ProtocolError:  # no reply can be made of it any more
            self.all.count(INVALID)
            self.drop()
        if self._is_asking:
            self._asked = True
            self._within(self.all.answer_s)
            self.all.progressed(self)

    def on_response_complete(self) -> None:
        if not self.cycle.more_body:  # else the time of its request goes on
            self._within(self.all.request_s)
        self.all.progressed(self)
        super().on_response_complete()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no request, unless an answer has begun; in either case that is the end."""
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            said = f"{msg}\n".encode("ascii")
            head = "HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain; charset=utf-8\r\nconnection: close"
            self.transport.write(f"{head}\r\ncontent-length: {len(said)}\r\n\r\n".encode("ascii") + said)
        self.transport.close()

    def _within(self, seconds: float | None) -> None:
        """What comes next must have come within so many seconds."""
        if self._limit is not None:
            self._limit.cancel()
        self._limit = None if seconds is None else self.loop.call_later(seconds, self._too_late)

    def _too_late(self) -> None:
        if not self._asked:
            self.all.count(UNHEARD)
        self.drop()


def _framed_once(next_event: Any) -> Any:
    """h11's next event; a request that gives its length in two ways is none. Whoever stands before us may have
    believed the other one, and what follows would then be somebody else's request."""
    event = next_event()
    if isinstance(event, h11.Request):
        names = {name.lower() for name, _ in event.headers}
        if {b"content-length", b"transfer-encoding"} <= names:
            raise h11.RemoteProtocolError("Content-Length beside Transfer-Encoding")
    return event


class Server(uvicorn.Server):
    """uvicorn's server with limited connections. It leaves signals alone: they belong to the process."""

    def __init__(self, app: ASGIApp, connections: Connections, **settings: Any) -> None:
        self.connections = connections
        given = {"loop": "asyncio", "ws": "none", "lifespan": "off", "log_config": None, "access_log": False}
        protocol = cast(type[asyncio.Protocol], partial(Connection, connections))
        super().__init__(
            uvicorn.Config(
                app,
                http=protocol,
                backlog=ACCEPTED_AT_ONCE,  # asyncio accepts so many before it does anything else
                timeout_graceful_shutdown=1,
                server_header=False,
                proxy_headers=False,
                **{**given, **settings},
            )
        )

    def capture_signals(self) -> AbstractContextManager[None]:  # type: ignore[override]
        """Handle none."""
        return nullcontext()

    async def startup(self, sockets: list[Any] | None = None) -> None:
        """Listen, with a longer queue in the kernel than we accept at once."""
        asyncio.get_running_loop().set_exception_handler(self.connections.fault)
        await super().startup(sockets=sockets)
        for one in sockets or ():
            one.listen(QUEUE)

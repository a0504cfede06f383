"""Request → Page: HTTP with credentials, pacing, limits and retries. The only place of httpx and tenacity.

A page is any 2xx, and a 404, which is an answer too. Everything else is an error by type (`errors.py`), whose
text names method, host and path: never the query, a header or the body (of a refusal, the provider's code and
the plain words of its title).
"""

import logging
import random
import re
import socket
import ssl
import threading
import time
import weakref
from base64 import b64encode
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlencode

import httpx
import tenacity

from aggregator import __version__
from aggregator.core.account import Auth
from aggregator.core.model import Page, Request
from aggregator.core.replies import http_date, reset, retry_after, spoken
from aggregator.deadlines import Deadlines
from aggregator.decoding import CannotDecode, Decoder, TooLong
from aggregator.errors import (
    AccessDenied,
    AggregatorError,
    ConfigError,
    FetchError,
    RateLimited,
    Refused,
    Stopped,
    TooLarge,
    Unanswered,
)

CONNECT_S, READ_S, TOTAL_S = 5.0, 10.0, 30.0
OVERALL_S = 90.0  # no further try begins after this
MAX_BYTES = 8 * 1024 * 1024
TRIES = 4
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 60.0
PATIENCE_S = 30.0  # a rate limit that passes within this is waited out; a longer one ends the sweep
DEFAULT_LIMIT = timedelta(seconds=30)
LONGEST_PATH, SHOWN = 2_000, 300  # characters of a path: to ask for, to name in an error
PASSING = frozenset({408, 500, 502, 503, 504})
BROKEN = (httpx.TimeoutException, httpx.NetworkError, httpx.RemoteProtocolError, httpx.ProxyError)

log = logging.getLogger(__name__)
_deadlines = Deadlines()
_PATH = re.compile(r"(?:/(?!\.{1,2}(?:/|$))[A-Za-z0-9._~%:@!$&'()*+,;=-]+)+")


class _Passing(FetchError):
    """Worth another try: a connection that broke, a time-out, a 5xx that passes."""


class _Silence(_Passing, Unanswered):
    """Worth another try: nothing came back."""


class _Sockets:
    """The sockets of one client, so that a deadline or another thread can end whatever waits on them.

    httpx counts each read, so a server that drips would hold a request for ever; and to close a client wakes
    nobody who reads. To shut a socket down does both.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: weakref.WeakSet[socket.socket] = weakref.WeakSet()
        self._turn = 0
        self.was_cut = False

    def watch(self, _: str, info: Mapping[str, Any]) -> None:
        """httpx's `trace`: take note of each new connection, before and after its TLS handshake."""
        stream: Any = info.get("return_value")
        if hasattr(stream, "get_extra_info"):
            with self._lock:
                self._open.add(stream.get_extra_info("socket"))
                if self.was_cut:
                    self._shut()

    def turn(self) -> int:
        """A new request begins; returns its number."""
        with self._lock:
            self.was_cut = False
            self._turn += 1
            return self._turn

    def cut(self, turn: int | None = None) -> None:
        """End what waits now (only if it is this turn's), and what still connects in this turn."""
        with self._lock:
            if turn in (None, self._turn):
                self.was_cut = True
                self._shut()

    def _shut(self) -> None:
        for one in self._open:
            with suppress(OSError):
                # The plain socket's: an SSLSocket's own also takes its TLS layer from under the reader.
                socket.socket.shutdown(one, socket.SHUT_RDWR)


def present() -> datetime:
    """The present, in UTC."""
    return datetime.now(UTC)


class Fetcher:
    """Fetches pages for one account. One connection pool, one request at a time, paced.

    `secret` is asked for the credential at first use and after `refresh`, so a replaced key file is read.
    `refusal` and `limited_by` are the adapter's: how its provider refuses, and how it says "too many requests".
    Clock and sleep are arguments, so that tests and simulations own the time; by default a wait ends at
    `close`.
    """

    def __init__(
        self,
        base_url: str,
        auth: Auth,
        user: str | None,
        secret: Callable[[], str],
        *,
        min_interval_s: float = 0.0,
        proxy: str | None = None,
        ca_file: str | None = None,
        header: str = "Authorization",
        refusal: Callable[[Page], tuple[str, str] | None] | None = None,
        limited_by: Collection[str] = (),
        clock: Callable[[], datetime] = present,
        sleep: Callable[[float], object] | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        rng: random.Random | None = None,
        transport: httpx.BaseTransport | None = None,
        total_s: float = TOTAL_S,
        overall_s: float = OVERALL_S,
        max_bytes: int = MAX_BYTES,
        tries: int = TRIES,
    ) -> None:
        self._base = base_url.rstrip("/")
        self._place = self._base.partition("://")[2]  # for errors: host and path
        self._auth, self._user, self._secret, self._header = auth, user, secret, header
        self._refusal, self._limited_by = refusal, limited_by
        self._min_interval_s = min_interval_s
        self._closed = threading.Event()
        self._clock, self._monotonic = clock, monotonic
        self._wait = sleep or self._closed.wait
        self._rng = rng or random.Random()
        self._total_s, self._overall_s = total_s, overall_s
        self._max_bytes, self._tries = max_bytes, tries
        self._sockets = _Sockets()
        self._made = partial(_client, ca_file, proxy, transport)
        self._client = self._made()
        self._credential: str | None = None
        self._last_sent: float | None = None
        self._quota_until: datetime | None = None
        self._doubted = False
        self.requests = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End every request, running or to come, with `Stopped`; safe from another thread. Only a connection
        that is just being made holds out, for 5 s an address."""
        self._closed.set()
        self._sockets.cut()
        self._client.close()

    def rest(self) -> None:
        """Let go of the connections that are idle between two polls: each would cost a file for as long, and the
        provider closes them meanwhile."""
        if not self._closed.is_set():
            idle, self._client = self._client, self._made()
            idle.close()
        if self._closed.is_set():  # closed by another thread just now
            self._client.close()

    def refresh(self) -> None:
        """Read the credential again before the next request."""
        self._credential = None

    def __call__(self, request: Request) -> Page:
        """Fetch one page, with retries. Raises a FetchError (RateLimited among them), AccessDenied, Refused,
        or Stopped. What is no GET is tried once: after a FetchError nobody knows whether it was taken."""
        if request.method != "GET":
            return self._once(request)
        end = self._monotonic() + self._overall_s
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type((_Passing, RateLimited)),
            stop=tenacity.stop_after_attempt(self._tries),
            wait=self._pause,
            sleep=self._sleep,
            before_sleep=lambda state: self._give_up_early(state, end),
            reraise=True,
        )
        return retrying(self._once, request)

    # --- one try ----------------------------------------------------------------------------------------

    def _once(self, request: Request) -> Page:
        self._pace()
        where = f"{request.method} {self._place}{request.path[:SHOWN]}"
        if len(request.path) > LONGEST_PATH or not _PATH.fullmatch(
            request.path
        ):  # an id of the provider's may be in it
            raise Refused(f"{request.method} {self._place}: not a path we would ask for", 400)
        headers = {self._header: self._authorization()}
        self.requests += 1
        try:
            status, said, body = self._exchange(request, headers, where)
        except Exception as error:
            if self._closed.is_set():
                raise Stopped(f"{where}: stopped") from None
            raise self._broken(where, error) from None
        now = self._clock()
        self._note_quota(said, now)
        if 200 <= status < 300 or status == 404:
            return self._page(request, status, said, body, now)
        raise self._error(where, status, said, body, now)

    def _page(
        self, request: Request, status: int, said: Mapping[str, str], body: bytes, now: datetime
    ) -> Page:
        """The reply, and once in this fetcher's life a line in the log where its time cannot be believed."""
        is_old = "age" in said
        page = Page(request, status, body, now, None if is_old else http_date(said.get("date")), is_old)
        if page.doubt and not self._doubted:
            self._doubted = True
            log.info("clock.doubted", extra={"host": self._place, "doubt": page.doubt})
        return page

    def _exchange(
        self, request: Request, headers: Mapping[str, str], where: str
    ) -> tuple[int, Mapping[str, str], bytes]:
        """One request and its reply, all of it within the total deadline."""
        query = urlencode(request.params)
        # In one piece: httpx would take the URL apart once more for each part that is added to it.
        url = httpx.URL(f"{self._base}{request.path}{query and '?'}{query}")
        options = {"trace": self._sockets.watch}
        cut = partial(self._sockets.cut, self._sockets.turn())
        with _deadlines.within(self._total_s, cut):
            if self._closed.is_set():
                raise Stopped
            with self._client.stream(request.method, url, headers=headers, extensions=options) as reply:
                body, fits = b"", True
                try:
                    body = self._read(reply)
                except TooLong:
                    fits = False
                if not fits:  # not within the clause above: a context would keep what it was too much of
                    raise self._too_large(where, reply.headers)
                if self._sockets.was_cut:  # without a length, a cut body looks like a whole one
                    raise httpx.ReadTimeout("cut")
                return reply.status_code, reply.headers, body

    def _read(self, reply: httpx.Response) -> bytes:
        """The body of a reply, decoded. One that cannot be decoded is empty where its status says enough."""
        came = 0
        try:
            body = Decoder(reply.headers.get("content-encoding", ""), self._max_bytes)
            for chunk in reply.iter_raw():
                came += len(chunk)
                if came > self._max_bytes:
                    raise TooLong
                body.feed(chunk)
            return body.end()
        except CannotDecode:
            if 200 <= reply.status_code < 300 or reply.status_code == 404:
                raise
            return b""

    def _too_large(self, where: str, headers: Mapping[str, str]) -> TooLarge:
        error = TooLarge(f"{where}: more than {self._max_bytes} bytes")
        error.at = None if "age" in headers else http_date(headers.get("date"))
        return error

    def _sleep(self, seconds: float) -> None:
        self._wait(seconds)

    def _authorization(self) -> str:
        if self._credential is None:
            secret = self._secret()
            if self._auth is Auth.BASIC:
                self._credential = "Basic " + b64encode(f"{self._user or ''}:{secret}".encode()).decode()
            elif not secret.isascii() or not secret.isprintable():
                raise ConfigError("the key has letters that cannot be sent (is it the right file?)")
            else:
                self._credential = secret if self._auth is Auth.HEADER else f"Bearer {secret}"
        return self._credential

    def _pace(self) -> None:
        """Leave the provider its least time between requests, and a spent quota its time to come back."""
        if self._quota_until is not None:
            pause = (self._quota_until - self._clock()).total_seconds()
            if pause > PATIENCE_S:
                raise RateLimited(f"{self._place}: quota spent", self._quota_until)
            if pause > 0:
                self._sleep(pause)
            self._quota_until = None
        if self._last_sent is not None and self._min_interval_s:
            pause = self._last_sent + self._min_interval_s - self._monotonic()
            if pause > 0:
                self._sleep(pause)
        self._last_sent = self._monotonic()

    # --- errors and pauses ------------------------------------------------------------------------------

    def _broken(self, where: str, error: Exception) -> Exception:
        """A request without a whole reply, or one that could not even be written."""
        if isinstance(error, AggregatorError):
            return error
        if isinstance(error, CannotDecode):
            return FetchError(f"{where}: answered with {error}")
        if not isinstance(error, httpx.RequestError):  # InvalidURL, UnicodeError: of an id or a page token
            return Refused(f"{where}: cannot be asked for ({type(error).__name__})", 400)
        if self._sockets.was_cut:
            return _Silence(f"{where}: not finished after {self._total_s:g} s")
        root, text = _root(error), type(error).__name__
        reason = getattr(root, "verify_message", None) or getattr(root, "strerror", None)
        if isinstance(error, httpx.ProxyError):
            reason = str(error)[:3]  # the status; what follows are the proxy's own words
        if reason:
            text += f" ({reason})"
        # A full pool would only get fuller, a bad certificate stays bad, and what we send wrongly we send again.
        hopeless = isinstance(error, httpx.PoolTimeout) or isinstance(root, ssl.SSLCertVerificationError)
        if hopeless or not isinstance(error, BROKEN):
            return FetchError(f"{where}: {text}")
        silence = isinstance(error, httpx.TimeoutException | httpx.ConnectError)
        return (_Silence if silence else _Passing)(f"{where}: {text}")

    def _error(
        self, where: str, status: int, headers: Mapping[str, str], body: bytes, now: datetime
    ) -> Exception:
        own = self._own_words(Page(Request(""), status, body, now, None))
        said = spoken(own) if own else ""
        text = f"{where}: status {status}" + (f" ({said})" if said else "")
        if status == 429 or (400 <= status < 500 and own and own[0] in self._limited_by):
            asked = retry_after(headers, now)
            if asked is None:
                asked = reset(headers, now)
            return RateLimited(text, now + (DEFAULT_LIMIT if asked is None else asked))
        if status == 403 and own is None:
            asked = retry_after(headers, now)
            text += " without the provider's own error: something before it refuses us"
            return _Passing(text) if asked is None else RateLimited(text, now + asked)
        if status in (401, 403):
            return AccessDenied(text)
        if status in PASSING:
            asked = retry_after(headers, now)
            return _Passing(text) if asked is None else RateLimited(text, now + asked)
        if 400 <= status < 500:
            return Refused(text, status)
        return FetchError(text)

    def _own_words(self, reply: Page) -> tuple[str, str] | None:
        """The refusal in the provider's own envelope. Whose envelope nobody knows speaks for the provider."""
        if self._refusal is None:
            return "", ""
        try:
            return self._refusal(reply)
        except (Exception, SystemExit):  # an adapter that breaks on it does not know the envelope
            return None

    def _pause(self, state: tenacity.RetryCallState) -> float:
        """How long to wait before the next try: growing, with full jitter, and never less than asked for."""
        error = state.outcome.exception() if state.outcome else None
        ceiling = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** (state.attempt_number - 1))
        pause = self._rng.uniform(0, ceiling)
        if isinstance(error, RateLimited):
            pause = max(pause, (error.until - self._clock()).total_seconds())
        return pause

    def _give_up_early(self, state: tenacity.RetryCallState, end: float) -> None:
        """A limit that lasts longer than our patience is the caller's to keep; a stop ends every wait; and
        all tries together have a deadline."""
        error = state.outcome.exception() if state.outcome else None
        if self._closed.is_set():
            raise Stopped("stopped")
        limited = isinstance(error, RateLimited) and state.upcoming_sleep > PATIENCE_S
        if error and (limited or self._monotonic() + state.upcoming_sleep > end):
            raise error

    def _note_quota(self, headers: Mapping[str, str], now: datetime) -> None:
        if headers.get("x-ratelimit-remaining", "").strip() == "0":
            pause = reset(headers, now)
            self._quota_until = now + pause if pause else None


def _client(ca_file: str | None, proxy: str | None, transport: httpx.BaseTransport | None) -> httpx.Client:
    return httpx.Client(
        verify=tls(ca_file),
        proxy=_proxy(proxy, ca_file),
        transport=transport,
        trust_env=False,
        follow_redirects=False,
        timeout=httpx.Timeout(READ_S, connect=CONNECT_S),
        limits=httpx.Limits(max_connections=4, max_keepalive_connections=2),
        headers={
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "User-Agent": f"porting-aggregator/{__version__}",
        },
    )


@cache
def tls(ca_file: str | None) -> ssl.SSLContext:
    """The one TLS context of the process: always verified, at least TLS 1.2."""
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        raise ConfigError(f"network.ca_file: {ca_file}: {error.strerror or error}") from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _proxy(url: str | None, ca_file: str | None) -> httpx.Proxy | None:
    """The proxy; one that is reached by https is verified like everybody else."""
    if url is None:
        return None
    return httpx.Proxy(url, ssl_context=tls(ca_file) if httpx.URL(url).scheme == "https" else None)


def _root(error: BaseException) -> BaseException:
    """The first cause of an error: what the operating system or TLS said."""
    while (cause := error.__cause__ or error.__context__) is not None:
        error = cause
    return error

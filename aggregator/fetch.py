"""Request → Page: HTTP with credentials, pacing, limits and retries. The only place of httpx and tenacity.

A page is any 2xx, and a 404, which is an answer too. Everything else is an error by type (`errors.py`), whose
text names method, host and path: never the query, a header or the body.
"""

import json
import math
import random
import ssl
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import cache
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import httpx
import tenacity

from aggregator import __version__
from aggregator.core.account import Auth
from aggregator.core.model import Page, Request
from aggregator.errors import AccessDenied, FetchError, RateLimited, Refused

CONNECT_S, READ_S, TOTAL_S = 5.0, 10.0, 30.0
MAX_BYTES = 8 * 1024 * 1024
TRIES = 4
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 60.0
PATIENCE_S = 30.0  # a rate limit that passes within this is waited out; a longer one ends the sweep
LONGEST_LIMIT = timedelta(minutes=15)
DEFAULT_LIMIT = timedelta(seconds=30)
PASSING = frozenset({408, 500, 502, 503, 504})


class _Passing(FetchError):
    """Worth another try: a connection that broke, a time-out, a 5xx that passes."""


class Fetcher:
    """Fetches pages for one account. One connection pool, one request at a time, paced.

    `secret` is asked for the credential at first use and after `refresh`, so a replaced key file is read.
    Clock and sleep are arguments, so that tests and simulations own the time.
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
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        sleep: Callable[[float], None] = time.sleep,
        monotonic: Callable[[], float] = time.monotonic,
        rng: random.Random | None = None,
        transport: httpx.BaseTransport | None = None,
        total_s: float = TOTAL_S,
        max_bytes: int = MAX_BYTES,
        tries: int = TRIES,
    ) -> None:
        self._base = base_url.rstrip("/")
        self._host = urlsplit(base_url).netloc.rpartition("@")[2]
        self._auth, self._user, self._secret, self._header = auth, user, secret, header
        self._min_interval_s = min_interval_s
        self._clock, self._sleep, self._monotonic = clock, sleep, monotonic
        self._rng = rng or random.Random()
        self._total_s, self._max_bytes, self._tries = total_s, max_bytes, tries
        self._client = httpx.Client(
            verify=tls(ca_file),
            proxy=proxy,
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
        self._credential: str | None = None
        self._last_sent: float | None = None
        self._quota_until: datetime | None = None
        self._closed = threading.Event()
        self.requests = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End every request, running or to come; safe from another thread."""
        self._closed.set()
        self._client.close()

    def refresh(self) -> None:
        """Read the credential again before the next request."""
        self._credential = None

    def __call__(self, request: Request) -> Page:
        """Fetch one page, with retries. Raises FetchError, RateLimited, AccessDenied or Refused."""
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type((_Passing, RateLimited)),
            stop=tenacity.stop_after_attempt(self._tries),
            wait=self._pause,
            sleep=self._sleep,
            before_sleep=self._give_up_early,
            reraise=True,
        )
        return retrying(self._once, request)

    # --- one try ----------------------------------------------------------------------------------------

    def _once(self, request: Request) -> Page:
        self._pace()
        where = f"GET {self._host}{request.path}"
        if self._closed.is_set():
            raise FetchError(f"{where}: stopped")
        self.requests += 1
        try:
            status, headers, body = self._exchange(request, where)
        except httpx.PoolTimeout as error:
            raise FetchError(f"{where}: no free connection") from error
        except (httpx.TransportError, RuntimeError) as error:
            # httpx raises RuntimeError when the client was closed under a running request.
            if self._closed.is_set() or not isinstance(error, httpx.TransportError):
                raise FetchError(f"{where}: stopped") from None
            raise _Passing(f"{where}: {type(error).__name__}") from None
        now = self._clock()
        self._note_quota(headers, now)
        if 200 <= status < 300 or status == 404:
            return Page(request, status, body, now, http_date(headers.get("date")))
        raise self._error(where, status, headers, body, now)

    def _exchange(self, request: Request, where: str) -> tuple[int, Mapping[str, str], bytes]:
        deadline = self._monotonic() + self._total_s
        headers = {self._header: self._authorization()}
        url = f"{self._base}{request.path}"
        body = bytearray()
        with self._client.stream("GET", url, params=list(request.params), headers=headers) as reply:
            coding = reply.headers.get("content-encoding", "identity")
            if coding.lower() not in ("", "identity"):
                raise FetchError(
                    f"{where}: answered with content encoding {coding[:20]!r}, which was not asked for"
                )
            for chunk in reply.iter_raw():
                body += chunk
                if len(body) > self._max_bytes:
                    raise FetchError(f"{where}: more than {self._max_bytes} bytes")
                if self._monotonic() > deadline:
                    raise _Passing(f"{where}: not finished after {self._total_s:g} s")
            return reply.status_code, reply.headers, bytes(body)

    def _authorization(self) -> str:
        if self._credential is None:
            secret = self._secret()
            if self._auth is Auth.BASIC:
                self._credential = "Basic " + b64encode(f"{self._user}:{secret}".encode()).decode()
            else:
                self._credential = secret if self._auth is Auth.HEADER else f"Bearer {secret}"
        return self._credential

    def _pace(self) -> None:
        """Leave the provider its least time between requests, and a spent quota its time to come back."""
        if self._quota_until is not None:
            pause = (self._quota_until - self._clock()).total_seconds()
            if pause > PATIENCE_S:
                raise RateLimited(f"{self._host}: quota spent", self._quota_until)
            if pause > 0:
                self._sleep(pause)
            self._quota_until = None
        if self._last_sent is not None and self._min_interval_s:
            pause = self._last_sent + self._min_interval_s - self._monotonic()
            if pause > 0:
                self._sleep(pause)
        self._last_sent = self._monotonic()

    # --- errors and pauses ------------------------------------------------------------------------------

    def _error(
        self, where: str, status: int, headers: Mapping[str, str], body: bytes, now: datetime
    ) -> Exception:
        said = _said(body)
        text = f"{where}: status {status}" + (f" ({said})" if said else "")
        if status == 429 or (400 <= status < 500 and said.startswith("10011")):
            return RateLimited(text, now + (retry_after(headers, now) or DEFAULT_LIMIT))
        if status in (401, 403):
            return AccessDenied(text)
        if status in PASSING:
            return _Passing(text)
        if 400 <= status < 500:
            return Refused(text, status)
        return FetchError(text)

    def _pause(self, state: tenacity.RetryCallState) -> float:
        """How long to wait before the next try: what the provider asked for, else growing with full jitter."""
        error = state.outcome.exception() if state.outcome else None
        if isinstance(error, RateLimited):
            return max(0.0, (error.until - self._clock()).total_seconds()) + self._rng.random() * 0.1
        ceiling = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** (state.attempt_number - 1))
        return self._rng.uniform(0, ceiling)

    def _give_up_early(self, state: tenacity.RetryCallState) -> None:
        """A limit that lasts longer than our patience is the caller's to keep; a stop ends every wait."""
        error = state.outcome.exception() if state.outcome else None
        if isinstance(error, RateLimited) and (error.until - self._clock()).total_seconds() > PATIENCE_S:
            raise error
        if self._closed.is_set() and error is not None:
            raise error

    def _note_quota(self, headers: Mapping[str, str], now: datetime) -> None:
        if headers.get("x-ratelimit-remaining", "").strip() == "0":
            pause = reset(headers.get("x-ratelimit-reset"), now)
            self._quota_until = now + pause if pause else None


@cache
def tls(ca_file: str | None) -> ssl.SSLContext:
    """The one TLS context of the process: always verified, at least TLS 1.2."""
    context = ssl.create_default_context(cafile=ca_file)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def retry_after(headers: Mapping[str, str], now: datetime) -> timedelta | None:
    """How long a provider asks us to wait: `Retry-After` in seconds or as a date, else `x-ratelimit-reset`.
    Negative and absurd values are refused, long ones capped."""
    said = headers.get("retry-after")
    if said is not None:
        pause = _seconds(said)
        if pause is None and (at := http_date(said)) is not None:
            pause = max(0.0, (at - now).total_seconds())
        if pause is not None:
            return min(timedelta(seconds=pause), LONGEST_LIMIT)
    return reset(headers.get("x-ratelimit-reset"), now)


def reset(said: str | None, now: datetime) -> timedelta | None:
    """`x-ratelimit-reset`: one page of Telnyx says seconds to wait, another shows a Unix time."""
    number = _seconds(said or "", 10**12)
    if number is None:
        return None
    pause = number if number < 10**9 else number - now.timestamp()
    return min(timedelta(seconds=min(pause, 10**6)), LONGEST_LIMIT) if pause >= 0 else None


def _seconds(said: str, most: float = 10**7) -> float | None:
    try:
        number = float(said)
    except ValueError:
        return None
    return number if math.isfinite(number) and 0 <= number <= most else None


def http_date(said: str | None) -> datetime | None:
    """An HTTP date as an aware UTC datetime, or None when there is none to read.

    >>> http_date("Tue, 24 Nov 2026 12:00:00 GMT").isoformat()
    '2026-11-24T12:00:00+00:00'
    """
    try:
        at = parsedate_to_datetime(said or "")
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


def _said(body: bytes) -> str:
    """The provider's short word about an error: code and title, never more of the body."""
    try:
        value: Any = json.loads(body[:65_536])
        if "errors" in value:
            first = value["errors"][0]
            said = f"{first.get('code', '')} {first.get('title', '')}"
        else:
            first = value["ResponseStatus"]
            said = f"{first.get('ErrorCode', '')} {first.get('Message', '')}"
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError):
        return ""
    return "".join(letter for letter in said if letter.isprintable()).strip()[:80]

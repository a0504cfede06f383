"""Fetching over real loopback connections: what goes over the wire, what ends a request, what is tried again."""

import gzip
import random
import socket
import threading
import traceback
import tracemalloc
import zlib
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from datetime import datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from loopback import (
    Connection,
    Loopback,
    Reply,
    ca_file,
    closing,
    context,
    dripping,
    hanging,
    refusing,
    reply,
    torn,
)
from made import NOW

from aggregator import providers
from aggregator.core.account import Auth
from aggregator.core.model import Request
from aggregator.decoding import Decoder, TooLong
from aggregator.errors import (
    AccessDenied,
    ConfigError,
    FetchError,
    ProviderError,
    RateLimited,
    Refused,
    Stopped,
    TooLarge,
)
from aggregator.fetch import Fetcher

KEY = "KEY0123456789CANARY"
ASK = Request("/porting_orders", (("filter[customer]", "query-canary"), ("page[number]", "1")))
HEAD = b"HTTP/1.1 200 OK\r\n"


class Time:
    """A clock that only moves when somebody sleeps, or a test says so."""

    def __init__(self) -> None:
        self.passed = 0.0
        self.slept: list[float] = []

    def clock(self) -> datetime:
        return NOW + timedelta(seconds=self.passed)

    def monotonic(self) -> float:
        return self.passed

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.passed += seconds


@pytest.fixture
def serve() -> Iterator[Callable[..., Loopback]]:
    """Starts servers that answer with these replies."""
    with ExitStack() as stack:
        yield lambda *replies, **options: stack.enter_context(Loopback(*replies, **options))


@pytest.fixture
def fetcher() -> Iterator[Callable[..., Fetcher]]:
    """Makes fetchers with a clock of their own; they are closed with the test."""
    with ExitStack() as stack:

        def make(base: str, auth: Auth = Auth.BEARER, user: str | None = None, **options: Any) -> Fetcher:
            time = options.pop("time", Time())
            options.setdefault("sleep", time.sleep)
            key = options.pop("key", lambda: KEY)
            made = Fetcher(
                f"{base}/v2",
                auth,
                user,
                key,
                clock=time.clock,
                monotonic=time.monotonic,
                rng=random.Random(1),
                **options,
            )
            return stack.enter_context(made)

        yield make


Serve = Callable[..., Loopback]
Make = Callable[..., Fetcher]


def failure(fetch: Fetcher, kind: type[Exception] = FetchError, ask: Request = ASK) -> Any:
    """The error of a request; nothing of it, its causes included, shows a secret, the query or a body."""
    with pytest.raises(kind) as caught:
        fetch(ask)
    told = "".join(traceback.format_exception(caught.value))
    for hidden in (KEY, b64encode(KEY.encode()).decode()[:-2], "query-canary", "body-canary", "Bearer"):
        assert hidden not in told
    return caught.value


# --- what goes over the wire ----------------------------------------------------------------------------


def test_a_page_is_what_came(serve: Serve, fetcher: Make) -> None:
    body = "{'ü': 1}".encode()
    server = serve(reply(200, body, Date="Mon, 15 Jun 2026 11:59:30 GMT"))
    page = fetcher(server.url)(ASK)
    assert (page.request, page.status, page.body, page.fetched_at) == (ASK, 200, body, NOW)
    assert page.provider_at == NOW - timedelta(seconds=30)
    (line,) = server.lines
    assert line == ("GET /v2/porting_orders?filter%5Bcustomer%5D=query-canary&page%5Bnumber%5D=1 HTTP/1.1")
    assert server.header("Accept") == "application/json"
    assert server.header("Accept-Encoding") == "identity"


@pytest.mark.parametrize(
    ("auth", "user", "header", "sent"),
    [
        (Auth.BEARER, None, "Authorization", f"Bearer {KEY}"),
        (Auth.BASIC, "A5EQ", "Authorization", "Basic " + b64encode(f"A5EQ:{KEY}".encode()).decode()),
        (Auth.HEADER, None, "X-Api-Key", KEY),
    ],
)
def test_the_credential_goes_out_unasked(
    serve: Serve, fetcher: Make, auth: Auth, user: str | None, header: str, sent: str
) -> None:
    server = serve(reply())
    fetcher(server.url, auth, user, header=header)(ASK)
    assert server.header(header) == sent
    assert server.requests[0].count(KEY) == (0 if auth is Auth.BASIC else 1)


def test_a_replaced_key_is_taken_at_the_next_refresh(serve: Serve, fetcher: Make) -> None:
    server, keys = serve(reply()), ["first", "second"]
    fetch = fetcher(server.url, key=lambda: keys[0])
    fetch(ASK)
    keys.pop(0)
    fetch(ASK)
    fetch.refresh()
    fetch(ASK)
    assert [server.header("Authorization", n) for n in range(3)] == [
        "Bearer first",
        "Bearer first",
        "Bearer second",
    ]


def test_a_key_that_cannot_be_sent_is_the_operators_mistake(serve: Serve, fetcher: Make) -> None:
    server = serve(reply())
    error = failure(fetcher(server.url, key=lambda: f"{KEY}é"), ConfigError)
    assert "cannot be sent" in str(error)
    assert server.requests == []


def test_one_connection_serves_many_requests(serve: Serve, fetcher: Make) -> None:
    server = serve(reply())
    fetch = fetcher(server.url)
    for _ in range(3):
        fetch(ASK)
    assert (server.connections, fetch.requests) == (1, 3)


@pytest.mark.parametrize(
    "path",
    [
        *("", "/", "@elsewhere.example.com/", "//elsewhere.example.com/", "/orders/", "/orders/../keys"),
        *("/orders/.", "/orders?all=1", "/orders#1", "/orders/a b", "/orders/é", "/orders/a\r\nX: y"),
    ],
)
def test_what_is_not_a_path_of_ours_is_not_asked_for(serve: Serve, fetcher: Make, path: str) -> None:
    server = serve(reply())
    failure(fetcher(server.url), Refused, Request(path))
    assert server.requests == []


def test_a_redirect_is_an_error_and_nothing_is_sent_onward(serve: Serve, fetcher: Make) -> None:
    elsewhere = serve(reply())
    for status in (301, 302, 303, 307, 308):
        server = serve(reply(status, Location=f"{elsewhere.url}/?token=body-canary"))
        error = failure(fetcher(server.url))
        assert str(error) == f"GET {server.address}/v2/porting_orders: status {status}"
        assert len(server.requests) == 1
    assert elsewhere.connections == 0


def test_the_environment_is_not_asked_for_proxies_or_passwords(
    serve: Serve, fetcher: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    server = serve(reply())
    netrc = tmp_path / "netrc"
    netrc.write_text("default login elsewhere password body-canary\n")
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    with refusing() as nobody:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, f"http://{nobody}")
        fetcher(server.url, tries=1)(ASK)
    assert server.header("Authorization") == f"Bearer {KEY}"


# --- proxies and TLS ------------------------------------------------------------------------------------


def test_the_configured_proxy_is_used(serve: Serve, fetcher: Make) -> None:
    proxy = serve(reply())
    at = proxy.url.replace("://", "://me:hunter2@")
    fetcher("http://provider.example.com", proxy=at)(Request("/orders"))
    assert proxy.lines == ["GET http://provider.example.com/v2/orders HTTP/1.1"]
    assert proxy.header("Proxy-Authorization") == "Basic " + b64encode(b"me:hunter2").decode()


def test_a_proxy_sees_no_credential_of_a_provider_behind_tls(serve: Serve, fetcher: Make) -> None:
    inside: list[str | None] = []

    def tunnel(_: Loopback, connection: Connection) -> None:
        connection.sendall(HEAD + b"\r\n")
        with context("here").wrap_socket(connection, server_side=True) as inner:
            inside.append(Loopback.read_head(inner))
            inner.sendall(reply())

    proxy = serve(tunnel)
    page = fetcher("https://localhost:4430", proxy=proxy.url, ca_file=ca_file())(ASK)
    assert page.status == 200
    assert proxy.lines == ["CONNECT localhost:4430 HTTP/1.1"]
    assert "Authorization" not in proxy.requests[0]
    assert inside[0] is not None and f"Authorization: Bearer {KEY}" in inside[0]


def test_a_proxy_that_refuses_is_named(serve: Serve, fetcher: Make) -> None:
    proxy = serve(b"HTTP/1.1 407 body-canary\r\nContent-Length: 0\r\n\r\n")
    error = failure(fetcher("https://localhost:4430", proxy=proxy.url.replace("://", "://me:body-canary@")))
    assert str(error) == "GET localhost:4430/v2/porting_orders: ProxyError (407)"


def test_a_certificate_of_the_configured_authority_is_accepted(serve: Serve, fetcher: Make) -> None:
    server = serve(reply(), tls=context("here"))
    assert fetcher(server.url, ca_file=ca_file())(ASK).status == 200


@pytest.mark.parametrize(
    ("certificate", "known", "said"),
    [
        ("elsewhere", True, "not valid for '127.0.0.1'"),
        ("expired", True, "certificate has expired"),
        ("here", False, "unable to get local issuer"),
    ],
    ids=["wrong name", "expired", "unknown authority"],
)
def test_a_bad_certificate_ends_it_at_once(
    serve: Serve, fetcher: Make, certificate: str, known: bool, said: str
) -> None:
    server = serve(reply(), tls=context(certificate))
    error = failure(fetcher(server.url, ca_file=ca_file() if known else None))
    assert said in str(error)
    assert (server.connections, server.requests) == (1, [])


def test_a_proxy_behind_tls_is_verified_like_everybody(serve: Serve, fetcher: Make) -> None:
    proxy = serve(reply(), tls=context("here"))
    assert fetcher("http://provider.example.com", proxy=proxy.url, ca_file=ca_file())(ASK).status == 200
    failure(fetcher("http://provider.example.com", proxy=proxy.url))
    assert len(proxy.requests) == 1


def test_tls_1_1_is_refused(fetcher: Make) -> None:
    """A server that speaks TLS 1.1 only; what it says is made by hand, for new libraries cannot any more."""
    hello = b"\x02\x00\x00\x26\x03\x02" + bytes(32) + b"\x00\xc0\x13\x00"
    alerts: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            connection, _ = listener.accept()
            with connection, suppress(OSError):
                connection.settimeout(10)
                connection.recv(4096)
                connection.sendall(b"\x16\x03\x02\x00\x2a" + hello)
                alerts.append(connection.recv(4096))

        thread = threading.Thread(target=answer)
        thread.start()
        failure(fetcher(f"https://127.0.0.1:{listener.getsockname()[1]}", ca_file=ca_file(), tries=1))
        thread.join(10)
    (alert,) = alerts
    assert (alert[0], alert[5:7]) == (21, b"\x02\x46")  # fatal: protocol version


def test_an_authority_that_is_not_there_is_the_operators_mistake(fetcher: Make, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^network\.ca_file: .*nothing\.pem: No such file"):
        fetcher("https://localhost", ca_file=str(tmp_path / "nothing.pem"))
    (tmp_path / "empty.pem").write_text("not a certificate")
    with pytest.raises(ConfigError, match=r"^network\.ca_file: .*empty\.pem: "):
        fetcher("https://localhost", ca_file=str(tmp_path / "empty.pem"))


# --- what ends a request --------------------------------------------------------------------------------


BODY = b'{"data": []}'
CODED = {
    "gzip": gzip.compress(BODY),
    "x-gzip": gzip.compress(BODY[:5]) + gzip.compress(BODY[5:]),
    "deflate": zlib.compress(BODY),
    "Deflate": zlib.compress(BODY)[2:-4],
    "identity": BODY,
    "": BODY,
    "deflate, gzip": gzip.compress(zlib.compress(BODY)),
}


@pytest.mark.parametrize("coding", CODED)
def test_a_compressed_body_is_decoded_though_identity_was_asked_for(
    serve: Serve, fetcher: Make, coding: str
) -> None:
    server = serve(reply(200, CODED[coding], Content_Encoding=coding))
    assert fetcher(server.url)(ASK).body == BODY
    dripped = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Encoding: " + coding.encode()
    chunks = b"".join(b"1\r\n" + bytes([one]) + b"\r\n" for one in CODED[coding])
    assert fetcher(serve(dripped + b"\r\n\r\n" + chunks + b"0\r\n\r\n").url)(ASK).body == BODY


UNREAD = {
    "br": (BODY, "content encoding 'br', which was not asked for and cannot be read"),
    "zstd": (BODY, "content encoding 'zstd'"),
    "gzip, gzip, gzip": (BODY, "content encoding 'gzip, gzip, gzip'"),
    "gzip": (gzip.compress(BODY)[:-3], "a gzip body without its end"),
    "x-gzip": (BODY, "a compressed body that is broken"),
    "deflate": (zlib.compress(BODY)[:-5], "a deflate body without its end"),
    "Deflate": (zlib.compress(BODY) + BODY, "something follows the end"),
    "GZIP": (gzip.compress(b"") * 101 + gzip.compress(BODY), "too many members"),
}


@pytest.mark.parametrize("coding", UNREAD)
def test_what_cannot_be_decoded_is_refused_in_words(serve: Serve, fetcher: Make, coding: str) -> None:
    body, said = UNREAD[coding]
    server = serve(reply(200, body, Content_Encoding=coding))
    assert said in str(failure(fetcher(server.url)))
    assert len(server.requests) == 1


def test_a_status_says_enough_where_its_body_cannot_be_decoded(serve: Serve, fetcher: Make) -> None:
    assert failure(fetcher(serve(reply(401, BODY, Content_Encoding="br")).url), AccessDenied)
    assert failure(
        fetcher(serve(reply(429, BODY, Content_Encoding="br", Retry_After="600")).url), RateLimited
    )


@pytest.mark.parametrize("coding", ["gzip", "deflate", "gzip, gzip"])
def test_a_bomb_is_never_more_than_its_limit(coding: str) -> None:
    """Neither after decoding, nor between two stages, nor for as long as it is being decoded."""
    zeros = bytes(20_000_000)
    pack = zlib.compress if coding == "deflate" else gzip.compress
    bomb = pack(gzip.compress(zeros)) if "," in coding else pack(zeros)
    decoder = Decoder(coding, 100_000)
    tracemalloc.start()
    with pytest.raises(TooLong):
        decoder.feed(bomb)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 600_000
    fits = Decoder(coding, len(zeros))
    fits.feed(bomb)
    assert fits.end() == zeros


@given(st.binary(max_size=300), st.integers(1, 40), st.sampled_from(["gzip", "deflate", "identity"]))
def test_in_whatever_pieces_it_comes_a_body_is_the_same(body: bytes, size: int, coding: str) -> None:
    sent = {"gzip": gzip.compress(body), "deflate": zlib.compress(body), "identity": body}[coding]
    decoder = Decoder(coding, 300)
    for at in range(0, len(sent), size):
        decoder.feed(sent[at : at + size])
    assert decoder.end() == body


@pytest.mark.parametrize(
    "ask",
    [
        Request("/porting_orders/" + "x" * 66_000),
        Request("/porting_orders", (("NextPageToken", "x" * 66_000),)),
        Request("/porting_orders", (("NextPageToken", "\ud800"),)),
        Request("/porting_orders/a\nb"),
        Request("/porting_orders", (), method="GE\nT"),
    ],
    ids=["a long id", "a long token", "a lone surrogate", "a line end", "a method that is none"],
)
def test_a_request_that_cannot_be_written_is_an_error_of_the_provider(
    serve: Serve, fetcher: Make, ask: Request
) -> None:
    error = failure(fetcher(serve(reply()).url), ProviderError, ask)
    assert len(str(error)) < 600


def test_a_key_that_no_header_can_hold_is_a_mistake_of_the_configuration(serve: Serve, fetcher: Make) -> None:
    server = serve(reply())
    with pytest.raises(ConfigError, match="letters that cannot be sent"):
        fetcher(server.url, key=lambda: "two\nlines")(ASK)
    assert server.requests == []


def test_a_body_ends_at_the_cap(serve: Serve, fetcher: Make) -> None:
    fits = serve(reply(200, bytes(1000)))
    assert len(fetcher(fits.url, max_bytes=1000)(ASK).body) == 1000
    endless = serve(dripping(HEAD + b"\r\n", bytes(999)))
    assert "more than 1000 bytes" in str(failure(fetcher(endless.url, max_bytes=1000), TooLarge))
    assert len(endless.requests) == 1


SLOW: dict[str, Reply] = {
    "never answers": hanging(),
    "drips its head": dripping(HEAD + b"X-A: ", b"b"),
    "drips head after head": dripping(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "stops in its head": hanging(HEAD + b"X-A: b"),
    "drips its body": dripping(HEAD + b"\r\n", b" "),
    "drips chunks": dripping(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
    "stops in its body": hanging(HEAD + b"\r\n{"),
}


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("slowness", SLOW)
def test_the_total_deadline_holds_in_every_phase(
    serve: Serve, fetcher: Make, slowness: str, tls: bool
) -> None:
    server = serve(SLOW[slowness], tls=context("here") if tls else None)
    error = failure(fetcher(server.url, total_s=0.15, tries=1, ca_file=ca_file()))
    assert str(error) == f"GET {server.address}/v2/porting_orders: not finished after 0.15 s"


def test_a_deadline_is_over_for_the_next_try(serve: Serve, fetcher: Make) -> None:
    server = serve(hanging(), reply())
    fetch = fetcher(server.url, total_s=0.5, tries=4)
    assert [fetch(ASK).status for _ in range(3)] == [200, 200, 200]
    assert server.connections == 2


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("slowness", SLOW)
def test_closing_from_another_thread_ends_a_request(
    serve: Serve, fetcher: Make, slowness: str, tls: bool
) -> None:
    server = serve(SLOW[slowness], tls=context("here") if tls else None)
    ended_by_closing(fetcher(server.url, ca_file=ca_file()), server)


def ended_by_closing(fetch: Fetcher, server: Loopback) -> None:
    """A fetcher that is closed while it asks ends long before any of its time-outs."""
    ends: list[BaseException] = []

    def work() -> None:
        try:
            while True:
                fetch(ASK)
        except BaseException as error:
            ends.append(error)

    server.asked.clear()
    thread = threading.Thread(target=work)
    thread.start()
    assert server.asked.wait(10)
    fetch.close()
    thread.join(8)
    assert [type(error) for error in ends] == [Stopped]


def test_closing_ends_a_pause_between_tries(serve: Serve, fetcher: Make) -> None:
    server = serve(reply(503, Retry_After="25"))
    ended_by_closing(fetcher(server.url, sleep=None), server)
    assert len(server.requests) == 1


def test_a_closed_fetcher_asks_nothing(serve: Serve, fetcher: Make) -> None:
    server = serve(reply())
    fetch = fetcher(server.url)
    fetch.close()
    failure(fetch, Stopped)
    assert server.requests == []


def test_closing_in_the_middle_of_anything_stops_it(serve: Serve, fetcher: Make) -> None:
    server = serve(reply())
    for _ in range(20):
        ended_by_closing(fetcher(server.url), server)


# --- what is tried again --------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_what_passes_is_tried_again(serve: Serve, fetcher: Make, status: int) -> None:
    time = Time()
    failing = reply(status, b"<html>body-canary</html>")
    server = serve(failing, failing, failing, reply())
    assert fetcher(server.url, time=time)(ASK).status == 200
    assert (len(server.requests), len(time.slept)) == (4, 3)


def test_it_is_given_up_after_four_tries(serve: Serve, fetcher: Make) -> None:
    time, server = Time(), serve(reply(500))
    error = failure(fetcher(server.url, time=time))
    assert (type(error).__base__, len(server.requests)) == (FetchError, 4)
    assert all(0 <= pause <= most for pause, most in zip(time.slept, (1, 2, 4), strict=True))


DO = Request("/porting_orders/x/actions/cancel", method="POST")
ONCE = {"passes": reply(503), "limited": reply(429, Retry_After="1"), "torn": torn(HEAD), "hangs": hanging()}


@pytest.mark.parametrize("trouble", ONCE)
def test_what_changes_something_is_tried_once(serve: Serve, fetcher: Make, trouble: str) -> None:
    time, server = Time(), serve(ONCE[trouble], reply())
    error = failure(fetcher(server.url, time=time, total_s=0.2), FetchError, DO)
    assert (len(server.requests), time.slept) == (1, [])
    assert str(error).startswith("POST 127.0.0.1")


def test_a_post_goes_out_with_an_empty_body(serve: Serve, fetcher: Make) -> None:
    server = serve(reply(200, b"{}"))
    assert fetcher(server.url)(DO).request == DO
    assert server.lines == ["POST /v2/porting_orders/x/actions/cancel HTTP/1.1"]
    assert server.header("Content-Length") == "0"


REFUSES: dict[str, dict[str, Any]] = {
    name: {"refusal": one.refusal, "limited_by": one.limited_by}
    for name in ("telnyx", "fonedynamics")
    if (one := providers.load(name))
}
OWN = {
    "telnyx": b'{"errors": [{"code": "10010", "title": "Authorization failed"}]}',
    "fonedynamics": b'{"ResponseStatus": {"ErrorCode": "Forbidden", "Message": "No."}}',
}
WALLS = [b"", b"<html>403 Forbidden</html>", b'{"message": "Forbidden"}', b"[]", b'{"errors": []}', b"\xff"]


@pytest.mark.parametrize("name", OWN)
def test_a_403_in_the_providers_words_refuses_the_key(serve: Serve, fetcher: Make, name: str) -> None:
    server = serve(reply(403, OWN[name]))
    failure(fetcher(server.url, **REFUSES[name]), AccessDenied)
    assert len(server.requests) == 1


@pytest.mark.parametrize("name", OWN)
@pytest.mark.parametrize("wall", WALLS)
def test_a_403_of_a_wall_before_the_provider_passes(
    serve: Serve, fetcher: Make, name: str, wall: bytes
) -> None:
    server = serve(reply(403, wall), reply(403, wall), reply(200, b"{}"))
    assert fetcher(server.url, **REFUSES[name])(ASK).status == 200
    server = serve(reply(403, wall))
    error = failure(fetcher(server.url, **REFUSES[name]), FetchError)
    assert str(error).endswith("status 403 without the provider's own error: something before it refuses us")
    assert len(server.requests) == 4
    server = serve(reply(401, wall))
    failure(fetcher(server.url, **REFUSES[name]), AccessDenied)
    server = serve(reply(403, wall, Retry_After="600"))
    failure(fetcher(server.url, **REFUSES[name]), RateLimited)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, Refused),
        (401, AccessDenied),
        (403, AccessDenied),
        (405, Refused),
        (422, Refused),
        (501, FetchError),
        (520, FetchError),
    ],
)
def test_what_does_not_pass_is_asked_once(
    serve: Serve, fetcher: Make, status: int, kind: type[ProviderError]
) -> None:
    server = serve(reply(status) if status != 520 else reply(501).replace(b"501", b"520"))
    error = failure(fetcher(server.url), kind)
    assert (type(error), len(server.requests)) == (kind, 1)
    assert getattr(error, "status", status) == status


@pytest.mark.parametrize("status", [200, 201, 206, 404])
def test_an_answer_is_a_page(serve: Serve, fetcher: Make, status: int) -> None:
    server = serve(reply(status, b"body"))
    page = fetcher(server.url)(ASK)
    assert (page.status, page.body, len(server.requests)) == (status, b"body", 1)


TORN: dict[str, Reply] = {
    "reset before a reply": torn(b""),
    "reset in the head": torn(HEAD + b"X-A: b"),
    "reset in the body": torn(HEAD + b"Content-Length: 99\r\n\r\n{"),
    "closed before a reply": closing(),
    "closed in the body": closing(HEAD + b"Content-Length: 99\r\n\r\n{"),
    "closed in a chunk": closing(HEAD + b"Transfer-Encoding: chunked\r\n\r\n99\r\n{"),
    "not HTTP": closing(b"body-canary\r\n\r\n"),
}


@pytest.mark.parametrize("tear", TORN)
def test_a_connection_that_breaks_is_made_again(serve: Serve, fetcher: Make, tear: str) -> None:
    server = serve(TORN[tear], TORN[tear], reply())
    assert fetcher(server.url)(ASK).status == 200
    assert len(server.requests) == 3
    error = failure(fetcher(serve(TORN[tear]).url))
    assert isinstance(error, FetchError)


def test_nobody_listening_is_tried_again_and_named(fetcher: Make) -> None:
    time = Time()
    with refusing() as nobody:
        error = failure(fetcher(f"http://{nobody}", time=time))
    assert str(error) == f"GET {nobody}/v2/porting_orders: ConnectError (Connection refused)"
    assert len(time.slept) == 3


def test_all_tries_together_have_a_deadline(serve: Serve, fetcher: Make) -> None:
    time = Time()

    def slow(_: Loopback, connection: Connection) -> None:
        time.passed += 40
        connection.sendall(reply(500, Connection="close"))

    server = serve(slow)
    failure(fetcher(server.url, time=time))
    assert len(server.requests) == 3
    assert time.passed < 130


# --- rate limits ----------------------------------------------------------------------------------------

AHEAD = NOW + timedelta(hours=2)  # a provider whose clock is two hours before ours


@pytest.mark.parametrize(
    ("headers", "pause"),
    [
        ({"Retry_After": "60"}, 60),
        ({"Retry_After": "0"}, 0),
        ({"Retry_After": "86400"}, 900),
        ({"Retry_After": format_datetime(NOW + timedelta(minutes=2), usegmt=True)}, 120),
        ({"Retry_After": format_datetime(NOW - timedelta(hours=9), usegmt=True)}, 0),
        ({"Retry_After": format_datetime(NOW + timedelta(days=9), usegmt=True)}, 900),
        (
            {
                "Retry_After": format_datetime(AHEAD + timedelta(minutes=1), usegmt=True),
                "Date": format_datetime(AHEAD, usegmt=True),
            },
            60,
        ),
        ({"Retry_After": "-5"}, 30),
        ({"Retry_After": "nan"}, 30),
        ({"Retry_After": "inf"}, 30),
        ({"Retry_After": "9" * 400}, 30),
        ({"Retry_After": "soon"}, 30),
        ({"Retry_After": "Tue, 99 Foo 99999 99:99:99 GMT"}, 30),
        ({"x_ratelimit_reset": "60"}, 60),
        ({"x_ratelimit_reset": str(int(NOW.timestamp()) + 60)}, 60),
        ({"x_ratelimit_reset": str(int(NOW.timestamp()) + 86_400)}, 900),
        (
            {
                "x_ratelimit_reset": str(int(AHEAD.timestamp()) + 60),
                "Date": format_datetime(AHEAD, usegmt=True),
            },
            60,
        ),
        ({"x_ratelimit_reset": "1640995200"}, 30),  # long past
        ({"x_ratelimit_reset": "-1"}, 30),
        ({"x_ratelimit_reset": "NaN"}, 30),
        ({"x_ratelimit_reset": "9" * 40}, 30),
        ({"Retry_After": "nonsense", "x_ratelimit_reset": "60"}, 60),
        ({"Retry_After": "45", "x_ratelimit_reset": "60"}, 45),
        ({}, 30),
    ],
)
def test_until_when_a_provider_wants_to_be_left_alone(
    serve: Serve, fetcher: Make, headers: dict[str, str], pause: float
) -> None:
    server = serve(reply(429, **headers))
    error = failure(fetcher(server.url, tries=1), RateLimited)
    assert error.until == NOW + timedelta(seconds=pause)


def test_a_short_limit_is_waited_out(serve: Serve, fetcher: Make) -> None:
    time, server = Time(), serve(reply(429, Retry_After="20"), reply())
    assert fetcher(server.url, time=time)(ASK).status == 200
    (pause,) = time.slept
    assert 20 <= pause < 22


def test_a_limit_of_no_time_is_no_reason_to_hurry(serve: Serve, fetcher: Make) -> None:
    time, server = Time(), serve(reply(429, Retry_After="0"))
    failure(fetcher(server.url, time=time), RateLimited)
    assert len(server.requests) == 4
    assert sum(time.slept) > 1


def test_a_long_limit_ends_it_at_once(serve: Serve, fetcher: Make) -> None:
    time, server = Time(), serve(reply(429, Retry_After="31"), reply())
    error = failure(fetcher(server.url, time=time), RateLimited)
    assert error.until == NOW + timedelta(seconds=31)
    assert (len(server.requests), time.slept) == (1, [])


def test_telnyx_says_it_by_code_too(serve: Serve, fetcher: Make) -> None:
    body = b'{"errors": [{"code": "10011", "title": "Too many requests"}]}'
    server = serve(reply(403, body, x_ratelimit_reset="60"))
    error = failure(fetcher(server.url, **REFUSES["telnyx"]), RateLimited)
    assert error.until == NOW + timedelta(seconds=60)
    assert str(error).endswith("/v2/porting_orders: status 403 (10011 Too many requests)")


def test_a_service_that_says_when_it_will_be_back_is_believed(serve: Serve, fetcher: Make) -> None:
    server = serve(reply(503, Retry_After="600"))
    assert failure(fetcher(server.url), RateLimited).until == NOW + timedelta(minutes=10)
    failing = serve(reply(500, x_ratelimit_reset="600"), reply())  # its window, not a wish
    assert fetcher(failing.url)(ASK).status == 200


@pytest.mark.parametrize("reset", ["10", str(int(NOW.timestamp()) + 10)])
def test_a_spent_quota_is_left_to_come_back(serve: Serve, fetcher: Make, reset: str) -> None:
    time = Time()
    server = serve(reply(x_ratelimit_remaining="0", x_ratelimit_reset=reset), reply())
    fetch = fetcher(server.url, time=time)
    fetch(ASK)
    assert time.slept == []
    fetch(ASK)
    fetch(ASK)
    assert time.slept == [10]


def test_a_quota_that_stays_spent_for_long_is_the_callers_to_keep(serve: Serve, fetcher: Make) -> None:
    time = Time()
    server = serve(reply(x_ratelimit_remaining="0", x_ratelimit_reset="100"), reply())
    fetch = fetcher(server.url, time=time)
    fetch(ASK)
    for _ in range(2):
        assert failure(fetch, RateLimited).until == NOW + timedelta(seconds=100)
    assert (len(server.requests), time.slept) == (1, [])
    time.passed = 101
    assert fetch(ASK).status == 200


def test_requests_keep_their_distance(serve: Serve, fetcher: Make) -> None:
    time, server = Time(), serve(reply())
    fetch = fetcher(server.url, time=time, min_interval_s=1.0)
    fetch(ASK)
    fetch(ASK)
    time.passed += 0.25
    fetch(ASK)
    time.passed += 5
    fetch(ASK)
    assert time.slept == [1.0, 0.75]


# --- what an error says ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (
            '{"errors": [{"code": "10015", "title": "Bad Request", "detail": "body-canary"}]}',
            " (10015 Bad Request)",
        ),
        ('{"errors": [{"code": 10015, "title": null}]}', " (10015)"),
        (
            '{"ResponseStatus": {"ErrorCode": "Unauthorized", "Message": "The token is not valid."}}',
            " (Unauthorized The token is not valid.)",
        ),
        (
            f'{{"ResponseStatus": {{"ErrorCode": "{KEY}", "Message": "No {KEY}, pin 4711, a@b.c, +61255500199"}}}}',
            " (No … pin … … …)",
        ),
        (
            '{"errors": [{"code": "1", "title": "Basic QTVFUTpLRVkwMTIzNDU2Nzg5Q0FOQVJZabcdefgh=\\u001b[2J"}]}',
            " (1 Basic …)",
        ),
        ("", ""),
        ("<html>body-canary</html>", ""),
        ("{}", ""),
        ("[]", ""),
        ("null", ""),
        ('"errors"', ""),
        ('{"errors": []}', ""),
        ('{"errors": {"0": 1}}', ""),
        ('{"ResponseStatus": null}', ""),
        ("[" * 100_000, ""),
    ],
)
def test_an_error_says_what_the_provider_says_in_plain_words(
    serve: Serve, fetcher: Make, body: str, said: str
) -> None:
    server = serve(reply(422, body.encode()))
    name = "fonedynamics" if "ResponseStatus" in body else "telnyx"
    error = failure(fetcher(server.url, **REFUSES[name]), Refused)
    assert str(error) == f"GET {server.address}/v2/porting_orders: status 422{said}"

"""What outsiders can do to a listener: connect and say nothing, drip, pipeline, send nonsense. Real sockets."""

import http.client
import resource
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from service import PATIENCE_S, TOML, Start
from starlette.types import ASGIApp
from structlog.testing import capture_logs

from aggregator import health, listeners
from aggregator.simulator import Running

SOON_S = 0.2  # in place of the five seconds that a request may take


@contextmanager
def served(app: ASGIApp | None = None, **limits: Any) -> Iterator[int]:
    """Health (or another application) on a port of its own."""
    app = app or health.application(lambda: None, lambda: b"x 1\n", "text/plain")
    listener = socket.create_server(("127.0.0.1", 0))
    port = int(listener.getsockname()[1])
    listener.close()
    serving = health.Served(app, f"127.0.0.1:{port}")  # type: ignore[arg-type]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(health, "Connections", partial(listeners.Connections, **limits))
        serving.start()
        try:
            end = time.monotonic() + PATIENCE_S
            while asked(port) is None and time.monotonic() < end:
                pass
            yield port
        finally:
            serving.stop()
            assert not serving.thread.is_alive()


def asked(port: int, path: str = "/healthz") -> int | None:
    """The status of a page; None where nobody answers."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)) as connection:
        try:
            connection.request("GET", path)
            return connection.getresponse().status
        except (OSError, http.client.HTTPException):
            return None


def connected(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)


def answered(port: int, said: bytes) -> bytes:
    """Everything that is answered until the other side closes."""
    with connected(port) as client:
        client.sendall(said)
        return to_the_end(client)


def to_the_end(client: socket.socket) -> bytes:
    came = b""
    with suppress(ConnectionError):
        while more := client.recv(65_536):
            came += more
    return came


def is_closed(client: socket.socket) -> bool:
    """Whether the other side has closed a connection on which it had nothing to say."""
    client.setblocking(False)
    try:
        return not client.recv(1)
    except BlockingIOError:
        return False
    except ConnectionError:
        return True


GET = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
LAST = GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")


def test_a_newcomer_is_answered_however_many_are_silent() -> None:
    with served(most=8) as port, ExitStack() as stack:
        clients = [stack.enter_context(connected(port)) for _ in range(40)]
        for _ in range(20):
            assert asked(port) == 200
        end = time.monotonic() + PATIENCE_S
        while sum(map(is_closed, clients)) < 32 and time.monotonic() < end:
            pass
        assert all(map(is_closed, clients[:32])), "those that have been silent for longest"


def test_newcomers_who_have_said_something_go_last() -> None:
    """Many at once: what a client has sent may not have been read yet when the next one comes."""
    with served(most=8) as port, ExitStack() as stack:
        for _ in range(20):
            asking = stack.enter_context(connected(port))
            asking.sendall(LAST)
            for _ in range(8):
                stack.enter_context(connected(port))
            assert to_the_end(asking).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"GET /healthz HTTP/1.1\r\nHost: local",
        b"POST /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nx",
        b"POST /healthz HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n",
        GET,
    ],
    ids=["nothing", "half a head", "half a body", "half a chunked body", "a request and no more"],
)
def test_who_owes_a_request_is_closed(said: bytes) -> None:
    with served(request_s=SOON_S) as port, connected(port) as client:
        client.sendall(said)
        to_the_end(client)
        assert asked(port) == 200


@pytest.mark.parametrize(
    ("start", "piece"),
    [
        (b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n", b"X: y\r\n"),
        (b"POST /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n", b"x"),
        (b"POST /healthz HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
    ],
    ids=["headers", "a body", "a chunked body"],
)
def test_who_drips_is_closed_as_if_silent(start: bytes, piece: bytes) -> None:
    began = time.monotonic()
    with served(request_s=SOON_S) as port, connected(port) as client:
        client.sendall(start)
        client.settimeout(0.01)
        with suppress(ConnectionError):
            while time.monotonic() - began < PATIENCE_S:
                client.sendall(piece)
                with suppress(TimeoutError):
                    if not client.recv(65_536):
                        break
        assert time.monotonic() - began < PATIENCE_S


def test_a_connection_lives_as_long_as_it_asks() -> None:
    with served(request_s=SOON_S) as port:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
        connection.connect()
        first, end = connection.sock, time.monotonic() + 3 * SOON_S
        while time.monotonic() < end:
            connection.request("GET", "/healthz")
            assert connection.getresponse().read() == b"ok\n"
            assert connection.sock is first
        connection.close()


def test_pipelined_requests_are_all_answered_and_hold_nobody_up() -> None:
    with served(most=8) as port:
        came = answered(port, 500 * GET + LAST)
        assert came.count(b"HTTP/1.1 200") == 501
        with connected(port) as greedy:  # it asks and takes no answer
            greedy.setblocking(False)
            with suppress(BlockingIOError, ConnectionError):
                for _ in range(200):
                    greedy.send(1_000 * GET)
            for _ in range(20):
                assert asked(port) == 200


def test_an_answer_that_nobody_takes_is_given_up() -> None:
    async def endless(scope: object, receive: object, send: Callable[..., object]) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})  # type: ignore[misc]
        for _ in range(2_000):
            await send({"type": "http.response.body", "body": 65_536 * b"x", "more_body": True})  # type: ignore[misc]

    with served(endless, answer_s=SOON_S) as port, connected(port) as client:
        client.sendall(GET)
        time.sleep(2 * SOON_S)  # it takes nothing for longer than it may
        assert len(to_the_end(client)) < 65_536 * 2_000


TWO_LENGTHS = b"POST /readyz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"


@pytest.mark.parametrize(
    "said",
    [
        TWO_LENGTHS,
        TWO_LENGTHS.replace(b"POST", b"HEAD"),
        TWO_LENGTHS.replace(b"POST /readyz", b"GET /metrics"),
        TWO_LENGTHS.replace(b"Content-Length", b"cONTENT-lENGTH"),
    ],
)
def test_a_length_said_in_two_ways_is_refused_and_nothing_behind_it_is_read(said: bytes) -> None:
    with served() as port:
        came = answered(port, said + GET)
        assert came.startswith(b"HTTP/1.1 400 ") and came.count(b"HTTP/1.1") == 1
        assert b"connection: close" in came.lower()


@pytest.mark.parametrize(
    "said",
    [
        b"\x16\x03\x01 nonsense\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nHost: other\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nBad Name: x\r\n\r\n",
        b"GET /" + 70_000 * b"x",
        GET.replace(b"\r\n\r\n", b"\r\nTransfer-Encoding: chunked\r\n\r\nnot a size\r\n"),
    ],
)
def test_any_number_of_malformed_requests_are_one_line(said: bytes) -> None:
    with served() as port, capture_logs() as told:
        assert b"HTTP/1.1 500" not in answered(port, said)
        for _ in range(100 if len(said) < 1_000 else 10):
            with connected(port) as client, suppress(ConnectionError):
                client.sendall(said)
        assert asked(port) == 200
    assert [line["event"] for line in told] == ["http.refused"]
    assert told[0]["invalid_requests"] == 1, "the first at once; how many there were, a minute later"


def test_what_came_since_is_told_with_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listeners, "REPORT_S", 0.5)
    with served() as port, capture_logs() as told:
        for _ in range(30):
            answered(port, b"nonsense\r\n\r\n")
        end = time.monotonic() + PATIENCE_S
        while len(told) < 2 and time.monotonic() < end:
            time.sleep(0.01)
    assert sum(line["invalid_requests"] for line in told) == 30
    assert len(told) <= 3


def test_no_listener_takes_the_files_that_polls_need(monkeypatch: pytest.MonkeyPatch) -> None:
    for soft, most in ((1_024, 128), (256, 32), (16, 4), (resource.RLIM_INFINITY, 128), (10**6, 128)):
        monkeypatch.setattr(resource, "getrlimit", lambda _, soft=soft: (soft, soft))
        assert listeners.share() == most


FEW_FILES = "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))"


def test_a_daemon_polls_and_answers_while_1300_connections_say_nothing(
    simulate: Callable[..., Running], started: Start
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    many = 1_300 if hard in (resource.RLIM_INFINITY,) or hard > 3_000 else 300
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(max(soft, 3_000), hard), hard))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    toml = f'[http]\nlisten = "127.0.0.1:{port}"\n{TOML}'
    service = started(simulate("--orders", "3", "--speed", "0"), toml, fault=FEW_FILES)
    service.hears("READY=1")
    service.until("select count(*) = 4 from v1_feeds where last_complete_at is not null")
    ((before,),) = service.query("select max(last_complete_at) from v1_feeds")
    with ExitStack() as stack:
        for number in range(many):
            stack.enter_context(connected(port))
            if number % 50 == 0:
                assert asked(port) == 200
        (service.folder / "telnyx.key").touch()
        service.until(f"select max(last_complete_at) > '{before}' from v1_feeds where feed like '%events'")
        assert asked(port) == asked(port, "/readyz") == asked(port, "/metrics") == 200
        if sys.platform == "linux":
            files = len(list(Path(f"/proc/{service.process.pid}/fd").iterdir()))
            assert files < 96, files
    assert service.end() == 0
    assert service.query("select count(*) from v1_feeds where failing_since is not null") == [(0,)]
    assert service.events().count("http.refused") <= 2
    assert sum(map(len, service.lines)) < 20_000

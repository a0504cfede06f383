"""Replies that are meant to burst us: each ends as an error of its account, and the process hardly grows.

What is cut off before it is read costs less than 64 MiB; the worst that is parsed, a page of nothing but tiny
objects just below the limit, less than 192 MiB, where the service may use 512.
"""

import gzip
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

MIB = 1024 * 1024
FULL = 8 * MIB - 1  # as much as is read at all
MEASURED = """
import re, sys
from pathlib import Path
from aggregator.cli import main
grown = []
for account in sys.argv[2:]:
    code = main(["--config", sys.argv[1], "poll", account])
    grown.append(int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]))
print(code, (grown[-1] - grown[0]) // 1024)
"""


def filled(piece: bytes, count: int = FULL) -> bytes:
    """A list that holds the same again and again, to the end of what is read."""
    return b'{"data":[' + b",".join([piece] * min(count, (FULL - 20) // (len(piece) + 1))) + b"]}"


NAMES = (
    *(
        "huge",
        "gzip",
        "gzip in gzip",
        "gzip of small objects",
        "deep",
        "many names",
        "one text",
        "unreadable items",
    ),
    *("small objects", "fewer small objects", "small numbers"),
)


CODINGS = {"1": "gzip", "2": "gzip, gzip", "3": "gzip"}  # by the number of the bomb


@cache
def bombs() -> dict[str, tuple[bytes, str]]:
    """Bodies, with what is said of each."""
    deep = b'{"data":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    names = b",".join(b'"%d":0' % number for number in range(FULL // 11))
    return {
        "huge": (b'{"data":[]' + b" " * (24 * MIB) + b"}", "more than 8388608 bytes"),
        "gzip": (gzip.compress(bytes(200 * MIB), 1), "more than 8388608 bytes"),
        "gzip in gzip": (gzip.compress(gzip.compress(bytes(200 * MIB), 1)), "more than 8388608 bytes"),
        "gzip of small objects": (gzip.compress(filled(b'{"a":0}'), 1), "more than 400000 values"),
        "deep": (deep, "not JSON (RecursionError)"),
        "many names": (b'{"data":[{' + names + b"}]}", "more than 400000 values"),
        "one text": (b'{"data":"' + b"\\u00e4" * (FULL // 7) + b'"}', "data"),
        "unreadable items": (filled(b'{"a":0}', 9_000), "more than 1000 items cannot be read"),
        "small objects": (filled(b'{"a":0}'), "more than 400000 values"),
        "fewer small objects": (filled(b'{"a":0}', 195_000), "195000 items on one page"),
        "small numbers": (filled(b"0"), "more than 400000 values"),
    }


@pytest.fixture(scope="module")
def served() -> Iterator[str]:
    """Serves each bomb under its number, and empty lists under `good`."""
    bodies = [body for body, _ in bombs().values()]

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            which = self.path.split("/")[1]
            body = bodies[int(which)] if which != "good" else b'{"data":[],"meta":{"total_results":0}}'
            self.send_response(200)
            if which in CODINGS:
                self.send_header("Content-Encoding", CODINGS[which])
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        daemon_threads, block_on_close = True, False

        def handle_error(self, request: object, client_address: object) -> None:
            """A client that had enough."""

    server = Server(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("name", NAMES)
def test_a_bomb_ends_as_an_error_and_the_process_hardly_grows(served: str, tmp_path: Path, name: str) -> None:
    assert tuple(bombs()) == NAMES
    (tmp_path / "key").touch(0o600)
    (tmp_path / "key").write_text("KEY0123")
    (tmp_path / "aggregator.toml").write_text(
        "".join(
            f'[accounts.{account}]\nprovider = "telnyx"\nsecret = "file:key"\nbase_url = "{served}/{at}/v2"\n'
            for account, at in (("good", "good"), ("bomb", NAMES.index(name)))
        )
    )
    command = [sys.executable, "-c", MEASURED, str(tmp_path / "aggregator.toml"), "good", "bomb"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    code, grown = map(int, done.stdout.split())
    assert code == 75
    assert grown < (192 if name == "fewer small objects" else 64)
    assert bombs()[name][1] in done.stderr
    assert done.stderr.count("\n") == 1

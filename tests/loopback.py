"""A server on loopback that answers as it is told, byte by byte, and remembers what it was asked."""

import atexit
import shutil
import socket
import ssl
import struct
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from functools import cache
from http import HTTPStatus
from pathlib import Path
from typing import Self, TypeAlias

from trustme import CA

NAMES = {
    "here": ("127.0.0.1", "localhost"),
    "elsewhere": ("elsewhere.example.com",),
    "expired": ("127.0.0.1",),
}
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
authority = cache(CA)
"""A certificate authority of this process, which nobody knows who was not told of it."""

Connection = socket.socket
Reply: TypeAlias = "bytes | Callable[[Loopback, Connection], None]"


def reply(status: int = 200, body: bytes = b'{"data": []}', /, **headers: str) -> bytes:
    """A whole reply; `_` in a header's name stands for `-`."""
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join((*lines, "", "")).encode() + body


@cache
def ca_file() -> str:
    """The file with the authority's certificate, for whoever is to trust it."""
    folder = Path(tempfile.mkdtemp(prefix="pa-ca-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    authority().cert_pem.write_to_path(folder / "ca.pem")
    return str(folder / "ca.pem")


@cache
def context(certificate: str) -> ssl.SSLContext:
    """The server's side of TLS, with one of the authority's certificates."""
    found = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    until = LONG_AGO + timedelta(days=1) if certificate == "expired" else None
    issued = authority().issue_cert(*NAMES[certificate], not_before=LONG_AGO, not_after=until)
    issued.configure_cert(found)
    return found


class Loopback:
    """One thread for each connection; each request takes the next reply, the last one again and again."""

    def __init__(self, *replies: Reply, tls: ssl.SSLContext | None = None) -> None:
        self.replies = list(replies)
        self.requests: list[str] = []
        self.connections = 0
        self.asked = threading.Event()
        self.over = threading.Event()
        self._tls = tls
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self.url = f"{'https' if tls else 'http'}://{self.address}"

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(10)

    @property
    def lines(self) -> list[str]:
        """The first line of each request."""
        return [request.split("\r\n")[0] for request in self.requests]

    def header(self, name: str, request: int = -1) -> str | None:
        """A header of a request."""
        for line in self.requests[request].split("\r\n")[1:]:
            said, _, value = line.partition(": ")
            if said.lower() == name.lower():
                return value
        return None

    def _start(self, work: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.connections += 1
                self._start(self._serve, connection)

    def _serve(self, connection: Connection) -> None:
        connection.settimeout(10)
        with suppress(OSError):
            if self._tls is not None:
                try:
                    connection = self._tls.wrap_socket(connection, server_side=True)
                except OSError:
                    connection.close()
                    raise
        with connection, suppress(OSError):
            while (head := self.read_head(connection)) is not None:
                with self._lock:
                    self.requests.append(head)
                    answer = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
                self.asked.set()
                if callable(answer):
                    answer(self, connection)
                    return
                connection.sendall(answer)

    @staticmethod
    def read_head(connection: Connection) -> str | None:
        """The head of a request, or None when the other side is gone."""
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            more = connection.recv(1)
            if not more:
                return None
            head += more
        return head.decode("latin-1")


def closing(start: bytes = b"") -> Reply:
    """Send the beginning of a reply, then close the connection."""
    return lambda server, connection: connection.sendall(start)


def torn(start: bytes = b"") -> Reply:
    """Send the beginning of a reply, then reset the connection."""

    def tear(server: Loopback, connection: Connection) -> None:
        connection.sendall(start)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    return tear


def dripping(start: bytes, piece: bytes) -> Reply:
    """Send the beginning of a reply, then a piece again and again until nobody listens any more."""

    def drip(server: Loopback, connection: Connection) -> None:
        connection.sendall(start)
        while not server.over.wait(0.02):
            connection.sendall(piece)

    return drip


def hanging(start: bytes = b"") -> Reply:
    """Send the beginning of a reply, then nothing until the other side goes away."""

    def hang(server: Loopback, connection: Connection) -> None:
        connection.sendall(start)
        while not server.over.is_set() and connection.recv(1024):
            pass

    return hang


@contextmanager
def refusing() -> Iterator[str]:
    """The address of a port on which nobody listens."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{held.getsockname()[1]}"

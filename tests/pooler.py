"""A connection pooler before a Postgres, as far as the start of a connection goes: it drops the startup `options`
without a word, or refuses them as PgBouncer does."""

import socket
import struct
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal
from urllib.parse import parse_qs, urlsplit

SOCKET = ".s.PGSQL.5432"
REFUSAL = b"SFATAL\0VFATAL\0C08P01\0Munsupported startup parameter: options\0\0"


@contextmanager
def pooler(url: str, does: Literal["drops", "refuses"]) -> Iterator[str]:
    """The URL of the same database, reached through it."""
    (place,) = parse_qs(urlsplit(url).query)["host"]
    with (
        tempfile.TemporaryDirectory(prefix="pa-pool-", dir="/tmp") as folder,
        socket.socket(socket.AF_UNIX) as listener,
    ):
        listener.bind(str(Path(folder) / SOCKET))
        listener.listen()
        threading.Thread(target=_accept, args=(listener, f"{place}/{SOCKET}", does), daemon=True).start()
        yield url.replace(place, folder)
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)


def _accept(listener: socket.socket, server: str, does: str) -> None:
    with suppress(OSError):
        while True:
            client, _ = listener.accept()
            threading.Thread(target=_serve, args=(client, server, does), daemon=True).start()


def _serve(client: socket.socket, place: str, does: str) -> None:
    with client, socket.socket(socket.AF_UNIX) as server, suppress(OSError):
        start = _exactly(client, struct.unpack("!I", _exactly(client, 4))[0] - 4)
        said = start[4:].split(b"\0")
        pairs = dict(zip(said[::2], said[1::2], strict=False))
        if does == "refuses" and b"options" in pairs:
            client.sendall(b"E" + struct.pack("!I", 4 + len(REFUSAL)) + REFUSAL)
            return
        pairs.pop(b"options", None)
        pairs.pop(b"", None)
        body = start[:4] + b"".join(name + b"\0" + value + b"\0" for name, value in pairs.items()) + b"\0"
        server.connect(place)
        server.sendall(struct.pack("!I", 4 + len(body)) + body)
        back = threading.Thread(target=_pump, args=(server, client), daemon=True)
        back.start()
        _pump(client, server)
        with suppress(OSError):
            server.shutdown(socket.SHUT_RDWR)
        back.join(10)


def _pump(one: socket.socket, other: socket.socket) -> None:
    with suppress(OSError):
        while said := one.recv(65_536):
            other.sendall(said)


def _exactly(one: socket.socket, length: int) -> bytes:
    found = b""
    while len(found) < length:
        if not (more := one.recv(length - len(found))):
            raise OSError("ended")
        found += more
    return found

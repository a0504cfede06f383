"""A Postgres that is reached through us: the connection is cut at a COMMIT, or nothing gets through any more."""

import select
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

SOCKET = ".s.PGSQL.5432"
Cut = Callable[[int], str | None]
"""What befalls the n-th COMMIT: "asked" (it never arrives), "answered" (its answer never arrives), or nothing."""


class Between:
    """Hands bytes on, connection by connection."""

    def __init__(self, folder: Path, server: str) -> None:
        self.commits = 0
        self.cut: Cut = lambda number: None
        self.silent = threading.Event()
        """While set, connections are taken and nothing goes through."""
        self._server = server
        self._over = threading.Event()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(folder / SOCKET))
        self._listener.listen()
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def close(self) -> None:
        """End every connection."""
        self._over.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(10)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                thread = threading.Thread(target=self._serve, args=(client,), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _serve(self, client: socket.socket) -> None:
        with client, socket.socket(socket.AF_UNIX) as server, suppress(OSError):
            server.connect(self._server)
            while not self._over.is_set():
                ready, _, _ = select.select([client, server], [], [], 0.1)
                if self.silent.is_set():
                    self._over.wait(0.05)
                    continue
                for one in ready:
                    if not (said := one.recv(65_536)) or not self._handed(
                        one is client, said, client, server
                    ):
                        return

    def _handed(self, asks: bool, said: bytes, client: socket.socket, server: socket.socket) -> bool:
        """Hand bytes on; False where the connection is to be cut."""
        if not asks:
            client.sendall(said)
            return True
        befalls = None
        if b"COMMIT\0" in said:  # not the BEGIN that says READ COMMITTED
            self.commits += 1
            befalls = self.cut(self.commits)
        if befalls == "asked":
            return False
        server.sendall(said)
        if befalls == "answered":
            answer = b""
            while b"COMMIT\0" not in answer and b"ROLLBACK\0" not in answer:
                answer += server.recv(65_536)
            return False
        return True


@contextmanager
def between(url: str) -> Iterator[tuple[str, Between]]:
    """A way to a Postgres database that goes through us: its URL, and what can be done to it."""
    (place,) = parse_qs(urlsplit(url).query)["host"]
    with tempfile.TemporaryDirectory(prefix="pa-way-", dir="/tmp") as folder:  # a socket's path must be short
        way = Between(Path(folder), f"{place}/{SOCKET}")
        try:
            yield url.replace(place, folder), way
        finally:
            way.close()

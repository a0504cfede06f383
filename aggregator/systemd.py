"""What systemd is told (`sd_notify`): one datagram on a socket, and nothing where no socket is named.

https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html
"""

import os
import socket
import time
from collections.abc import Mapping
from contextlib import suppress


class Notifier:
    """Tells the service manager how we are. It never raises: a message may be lost without harm."""

    def __init__(self, environ: Mapping[str, str] = os.environ, pid: int | None = None) -> None:
        self._address = environ.get("NOTIFY_SOCKET", "")
        self.watchdog_s = _watchdog_s(environ, os.getpid() if pid is None else pid)

    def ready(self, status: str) -> None:
        """Everything is in place."""
        self._tell("READY=1", f"STATUS={status}")

    def status(self, status: str) -> None:
        """One line for `systemctl status`."""
        self._tell(f"STATUS={status}")

    def waiting(self, status: str, seconds: float) -> None:
        """Not ready yet, and that is as it should be for so long from now on."""
        self._tell(f"EXTEND_TIMEOUT_USEC={round(seconds * 1e6)}", f"STATUS={status}")

    def reloading(self) -> None:
        """A new configuration is being read; `ready` ends it."""
        self._tell("RELOADING=1", f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def stopping(self) -> None:
        """The end has begun."""
        self._tell("STOPPING=1")

    def watchdog(self) -> None:
        """We are alive, by evidence."""
        self._tell("WATCHDOG=1")

    def _tell(self, *lines: str) -> None:
        if not self._address.startswith(("/", "@")):
            return
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        message = "\n".join(line.replace("\n", " ") for line in lines)
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out:
            out.settimeout(1.0)
            out.connect(address)
            out.send(message.encode(errors="replace"))


def _watchdog_s(environ: Mapping[str, str], pid: int) -> float | None:
    """The watchdog's time-out in seconds, where it is on and meant for this process."""
    said = environ.get("WATCHDOG_USEC", "")
    meant = environ.get("WATCHDOG_PID", str(pid)) == str(pid)
    return int(said) / 1e6 if meant and said.isascii() and said.isdigit() and int(said) > 0 else None

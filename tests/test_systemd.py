"""What systemd is told, over a real datagram socket."""

import os
import re
import socket
import time
from collections.abc import Iterator
from tempfile import TemporaryDirectory

import pytest

from aggregator.systemd import Notifier

Heard = tuple[Notifier, socket.socket]


def listener(address: str) -> socket.socket:
    """The service manager's end."""
    found = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    found.bind(address)
    found.settimeout(5)
    return found


@pytest.fixture(params=["path", "abstract"])
def heard(request: pytest.FixtureRequest) -> Iterator[Heard]:
    """A notifier and the socket that hears it: once under a path, once under an abstract name."""
    with TemporaryDirectory(prefix="pa-", dir="/tmp") as folder:  # a socket's path must be short
        name = f"{folder}/notify" if request.param == "path" else f"@{folder}"
        with listener(name.replace("@", "\0")) as manager:
            yield Notifier({"NOTIFY_SOCKET": name}), manager


def test_each_word_is_one_datagram(heard: Heard) -> None:
    notifier, manager = heard
    notifier.waiting("waiting for the database", 90.5)
    notifier.ready("polling 2 accounts")
    notifier.status("one line\nonly, \udcff and ü")
    notifier.watchdog()
    notifier.stopping()
    assert [manager.recv(4096).decode() for _ in range(5)] == [
        "EXTEND_TIMEOUT_USEC=90500000\nSTATUS=waiting for the database",
        "READY=1\nSTATUS=polling 2 accounts",
        "STATUS=one line only, ? and ü",
        "WATCHDOG=1",
        "STOPPING=1",
    ]


def test_reloading_says_when_it_began(heard: Heard) -> None:
    notifier, manager = heard
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    notifier.reloading()
    after = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    found = re.fullmatch(r"RELOADING=1\nMONOTONIC_USEC=(\d+)", manager.recv(4096).decode())
    assert found and before <= int(found[1]) <= after


@pytest.mark.parametrize(
    "address", ["", "relative/notify", "vsock:2:1234", "/nowhere/at/all", "/" + 200 * "x", "@gone"]
)
def test_where_nobody_listens_nothing_happens(address: str) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": address} if address else {})
    notifier.ready("hello")
    notifier.reloading()
    notifier.watchdog()
    notifier.stopping()


def test_a_manager_that_goes_away_or_does_not_read_harms_nobody(heard: Heard) -> None:
    notifier, manager = heard
    notifier.status("x" * 10_000_000)  # larger than any datagram
    manager.close()
    notifier.status("hello")


def test_no_descriptor_stays_open(heard: Heard) -> None:
    notifier, _ = heard
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        notifier.watchdog()
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize(
    ("environ", "seconds"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "120000000"}, 120.0),
        ({"WATCHDOG_USEC": "200000", "WATCHDOG_PID": "77"}, 0.2),
        ({"WATCHDOG_USEC": "200000", "WATCHDOG_PID": "78"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "-5"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_USEC": "٣"}, None),
        ({"WATCHDOG_PID": "77"}, None),
    ],
)
def test_the_watchdog_is_on_where_it_is_meant_for_us(environ: dict[str, str], seconds: float | None) -> None:
    assert Notifier(environ, pid=77).watchdog_s == seconds


def test_by_default_it_is_this_process_and_its_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "1000000")
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
    assert Notifier().watchdog_s == 1.0
    monkeypatch.setenv("WATCHDOG_PID", str(os.getppid()))
    assert Notifier().watchdog_s is None

"""Worlds of the stand-ins for tests: in a process of their own, or by themselves in this one."""

import socket
from datetime import UTC, datetime
from typing import Any

import httpx

from aggregator.simulator import Running
from aggregator.simulator.clock import Clock
from aggregator.simulator.settings import KNOBS, Faults, Settings
from aggregator.simulator.world import World

START = datetime(2025, 3, 1, tzinfo=UTC)
DAY, HOUR = 86_400.0, 3_600.0
WORLD = ("--seed", "5", "--orders", "60", "--speed", "0", "--start", START.isoformat())
ALL = {"From": "0", "To": "2000000000"}
FONE = "/Accounts/A5EQ333XCXHTRHUS5DEOXLLA36ZQSZQQ/Porting/Status"


def client() -> httpx.Client:
    """A client that talks to loopback and nothing else."""
    return httpx.Client(trust_env=False, verify=False, timeout=5)


def get(running: Running, path: str, /, **params: object) -> httpx.Response:
    """GET of a path at a stand-in."""
    with client() as http:
        said = {name: str(value) for name, value in params.items()}
        return http.get(running.telnyx + path, params=said or None)


def listed(reply: httpx.Response, name: str = "id") -> list[Any]:
    """The ids of a page, of either provider."""
    body = reply.json()
    return [item[name] for item in body.get("data", body.get("PortingRequests"))]


def counted(running: Running, knob: str) -> int:
    """How often a knob has struck so far."""
    return int(running.stats()["faults"].get(knob, 0))


def sent(running: Running, path: str) -> socket.socket:
    """A connection on which a request was made by hand."""
    host, port = running.admin.removeprefix("http://").removesuffix("/_sim").split(":")
    connection = socket.create_connection((host, int(port)), timeout=5)
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    return connection


def of(**settings: Any) -> World:
    """A world in this process, whose clock stands; its faults are those among the settings."""
    faults = Faults()
    faults.set_all({name: settings.pop(name) for name in list(settings) if name in KNOBS})
    said = Settings(**{"seed": 3, "orders": 200, "start": START, "speed": 0.0, **settings})
    return World(said, faults, Clock(said))


def lived(days: float = 60, **settings: Any) -> World:
    """The same after some days."""
    world = of(**settings)
    world.clock.advance(days * DAY)
    world.now()
    return world

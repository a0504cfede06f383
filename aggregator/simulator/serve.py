"""The command line of the stand-ins, and the server loop."""

import argparse
import gc
import json
import logging
import os
import signal
import socket
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import NoReturn

from aggregator.listeners import Connections, Server, share
from aggregator.simulator.app import application
from aggregator.simulator.settings import Faults, Settings, groups

EXAMPLE = """example:
  porting-aggregator simulate --port 8080 --history 40 --speed 60 --fault rate_limit=0.05 --fault late=0.3

One line of JSON says when it is ready: the base URLs, the account and the credentials. Any credential is
accepted unless --require-auth. At run time, under /_sim of the printed address:
  GET truth             everything that is so, to compare a client with
  GET stats             requests, and the faults that were injected
  GET, POST clock       POST {"advance_s": 3600} or {"speed": 60}; it never passes the real clock
  GET, PUT, DELETE faults   PUT {"late": 0.3, "outage": true}; DELETE sets every knob back
  POST portout          a port-out nobody expected

fault knobs, for --fault and PUT /_sim/faults, with their defaults. All are off unless asked for, save the
splits and deletions that real lives have.
"""
WIDTH, INDENT = 108, 22
MOST = 4_096  # connections: every account keeps some


class _Options(argparse.ArgumentParser):
    """Options whose errors show what a terminal could obey as its code."""

    def error(self, message: str) -> NoReturn:
        super().error(
            "".join(one if one.isprintable() else ascii(one)[1:-1] for one in message.replace("\n", " "))
        )


def parser() -> argparse.ArgumentParser:
    """The options, with every knob explained."""
    options = _Options(
        prog="porting-aggregator simulate",
        description="Stand-ins of Telnyx and Fone Dynamics on loopback: stateful, seeded, with faults on request.",
        epilog=EXAMPLE + "\n".join(_explained()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    options.add_argument("--host", default="127.0.0.1", help="address to listen on")
    options.add_argument(
        "--port", type=_whole(0, 65_535), default=0, help="port to listen on (0: any free one)"
    )
    options.add_argument("--seed", type=int, default=1, help="the same seed gives the same world")
    options.add_argument(
        "--orders",
        type=_whole(0, 10_000_000),
        default=120,
        help="Telnyx porting orders; a fifth as many port-outs and a third as many Fone Dynamics requests",
    )
    options.add_argument(
        "--days", type=_whole(1, 3_650), default=45, help="days of provider time in which orders are made"
    )
    options.add_argument(
        "--start", type=_instant, help="when the world begins, with its zone (default: --days ago)"
    )
    options.add_argument(
        "--history",
        type=_whole(0, 3_650),
        default=0,
        help="days that have passed when the clock begins to run",
    )
    options.add_argument(
        "--speed",
        type=_speed,
        default=1.0,
        help="how much faster than real its clock runs; 0: it stands still",
    )
    options.add_argument(
        "--require-auth", action="store_true", help="refuse other credentials than the printed ones"
    )
    options.add_argument(
        "--fault", action="append", default=[], metavar="NAME=VALUE", help="set a fault knob; may be repeated"
    )
    options.add_argument("--exit-with-parent", action="store_true", help="end when standard input closes")
    return options


def _explained() -> Iterator[str]:
    """Every knob in a line or two, by group."""
    for group, knobs in groups():
        yield f"\n {group}"
        for knob in knobs:
            choices = knob.metadata["choices"]
            text = (
                f"{knob.metadata['meaning']}{': ' + ', '.join(choices) if choices else ''} ({knob.default})"
            )
            lead = f"  {knob.name:<{INDENT - 3}} "
            yield textwrap.fill(text, WIDTH, initial_indent=lead, subsequent_indent=" " * INDENT)


def _whole(least: int, most: int) -> Callable[[str], int]:
    def whole(said: str) -> int:
        number = int(said)
        if not least <= number <= most:
            raise argparse.ArgumentTypeError(f"{said}: must lie between {least} and {most}")
        return number

    whole.__name__ = "whole number"  # argparse says so when the text is none
    return whole


def _speed(said: str) -> float:
    speed = float(said)
    if not 0 <= speed <= 1e9:
        raise argparse.ArgumentTypeError(f"{said}: must not be negative")
    return speed


def _instant(said: str) -> datetime:
    try:
        at = datetime.fromisoformat(said)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{said}: must be an instant such as 2026-06-01T00:00Z") from None
    if at.tzinfo is None:
        raise argparse.ArgumentTypeError(f"{said}: must have its zone, such as {said}Z")
    if at > datetime.now(UTC):
        raise argparse.ArgumentTypeError(f"{said}: must not be in the future")
    return at.astimezone(UTC)


def main(argv: list[str] | None = None) -> int:
    """Serve until told to stop; prints one JSON line with the addresses and credentials when ready."""
    options = parser()
    said = options.parse_args(argv)
    faults = Faults()
    for knob in said.fault:
        name, equals, value = knob.partition("=")
        try:
            faults.set(name, value if equals else "(nothing)")
        except ValueError as error:
            options.error(f"--fault {error}")
    names = ("seed", "orders", "days", "history", "speed", "start", "require_auth")
    settings = Settings(**{name: getattr(said, name) for name in names})
    family = socket.AF_INET6 if ":" in said.host else socket.AF_INET
    # TCP_NODELAY is set by asyncio only on a socket that names its protocol.
    with socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((said.host, said.port))
            listener.listen(128)
        except OSError as error:
            sys.stderr.write(f"cannot listen on {said.host}:{said.port}: {error.strerror}\n")
            return 1
        _serve(settings, faults, listener, said.exit_with_parent)
    return 0


def _serve(settings: Settings, faults: Faults, listener: socket.socket, with_parent: bool) -> None:
    gc.set_threshold(100_000, 20, 1_000)  # a world only grows, and holds no cycles to look for
    host, port = listener.getsockname()[:2]
    # Torn replies are meant, and slow ones: nothing of it is logged, and an answer may take its time.
    connections = Connections(f"{host}:{port}", share(MOST, part=2), answer_s=None, quiet=True)
    server = Server(application(settings, faults), connections, date_header=False)
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: os._exit(0))
    if with_parent:
        threading.Thread(target=_end_with_parent, daemon=True).start()
    logging.getLogger("uvicorn.error").disabled = True
    base = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    ready = {
        "telnyx": f"{base}/v2",
        "fonedynamics": f"{base}/v2",
        "admin": f"{base}/_sim",
        "account_sid": settings.account_sid,
        "property_sid": settings.property_sid,
        "telnyx_key": settings.telnyx_key,
        "fonedynamics_token": settings.fonedynamics_token,
    }
    sys.stdout.write(json.dumps(ready) + "\n")
    sys.stdout.flush()
    server.run(sockets=[listener])


def _end_with_parent() -> None:
    sys.stdin.buffer.read()
    os._exit(0)

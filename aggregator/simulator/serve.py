"""The command line of the stand-ins, and the server loop."""

import argparse
import json
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from datetime import datetime

import uvicorn

from aggregator.simulator.app import application
from aggregator.simulator.settings import Faults, Settings

EXAMPLE = """example:
  porting-aggregator simulate --port 8080 --speed 3600 --fault rate_limit=0.05 --fault token_style=token_only

both providers answer under /v2 of the printed address; any credential is accepted unless --require-auth.
at run time: GET and PUT /_sim/faults (JSON), GET /_sim/truth, GET /_sim/stats, GET and POST /_sim/clock
({"advance_s": 3600} or {"speed": 60}), POST /_sim/portout (a port-out nobody expected).

fault knobs:
"""


def parser() -> argparse.ArgumentParser:
    """The options, with every knob explained."""
    knobs = "\n".join(
        f"  {one.name:<18} {one.metadata['meaning']} (default {one.default})" for one in fields(Faults)
    )
    options = argparse.ArgumentParser(
        prog="porting-aggregator simulate",
        description="Stand-ins of Telnyx and Fone Dynamics on loopback: stateful, seeded, with faults on request.",
        epilog=EXAMPLE + knobs,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    options.add_argument("--host", default="127.0.0.1", help="address to listen on")
    options.add_argument("--port", type=int, default=0, help="port to listen on (0: any free one)")
    options.add_argument("--seed", type=int, default=1, help="the same seed gives the same world")
    options.add_argument(
        "--orders", type=int, default=120, help="Telnyx porting orders; the rest scales with them"
    )
    options.add_argument("--days", type=int, default=45, help="days of provider time the world lives")
    options.add_argument(
        "--start", type=datetime.fromisoformat, help="when the world begins (default: days ago)"
    )
    options.add_argument(
        "--speed", type=float, default=1.0, help="how much faster than real its clock runs; 0 stands"
    )
    options.add_argument(
        "--require-auth", action="store_true", help="refuse other credentials than the printed ones"
    )
    options.add_argument(
        "--fault", action="append", default=[], metavar="NAME=VALUE", help="set a fault knob"
    )
    options.add_argument("--exit-with-parent", action="store_true", help="end when standard input closes")
    return options


def main(argv: list[str] | None = None) -> int:
    """Serve until told to stop; prints one JSON line with the addresses and credentials when ready."""
    said = parser().parse_args(argv)
    faults = Faults()
    for knob in said.fault:
        name, _, value = knob.partition("=")
        try:
            faults.set(name, value)
        except ValueError as error:
            parser().error(str(error))
    settings = Settings(
        seed=said.seed,
        orders=said.orders,
        days=said.days,
        speed=said.speed,
        start=said.start,
        require_auth=said.require_auth,
    )
    # TCP_NODELAY is set by asyncio only on a socket that names its protocol.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((said.host, said.port))
    except OSError as error:
        sys.stderr.write(f"cannot listen on {said.host}:{said.port}: {error.strerror}\n")
        return 1
    listener.listen(128)
    _serve(settings, faults, listener, said.exit_with_parent)
    return 0


class _Quiet(uvicorn.Server):
    """A server that leaves signals to us."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _serve(settings: Settings, faults: Faults, listener: socket.socket, with_parent: bool) -> None:
    server = _Quiet(
        uvicorn.Config(
            application(settings, faults),
            log_config=None,
            access_log=False,
            lifespan="off",
            date_header=False,
            server_header=False,
            timeout_graceful_shutdown=1,
        )
    )
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: os._exit(0))
    if with_parent:
        threading.Thread(target=_end_with_parent, daemon=True).start()
    logging.getLogger("uvicorn.error").disabled = True  # torn replies are meant
    host, port = listener.getsockname()[:2]
    base = f"http://{host}:{port}"
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

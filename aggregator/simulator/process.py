"""The stand-ins as a child process, for the demo and the tests."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

PATIENCE_S = 300  # a world of a million events takes its time to live through a month


@dataclass(frozen=True, slots=True)
class Running:
    """A running stand-in: its addresses and credentials, and its admin calls."""

    telnyx: str
    fonedynamics: str
    admin: str
    account_sid: str
    property_sid: str
    telnyx_key: str
    fonedynamics_token: str

    def truth(self) -> Any:
        """What is so at this moment."""
        return self._call("truth")

    def stats(self) -> Any:
        """Requests and injected faults so far."""
        return self._call("stats")

    def clock(self) -> Any:
        """The simulated present."""
        return self._call("clock")

    def advance(self, seconds: float) -> Any:
        """Jump the clock forward."""
        return self._call("clock", "POST", {"advance_s": seconds})

    def set_speed(self, speed: float) -> Any:
        """Change how fast the clock runs."""
        return self._call("clock", "POST", {"speed": speed})

    def faults(self) -> Any:
        """Every knob with its value and meaning."""
        return self._call("faults")

    def set_faults(self, **knobs: object) -> Any:
        """Turn fault knobs. ValueError for a knob or value that is not there; then none is turned."""
        return self._call("faults", "PUT", knobs)

    def clear_faults(self) -> Any:
        """Set every knob back to its default."""
        return self._call("faults", "DELETE")

    def surprise(self) -> Any:
        """Let a port-out nobody expected be born."""
        return self._call("portout", "POST", {})

    def _call(self, name: str, method: str = "GET", body: object = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = Request(f"{self.admin}/{name}", data=data, method=method)
        try:
            with urlopen(request, timeout=PATIENCE_S) as reply:
                return json.load(reply)
        except HTTPError as error:
            with error:
                raise ValueError(json.load(error)["error"]) from None


@contextmanager
def start(*arguments: str) -> Iterator[Running]:
    """Run the stand-ins in a process of their own, with the options of `simulate`."""
    process = subprocess.Popen(
        [sys.executable, "-m", "aggregator.simulator", "--exit-with-parent", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise RuntimeError(f"the stand-ins did not start (exit status {process.wait(5)})")
        yield Running(**json.loads(line))
    finally:
        process.terminate()
        process.communicate()

"""Lives by the handful: one host for all of a process, in memory where there is such a place."""

import atexit
import gc
import os
import shutil
import tempfile
import time
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from host import Host
from life import Life, Result

CHUNK = 5
MEMORY = Path("/dev/shm")
Outcome = Result


@cache
def host() -> Host:
    """The host of this process."""
    place = MEMORY if os.access(MEMORY, os.W_OK) else None
    folder = Path(tempfile.mkdtemp(prefix="pa-sim-", dir=place))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    gc.set_threshold(50_000, 20, 50)  # as the program does
    return Host(folder)


def lived(
    seeds: Sequence[int], days: float = 5.0, ends: float | None = None, deadly: bool = False
) -> list[Outcome]:
    """How these lives went; none begins after `ends` (of the monotonic clock)."""
    outcomes = []
    for seed in seeds:
        if ends is None or time.monotonic() < ends:
            outcomes.append(one(seed, days, deadly))
    return outcomes


def one(seed: int, days: float = 5.0, deadly: bool = False) -> Outcome:
    """One life. An error that nothing of ours should raise is wrong too."""
    try:
        return Life(host(), seed, days, deadly).run()
    except Exception as error:
        return Result(seed, [f"{type(error).__name__}: {error}"], "", 0, 0, 0, 0, 0)

"""How the daemon ends: asked to in the middle of a commit, hanging, or without its key."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from service import PATIENCE_S, TOML, Start, events_of

from aggregator.simulator import Running

Simulate = Callable[..., Running]
DAY = 86_400
READ_WHOLE = "select count(*) = 4 from v1_feeds where last_complete_at is not null"

SLOW_COMMIT = """
import os, time
from sqlalchemy import Engine, event
@event.listens_for(Engine, "commit")
def linger(connection):
    if os.path.exists(os.environ["LINGER"]):
        open(os.environ["LINGER"] + ".now", "w").close()
        time.sleep(1)
"""


def test_sigterm_in_the_middle_of_a_commit_leaves_it_whole(
    simulate: Simulate, started: Start, tmp_path: Path
) -> None:
    sim, linger, now = (
        simulate("--orders", "12", "--speed", "0"),
        tmp_path / "linger",
        tmp_path / "linger.now",
    )
    service = started(sim, limits="tick_s=0.2", fault=SLOW_COMMIT, LINGER=str(linger))
    service.until(READ_WHOLE)
    sim.advance(20 * DAY)
    linger.touch()
    deadline = time.monotonic() + PATIENCE_S
    while not now.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    began = time.monotonic()
    assert service.end() == 0
    assert time.monotonic() - began < 30
    service.hears("STOPPING=1")
    assert service.query("pragma integrity_check") == [("ok",)]
    assert not (tmp_path / "aggregator.db-wal").exists(), "closed, not killed"
    behind = "select count(*) from v1_feeds f where f.cursor_at is not null and f.cursor_at > ("
    behind += "select max(occurred_at) from v1_events e)"
    assert service.query(behind) == [(0,)]
    linger.unlink()
    again = started(sim, limits="tick_s=0.2", fault=SLOW_COMMIT, LINGER=str(linger))
    again.hears("READY=1")
    again.until(f"select count(*) = {events_of(sim)} from v1_events")
    assert again.end() == 0


# --- hanging --------------------------------------------------------------------------------------------

CORES = """
import resource
resource.setrlimit(resource.RLIMIT_CORE, (resource.getrlimit(resource.RLIMIT_CORE)[1],) * 2)
"""
HANGS = {  # from when a file is there
    "a poll": """
import os, time
from aggregator import daemon
poll_once = daemon.poll_once
def hanging(*rest, **more):
    if os.path.exists(os.environ["HANG"]):
        time.sleep(600)
    return poll_once(*rest, **more)
daemon.poll_once = hanging
""",
    "the database": """
import os, time
from aggregator.store import Store
Store.probe = lambda self: time.sleep(600) if os.path.exists(os.environ["HANG"]) else None
""",
    "the loop": """
import os, time
from aggregator.daemon import Daemon
tick = Daemon.tick
async def hanging(self):
    await tick(self)
    if os.path.exists(os.environ["HANG"]):
        time.sleep(600)
Daemon.tick = hanging
""",
    "the scheduler": """
import os
from apscheduler.schedulers.asyncio import AsyncIOScheduler
process = AsyncIOScheduler._process_jobs
def dying(self):
    if os.path.exists(os.environ["HANG"]):
        raise RuntimeError("no timer any more, however often it is woken")
    return process(self)
AsyncIOScheduler._process_jobs = dying
""",
}


@pytest.mark.parametrize("hanging", HANGS)
def test_what_hangs_is_not_said_to_live_and_shows_its_stacks_when_it_is_aborted(
    simulate: Simulate, started: Start, tmp_path: Path, hanging: str
) -> None:
    """systemd sends SIGABRT when the watchdog is not fed; the stacks go to the journal, a core nowhere."""
    sim, hang = simulate("--orders", "3", "--speed", "0"), tmp_path / "hang"
    limits = "tick_s=0.1, silent_s=2, poll_s=1, probe_s=1"
    fault = CORES + HANGS[hanging]
    service = started(sim, limits=limits, fault=fault, WATCHDOG_USEC="300000", HANG=str(hang))
    service.hears("WATCHDOG=1")
    hang.touch()
    assert service.starves(1.5), "five time-outs of the watchdog"
    limit = Path(f"/proc/{service.process.pid}/limits").read_text()
    assert [line.split()[4] for line in limit.splitlines() if line.startswith("Max core")] == ["0"]
    service.process.send_signal(signal.SIGABRT)
    assert service.process.wait(10) == -signal.SIGABRT
    assert service.reading is not None
    service.reading.join()
    printed = "".join(service.lines)
    assert "Fatal Python error: Aborted" in printed and 'File "' in printed and " in " in printed
    assert sim.telnyx_key not in printed
    assert not [*tmp_path.glob("core*")]


# --- keys -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "No such file"),
        ("", "is empty"),
        ("\n", "is empty"),
        ("KEY-one\nKEY-two\n", "more than one line"),
    ],
    ids=["missing", "empty", "only a newline", "two lines"],
)
@pytest.mark.parametrize("verb", ["run", "poll"])
def test_a_key_that_cannot_be_used_ends_it_with_78(
    tmp_path: Path, content: str | None, said: str, verb: str
) -> None:
    (tmp_path / "aggregator.toml").write_text(TOML.format(base="http://127.0.0.1:9/v2"))
    if content is not None:
        (tmp_path / "telnyx.key").touch(0o600)
        (tmp_path / "telnyx.key").write_text(content)
    command = [sys.executable, "-m", "aggregator", "--config", str(tmp_path / "aggregator.toml"), verb]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S)
    assert done.returncode == 78
    assert "accounts.telnyx-main.secret: file:telnyx.key" in done.stderr and said in done.stderr
    assert "KEY-" not in done.stderr

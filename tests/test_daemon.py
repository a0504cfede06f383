"""The daemon as a real process against the stand-ins, and its decisions with a clock of the test's own."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from service import ALL_THERE, PATIENCE_S, TOML, Start, events_of

from aggregator.simulator import Running

TIMER_DIES = """
from apscheduler.schedulers.asyncio import AsyncIOScheduler
process, calls = AsyncIOScheduler._process_jobs, []
def dying(self):
    calls.append(self)
    if len(calls) == 8:
        raise RuntimeError("the timer dies")
    return process(self)
AsyncIOScheduler._process_jobs = dying
"""
CLOCK_STEPS_BACK = """
import datetime, time
from apscheduler.schedulers import base
from apscheduler.triggers import interval
began = time.monotonic()
class Stepping(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        back = datetime.timedelta(hours=1) if time.monotonic() - began > 3 else datetime.timedelta(0)
        return datetime.datetime.now(tz) - back
base.datetime = interval.datetime = Stepping
"""


def test_it_polls_what_is_due_and_ends_cleanly(simulate: Callable[..., Running], started: Start) -> None:
    sim = simulate("--orders", "12", "--speed", "0")
    sim.advance(20 * 86_400)
    service = started(sim)
    service.hears("READY=1")
    events = events_of(sim)
    assert events > 20
    service.until(ALL_THERE.format(events=events))
    sim.advance(5 * 86_400)
    service.until(ALL_THERE.format(events=events_of(sim)))
    service.hears("STATUS=")
    assert service.end() == 0
    service.hears("STOPPING=1")
    assert service.query("select holder from lease") == [(None,)]
    assert not (service.folder / "aggregator.db-wal").exists()


def test_sigterm_ends_it_although_the_provider_hangs(
    simulate: Callable[..., Running], started: Start
) -> None:
    sim = simulate("--orders", "3", "--fault", "slow=600")
    service = started(sim)
    service.hears("READY=1")
    deadline = time.monotonic() + PATIENCE_S
    while not sim.stats()["requests"] and time.monotonic() < deadline:
        time.sleep(0.05)
    assert service.end() == 0
    assert service.query("select failing_since from feed where failing_since is not null") == []


def test_a_broken_configuration_leaves_the_old_one_in_force(
    simulate: Callable[..., Running], started: Start
) -> None:
    sim = simulate("--orders", "3", "--speed", "0")
    service = started(sim)
    service.hears("READY=1")
    good = (service.folder / "aggregator.toml").read_text()
    (service.folder / "aggregator.toml").write_text(good + "\n[accounts.telnyx-main]\n")
    service.process.send_signal(signal.SIGHUP)
    service.hears("RELOADING=1")
    service.hears("READY=1")
    assert "aggregator.toml" in service.logged("reload.refused")["error"]
    second = good + '\n[accounts.second]\nprovider = "telnyx"\nsecret = "file:telnyx.key"\n'
    (service.folder / "aggregator.toml").write_text(f'{second}base_url = "{sim.telnyx}"\n')
    service.process.send_signal(signal.SIGHUP)
    service.until(
        "select count(*) = 4 from v1_feeds where account = 'second' and last_complete_at is not null"
    )
    assert service.end() == 0


def test_a_one_shot_beside_it_changes_nothing(simulate: Callable[..., Running], started: Start) -> None:
    service = started(simulate("--orders", "3", "--speed", "0"))
    service.hears("READY=1")
    poll = [sys.executable, "-m", "aggregator", "--config", str(service.folder / "aggregator.toml"), "poll"]
    beside = subprocess.run(poll, capture_output=True, text=True, timeout=PATIENCE_S)
    assert (beside.returncode, beside.stderr) == (75, "telnyx-main: held by another process\n")
    assert service.end() == 0
    assert subprocess.run(poll, capture_output=True, timeout=PATIENCE_S).returncode == 0


def test_a_failing_account_is_logged_when_it_starts_and_when_it_recovers(
    simulate: Callable[..., Running], started: Start
) -> None:
    sim = simulate("--orders", "3", "--speed", "0", "--fault", "unknown_words=0")
    service = started(sim)
    service.until("select count(*) = 4 from v1_feeds where last_complete_at is not null")
    sim.set_faults(foreign=1.0)
    assert service.logged("account.failing")["account"] == "telnyx-main"
    service.until("select max(consecutive_failures) >= 2 from v1_feeds")
    sim.set_faults(foreign=0.0)
    service.logged("account.recovered")
    assert service.end() == 0
    assert service.events().count("account.failing") == 1


def test_a_refused_key_pauses_its_account_and_no_other(
    simulate: Callable[..., Running], started: Start
) -> None:
    sim = simulate("--orders", "6", "--speed", "0", "--require-auth")
    toml = TOML + (
        '[accounts.fone-au]\nprovider = "fonedynamics"\nsecret = "file:fone.key"\nbase_url = "{fone}"\n'
        f'account_sid = "{sim.account_sid}"\nmin_interval = "0s"\n'
    )
    service = started(sim, toml.replace("file:telnyx.key", "env:WRONG"), WRONG="not-the-key")
    service.until("select paused_reason is not null from v1_accounts where account = 'telnyx-main'")
    service.until(
        "select count(*) = 2 from v1_feeds where account = 'fone-au' and last_complete_at is not null"
    )
    (service.folder / "aggregator.toml").write_text(toml.format(base=sim.telnyx, fone=sim.fonedynamics))
    service.process.send_signal(signal.SIGHUP)
    service.until(
        "select count(*) = 4 from v1_feeds where account = 'telnyx-main' and last_complete_at is not null"
    )
    service.until("select count(*) = 2 from v1_accounts where paused_reason is null")


def test_an_account_without_its_key_stops_alone_and_none_at_all_is_78(
    simulate: Callable[..., Running], started: Start, tmp_path: Path
) -> None:
    sim = simulate("--orders", "3", "--speed", "0")
    other = '[accounts.other]\nprovider = "telnyx"\nsecret = "file:nowhere.key"\n'
    service = started(sim, TOML + other)
    service.hears("READY=1")
    service.until("select count(*) = 4 from v1_feeds where last_complete_at is not null")
    service.until(
        "select count(*) = 4 from v1_feeds where last_outcome = 'no_key' and last_error like '%nowhere.key%'"
    )
    assert service.end() == 0
    (tmp_path / "aggregator.toml").write_text(other)
    run = [sys.executable, "-m", "aggregator", "--config", str(tmp_path / "aggregator.toml"), "run"]
    none = subprocess.run(run, capture_output=True, text=True, timeout=PATIENCE_S)
    assert none.returncode == 78
    assert "accounts.other.secret: file:nowhere.key" in none.stderr


@pytest.mark.parametrize("fault", [TIMER_DIES, CLOCK_STEPS_BACK], ids=["timer dies", "clock steps back"])
def test_a_scheduler_that_stops_ticking_is_woken(
    simulate: Callable[..., Running], started: Start, fault: str
) -> None:
    sim = simulate("--orders", "12", "--speed", "0")
    service = started(sim, limits="tick_s=0.2, silent_s=3", fault=fault)
    assert service.logged("scheduler.silent")["seconds"] >= 1
    sim.advance(20 * 86_400)
    events = events_of(sim)
    assert events > 20
    service.until(ALL_THERE.format(events=events))
    assert service.end() == 0


def test_the_watchdog_is_fed_until_a_poll_hangs(simulate: Callable[..., Running], started: Start) -> None:
    sim = simulate("--orders", "3", "--speed", "0")
    service = started(sim, limits="poll_s=0.5", WATCHDOG_USEC="200000")
    service.hears("READY=1")
    service.hears("WATCHDOG=1")
    service.until("select count(*) = 4 from v1_feeds where last_complete_at is not null")
    sim.set_faults(slow=600)
    service.notify.settimeout(1.0)  # five time-outs of the watchdog
    with pytest.raises(TimeoutError):
        service.hears("never said")
    assert service.end() == 0


def test_an_outage_of_the_provider_never_withholds_the_watchdog(
    simulate: Callable[..., Running], started: Start
) -> None:
    sim = simulate("--orders", "3", "--speed", "0", "--fault", "outage=true")
    service = started(sim, WATCHDOG_USEC="200000")
    service.until("select count(*) > 0 from v1_feeds where consecutive_failures > 0")
    for _ in range(5):
        service.hears("WATCHDOG=1")
    assert service.end() == 0

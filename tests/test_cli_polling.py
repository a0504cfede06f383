"""The verbs that ask providers, as programs against the stand-ins: what they do, and the exit code that tells it."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from aggregator.simulator import Running

PATIENCE_S = 60.0
TELNYX = """
[accounts.telnyx-main]
provider = "telnyx"
secret = "file:telnyx.key"
base_url = "{telnyx}"
[accounts.telnyx-main.feeds]
porting_events.start = "90d"
portout_events.start = "90d"
"""
FONE = """
[accounts.fone-au]
provider = "fonedynamics"
secret = "file:fone.key"
base_url = "{fone}"
account_sid = "{sid}"
min_interval = "0s"
"""
Simulate = Callable[..., Running]


def configured(folder: Path, sim: Running, toml: str = TELNYX + FONE, url: str = "sqlite:///a.db") -> Path:
    """A configuration and its keys."""
    path = folder / "aggregator.toml"
    said = toml.format(telnyx=sim.telnyx, fone=sim.fonedynamics, sid=sim.account_sid)
    path.write_text(f'[database]\nurl = "{url}"\n{said}')
    for name, key in (("telnyx", sim.telnyx_key), ("fone", sim.fonedynamics_token)):
        (folder / f"{name}.key").write_text(f"{key}\n")
        (folder / f"{name}.key").chmod(0o600)
    return path


def program(config: Path, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "aggregator", "--config", str(config), *arguments]


def ran(config: Path, *arguments: str) -> tuple[int, str, str]:
    """Run a verb to its end: exit code, standard output, standard error."""
    done = subprocess.run(program(config, *arguments), capture_output=True, text=True, timeout=PATIENCE_S)
    return done.returncode, done.stdout, done.stderr


def ask(config: Path, statement: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(config.parent / "a.db")) as database:
        return database.execute(statement).fetchall()


def test_a_poll_brings_everything_and_a_second_one_changes_nothing(
    simulate: Simulate, tmp_path: Path
) -> None:
    sim = simulate("--orders", "15", "--speed", "0", "--days", "30")
    sim.advance(30 * 86_400)
    config = configured(tmp_path, sim)
    assert ran(config, "poll") == (0, "", ""), "without a terminal nothing but warnings is said"
    truth = sim.truth()
    events = len(truth["telnyx"]["porting_events"]) + len(truth["telnyx"]["portout_events"])
    assert ask(config, "select count(*) from v1_events where provider = 'telnyx'") == [(events,)]
    history = len(truth["fonedynamics"]["history"])
    assert ask(config, "select count(*) from v1_events where provider = 'fonedynamics'") == [(history,)]
    code, out, _ = ran(config, "poll", "--json")
    feeds = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert {feed["feed"] for feed in feeds} >= {"porting_events", "porting_status", "portouts"}
    assert sum(feed["changes"] for feed in feeds) == 0
    assert ran(config, "poll", "--due") == (0, "", "")


def test_a_list_that_grows_while_it_is_read_is_whole_and_says_by_how_much(
    simulate: Simulate, tmp_path: Path
) -> None:
    sim = simulate("--orders", "60", "--speed", "0", "--days", "60")
    sim.advance(30 * 86_400)
    sim.set_faults(telnyx_clamp=3, drift=1.0)
    _, out, _ = ran(configured(tmp_path, sim), "poll", "telnyx-main", "--json")
    feeds = {feed["feed"]: feed for feed in map(json.loads, out.splitlines())}
    assert feeds["porting_orders"]["outcome"] == "complete" and feeds["porting_orders"]["drift"] > 0


def test_the_exit_code_tells_how_it_went(simulate: Simulate, tmp_path: Path) -> None:
    sim = simulate("--orders", "3", "--speed", "0", "--history", "45", "--require-auth")
    config = configured(tmp_path, sim)
    code, _, err = ran(config, "poll", "nope")
    assert (code, "no such account: nope (there is telnyx-main, fone-au)" in err) == (2, True)
    (tmp_path / "telnyx.key").write_text("another key")
    code, _, err = ran(config, "poll")
    assert code == 1, "one refused, one complete"
    assert "telnyx-main: " in err
    assert "the key was refused, paused until" in err
    assert ran(config, "poll", "telnyx-main")[0] == 77
    (tmp_path / "telnyx.key").write_text(sim.telnyx_key)
    assert ran(config, "poll")[0] == 1, "still paused"
    assert ran(config, "poll", "telnyx-main") == (0, "", ""), "naming it ends the pause"
    (tmp_path / "telnyx.key").chmod(0o644)
    code, _, err = ran(config, "poll", "telnyx-main")
    assert code == 78
    assert "telnyx.key" in err
    (tmp_path / "telnyx.key").chmod(0o600)
    sim.set_faults(foreign=1.0)
    code, _, err = ran(config, "poll", "telnyx-main")
    assert (code, "telnyx-main: porting_events: " in err) == (75, True)


def test_postgres_needs_its_schema_first(simulate: Simulate, tmp_path: Path, empty_postgres_url: str) -> None:
    sim = simulate("--orders", "5", "--speed", "0", "--history", "45")
    config = configured(tmp_path, sim, url=empty_postgres_url)
    told = "the database has no schema yet; type: porting-aggregator db upgrade\n"
    assert ran(config, "poll") == (78, "", told)
    assert ran(config, "db", "upgrade")[0] == 0
    assert ran(config, "poll") == (0, "", "")


def test_an_event_is_fetched_by_its_id(simulate: Simulate, tmp_path: Path) -> None:
    sim = simulate("--orders", "10", "--speed", "0", "--days", "30")
    sim.advance(30 * 86_400)
    config = configured(tmp_path, sim)
    id = sim.truth()["telnyx"]["porting_events"][0]
    code, out, _ = ran(config, "event", "telnyx-main", id)
    assert (code, out.startswith("taken in: 1 new event")) == (0, True)
    assert ask(config, "select provider_event_id from v1_events") == [(id,)]
    assert ran(config, "event", "telnyx-main", id)[:2] == (0, "taken in: 0 new event, 0 changes\n")
    missing = "00000000-0000-4000-8000-000000000000"
    assert ran(config, "event", "telnyx-main", missing) == (1, "", f"telnyx-main: no such event: {missing}\n")
    code, _, err = ran(config, "event", "fone-au", "1")
    assert (code, "no events that can be asked for by id" in err) == (78, True)


def test_check_says_what_is_right_and_what_is_not(simulate: Simulate, tmp_path: Path) -> None:
    sim = simulate("--orders", "3", "--speed", "0", "--history", "45", "--require-auth")
    config = configured(tmp_path, sim)
    code, out, err = ran(config, "check", "--online")
    assert (code, err) == (0, "")
    assert "none yet; the first poll makes it" in out
    assert out.count("key accepted") == 2
    assert not (tmp_path / "a.db").exists(), "looking makes no database"
    (tmp_path / "fone.key").write_text("another token")
    assert ran(config, "check", "--online")[0] == 77
    (tmp_path / "fone.key").unlink()
    code, out, _ = ran(config, "check")
    assert (code, "fone-au        BAD" in out) == (78, True)
    twin = TELNYX + TELNYX.replace("telnyx-main", "again")
    _, _, err = ran(configured(tmp_path, sim, twin), "check")
    assert err == "warning: telnyx-main and again would read the same orders\n"
    code, out, _ = ran(configured(tmp_path, sim, url="sqlite:///no/such/a.db"), "check")
    assert (code, "type: mkdir -p" in out) == (78, True)
    assert ran(configured(tmp_path, sim, url="sqlite:///no/such/a.db"), "poll")[0] == 78


def test_check_asks_for_one_page_of_each_account(simulate: Simulate, tmp_path: Path) -> None:
    sim = simulate("--orders", "30", "--speed", "0", "--fault", "telnyx_clamp=1", "--fault", "page_clamp=1")
    config = configured(tmp_path, sim)
    code, out, _ = ran(config, "check", "--online")
    assert (code, out.count("key accepted")) == (0, 2)
    assert sorted(sim.stats()["requests"].values()) == [1, 1]


@pytest.mark.parametrize("until", [("--until", "2d"), ()])
def test_a_backfill_of_no_time_is_refused(tmp_path: Path, until: tuple[str, ...]) -> None:
    since = "1d" if until else "2999-01-01T00:00Z"
    code, out, err = ran(tmp_path / "none.toml", "backfill", "telnyx-main", "--since", since, *until)
    assert (code, out) == (2, "")
    assert f"it must lie before {until[0] if until else 'now'}" in " ".join(err.split())


def test_a_backfill_can_be_stopped_and_goes_on_where_it_was(simulate: Simulate, tmp_path: Path) -> None:
    sim = simulate("--orders", "700", "--speed", "0", "--days", "60")
    sim.advance(60 * 86_400)
    config = configured(tmp_path, sim)
    sim.set_faults(slow=0.3)
    walk = ("backfill", "telnyx-main", "--since", "90d")
    process = subprocess.Popen(program(config, *walk), stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + PATIENCE_S
    stored = 0
    while not stored and time.monotonic() < deadline:
        time.sleep(0.05)
        if (tmp_path / "a.db").exists():
            try:
                ((stored,),) = ask(config, "select count(*) from v1_events")
            except sqlite3.OperationalError:
                continue
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, err.splitlines()[-1]) == (
        75,
        "telnyx-main: stopped; the same command goes on where it was",
    )
    sim.set_faults(slow=0)
    before = sim.stats()["requests"]["porting/events"]
    code, _, err = ran(config, *walk)
    assert code == 0
    assert "100%" in err
    truth = sim.truth()["telnyx"]
    events = len(truth["porting_events"]) + len(truth["portout_events"])
    assert ask(config, "select count(*) from v1_events") == [(events,)]
    assert ask(config, "select count(*) from v1_changes where not initial") == [(0,)]
    assert ask(config, "select count(*) from v1_feeds where cursor_at is not null") == [(0,)]
    assert ask(config, "select count(*) from v1_orders where raw_status is null and deleted_at is null") == [
        (0,)
    ]
    assert sim.stats()["requests"]["porting/events"] - before < 2 * events / 250, "not all of it again"


def test_on_a_terminal_a_poll_shows_a_table(simulate: Simulate, tmp_path: Path) -> None:
    config = configured(tmp_path, simulate("--orders", "3", "--speed", "0"), TELNYX)
    ours, theirs = os.openpty()
    environ = {**os.environ, "COLUMNS": "100", "TERM": "xterm"}
    process = subprocess.Popen(program(config, "poll"), stdout=theirs, stderr=subprocess.DEVNULL, env=environ)
    os.close(theirs)
    shown = b""
    while True:
        try:
            piece = os.read(ours, 65_536)
        except OSError:  # the other end is gone
            break
        if not piece:
            break
        shown += piece
    os.close(ours)
    assert process.wait(PATIENCE_S) == 0
    assert b"porting_events" in shown
    assert b"complete" in shown

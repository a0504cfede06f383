"""The real daemon, killed with SIGKILL fifty times; `make kills` does the same for as long as one likes."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from kills import OF_ONE_LIFE, Life, Wrong, live

from aggregator.simulator import Running


@pytest.mark.parametrize("seed", [1, 2])
def test_a_daemon_that_is_killed_again_and_again_loses_and_doubles_nothing(seed: int) -> None:
    killed = live(seed, OF_ONE_LIFE)
    assert sum(killed.values()) == OF_ONE_LIFE
    assert killed["commit"] > 0


@pytest.mark.parametrize(
    ("damage", "seen"),
    [
        ("delete from change where seq = 3", "a reader had seen"),
        ("update change set new_value = 'x' where seq = 3", "a reader had seen"),
        ("update feed set cursor_at = '2020' where feed = 'porting_events'", "went back"),
        ("update event set payload_complete = 0", "not wanted"),
        ("delete from event where feed = 'porting_events'", "before the cursor"),
    ],
)
def test_what_a_kill_must_not_leave_is_seen(
    damage: str, seen: str, simulate: Callable[..., Running], tmp_path: Path
) -> None:
    sim = simulate("--orders", "6", "--days", "20", "--speed", "0")
    sim.advance(15 * 86_400)
    life = Life(1, sim, tmp_path)
    assert life.poll() == 0
    life.look(None)
    life.cursors = {"porting_events": "2021"}
    if "cursor_at" not in damage:
        damage = f"pragma foreign_keys = off; {damage}"
    with closing(sqlite3.connect(tmp_path / "a.db")) as db:
        db.executescript(damage)
    with pytest.raises(Wrong, match=seen):
        life.look(sim.truth())

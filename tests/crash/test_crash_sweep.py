"""Killed at any moment, a process leaves what another one can go on from."""

from pathlib import Path

import pytest
from scenes import drifting, first_poll, takeover
from sweeping import Sweep, one_process, two_polls, two_processes, undisturbed

from aggregator import slices as slicing
from aggregator import sweep as reading

SCENES = {
    "first poll": (first_poll, one_process),
    "first poll in small slices": (first_poll, one_process),
    "late and drifting events": (drifting, two_polls),
    "takeover": (takeover, two_processes),
}


@pytest.mark.parametrize("name", list(SCENES))
def test_whatever_a_kill_at_any_moment_leaves_a_restart_ends_as_if_nothing_had_happened(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene, play = SCENES[name]
    if "slices" in name:
        monkeypatch.setattr(slicing, "SLICE", 6)
        monkeypatch.setattr(reading, "LARGEST_WINDOW", 25)
    truth = undisturbed(tmp_path / "undisturbed", scene(), play)
    assert truth.wrong == []
    frozen = not scene().step
    sweep = Sweep(tmp_path, whole="slices" not in name and frozen).run(scene(), play)
    assert sweep.judge(scene(), truth, exact=frozen) == []
    assert sweep.points >= 400  # 2,900 in all four

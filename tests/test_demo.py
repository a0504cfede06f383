"""The demo's folder: what a demo left is its own, everything else is left alone."""

from pathlib import Path

import pytest

from aggregator.cli.demo import SIGNED, _alone, _fresh, run


def test_a_folder_that_a_demo_left_is_used_again(tmp_path: Path) -> None:
    (tmp_path / "aggregator.toml").write_text(f"{SIGNED} More.\n")
    for name in ("aggregator.db", "aggregator.db-wal", "telnyx.key"):
        (tmp_path / name).write_text("old")
    assert _fresh(tmp_path) == tmp_path
    assert list(tmp_path.iterdir()) == []
    assert _fresh(tmp_path / "new") == tmp_path / "new"


@pytest.mark.parametrize(
    "files",
    [
        {"aggregator.toml": '[accounts.telnyx-main]\nprovider = "telnyx"\n', "telnyx.key": "KEY"},
        {"aggregator.toml": f"{SIGNED}\n", "aggregator.toml.orig": "mine"},
        {"notes.txt": "mine"},
    ],
)
def test_a_real_configuration_or_any_other_file_is_never_touched(
    tmp_path: Path, files: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert _fresh(tmp_path) is None
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == files
    assert "name another folder with --keep" in capsys.readouterr().err


def test_two_demos_never_share_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "aggregator.toml").write_text(f"{SIGNED}\n")
    with _alone(tmp_path) as first:
        assert first
        assert run(1, tmp_path) == 1
        assert "a demo is running in" in capsys.readouterr().err
        assert (tmp_path / "aggregator.toml").exists(), "what the running one uses stays"
    with _alone(tmp_path) as later:
        assert later

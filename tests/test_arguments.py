"""What an operator types may hold anything, pasted from anywhere: no error message lets a terminal obey it."""

from collections.abc import Callable
from pathlib import Path

import filled
import pytest

EVIL = "\x1b[31mred\x1b]0;t\x07\u202e\x9b2J"
Run = Callable[..., tuple[int, str, str]]

ASKED = [
    (EVIL,),
    ("db", EVIL),
    ("config", EVIL),
    (f"--{EVIL}",),
    (f"--log-level={EVIL}", "feeds"),
    (f"--config={EVIL}.toml", "feeds"),
    ("orders", f"--{EVIL}"),
    ("orders", "--account", EVIL),
    ("orders", "--provider", EVIL),
    ("orders", "--state", EVIL),
    ("orders", "--as-of", EVIL),
    ("orders", "--limit", EVIL),
    ("orders", EVIL, EVIL),
    ("waiting", "--customer", EVIL, "--nothing", EVIL),
    ("changes", "--since", EVIL),
    ("changes", "--kind", EVIL),
    ("watch", "--account", EVIL),
    ("show", EVIL),
    ("timeline", EVIL),
    ("cancel", EVIL),
    ("poll", EVIL),
    ("backfill", EVIL, "--since", "1d"),
    ("backfill", "telnyx-main", "--since", EVIL),
    ("event", EVIL, EVIL),
    ("event", "telnyx-main", EVIL),
    ("check", EVIL),
    ("replay", EVIL),
    ("providers", EVIL),
    ("db", "grant-reader", EVIL),
    ("db", "backup", f"nowhere/{EVIL}/x.db"),
    ("simulate", EVIL),
    ("simulate", "--port", EVIL),
    ("simulate", "--fault", EVIL),
    ("demo", EVIL),
    ("completion", EVIL),
]


@pytest.mark.parametrize("asked", ASKED, ids=[" ".join(ascii(part) for part in asked) for asked in ASKED])
def test_an_error_shows_what_a_terminal_could_obey_as_its_code(
    run: Run, tmp_path: Path, asked: tuple[str, ...]
) -> None:
    url = f"sqlite:///{tmp_path / 'aggregator.db'}"
    filled.fill(url)
    config = () if asked[0].startswith("--config") else (f"--config={filled.configuration(tmp_path, url)}",)
    code, out, err = run(*config, *asked)
    assert code not in (0, 70), (out, err)
    for letter in "\x1b\x07\u202e\x9b":
        assert letter not in out + err
    assert "\\x1b" in err + out or "u001b" in err + out or "red" not in err + out

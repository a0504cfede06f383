"""A provider package that is broken costs the accounts of its own provider: the real command goes on for all others."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from loopback import Loopback, reply
from service import TOML, Start

from aggregator.simulator import Running

EMPTY = reply(200, b'{"data": [], "meta": {"page_number": 1, "total_pages": 1, "total_results": 0}}')
BROKEN = {
    "imported": "import no_such_thing\n",
    "exits": "raise SystemExit(3)\n",
    "a text": "ADAPTER = 'adapter'\n",
    "every": """from aggregator.adapter import *
ADAPTER = Adapter(label="X", base_url="https://api.example.com", auth=Auth.BEARER, region="US", time_zone="UTC",
    feeds={"ports": FeedDefaults(FeedKind.LISTING, Direction.PORT_IN, every=60)},
    words={}, reasons={}, keep={}, plan=print, read=print)
""",
}
Call = Callable[..., subprocess.CompletedProcess[str]]


def installed(folder: Path, module: str) -> Path:
    """A folder in which a provider package with this module is installed."""
    info = folder / "site" / "example_porting-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: example-porting\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[porting_aggregator.providers]\nexample = example_porting:ADAPTER\n"
    )
    (folder / "site" / "example_porting.py").write_text(module)
    return folder / "site"


@pytest.fixture(params=BROKEN)
def call(request: pytest.FixtureRequest, tmp_path: Path) -> Call:
    """The command, where such a package is installed; `more` is what the configuration holds beside telnyx."""
    site = installed(tmp_path, BROKEN[request.param])
    (tmp_path / "key").touch(0o600)
    (tmp_path / "key").write_text("KEY0123")
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PORTING_")}

    def called(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [
            sys.executable,
            "-m",
            "aggregator",
            "--config",
            str(tmp_path / "aggregator.toml"),
            *arguments,
        ]
        path = {"PYTHONPATH": str(site)}
        return subprocess.run(command, capture_output=True, text=True, env=environ | path, timeout=60)

    return called


def configured(folder: Path, url: str, *providers: str) -> None:
    """An account for each of these providers."""
    (folder / "aggregator.toml").write_text(
        "".join(
            f'[accounts.{name}-main]\nprovider = "{name}"\nsecret = "file:key"\n'
            + (f'base_url = "{url}/v2"\n' if name == "telnyx" else "")
            for name in providers
        )
    )


def test_the_others_are_polled_checked_and_shown(call: Call, tmp_path: Path) -> None:
    with Loopback(EMPTY) as server:
        configured(tmp_path, server.url, "telnyx", "example")
        polled = call("poll", "--json")
        assert polled.returncode == 1 and "example-main: provider example: " in polled.stderr
        assert "example_porting.py:" in polled.stderr and "(package example-porting 1.0)" in polled.stderr
        assert {json.loads(line)["account"] for line in polled.stdout.splitlines()} == {"telnyx-main"}
        assert call("poll", "telnyx-main").returncode == 0
        assert call("poll", "example-main").returncode == 78
    checked = call("check")
    assert checked.returncode in (1, 78)
    assert "telnyx-main    ok" in checked.stdout and "example-main   BAD" in checked.stdout
    shown = call("config", "show")
    assert shown.returncode == 0
    assert "[accounts.telnyx-main]" in shown.stdout and "[accounts.example-main]" in shown.stdout
    rows = [json.loads(line) for line in call("providers", "--json").stdout.splitlines()]
    assert {row["provider"]: bool(row["error"]) for row in rows} == {
        "example": True,
        "fonedynamics": False,
        "telnyx": False,
    }
    assert call("providers", "example").returncode == 78
    for verb in ("orders", "waiting", "feeds", "accounts", "changes", "unknown"):
        assert call(verb, "--json").returncode in (0, 1), verb


def test_one_that_no_account_uses_is_a_warning(call: Call, tmp_path: Path) -> None:
    with Loopback(EMPTY) as server:
        configured(tmp_path, server.url, "telnyx")
        polled = call("poll")
        assert (polled.returncode, polled.stderr) == (0, "")
    checked = call("check")
    assert checked.returncode == 0 and "warning: provider example: " in checked.stderr


def test_alone_it_is_a_mistake_of_the_configuration(call: Call, tmp_path: Path) -> None:
    configured(tmp_path, "", "example")
    for verb in ("poll", "run", "check"):
        done = call(verb)
        assert done.returncode == 78, verb
        assert "provider example: " in done.stdout + done.stderr


WHOLE = """from dataclasses import replace
from aggregator.providers.telnyx import ADAPTER as telnyx
ADAPTER = replace(telnyx, label="Example")
"""
TWO = (
    TOML
    + """
[accounts.example-main]
provider = "example"
secret = "file:telnyx.key"
base_url = "{base}"
"""
)
ROWS = (
    "select * from v1_orders where account = 'example-main' order by order_id",
    "select * from v1_accounts where account = 'example-main'",
)


def test_the_daemon_polls_the_others_and_keeps_the_rows_of_the_broken_one(
    simulate: Callable[..., Running], started: Start, tmp_path: Path
) -> None:
    site = installed(tmp_path, WHOLE)
    sim = simulate("--orders", "6", "--speed", "0")
    sim.advance(20 * 86_400)
    first = started(sim, TWO, PYTHONPATH=str(site))
    first.until("select count(*) = 8 from v1_feeds where last_complete_at is not null")
    first.until("select count(*) > 0 from v1_orders where account = 'example-main'")
    assert first.end() == 0
    known = [first.query(rows) for rows in ROWS]
    assert known[0] and len(known[1]) == 1
    (site / "example_porting.py").write_text(BROKEN["imported"])
    ((polled,),) = first.query("select max(last_complete_at) from v1_feeds where account = 'telnyx-main'")

    second = started(sim, TWO, PYTHONPATH=str(site))
    broken = second.logged("account.broken")
    assert broken["account"] == "example-main" and "example_porting.py:1" in broken["error"]
    second.until(f"select max(last_complete_at) > '{polled}' from v1_feeds where account = 'telnyx-main'")
    assert [second.query(rows) for rows in ROWS] == known
    second.process.send_signal(signal.SIGHUP)
    assert second.logged("account.broken")["account"] == "example-main"
    assert second.logged("reload.done")["accounts"] == 1
    assert [second.query(rows) for rows in ROWS] == known
    assert second.end() == 0

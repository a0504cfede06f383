"""`db backup` and every other verb that writes a file: what is no copy of ours is never replaced, least of all the
database itself."""

import os
import socket
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import filled
import pytest
from stored import Desk, desk, event

from aggregator.cli.demo import SIGNED, TOML, _fresh
from aggregator.store import open_store

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def live(tmp_path: Path) -> Iterator[Desk]:
    """A database that is in use, with rows in its log."""
    (tmp_path / "live").mkdir()
    with desk(f"sqlite:///{tmp_path / 'live' / 'aggregator.db'}") as acme:
        acme.record(event(1, "submitted"))
        yield acme


@pytest.fixture
def backup(run: Run, live: Desk, tmp_path: Path) -> Callable[..., tuple[int, str, str]]:
    """`db backup` with these arguments."""
    config = f"--config={filled.configuration(tmp_path / 'live', 'sqlite:///aggregator.db')}"
    return lambda *arguments: run(config, "db", "backup", *map(str, arguments))


def whole(live: Desk) -> bool:
    """Whether the database goes on and is whole."""
    live.record(event(2, "in-process"))
    return live.rows("pragma integrity_check") == [{"integrity_check": "ok"}] and (
        live.one("select count(*) from v1_events") == 2
    )


@pytest.mark.parametrize("end", ["", "-wal", "-shm", "-journal"])
@pytest.mark.parametrize("named", ["plainly", "by another way", "by a link", "by a hard link"])
@pytest.mark.parametrize("force", [(), ("--force",)])
def test_the_database_itself_is_never_replaced(
    backup: Run, live: Desk, tmp_path: Path, end: str, named: str, force: tuple[str, ...]
) -> None:
    own = tmp_path / "live" / f"aggregator.db{end}"
    target = {"plainly": own, "by another way": tmp_path / "live" / ".." / "live" / own.name}.get(named)
    if target is None:
        target = tmp_path / "other.db"
        if named == "by a link":
            target.symlink_to(own)
        elif own.exists():
            os.link(own, target)
        else:
            pytest.skip("there is no such file to link to")
    code, out, err = backup(target, *force)
    assert (code, out) == (2, "")
    assert "the database itself" in err
    assert whole(live)


def test_a_database_that_is_named_through_a_link_is_itself_too(
    run: Run, backup: Run, live: Desk, tmp_path: Path
) -> None:
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / "aggregator.db").symlink_to(tmp_path / "live" / "aggregator.db")
    config = f"--config={filled.configuration(tmp_path / 'linked', 'sqlite:///aggregator.db')}"
    for target in ("linked/aggregator.db", "live/aggregator.db", "live/aggregator.db-wal"):
        assert run(config, "db", "backup", target)[0] == 2
    assert whole(live)


@pytest.mark.parametrize("content", [b"KEY0123456789\n", b"", b"SQLite format 3\0" + b"\0" * 84])
def test_a_file_that_is_no_copy_of_ours_is_replaced_by_force_alone(
    backup: Run, tmp_path: Path, content: bytes
) -> None:
    target = tmp_path / "telnyx.key"
    target.write_bytes(content)
    code, out, err = backup(target)
    assert (code, out, target.read_bytes()) == (2, "", content)
    assert "--force" in err
    assert backup(target, "--force") == (0, f"copied to {target}\n", "")
    with closing(sqlite3.connect(target)) as copy:
        assert copy.execute("select count(*) from v1_orders").fetchone() == (1,)


def test_another_programs_database_is_left_alone(backup: Run, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "theirs.db")) as theirs:
        theirs.execute("create table schema_version (version_num text)")
    assert backup(tmp_path / "theirs.db")[0] == 2
    with closing(sqlite3.connect(tmp_path / "theirs.db")) as theirs:
        assert theirs.execute("select name from sqlite_master").fetchall() == [("schema_version",)]


@pytest.mark.parametrize("force", [(), ("--force",)])
def test_another_database_of_ours_that_is_in_use_is_left_alone(
    backup: Run, tmp_path: Path, force: tuple[str, ...]
) -> None:
    """Its log would be applied to the copy."""
    with desk(f"sqlite:///{tmp_path / 'other.db'}") as other:
        other.record(event(1, "submitted"))
        code, _, err = backup(tmp_path / "other.db", *force)
        assert code == 2
        assert "other.db-wal lies there" in err
        assert whole(other)


@pytest.mark.parametrize("force", [(), ("--force",)])
def test_what_is_no_file_is_never_replaced(backup: Run, tmp_path: Path, force: tuple[str, ...]) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as here:
        here.bind(str(tmp_path / "socket"))
        for name in ("folder", "pipe", "socket"):
            assert backup(tmp_path / name, *force)[0] == 2
            assert not (tmp_path / name).is_file()
    code, _, err = backup(tmp_path / "none" / "copy.db", *force)
    assert code == 2
    assert "there is no folder" in err


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o660])
@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_a_copy_has_the_rights_of_the_original(backup: Run, tmp_path: Path, mode: int, umask: int) -> None:
    (tmp_path / "live" / "aggregator.db").chmod(mode)
    target = tmp_path / "copy.db"
    before = os.umask(umask)
    try:
        for _ in range(2):  # the second takes the place of the first
            assert backup(target)[0] == 0
            assert target.stat().st_mode & 0o777 == mode
            target.chmod(0o644)
    finally:
        os.umask(before)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy.db", "live"]


def test_a_link_leads_the_copy_where_it_points(backup: Run, tmp_path: Path) -> None:
    (tmp_path / "latest.db").symlink_to("copy.db")
    assert backup(tmp_path / "latest.db")[0] == 0
    assert (tmp_path / "latest.db").is_symlink()
    assert not (tmp_path / "copy.db").is_symlink()


def test_a_database_whose_name_ends_with_part_is_no_unfinished_copy(run: Run, tmp_path: Path) -> None:
    with desk(f"sqlite:///{tmp_path / 'a.db.part'}") as acme:
        acme.record(event(1, "submitted"))
        config = f"--config={filled.configuration(tmp_path, 'sqlite:///a.db.part')}"
        assert run(config, "db", "backup", "a.db")[0] == 0
        assert whole(acme)


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o640), (0o002, 0o640), (0o027, 0o640), (0o077, 0o600)])
def test_a_new_database_is_nothing_that_others_can_read(tmp_path: Path, umask: int, mode: int) -> None:
    before = os.umask(umask)
    try:
        store = open_store(f"sqlite:///{tmp_path / 'a.db'}")
        assert {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == dict.fromkeys(
            ("a.db", "a.db-wal", "a.db-shm"), mode
        )
        store.close()
    finally:
        os.umask(before)


# --- the demo -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "files",
    [
        {"aggregator.db": "real"},
        {"aggregator.db": "real", "aggregator.db-wal": "real"},
        {"telnyx.key": "KEY"},
        {"aggregator.db": "real", "aggregator.toml": f'{SIGNED}\n[accounts.a]\nprovider = "telnyx"\n'},
        {"aggregator.toml": TOML.format(telnyx="x", fonedynamics="y", account_sid="z")},
        {"aggregator.toml": f"{SIGNED}\n["},
    ],
)
def test_a_demo_removes_nothing_that_is_not_a_demos(
    tmp_path: Path, files: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert _fresh(tmp_path) is None
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == files


def test_a_demo_is_repeated_in_its_own_folder(tmp_path: Path) -> None:
    base = "http://127.0.0.1:8080/v2"
    (tmp_path / "aggregator.toml").write_text(TOML.format(telnyx=base, fonedynamics=base, account_sid="z"))
    (tmp_path / "aggregator.db").write_text("simulated")
    assert _fresh(tmp_path) == tmp_path
    assert list(tmp_path.iterdir()) == []


def test_a_picture_replaces_a_picture_alone(run: Run, tmp_path: Path) -> None:
    (tmp_path / "telnyx.key").write_text("KEY")
    (tmp_path / "folder").mkdir()
    for name in ("telnyx.key", "folder", "none/demo.svg"):
        assert run("demo", "--picture", name, "--keep", "kept")[0] == 2
    assert (tmp_path / "telnyx.key").read_text() == "KEY"
    assert not (tmp_path / "kept").exists()

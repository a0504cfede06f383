"""The SQLite file, as somebody else sees it: another user of its group, who may not write."""

import ctypes
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import filled
import pytest
from stored import desk, event

from aggregator.errors import StoreError
from aggregator.store import open_store, schema, wal
from aggregator.store.backup import copy

GROUP, STRANGER = 61_234, 61_235


@pytest.fixture
def shared() -> Iterator[Path]:
    """A file in a folder that its group may read, as the service lays it out; below a folder open to all."""
    umask = os.umask(0o027)
    folder = Path(tempfile.mkdtemp(prefix="pa-file-", dir="/tmp"))
    try:
        if os.geteuid() == 0:
            os.chown(folder, -1, GROUP)
        folder.chmod(0o2750)  # what is made in it belongs to the group too
        yield folder / "aggregator.db"
    finally:
        os.umask(umask)
        folder.chmod(0o700)
        shutil.rmtree(folder)


def as_reader(file: Path, query: Callable[[sqlite3.Connection], Any]) -> Any:
    """Ask with no more rights than reading: as another user of the group, or, where we cannot become one,
    with the folder and its files closed to writing."""
    if os.geteuid() == 0:
        return _as_stranger(lambda: _asked(file, query))
    files = [*file.parent.iterdir()]
    for one in (*files, file.parent):
        one.chmod(0o550 if one == file.parent else 0o440)
    try:
        return _asked(file, query)
    finally:
        for one in (file.parent, *files):
            one.chmod(0o750 if one == file.parent else 0o640)


def _asked(file: Path, query: Callable[[sqlite3.Connection], Any]) -> Any:
    with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)) as database:
        return query(database)


def _as_stranger(work: Callable[[], Any]) -> Any:
    """In a thread whose rights on files are another user's: Linux keeps them for each thread."""
    libc = ctypes.CDLL(None)
    answer: list[Any] = []

    def run() -> None:
        libc.setfsgid(GROUP)
        libc.setfsuid(STRANGER)
        assert libc.setfsuid(-1) == STRANGER
        try:
            answer.append(work())
        except sqlite3.Error as error:
            answer.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if isinstance(answer[0], sqlite3.Error):
        raise answer[0]
    return answer[0]


def orders(database: sqlite3.Connection) -> int:
    """How many orders there are."""
    (count,) = database.execute("select count(*) from v1_orders").fetchone()
    return int(count)


def test_a_clean_end_leaves_a_file_that_its_group_can_read(shared: Path) -> None:
    with desk(f"sqlite:///{shared}") as acme:
        acme.record(event(1, "submitted"))
        assert as_reader(shared, orders) == 1, "while it runs"
        assert shared.with_name(f"{shared.name}-wal").exists()
    assert [one.name for one in shared.parent.iterdir()] == [shared.name]
    assert as_reader(shared, orders) == 1
    assert as_reader(shared, lambda db: db.execute("pragma journal_mode").fetchone()) == ("delete",)
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        as_reader(shared, lambda db: db.execute("update port_order set state = 'ported'"))


def test_a_reader_that_stays_connected_goes_on_reading_over_a_restart(shared: Path) -> None:
    with desk(f"sqlite:///{shared}") as acme:
        acme.record(event(1, "submitted"))
        kept = sqlite3.connect(f"{shared.as_uri()}?mode=ro", uri=True)
        assert orders(kept) == 1
    assert as_reader(shared, orders) == orders(kept) == 1
    with desk(f"sqlite:///{shared}") as acme:
        acme.record(event(1, "submitted", order="order-2"))
        assert as_reader(shared, orders) == orders(kept) == 2
        kept.close()
    assert as_reader(shared, orders) == 2
    assert [one.name for one in shared.parent.iterdir()] == [shared.name]


def test_a_file_that_is_taken_away_is_never_made_anew(shared: Path) -> None:
    store = open_store(f"sqlite:///{shared}")
    schema.require(store.engine)
    shared.rename(shared.with_name("away.db"))
    for why in ("was taken away or replaced", "unable to open", "unable to open"):
        with pytest.raises(StoreError, match=why):
            schema.require(store.engine)
    store.close()
    assert not shared.exists()
    shared.with_name("away.db").rename(shared)
    schema.require(store.engine)
    store.close()


def test_nothing_is_committed_to_a_file_that_has_been_replaced(shared: Path) -> None:
    with desk(f"sqlite:///{shared}") as here:
        here.record(event(1, "draft"))
        copy(here.store.engine, shared.with_name("copy.db"))
        here.record(event(2, "submitted"))
        shared.with_name("copy.db").replace(shared)
        for end in ("-wal", "-shm"):
            Path(f"{shared}{end}").unlink()
        with pytest.raises(StoreError, match="was taken away or replaced"):
            here.record(event(3, "in-process"))
        here.record(event(3, "in-process"))
        with closing(sqlite3.connect(shared)) as database:
            events = database.execute(
                "select provider_event_id from v1_events order by occurred_at"
            ).fetchall()
        assert events == [("order-1@1",), ("order-1@3",)]


def test_our_own_reader_never_keeps_the_file_open(shared: Path) -> None:
    with desk(f"sqlite:///{shared}") as acme:
        acme.record(event(1, "submitted"))
        reader = acme.reader()
        assert len(reader.select("orders")) == 1
    assert [one.name for one in shared.parent.iterdir()] == [shared.name]
    replaced = shared.with_name("other.db")
    with desk(f"sqlite:///{replaced}") as acme:
        pass
    replaced.replace(shared)
    assert reader.select("orders") == []


WRITER = """
import sys
sys.path.insert(0, sys.argv[2])
from stored import desk, event
with desk(f"sqlite:///{sys.argv[1]}") as acme:
    for number in range(10**6):
        acme.record(event(number, "submitted", order=f"order-{number % 40}"))
        print(number, flush=True)
"""


def test_after_a_kill_everything_acknowledged_is_there_and_readable(shared: Path) -> None:
    tests = str(Path(__file__).parent)
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(shared), tests], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    acknowledged = [int(process.stdout.readline()) for _ in range(25)]
    process.send_signal(signal.SIGKILL)
    acknowledged += map(int, process.communicate()[0].split())

    def stored(database: sqlite3.Connection) -> list[tuple[Any, ...]]:
        return database.execute(
            "select (select count(*) from v1_events), newest_seq from v1_feed_identity"
        ).fetchall()

    ((events, seq),) = as_reader(shared, stored)
    assert events in (len(acknowledged), len(acknowledged) + 1)
    with desk(f"sqlite:///{shared}") as acme:
        assert acme.rows("pragma integrity_check") == [{"integrity_check": "ok"}]
        assert acme.lease.epoch == 2, "the dead holder was replaced at once"
        assert acme.one("select max(seq) from v1_changes") == seq
        acme.record(*(event(number, "submitted", order=f"order-{number % 40}") for number in acknowledged))
        assert acme.one("select newest_seq from v1_feed_identity") == seq
    assert as_reader(shared, orders) == min(events, 40)


# --- the write-ahead log --------------------------------------------------------------------------------


def test_a_reader_that_sits_in_a_transaction_is_told_of_and_slows_nobody_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Callable[..., tuple[int, str, str]]
) -> None:
    monkeypatch.setattr(wal, "LONG", 2**20)
    file = tmp_path / "aggregator.db"
    config = f"--config={filled.configuration(tmp_path, f'sqlite:///{file}')}"
    check = ("db", "check")
    with (
        desk(f"sqlite:///{file}") as acme,
        closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)) as one,
    ):
        one.isolation_level = None
        one.execute("begin")
        assert orders(one) == 0
        assert acme.store.shorten_wal() is None
        number = 0
        while wal.length(str(file)) < 2**20:
            acme.record(*(event(number + n, "submitted", order=f"order-{number + n}") for n in range(100)))
            number += 100
        assert f"{file}-wal has 1 MB: a reader sits in a transaction" in (acme.store.shorten_wal() or "")
        assert acme.record(event(0, "submitted", order="one-more")).events == 1
        assert orders(one) == 0, "it sees what was when it began"
        code, out, err = run(config, *check)
        assert (code, out.partition("\n")[0]) == (0, f"schema {schema.head()}, ok")
        assert err.startswith(f"warning: {file}-wal has 1 MB")
        one.execute("commit")
        assert acme.store.shorten_wal() is None
        assert wal.length(str(file)) == 0
        assert orders(one) == number + 1
        assert run(config, *check)[2] == ""


def test_a_log_that_nobody_holds_is_never_long(database_url: str) -> None:
    with desk(database_url) as acme:
        acme.record(event(1, "submitted"))
        assert acme.store.shorten_wal() is None

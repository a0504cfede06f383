"""The change feed is in commit order, whoever writes: a reader that tails it never misses a row."""

import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from aggregator.store import open_store
from aggregator.store.queries import Reader, open_reader

WRITERS = 8
PATIENCE_S = 400.0  # for all that the writers write
ROWS = {"postgresql": 10_000, "sqlite": 2_000}  # of each; SQLite lets one write at a time, whatever we do
TAIL = "select seq from v1_changes where seq > :last order by seq limit 5000"
IDENTITY = "select newest_seq from v1_feed_identity"


@dataclass
class Told:
    """What a reader saw while writers wrote, what is there afterwards, and what the writers said."""

    seen: list[int]
    there: list[int]
    smallest: int
    aside: int
    code: int
    log: str

    def wrong(self) -> list[str]:
        """Everything that must not happen."""
        found = []
        if missed := len(set(self.there) - set(self.seen)):
            found.append(f"missed {missed} of {len(self.there)} rows")
        if self.seen != sorted(set(self.seen)):
            found.append("rows out of order, or twice")
        if self.code:
            found.append(f"a writer failed: {self.log[-300:]}")
        if self.aside:
            found.append(f"{self.aside} facts were set aside")
        return found


def told(url: str, rows: int, bug: str = "", writers: int = WRITERS) -> Told:
    """Tail the feed, as docs/consumers.md says it is done, while processes write."""
    program = str(Path(__file__).with_name("feed_writers.py"))
    command = [sys.executable, program, url, str(writers), str(rows), *([bug] if bug else [])]
    reader = open_reader(url)
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            seen, deadline = list[int](), time.monotonic() + PATIENCE_S
            while True:
                assert time.monotonic() < deadline, "the writers come to no end"
                over = process.poll() is not None
                if not (fresh := _rows(reader, seen[-1] if seen else 0)):
                    if over:
                        break
                    time.sleep(0.005)
                seen += fresh
        finally:
            process.kill()
        assert process.stderr is not None
        log = process.stderr.read()
    there = [row["seq"] for row in reader.query("select seq from v1_changes order by seq", {})]
    each = "select min(n) as n from (select count(*) as n from v1_changes group by account) as counted"
    (smallest,) = reader.query(each, {})
    (aside,) = reader.query("select count(*) as n from v1_quarantine", {})
    reader.close()
    return Told(seen, there, smallest["n"], aside["n"], process.returncode, log)


def _rows(reader: Reader, last: int) -> list[int]:
    (newest,) = reader.query(IDENTITY, {}) if last else ({"newest_seq": 1},)
    return [row["seq"] for row in reader.query(TAIL, {"last": last})] if newest["newest_seq"] > last else []


@pytest.fixture
def used(database_url: str) -> str:
    """A database with a schema; a reader never makes one."""
    open_store(database_url).close()
    return database_url


def test_a_reader_that_tails_eight_writers_misses_nothing(used: str) -> None:
    rows = ROWS[used.partition(":")[0]]
    found = told(used, rows)
    assert found.wrong() == []
    assert found.smallest >= rows
    assert found.there == list(range(1, len(found.there) + 1))


# --- the same with a bug planted: this file catches it --------------------------------------------------


def test_without_the_advisory_lock_the_writers_take_each_others_numbers(postgres_url: str) -> None:
    """`seq` is drawn from a row, not from a sequence: two writers draw the same, and one is set aside."""
    found = told(postgres_url, 80, "no advisory lock", writers=4)
    assert found.wrong() != []
    assert found.aside or found.code


def test_with_serial_ids_and_no_lock_a_tailing_reader_misses_rows(postgres_url: str) -> None:
    """Every commit succeeds and nothing else shows it: a larger `seq` was visible before a smaller one."""
    found = told(postgres_url, 400, "serial ids")
    assert found.code == 0
    assert any(what.startswith("missed") for what in found.wrong())


def test_without_begin_immediate_a_writer_fails(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'aggregator.db'}"
    open_store(url).close()
    assert told(url, 400, "deferred begin").wrong() != []

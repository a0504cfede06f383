"""The real daemon against the stand-ins with faults on, killed with SIGKILL again and again.

    make kills ROUNDS=2000        or: .venv/bin/python tests/kills.py --rounds 2000 [--seed 7]

A life is one database and one world; each of its rounds starts the daemon and kills it: at a random moment, as it
starts, or as soon as the -wal grows, which is in the middle of a COMMIT. After each kill the file is looked at as
the kill left it. At the end of a life everything has come, once, and another poll writes nothing. A life that
goes wrong is named with its seed, and its folder is kept.
"""

import argparse
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aggregator.cli.bar import shown
from aggregator.simulator import Running, start

DAY = 86_400
PATIENCE_S = 60.0
OF_ONE_LIFE = 25
"""Rounds of one life, at most."""
LATE = {"late": 0.2, "empty_payload": 0.2, "splits": 0.3, "deletions": 0.1}
FAULTS = {
    **LATE,
    "rate_limit": 0.02,
    "rate_limit_s": 0,
    "error": 0.02,
    "reset": 0.02,
    "cut": 0.01,
    "foreign": 0.01,
    "duplicate": 0.05,
}
TOML = """
[database]
url = "sqlite:///a.db"
[accounts.t]
provider = "telnyx"
secret = "env:PROVIDER_KEY"
base_url = "{telnyx}"
[accounts.t.feeds]
porting_events = {{ start = "60d", every = "1s" }}
portout_events = {{ start = "60d", every = "1s" }}
porting_orders = {{ every = "3s" }}
portouts = {{ every = "3s" }}
[accounts.f]
provider = "fonedynamics"
secret = "env:PROVIDER_KEY"
account_sid = "{sid}"
base_url = "{fone}"
min_interval = "0s"
[accounts.f.feeds]
porting_status = {{ start = "60d", every = "1s" }}
porting_reconcile = {{ start = "60d", every = "3s" }}
"""
FEEDS = {"porting_events": "in", "portout_events": "out"}
Row = tuple[Any, ...]


class Wrong(AssertionError):
    """A promise is broken."""


@dataclass
class Life:
    """One world, one database, and the kills."""

    seed: int
    sim: Running
    folder: Path
    seen: list[Row] = field(default_factory=list)
    cursors: dict[str, str] = field(default_factory=dict)
    killed: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)
        sim = self.sim
        toml = TOML.format(telnyx=sim.telnyx, fone=sim.fonedynamics, sid=sim.account_sid)
        (self.folder / "a.toml").write_text(toml)

    # --- rounds -----------------------------------------------------------------------------------------

    def round(self) -> None:
        """Start the daemon, let time pass, kill it, and look at what it left."""
        how = self.rng.choices(("any", "commit", "start"), (5, 4, 1))[0]
        with self.daemon() as process:
            if how == "start":
                time.sleep(self.rng.uniform(0, 1))
                known = None
            else:
                self.wait(process)
                self.sim.advance(self.rng.uniform(0, 20_000))
                known = self.sim.truth()
                if how == "any":
                    self.pass_time(self.rng.uniform(0, 0.8))
                else:
                    how = self.until_it_commits()
            process.send_signal(signal.SIGKILL)
            process.wait()
        self.killed[how] += 1
        self.look(known)

    @contextmanager
    def daemon(self) -> Iterator["subprocess.Popen[bytes]"]:
        self.log = self.folder / "log"
        with self.log.open("wb") as log:
            process = subprocess.Popen(self.command("run"), env=self.environ, stderr=log)
        try:
            yield process
        finally:
            process.kill()
            process.wait()

    def command(self, *verb: str) -> list[str]:
        return [sys.executable, "-m", "aggregator", "--config", str(self.folder / "a.toml"), *verb]

    @property
    def environ(self) -> dict[str, str]:
        return {**os.environ, "PROVIDER_KEY": "x"}

    def wait(self, process: "subprocess.Popen[bytes]") -> None:
        """Wait until it serves."""
        deadline = time.monotonic() + PATIENCE_S
        while b"daemon.started" not in self.log.read_bytes():
            if process.poll() is not None or time.monotonic() > deadline:
                raise Wrong(f"the daemon does not start: {self.log.read_text()[-2000:]}")
            time.sleep(0.01)

    def pass_time(self, seconds: float) -> None:
        """Let things happen at the providers, and read the feed as a consumer does."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.sim.advance(self.rng.uniform(0, 10_000))
            self.tail()
            time.sleep(0.05)

    def until_it_commits(self) -> str:
        """Wait until the log beside the database grows, which is a COMMIT that has begun."""
        wal = self.folder / "a.db-wal"
        before, deadline = _size(wal), time.monotonic() + 3
        while time.monotonic() < deadline:
            if _size(wal) > before:
                time.sleep(self.rng.choice((0, 0, 0.0005, 0.002)))
                return "commit"
            time.sleep(0.0002)
        return "any"

    # --- what a kill leaves -----------------------------------------------------------------------------

    def look(self, known: Any) -> None:
        """The file is whole, the feed goes on where its reader is, and rows and cursor fit together."""
        if not (self.folder / "a.db").exists() or not self.tail():
            return
        with self.database() as db:
            if (found := db.execute("pragma integrity_check").fetchall()) != [("ok",)]:
                raise Wrong(f"integrity_check: {found[:3]}")
            rows = db.execute("select * from change where seq <= ? order by seq", (self.newest,)).fetchall()
            if rows != self.seen:
                odd = [pair for pair in zip(self.seen, rows, strict=False) if pair[0] != pair[1]][:1]
                raise Wrong(f"rows that a reader had seen have changed, gone or been joined: {odd}")
            cursors = dict(db.execute("select feed, cursor_at from feed where cursor_at is not null"))
            for feed, at in self.cursors.items():
                if cursors.get(feed, "") < at:
                    raise Wrong(f"the cursor of {feed} went back from {at} to {cursors.get(feed)}")
            stored = {id for (id,) in db.execute("select provider_event_id from event")}
            moved = {feed for feed, at in cursors.items() if known and at != self.cursors.get(feed)}
            owed = db.execute(
                "select count(*) from event e where not payload_complete and not exists (select 1 from wanted w"
                " where w.account_id = e.account_id and w.kind = 'event'"
                " and w.ref like '%' || e.provider_event_id || '%')"
            ).fetchone()[0]
        if owed:
            raise Wrong(f"{owed} payloads are owed and not wanted")
        for feed in moved & FEEDS.keys():
            listed = known["telnyx"]["events"][FEEDS[feed]]
            due = {id for id, one in listed.items() if one["listed"] and one["created_at"] <= cursors[feed]}
            if self.before is not None:
                # Only what could be seen before this round began is certain to have been in its sweep.
                due &= self.before[feed]
            if lost := due - stored:
                raise Wrong(
                    f"{len(lost)} events before the cursor of {feed} are not stored: {sorted(lost)[:3]}"
                )
        self.cursors = cursors

    before: dict[str, set[str]] | None = None

    @property
    def newest(self) -> int:
        return int(self.seen[-1][0]) if self.seen else 0

    def tail(self) -> bool:
        """Read on in the feed; False while there is none yet."""
        try:
            with self.database() as db:
                query = "select * from change where seq > ? order by seq"
                self.seen += db.execute(query, (self.newest,)).fetchall()
        except sqlite3.OperationalError as error:
            if "no such table" in str(error) or "unable to open" in str(error):
                return False
            raise
        return True

    @contextmanager
    def database(self) -> Iterator[sqlite3.Connection]:
        url = f"file:{self.folder / 'a.db'}?mode=ro"
        with closing(sqlite3.connect(url, uri=True, timeout=10)) as db:
            yield db

    # --- the end ----------------------------------------------------------------------------------------

    def end(self) -> None:
        """Nothing is lost, nothing doubled, and there is nothing more to tell."""
        self.sim.clear_faults()
        self.sim.advance(DAY)
        for _ in range(3):
            self.sim.advance(4_000)
            self.poll()
        self.rest()
        for _ in range(2):  # the first learns how far the provider's clock has moved meanwhile
            self.poll()
        before, code = self.changes(), self.poll()
        if code != 0 or self.changes() != before:
            raise Wrong(f"a further poll ended with {code} and wrote {self.changes() - before} changes")
        self.look(None)
        with self.database() as db:
            assert_true(db, self.sim.truth())
        told = self.run("replay", "--dry-run")
        if told.returncode != 0:
            raise Wrong(f"replay: {told.stdout[-500:]}")

    def rest(self) -> None:
        """Let time pass until nothing has happened for a minute: what is seconds old is left for the next poll."""
        there = None
        while there != (there := {**self.sim.truth(), "now": None}):
            self.sim.advance(60)

    def poll(self) -> int:
        """The one-shot."""
        return self.run("poll").returncode

    def run(self, *verb: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            self.command(*verb), env=self.environ, capture_output=True, text=True, check=False, timeout=300
        )

    def changes(self) -> int:
        with self.database() as db:
            return int(db.execute("select count(*) from v1_changes").fetchone()[0])


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def assert_true(db: sqlite3.Connection, truth: Any) -> None:
    """What is stored is what the providers have."""
    telnyx, fone = truth["telnyx"], truth["fonedynamics"]
    stored = Counter(
        id for (id,) in db.execute("select provider_event_id from v1_events where provider = 'telnyx'")
    )
    listed = Counter([*telnyx["porting_events"], *telnyx["portout_events"]])
    if stored != listed:
        raise Wrong(f"events: lost {list(listed - stored)[:3]}, too many {list(stored - listed)[:3]}")
    history = db.execute("select count(*) from v1_events where provider = 'fonedynamics'").fetchone()[0]
    if history != len(fone["history"]):
        raise Wrong(f"history of Fone Dynamics: {history} entries in place of {len(fone['history'])}")
    orders = {
        id: (order, status, deleted is not None)
        for id, order, status, deleted in db.execute(
            "select provider_order_id, order_id, raw_status, deleted_at from v1_orders"
        )
    }
    numbers: dict[str, Counter[Row]] = {}
    for order, number, status in db.execute(
        "select order_id, number_key, raw_status from v1_numbers where is_current"
    ):
        numbers.setdefault(order, Counter())[number, status] += 1
    for id, there in {**telnyx["porting_orders"], **telnyx["portouts"]}.items():
        deleted = bool(there.get("deleted"))
        order, status, is_deleted = orders.get(id, ("", None, True))
        here = {number for number, _ in numbers.get(order, ())}
        if (deleted, is_deleted) == (True, True):
            continue
        if deleted != is_deleted or status != there["status"] or here != set(there["numbers"]):
            raise Wrong(f"{id}: {status}, {sorted(here)}, deleted {is_deleted} in place of {there}")
    for id, there in fone["requests"].items():
        order, status, _ = orders.get(id, ("", None, True))
        if status != there["Status"] or set(numbers.get(order, ())) != set(there["numbers"].items()):
            raise Wrong(f"{id}: {status}, {numbers.get(order)} in place of {there}")


def live(seed: int, rounds: int, told: Callable[[], None] = lambda: None) -> Counter[str]:
    """One life with so many kills; how it was killed. Raises Wrong, and keeps the folder, when a promise breaks."""
    folder = Path(tempfile.mkdtemp(prefix=f"kills-{seed}-"))
    knobs = [f"--fault={name}={value}" for name, value in FAULTS.items()]
    with start("--orders", "30", "--days", "40", "--speed", "0", "--seed", str(seed), *knobs) as sim:
        sim.advance(4 * DAY)
        life = Life(seed, sim, folder)
        try:
            for _ in range(rounds):
                truth = sim.truth()["telnyx"]
                life.before = {feed: set(truth[feed]) for feed in FEEDS}
                life.round()
                told()
            life.end()
        except Wrong as error:
            raise Wrong(
                f"seed {seed}, after {sum(life.killed.values())} kills, see {folder}: {error}"
            ) from error
    shutil.rmtree(folder)
    return life.killed


def main() -> int:
    """Run lives until there were enough kills, two at a time; a line for each that goes wrong."""
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--rounds", type=int, default=50, help="kills in all (50)")
    options.add_argument(
        "--seed", type=int, default=int(time.time()), help="of the first life; others follow it"
    )
    options.add_argument("--workers", type=int, default=2, help="lives at the same time (2)")
    said = options.parse_args()
    lives = [min(OF_ONE_LIFE, said.rounds - at) for at in range(0, said.rounds, OF_ONE_LIFE)]
    sys.stdout.write(f"{said.rounds} kills, seeds {said.seed} to {said.seed + len(lives) - 1}\n")
    done, wrong, lock = [0], 0, threading.Lock()
    killed: Counter[str] = Counter()
    with shown("kills") as bar, ThreadPoolExecutor(said.workers) as pool:

        def told() -> None:
            with lock:
                done[0] += 1
                bar(done[0] / said.rounds, f"{done[0]} of {said.rounds}, {wrong} wrong")

        for one in as_completed(
            pool.submit(live, said.seed + n, count, told) for n, count in enumerate(lives)
        ):
            try:
                killed += one.result()
            except Exception as error:  # whatever it is, its life is named and the others go on
                wrong += 1
                sys.stdout.write(f"WRONG {type(error).__name__}: {error}\n")
    how = ", ".join(f"{count} {name}" for name, count in sorted(killed.items()))
    sys.stdout.write(f"{sum(killed.values())} kills ({how}), {len(lives)} lives, {wrong} wrong\n")
    return min(wrong, 1)


if __name__ == "__main__":
    sys.exit(main())

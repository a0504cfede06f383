"""The crash sweep: what a process leaves behind when it dies, at every moment at which it can die.

A process that is killed leaves its files and nothing else. So one run that copies the files at every moment shows
what every crash of it would leave, before any `finally` or rollback could touch them. Each state that was found
is then opened by a process that knows nothing, polled to the end, and compared with a run that nobody disturbed.
Moments with the same files and the same time are one state, and are looked at once.
"""

import hashlib
import json
import shutil
import sqlite3
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from generated import Copy
from scenes import Moments, Process, Scene, dead
from sqlalchemy import Engine
from sqlmodel import SQLModel
from standin_lives import MINUTE, Telnyx
from tapped import tapped

from aggregator.core.model import Change
from aggregator.core.standing import ORDER_FIELDS
from aggregator.store import Store, open_store
from aggregator.store.queries import Reader, Row
from aggregator.store.replay import compare

Play = Callable[["Sweep", Scene], None]
RUN_RECORD = {"feed", "lease", "quarantine"}
"""What tells how the polls went; quarantine counts how often it saw what nobody can read."""
LEARNED = {
    "last_seq",
    "first_seen_at",
    "last_changed_at",
    "last_read_ok_at",
    "event_id",
    "late",
    "observed_at",
}
"""What depends on when we learned something, not on what was said."""
FIRST_SEEN = {"added_at", "waiting_since"}
"""What also depends on when we looked, where only looks can tell it; a time that went on while nobody looked."""
VIEWS = ("orders", "numbers", "reasons", "events", "comments")
FEEDS = {"porting": "porting_events", "portouts": "portout_events"}
CHANGES = (
    "select order_id, number_key, kind, field, old_value, new_value, occurred_at, late, source,"
    " provider_event_id from v1_changes"
)


@dataclass
class State:
    """What a crash leaves: the files, and the moments of the providers' time."""

    folder: Path
    moments: Moments
    polls: list["Begun"]
    points: list[str] = field(default_factory=list)


@dataclass
class Begun:
    """A poll: when it began, and where the cursors stood then."""

    moments: Moments
    cursors: Mapping[tuple[str, str], str]


@dataclass
class Sweep:
    """One run of a scene, and every state that it passed through. `whole`: each sweep is one commit."""

    folder: Path
    whole: bool = False
    states: dict[bytes, State] = field(default_factory=dict)
    order: list[bytes] = field(default_factory=list)
    polls: list[Begun] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)

    @property
    def path(self) -> Path:
        return self.folder / "run.db"

    @property
    def url(self) -> str:
        return f"sqlite:///{self.path}"

    # --- the run ----------------------------------------------------------------------------------------

    def run(self, scene: Scene, play: Play) -> "Sweep":
        """Live through the scene and keep what every crash would leave."""

        def keep(where: str, _: object) -> None:
            files = {end: self.path.with_name(f"run.db{end}") for end in ("", "-wal")}
            content = {end: path.read_bytes() for end, path in files.items() if path.exists()}
            moments = scene.now()
            key = hashlib.blake2b(repr(moments).encode() + repr(len(self.polls)).encode())
            for end, there in content.items():
                key.update(end.encode() + there)
            state = self.states.get(key.digest())
            if state is None:
                home = self.folder / f"state-{len(self.states)}"
                home.mkdir()
                for end in ("", "-wal", "-shm"):
                    if (path := self.path.with_name(f"run.db{end}")).exists():
                        shutil.copy(path, home / f"run.db{end}")
                state = self.states[key.digest()] = State(home, moments, list(self.polls))
            state.points.append(where)
            self.order.append(key.digest())

        open_store(self.url).close()  # how the schema comes to be is swept by itself
        with tapped(keep):
            play(self, scene)
        return self

    def begin(self, scene: Scene) -> None:
        """A poll begins."""
        with closing(sqlite3.connect(self.path)) as db:
            self.polls.append(Begun(scene.now(), _cursors(db)))

    @property
    def points(self) -> int:
        return len(self.order)

    # --- the judgement ----------------------------------------------------------------------------------

    def judge(self, scene: Scene, truth: "Picture", exact: bool) -> list[str]:
        """What is wrong with any state: one line for each point that leads there."""
        before: dict[tuple[str, str], str] = {}
        for key in dict.fromkeys(self.order):
            state = self.states[key]
            wrong = self._left(state, scene, before) + self._recovered(state, scene, truth, exact)
            self.violations += [f"{where}: {'; '.join(wrong)}" for where in state.points if wrong]
        return self.violations

    def _left(self, state: State, scene: Scene, before: dict[tuple[str, str], str]) -> list[str]:
        """What must hold in what the crash left, before anybody mends it."""
        here = scene.at(state.moments)
        wrong = []
        with closing(sqlite3.connect(state.folder / "run.db")) as db:
            if db.execute("pragma integrity_check").fetchall() != [("ok",)]:
                wrong.append("the file is broken")
            cursors = _cursors(db)
            for feed, at in before.items():
                if cursors.get(feed, "") < at:
                    wrong.append(f"P5: the cursor of {feed} went back")
            before |= cursors
            stored = {
                (name, key)
                for name, key in db.execute(
                    "select a.name, e.provider_event_id from event e join account a on a.id = e.account_id"
                )
            }
            for account, world in here.worlds.items():
                if isinstance(world, Telnyx):
                    wrong += self._behind(state, account, world, cursors, stored)
            if self.whole:
                newest = _newest(db)
                wrong += [
                    f"P3: {feed} stands at {cursors.get(feed)}, its rows at {at}"
                    for feed, at in newest.items()
                    if cursors.get(feed) != at
                ]
            owed = db.execute(
                "select count(*) from event e where not payload_complete and not exists (select 1 from wanted w"
                " where w.account_id = e.account_id and w.kind = 'event' and w.ref like '%' || e.provider_event_id"
                " || '%')"
            ).fetchone()[0]
            if owed:
                wrong.append(f"P13: {owed} payloads are owed and not wanted")
        return wrong

    def _behind(
        self,
        state: State,
        account: str,
        world: Telnyx,
        cursors: Mapping[tuple[str, str], str],
        stored: set[tuple[str, str]],
    ) -> list[str]:
        """P3: all that a sweep could see up to the cursor is stored."""
        wrong = []
        for kind, feed in FEEDS.items():
            for number, poll in enumerate(state.polls):
                least = poll.cursors.get((account, feed), "")
                later = state.polls[number + 1].cursors if number + 1 < len(state.polls) else cursors
                most = later.get((account, feed), "")
                due = [
                    event.said["id"]
                    for event in world.events[kind]
                    if least <= _written(event.at) < most
                    and event.seen_from <= poll.moments[account]
                    and event.said["created_at" if "created_at" in event.said else "id"] != "some day"
                ]
                lost = [id for id in due if (account, id) not in stored]
                if lost:
                    wrong.append(f"P3: {len(lost)} events before the cursor {most} of {feed} are not stored")
        return wrong

    def _recovered(self, state: State, scene: Scene, truth: "Picture", exact: bool) -> list[str]:
        """What a fresh process makes of it."""
        path = state.folder / "run.db"
        with closing(sqlite3.connect(path)) as db:
            seen = db.execute("select * from change order by seq").fetchall()
        process = Process(f"sqlite:///{path}", scene.at(state.moments))
        found = finish(process)
        with closing(sqlite3.connect(path)) as db:
            rows = db.execute("select * from change order by seq").fetchall()
        wrong = found.wrong + truth.against(found, exact)
        if rows[: len(seen)] != seen:
            wrong.append("P6: rows that a reader had seen have changed")
        shutil.rmtree(state.folder)
        return wrong


# --- the end --------------------------------------------------------------------------------------------


@dataclass
class Picture:
    """How it all ended, and what was wrong with it."""

    views: dict[str, Counter[str]]
    changes: Counter[str]
    wrong: list[str]

    def against(self, other: "Picture", exact: bool) -> list[str]:
        """Where another end differs from this one."""
        wrong = []
        for view, rows in self.views.items():
            if other.views[view] != rows:
                lost, more = rows - other.views[view], other.views[view] - rows
                wrong.append(f"{view}: lost {list(lost)[:2]}, has {list(more)[:2]}")
        if exact and other.changes != self.changes:
            lost, more = self.changes - other.changes, other.changes - self.changes
            wrong.append(f"changes: lost {list(lost)[:2]}, has {list(more)[:2]}")
        return wrong


def finish(process: Process) -> Picture:
    """Poll to the end, as after a restart, and look at what is there."""
    scene, moving = process.scene, bool(process.scene.step)
    store = process.open()
    wrong = []
    try:
        if scene.step:
            end = max(make().now for make in scene.make.values()) + timedelta(days=6)
            for world in scene.worlds.values():
                world.run(end)
            scene.step = timedelta(0)
        for time in scene.after:
            scene.rest(time)
            process.settle(store)
        before = everything(store.engine)
        scene.rest(MINUTE)
        process.settle(store)
        if everything(store.engine) != before:
            wrong.append("P7: a further poll wrote something")
        for name, ours in scene.accounts.items():
            for found in compare(store.engine, ours, scene.worlds[name].now):
                if found.differences:
                    wrong.append(f"a replay would differ: {found.differences[:2]}")
        rows = _rows(store, "select * from v1_changes order by seq")
        wrong += _rebuilt(store, rows)
        for name, world in scene.worlds.items():
            if isinstance(world, Telnyx):
                wrong += _all_there(store, name, world, scene.only)
        return Picture(_views(store, moving), Counter(_lines(_rows(store, CHANGES))), wrong)
    finally:
        store.close()


def everything(engine: Engine) -> dict[str, list[str]]:
    """All that is stored beside the run record."""
    with engine.connect() as connection:
        return {
            name: sorted(str(tuple(row)) for row in connection.execute(table.select()))
            for name, table in SQLModel.metadata.tables.items()
            if name not in RUN_RECORD
        }


def _views(store: Store, moving: bool) -> dict[str, Counter[str]]:
    """Every view, without what depends on when we looked. (A comment's time is that of its event or of the list
    of comments, which the stand-in does not write alike.)"""
    found = {}
    leave = LEARNED | FIRST_SEEN if moving else LEARNED
    for view in VIEWS:
        rows = _rows(store, f"select * from v1_{view}")
        left = leave | {"occurred_at"} if moving and view == "comments" else leave
        found[view] = Counter(
            _lines([{name: value for name, value in row.items() if name not in left} for row in rows])
        )
    at = "case when source = 'comment' then null else sort_at end" if moving else "sort_at"
    timeline = (
        f"select order_id, {at} as at, number_key, what, detail, source from v1_timeline"
        " where entry_id not like 'c%'"
    )
    found["timeline"] = Counter(_lines(_rows(store, timeline)))
    found["quarantine"] = Counter(_lines(_rows(store, "select account, feed, ref, error from v1_quarantine")))
    found["wanted"] = Counter(_lines(_rows(store, "select kind, ref from wanted")))
    return found


def _rebuilt(store: Store, rows: list[Row]) -> list[str]:
    """The feed alone tells what the tables hold."""
    copies: dict[str, Copy] = {}
    for row in rows:
        change = Change(
            row["kind"],
            row["field"] or "",
            row["old_value"],
            row["new_value"],
            row["number_key"] or "",
            late=bool(row["late"]),
        )
        copies.setdefault(row["order_id"], Copy()).apply([change])
    wrong = []
    for row in _rows(store, "select * from v1_orders"):
        copy = copies.get(row["order_id"], Copy())
        if copy.order != {name: _text(row[name]) for name in ORDER_FIELDS}:
            wrong.append(f"the feed does not rebuild {row['order_id']}")
    numbers = {(row["order_id"], row["number_key"]) for row in _rows(store, "select * from v1_numbers")}
    if numbers != {(id, key) for id, copy in copies.items() for key in copy.numbers}:
        wrong.append("the feed does not rebuild the numbers")
    return wrong


def _all_there(store: Store, name: str, world: Telnyx, only: frozenset[str]) -> list[str]:
    """P1, P2: every event that can be seen is stored, once."""
    stored = Counter(
        row["provider_event_id"] for row in _rows(store, f"select * from v1_events where account = '{name}'")
    )
    listed = Counter(
        str(event.said["id"])
        for kind, feed in FEEDS.items()
        if not only or feed in only
        for event in world.events[kind]
        if event.seen_from <= world.now and event.said.get("created_at") != "some day"
    )
    lost, more = listed - stored, stored - listed
    return [f"P1, P2: events lost {sorted(lost)[:3]}, too many {sorted(more)[:3]}"] if lost or more else []


def _text(value: Any) -> str | None:
    """A column of a view the way a change row writes it."""
    if isinstance(value, bool | list):
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return None if value is None else str(value)


def _rows(store: Store, statement: str) -> list[Row]:
    return list(Reader(store.engine).query(statement, {}))


def _lines(rows: list[Row]) -> list[str]:
    return [json.dumps(row, sort_keys=True, default=str) for row in rows]


def _cursors(db: sqlite3.Connection) -> dict[tuple[str, str], str]:
    query = (
        "select a.name, f.feed, f.cursor_at from feed f join account a on a.id = f.account_id"
        " where f.cursor_at is not null"
    )
    return {(name, feed): at for name, feed, at in db.execute(query)}


def _newest(db: sqlite3.Connection) -> dict[tuple[str, str], str]:
    query = (
        "select a.name, e.feed, max(e.occurred_at) from event e join account a on a.id = e.account_id"
        " where e.feed in (select feed from feed) group by 1, 2"
    )
    return {(name, feed): at for name, feed, at in db.execute(query)}


def _written(at: datetime) -> str:
    return at.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


# --- what is played -------------------------------------------------------------------------------------


def one_process(sweep: Sweep, scene: Scene) -> None:
    """A process begins, polls once and ends."""
    process = Process(sweep.url, scene, dead(1))
    store = process.open()
    sweep.begin(scene)
    process.poll(store)
    store.close()


def two_polls(sweep: Sweep, scene: Scene) -> None:
    """A process polls twice, while things happen."""
    process = Process(sweep.url, scene, dead(1))
    store = process.open()
    for _ in range(2):
        sweep.begin(scene)
        process.poll(store)
        scene.run(timedelta(hours=3))
    store.close()


def two_processes(sweep: Sweep, scene: Scene) -> None:
    """A process polls; while it waits for a page, another one takes its accounts over and polls to the end."""
    others = iter(range(2, 100))

    def interrupt(scene: Scene) -> None:
        scene.interrupt = None
        second = Process(sweep.url, scene, dead(next(others)))
        store = second.open()
        second.poll(store)
        store.engine.dispose()  # it is killed when it has done its work
        scene.interrupt = interrupt

    scene.interrupt = interrupt
    one_process(sweep, scene)


def undisturbed(folder: Path, scene: Scene, play: Play) -> Picture:
    """How the scene ends when nobody dies in it."""
    folder.mkdir(exist_ok=True)
    sweep = Sweep(folder)
    play(sweep, scene)
    return finish(Process(sweep.url, scene.at(scene.now())))

"""Crashes: what a process leaves behind that dies at one point, for every point of a life.

A life runs once, undisturbed. At each point where a process can die (before and after every statement, every
commit and rollback, every page) the database's files are copied as they are at that instant, before any rollback
or clean-up could run, and with them how the provider stood. Copies with the same rows in the same world have the
same future, so each of them is brought to life again once: a new process polls until all is quiet, and what it has
then must be what the provider has.
"""

import json
import shutil
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from copy import copy, deepcopy
from dataclasses import dataclass, field, replace
from datetime import timedelta
from hashlib import blake2b
from pathlib import Path
from typing import Any

from generated import Copy
from made import account
from sqlalchemy import Engine, event
from standin import Faults
from standin_lives import HOUR, FoneDynamics, Telnyx
from unwired import Setting, Unwired, setting

from aggregator.core.account import Account
from aggregator.core.model import Change, Request
from aggregator.core.standing import ORDER_FIELDS
from aggregator.store.queries import Reader
from aggregator.store.replay import compare
from aggregator.store.store import Store

World = Telnyx | FoneDynamics
FILE = "aggregator.db"
QUIET = timedelta(hours=2)  # after that everything late can be seen and every payload is filled


def eager(provider: str) -> Account:
    """An account whose sweeps never look back behind the cursor: a lookback hides mistakes of the commit."""
    ours = account(provider, "acme")
    return replace(
        ours, feeds={name: replace(one, lookback=timedelta(0)) for name, one in ours.feeds.items()}
    )


def still(world: World) -> World:
    """The world as it is now, in which nothing happens any more but the passing of time."""
    frozen = copy(world)
    frozen.__dict__ = {
        name: value if name in ("rng", "agenda", "knobs") else deepcopy(value)
        for name, value in world.__dict__.items()
    }
    frozen.rng = deepcopy(world.rng)
    frozen.agenda = []
    return frozen


def rows_of(path: Path) -> str:
    """What a database holds, as a hash; it must be whole, whatever was left beside it."""
    digest = blake2b(digest_size=16)
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("pragma integrity_check").fetchone() == ("ok",)
        names = database.execute(
            "select name from sqlite_master where type = 'table' order by name"
        ).fetchall()
        for (name,) in names:
            digest.update(repr((name, database.execute(f"select * from {name}").fetchall())).encode())
    return digest.hexdigest()


def copied(path: Path, folder: Path) -> Path:
    """The files of a database, as they are at this instant."""
    folder.mkdir(parents=True)
    for suffix in ("", "-wal", "-shm"):
        if (source := Path(f"{path}{suffix}")).exists():
            shutil.copyfile(source, folder / f"{FILE}{suffix}")
    return folder / FILE


@dataclass
class Crash:
    """What one death leaves: the folder with the database, the point, the provider."""

    folder: Path
    point: str
    world: World


@dataclass
class Instants:
    """Every point of one life, and what a death there leaves. `whole`: the rows as they are between two calls of
    the store, each of which is one transaction; no death may leave anything else."""

    path: Path
    world: World
    folder: Path
    points: int = 0
    whole: set[str] = field(default_factory=set)
    left: dict[str, str] = field(default_factory=dict)
    crashes: dict[tuple[str, str], Crash] = field(default_factory=dict)

    def watch(self, engine: Engine) -> None:
        """Look at every statement, commit and rollback of an engine."""

        def before(_1: Any, _2: Any, statement: str, *_3: Any) -> None:
            self.point(f"before {statement[:60]}")

        def after(_1: Any, _2: Any, statement: str, *_3: Any) -> None:
            self.point(f"after {statement[:60]}")

        event.listen(engine, "before_cursor_execute", before)
        event.listen(engine, "after_cursor_execute", after)
        for name in ("do_commit", "do_rollback"):
            setattr(engine.dialect, name, self._around(name, getattr(engine.dialect, name)))

    def watch_calls(self, store: Store) -> None:
        """Note the rows between the calls of a store that write."""
        for name in ("sync", "take", "release", "record", "pause", "unpause"):
            setattr(store, name, self._noting(getattr(store, name)))

    def page(self, request: Request) -> None:
        """A page that was asked for."""
        self.point(f"before {request.path}")

    def point(self, what: str) -> None:
        """A point where the process may die."""
        self.points += 1
        folder = self.folder / str(self.points)
        rows = rows_of(copied(self.path, folder))
        self.left.setdefault(rows, what)
        world = blake2b(repr((self.world.now, self.world.rng.getstate())).encode()).hexdigest()
        if (rows, world) in self.crashes:
            shutil.rmtree(folder)
        else:
            self.crashes[rows, world] = Crash(folder, what, still(self.world))

    def _around(self, name: str, call: Callable[[Any], None]) -> Callable[[Any], None]:
        def called(connection: Any) -> None:
            self.point(f"before {name}")
            call(connection)
            self.point(f"after {name}")

        return called

    def _noting(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def called(*arguments: Any, **named: Any) -> Any:
            self.note()
            try:
                return call(*arguments, **named)
            finally:
                self.note()

        return called

    def note(self) -> None:
        """No transaction is open: note what is stored."""
        folder = self.folder / "whole"
        self.whole.add(rows_of(copied(self.path, folder)))
        shutil.rmtree(folder)


# --- what must be so afterwards -------------------------------------------------------------------------


def violations(instants: Instants, ours: Account, faults: Faults) -> Iterator[str]:
    """What the deaths of a life did to its data; nothing, if all is well."""
    for rows, point in instants.left.items():
        if rows not in instants.whole:
            yield f"{point}: a transaction in two"
    for crash in instants.crashes.values():
        for wrong in _after(crash, ours, faults):
            yield f"{crash.point}: {wrong}"


def _after(crash: Crash, ours: Account, faults: Faults) -> Iterator[str]:
    """Bring one to life again: what is wrong when all is quiet."""
    before = _feed(crash.folder / FILE)
    wire = Unwired(crash.world, replace(faults, stir=0))
    with setting(wire, ours, crash.folder) as here:
        for wait in (QUIET, HOUR, HOUR):
            crash.world.now += wait
            outcomes = here.poll()
        yield from (f"{name}: {one.outcome}" for name, one in outcomes.items() if not one.complete)
        yield from wrong_at(here, crash.world)
        feed = here.rows("select * from change order by seq")
        if feed[: len(before)] != before:
            yield "the feed was rewritten"
        here.poll()
        if here.rows("select * from change order by seq") != feed:
            yield "a second look wrote changes"


def _feed(path: Path) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as database:
        return database.execute("select * from change order by seq").fetchall()


def wrong_at(here: Setting, world: World) -> Iterator[str]:
    """How what is stored differs from what the provider has, and from what its own feed and facts say."""
    if isinstance(world, Telnyx):
        yield from _wrong_at_telnyx(here, world)
    else:
        yield from _wrong_at_fone(here, world)
    for found in compare(here.store.store.engine, here.account, here.wire.clock()):
        if found.differences:
            yield f"a replay would differ: {found.differences[0]}"
    yield from _not_rebuilt(here)


def _wrong_at_telnyx(here: Setting, world: Telnyx) -> Iterator[str]:
    told = Counter(here.events)
    if doubled := [id for id, count in told.items() if count > 1]:
        yield f"events doubled: {doubled}"
    # What is listed later than a sweep looks back is nobody's promise.
    promised = {one.said["id"] for some in world.events.values() for one in some if one.seen_from == one.at}
    if lost := promised - told.keys():
        yield f"events lost: {lost}"
    orders = {
        id: (status, gone)
        for id, status, gone in here.rows(
            "select provider_order_id, raw_status, deleted_at is not null from v1_orders"
        )
    }
    truth = {id: order["status"]["value"] for id, order in world.orders.items()}
    truth |= {id: order["status"] for id, order in world.portouts.items()}
    for id, status in truth.items():
        if orders.get(id) != (status, 0):
            yield f"order {id} is {status}, not {orders.get(id)}"
    numbers = here.rows(
        "select provider_order_id, number_key from v1_numbers join v1_orders using (order_id) where is_current"
    )
    has = Counter(id for id, _ in numbers if id in truth)
    if has != Counter({id: len(world.numbers[id]) for id in truth}):
        yield "numbers differ"


def _wrong_at_fone(here: Setting, world: FoneDynamics) -> Iterator[str]:
    orders = here.rows("select provider_order_id, raw_status from v1_orders")
    if sorted(orders) != sorted((one.no, one.status) for one in world.requests.values()):
        yield "orders differ"
    numbers = here.rows(
        "select provider_order_id, n.raw_status from v1_numbers n join v1_orders using (order_id) where is_current"
    )
    here_too = [(one.no, status) for one in world.requests.values() for status in one.numbers.values()]
    if sorted(numbers) != sorted(here_too):
        yield "numbers differ"
    ((events,),) = here.rows("select count(*) from v1_events")
    entries = sum(len(some) for one in world.requests.values() for some in one.history.values())
    if events != entries:
        yield f"{events} events of {entries}"


def _not_rebuilt(here: Setting) -> Iterator[str]:
    """The orders that a reader of the feed alone would have otherwise."""
    reader = Reader(here.store.store.engine)
    copies: dict[str, Copy] = {}
    for row in reader.query("select * from v1_changes order by seq", {}):
        if row["field"] is not None or row["kind"] == "order_seen":
            values = (row["field"] or "", row["old_value"], row["new_value"], row["number_key"] or "")
            change = Change(row["kind"], *values, late=row["late"])
            copies.setdefault(row["order_id"], Copy()).apply([change])
    for row in reader.query("select * from v1_orders", {}):
        if copies[row["order_id"]].order != {name: _text(row[name]) for name in ORDER_FIELDS}:
            yield f"the feed does not rebuild {row['order_id']}"


def _text(value: Any) -> str | None:
    """A column of a view the way a change row writes it."""
    if isinstance(value, bool | list):
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return None if value is None else str(value)


# --- lives ----------------------------------------------------------------------------------------------


def lived(
    provider: str,
    world: World,
    faults: Faults,
    folder: Path,
    polls: int,
    between: Callable[[World], None],
) -> tuple[Instants, Account]:
    """A life of so many polls, and every instant of it."""
    ours = eager(provider)
    wire = Unwired(world, faults)
    (folder / "life").mkdir()
    with setting(wire, ours, folder / "life") as here:
        instants = Instants(folder / "life" / FILE, world, folder / "deaths")
        instants.watch_calls(here.store.store)
        instants.watch(here.store.store.engine)
        wire.trouble = instants.page
        for turn in range(polls):
            if turn:
                between(world)
            here.poll()
            instants.note()
    return instants, ours

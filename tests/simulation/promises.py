"""The promises, held against what the provider knows to be so.

A look is taken after every poll, at the instant of every death and inside requests; the whole account at the end
of a life. What is wrong is said in a line, never raised, so that a life shows all that is wrong with it.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import cache, partial
from itertools import groupby
from typing import Any

from generated import Copy
from provider import Provider
from sqlalchemy import Connection, text

from aggregator.core.account import Account
from aggregator.core.model import Change
from aggregator.core.standing import NUMBER_FIELDS, ORDER_FIELDS
from aggregator.simulator.things import Event, Order

FEEDS = {"porting_events": "in", "portout_events": "out"}
NEVER = datetime.min.replace(tzinfo=UTC)
Cursor = tuple[str, str]
"""An account and one of its feeds."""
Ids = Callable[[str], set[str]]
"""The events of a feed that are stored, as a look finds them."""


@dataclass
class Promises:
    """What was promised to the readers of one database. `lookback`: how late an event may be listed and still
    has to be stored; `honest`: whether the provider lists all that it has, so that it can be read."""

    provider: Provider
    accounts: Mapping[str, Account]
    lookback: timedelta
    wrong: list[str] = field(default_factory=list)
    seen: list[tuple[Any, ...]] = field(default_factory=list)
    cursors: dict[Cursor, str] = field(default_factory=dict)
    swept: dict[Cursor, tuple[datetime, datetime]] = field(default_factory=dict)
    known: dict[tuple[str, str, str], datetime] = field(default_factory=dict)
    excused: set[str] = field(default_factory=set)
    honest: bool = True
    checked: int = 0

    def say(self, promise: str, what: str) -> None:
        """A promise was broken."""
        line = f"{promise}: {what}"
        if line not in self.wrong:
            self.wrong.append(line)

    # --- while it lives ---------------------------------------------------------------------------------

    def look(self, db: Connection, polling_since: datetime | None = None) -> None:
        """What a reader sees now: nothing that it knew has gone, what is new comes after it, and everything
        at or before a cursor is stored. `polling_since`: when the poll began that is not over yet."""
        self.checked += 1
        self._feed(db)
        ids = cache(partial(_ids, db))
        for account, feed, cursor in _all(db, "select account, feed, cursor_at from v1_feeds"):
            if cursor is not None:
                self._cursor(ids, (account, feed), cursor, polling_since)

    def _feed(self, db: Connection) -> None:
        (count, newest), *_ = _all(db, "select count(*), coalesce(max(seq), 0) from change")
        last = self.seen[-1][0] if self.seen else 0
        if newest > last:
            self.seen.extend(_all(db, "select * from change where seq > :last order by seq", last=last))
        if (count, newest) != (len(self.seen), self.seen[-1][0] if self.seen else 0):
            self.say("P6", f"a reader has seen {len(self.seen)} rows, the feed holds {count}")

    def _cursor(self, ids: Ids, feed: Cursor, cursor: str, polling_since: datetime | None) -> None:
        before = self.cursors.get(feed)
        if before is not None and cursor < before:
            self.say("P5", f"the cursor of {feed} went back from {before} to {cursor}")
        self.cursors[feed] = cursor
        at = _instant(cursor)
        if cursor != before and at not in self._moments(feed[1]):
            self.say("P4", f"the cursor of {feed} stands at {cursor}, which no provider ever said")
        moved = (*feed, cursor) not in self.known
        if moved and polling_since is not None:
            self.known[(*feed, cursor)] = polling_since if self.honest else NEVER
        if moved and not self.honest and feed[1] in FEEDS:  # nobody may live to tell of this sweep
            self._excuse(ids, feed[1])
        since = self.known.get((*feed, cursor))
        if since is not None:
            self._stored("P3", ids, feed, since, at)
        if feed in self.swept:
            self._stored("P1", ids, feed, *self.swept[feed])

    def _moments(self, feed: str) -> set[datetime]:
        world = self.provider.world
        if feed in FEEDS:
            events = world.by_id[FEEDS[feed]].values()
            # An event without its `created_at` is taken by its `updated_at`, when its payload came.
            return {at for event in events for at in (event.created_at, event.filled_at)}
        return {
            datetime.fromtimestamp(entry["Created"], UTC)
            for order in world.orders["fone"].values()
            for line in order.lines.values()
            for entry in line.history
        }

    @property
    def told(self) -> timedelta:
        """How far the time that the provider tells is ahead; where it tells none, that is ours."""
        faults = self.provider.world.faults
        if faults.date_style == "clock":
            return timedelta(seconds=faults.date_skew_s)
        return self.provider.time.ahead

    def swept_at(self, db: Connection, feed: Cursor, began: datetime) -> None:
        """A sweep that began then is over, and complete. It is frozen at the time that the provider tells, or
        at ours where it tells none. Where the provider did not list all there was, nothing is promised."""
        if feed[1] not in FEEDS:
            return
        if self.honest:
            self.swept[feed] = began, began + min(timedelta(0), self.told)
        else:
            self._excuse(partial(_ids, db), feed[1])

    def _excuse(self, ids: Ids, feed: str) -> None:
        """What is not stored now may be lost."""
        self.excused |= {event.id for event in self._listed(feed)} - ids(feed)

    def forgotten(self, db: Connection) -> None:
        """The disk has lost the newest commits, which no durability can help: readers begin again from here. What
        lay before a cursor that it lost is read anew, and from a provider that may lie by then."""
        (newest,), *_ = _all(db, "select coalesce(max(seq), 0) from change")
        self.seen = [row for row in self.seen if row[0] <= newest]
        self.swept.clear()
        self.cursors.clear()
        left = {row[:2]: row[2] or "" for row in _all(db, "select account, feed, cursor_at from v1_feeds")}
        self.known = {at: since for at, since in self.known.items() if at[2] <= left.get(at[:2], "")}

    def _stored(self, promise: str, ids: Ids, feed: Cursor, visible: datetime, upto: datetime) -> None:
        if feed[1] not in FEEDS:
            return
        due = {
            event.id
            for event in self._listed(feed[1])
            if event.visible_at < visible and event.created_at <= upto and self._owed(event)
        }
        if due and (missing := due - ids(feed[1])):
            self.say(
                promise, f"{feed}: {len(missing)} events up to {upto}, listed at {visible}, are not stored"
            )

    def _owed(self, event: Event) -> bool:
        return event.visible_at - event.created_at <= self.lookback and event.id not in self.excused

    def _listed(self, feed: str) -> list[Event]:
        return self.provider.world.window(FEEDS[feed], None, None)

    # --- at the end -------------------------------------------------------------------------------------

    def settle(self, db: Connection, spoiled: bool) -> None:
        """The provider lives on, but nothing happens there any more and everything was read since."""
        self.look(db)
        self._append_only(db)
        for name, account in self.accounts.items():
            if account.provider == "telnyx":
                self._telnyx_events(db, name, spoiled)
                self._telnyx_orders(db, name, spoiled)
            else:
                self._fone(db, name)
        self._rebuilt(db)
        self._runs(db)
        # What is to be asked at a time is asked at the provider's time, which may be behind ours.
        now = self.provider.time.wall() + min(timedelta(0), self.told)
        wanted = _all(db, "select kind, ref, not_before from wanted")
        if owed := [one for one in wanted if one[2] is None or _instant(one[2]) <= now]:
            self.say("P13", f"{len(owed)} things are still wanted: {owed[:3]}")

    def _append_only(self, db: Connection) -> None:
        if _all(db, "select * from change order by seq") != self.seen:
            self.say("P6", "rows of the feed have changed since they were read")

    def _telnyx_events(self, db: Connection, name: str, spoiled: bool) -> None:
        now = self.provider.time.truth
        for feed in FEEDS:
            query = "select provider_event_id, payload_complete from event where feed = :feed"
            stored = dict(_all(db, query, feed=feed))
            listed = {event.id: event for event in self._listed(feed)}
            if strange := stored.keys() - listed.keys():
                self.say("P2", f"{feed}: {len(strange)} events that never were")
            due = {id for id, event in listed.items() if self._owed(event)}
            if missing := due - stored.keys():
                self.say(
                    "P1", f"{feed}: {len(missing)} of {len(due)} events are missing, such as {min(missing)}"
                )
            empty = {id for id in stored.keys() & listed.keys() if not stored[id]}
            if never := {id for id in empty if listed[id].filled_at <= now and not spoiled}:
                self.say("P13", f"{feed}: {len(never)} payloads were never fetched, such as {min(never)}")

    def _telnyx_orders(self, db: Connection, name: str, spoiled: bool) -> None:
        world = self.provider.world
        stored = {
            (direction, id): (status, deleted, foc)
            for direction, id, status, deleted, foc in _all(
                db,
                "select direction, provider_order_id, raw_status, deleted_at is not null, confirmed_foc_on"
                " from v1_orders where account = :name",
                name=name,
            )
        }
        numbers: dict[str, set[str]] = {}
        for id, key in _all(
            db,
            "select o.provider_order_id, n.number_key from v1_numbers n join v1_orders o using (order_id)"
            " where n.is_current and n.account = :name",
            name=name,
        ):
            numbers.setdefault(id, set()).add(key)
        listed = {order.id for kind in ("in", "out") for order in world.listed(kind)}
        for direction, kind, date_of in (("port_in", "in", "foc_actual"), ("port_out", "out", "foc")):
            for id, order in world.orders[kind].items():
                found = stored.pop((direction, id), None)
                if id in listed:
                    # A number that was shown unreadable once may be asked for again only when it changes.
                    self._telnyx_order(order, found, None if spoiled else numbers.get(id, set()), date_of)
                # No list shows it: where the order itself was denied too, nobody can tell that it is there.
                elif found is not None and found[1] and not order.deleted and id not in self.provider.denied:
                    self.say("P9", f"{id} stands as deleted and is there")
        if stored:
            self.say("P2", f"{len(stored)} orders that never were, such as {min(stored)}")

    def _telnyx_order(self, order: Order, found: Any, numbers: set[str] | None, date_of: str) -> None:
        agreed = order.said[date_of]
        truth = (order.said["status"], 0, agreed and agreed.date().isoformat())
        if found is None:
            self.say("P11", f"{order.id} was never found")
        elif (found[0], int(found[1]), found[2] and _day(found[2])) != truth:
            self.say("P8", f"{order.id} stands as {found}, and is {truth}")
        elif numbers is not None and numbers != {f"+{number.removeprefix('+')}" for number in order.numbers}:
            self.say("P8", f"{order.id} has other numbers: {sorted(numbers)[:3]} for {order.numbers[:3]}")

    def _fone(self, db: Connection, name: str) -> None:
        requests = self.provider.world.orders["fone"]
        orders = dict(
            _all(db, "select provider_order_id, raw_status from v1_orders where account = :name", name=name)
        )
        truth = {id: order.said["status"] for id, order in requests.items()}
        if self.provider.world.faults.unstarted == "hidden":
            started = {id for id, order in requests.items() if any(li.history for li in order.lines.values())}
            truth = {id: word for id, word in truth.items() if id in started or id in orders}
        if orders != truth:
            wrong = {id for id in orders.keys() | truth if orders.get(id) != truth.get(id)}
            said = [(id, orders.get(id), truth.get(id)) for id in sorted(wrong)[:2]]
            self.say("P11", f"{len(wrong)} requests stand otherwise than they are: {said}")
        numbers = _all(
            db,
            "select o.provider_order_id, n.number_key, n.raw_status from v1_numbers n"
            " join v1_orders o using (order_id) where n.is_current and n.account = :name",
            name=name,
        )
        lines = [
            (id, key, line.status)
            for id in orders.keys() & requests.keys()
            for key, line in requests[id].lines.items()
        ]
        if sorted(numbers) != sorted(lines):
            self.say("P8", f"numbers stand otherwise than they are: {sorted(set(numbers) ^ set(lines))[:2]}")
        events = Counter(
            _all(
                db,
                "select o.provider_order_id, e.number_key, e.raw_from, e.raw_to from v1_events e"
                " join v1_orders o using (order_id) where e.account = :name",
                name=name,
            )
        )
        told = Counter(
            (id, key, entry["FdxStatusFrom"], entry["FdxStatusTo"])
            for id, order in requests.items()
            for key, line in order.lines.items()
            for entry in line.history
        )
        if missing := told - events:
            self.say("P1", f"{missing.total()} of {told.total()} history entries are missing: {min(missing)}")
        if strange := events - told:
            self.say("P2", f"{strange.total()} history entries that never were: {min(strange)}")

    def _rebuilt(self, db: Connection) -> None:
        """A reader of the feed has built the orders and numbers as the views show them."""
        rows = _all(
            db,
            "select c.order_pk, c.kind, c.field, c.old_value, c.new_value, c.number_key, c.late"
            " from change c order by c.order_pk, c.seq",
        )
        columns = ", ".join(f"o.{name}" for name in ORDER_FIELDS)
        orders = {row[0]: row[1:] for row in _all(db, f"select o.id, {columns} from port_order o")}
        columns = ", ".join(f"n.{name}" for name in NUMBER_FIELDS)
        numbers = _all(db, f"select n.order_pk, n.number_key, {columns} from port_number n order by 1")
        lines = {pk: list(of) for pk, of in groupby(numbers, key=lambda row: row[0])}
        built = 0
        for pk, changes in groupby(rows, key=lambda row: row[0]):
            copy = Copy()
            try:
                copy.apply(_change(row) for row in changes)
            except (AssertionError, KeyError) as error:
                self.say("feed", f"order {pk}: a row does not follow from those before it: {error}")
                continue
            built += 1
            self._same(pk, ORDER_FIELDS, copy.order, orders[pk])
            for _, key, *values in lines.get(pk, []):
                if key not in copy.numbers:
                    self.say("feed", f"order {pk}: number {key} was never told")
                else:
                    self._same(pk, NUMBER_FIELDS, copy.number(key), values)
        if built != len(orders):
            self.say("feed", f"{len(orders)} orders, {built} of them in the feed")

    def _same(
        self, pk: int, names: Iterable[str], copy: Mapping[str, str | None], row: Iterable[Any]
    ) -> None:
        for name, value in zip(names, row, strict=True):
            if not _alike(copy[name], value):
                self.say("feed", f"order {pk}: {name} is {value!r}, the feed says {copy[name]!r}")

    def _runs(self, db: Connection) -> None:
        """A feed that is polled says so."""
        for account, feed, attempt, complete, outcome, error in _all(
            db,
            "select account, feed, last_attempt_at, last_complete_at, last_outcome, last_error from v1_feeds",
        ):
            if None in (attempt, complete) or attempt != complete or outcome != "complete" or error:
                self.say(
                    "P11", f"{account} {feed}: {outcome}, {error}, tried at {attempt}, whole at {complete}"
                )


def _ids(db: Connection, feed: str) -> set[str]:
    """The events of a feed that are stored."""
    return {id for (id,) in _all(db, "select provider_event_id from event where feed = :feed", feed=feed)}


def _all(db: Connection, query: str, **values: Any) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in db.execute(text(query), values)]


def _instant(stored: Any) -> datetime:
    return stored if isinstance(stored, datetime) else datetime.fromisoformat(stored)


def _day(stored: Any) -> str:
    return stored.isoformat() if isinstance(stored, date) else str(stored)


def _change(row: tuple[Any, ...]) -> Change:
    _, kind, name, old, new, key, late = row
    return Change(kind, name, old, new, key, None, bool(late))


def _alike(told: str | None, stored: Any) -> bool:
    """A value of the feed and a column of a table, whatever the database makes of the latter."""
    if told is None or stored is None:
        return told is None and stored is None
    if told == str(stored):
        return True
    if isinstance(stored, bool | int):
        return told in (str(int(stored)), ("false", "true")[bool(stored)])
    if isinstance(stored, datetime) or str(stored).endswith("Z"):
        return datetime.fromisoformat(told) == _instant(stored)
    if str(stored).startswith("["):
        return bool(json.loads(told) == json.loads(stored))
    return isinstance(stored, date) and told == stored.isoformat()

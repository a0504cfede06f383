"""The commit: facts, what follows from them, changes, wants, quarantine, run record and cursor, in one
transaction or not at all.

    lock → epoch → what stands → the door → fold, diff → rows → progress → commit

No HTTP, no sleep and no log line in here. Every id is drawn from the one `feed_identity` row under the
writer's lock, so `seq` is in commit order and nothing a crash leaves can be half.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from operator import attrgetter
from typing import Any

from sqlalchemy import Connection, Row, bindparam, select, update
from sqlmodel import col

from aggregator.core.account import Account, FeedKind
from aggregator.core.diff import diff, is_late
from aggregator.core.differing import Difference, differing
from aggregator.core.findings import Backfill, Findings, Progress, Recorded
from aggregator.core.fold import fold, stamp
from aggregator.core.model import Change, Direction, Fact, OrderRef, Part, Source, Vocabulary
from aggregator.core.normalise import is_known, normalise, unknown
from aggregator.core.standing import Standing
from aggregator.errors import Fenced
from aggregator.store import progress as progress_rows
from aggregator.store import wanted
from aggregator.store.door import Door, first_looks
from aggregator.store.emptied import without_empty_lists
from aggregator.store.facts import decoded
from aggregator.store.moves import Move, Moves, listed_at
from aggregator.store.remembered import Kept, Remembered
from aggregator.store.rows import (
    CHANGE,
    FILLS,
    FURTHER,
    Rows,
    comment_row,
    digest,
    event_row,
    fact_row,
    order_id,
    ref_of,
)
from aggregator.store.statements import insert, several, table_of
from aggregator.store.stood import stood, unknown_words
from aggregator.store.tables import (
    ChangeRow,
    FactRow,
    FeedIdentityRow,
    LeaseRow,
    OrderRow,
)
from aggregator.store.texts import described
from aggregator.store.written import write

_EPOCH = (
    select(col(LeaseRow.epoch))
    .where(col(LeaseRow.account_id) == bindparam("account_id"))
    .with_for_update(read=True)
)
_IDS = select(table_of(FeedIdentityRow))
_DRAWN = update(table_of(FeedIdentityRow))
_ORDER, _FACT = table_of(OrderRow), table_of(FactRow)
_ORDERS, _FACTS = select(_ORDER), select(_FACT)


def record(
    tx: Connection,
    account: Account,
    account_id: int,
    epoch: int,
    findings: Findings,
    progress: Progress | None = None,
    backfill: Backfill | None = None,
    remembered: Remembered | None = None,
) -> tuple[Recorded, dict[int, Kept]]:
    """Record one slice; returns with what it adds how its orders stand now. Raises Fenced, and so writes nothing,
    when another process has taken the account."""
    fence(tx, account, account_id, epoch)
    recording = Recording(tx, account, account_id, findings, remembered)
    recorded = recording.run(progress)
    if backfill is not None:
        progress_rows.walked(tx, account_id, backfill, recorded)
    return recorded, recording.stands()


def fence(tx: Connection, account: Account, account_id: int, epoch: int) -> None:
    """Raise Fenced when another process has taken the account."""
    if tx.execute(_EPOCH, {"account_id": account_id}).scalar() != epoch:
        raise Fenced(f"account {account.name} was taken over by another process")


class Recording:
    """One transaction's work, step by step."""

    def __init__(
        self,
        tx: Connection,
        account: Account,
        account_id: int,
        findings: Findings,
        remembered: Remembered | None = None,
    ) -> None:
        self.tx = tx
        self.account = described(tx, account, account_id)
        self.account_id = account_id
        self.findings = findings
        self.remembered = remembered or Remembered()
        self.door = Door(tx, account_id, findings.facts, account.words)
        fresh = [self._linked(fact) for fact in findings.facts if not self.door.knows(fact)]
        self.facts = sorted(fresh, key=stamp)
        self.ids = tx.execute(_IDS).one()._asdict()
        self.ids_before = dict(self.ids)
        self.runs = progress_rows.runs(tx, account_id)
        self.covered = progress_rows.covered(self.runs)
        self.orders: dict[str, dict[str, Any]] = {}
        self.standings: dict[str, Standing] = {}
        self.accepted: set[str] = set()
        self.rows = Rows()
        self.moves = Moves(tx, account, account_id)
        self.batches: dict[tuple[str, datetime], int] = {}
        self.differences: list[Difference] = []

    def _linked(self, fact: Fact) -> Fact:
        """A fact as it is stored: the order that another one came out of goes by our order_id."""
        if fact.link is None or fact.link.parent is None:
            return fact
        parent = order_id(self.account.name, OrderRef(fact.order.direction, fact.link.parent))
        return replace(fact, link=replace(fact.link, parent=parent))

    def run(self, progress: Progress | None) -> Recorded:
        """Take the findings in and write down what follows."""
        if self.facts:
            self._know_orders()
            self.facts = without_empty_lists(self.tx, self.account, self.account_id, self.facts, self.orders)
            new = [normalise(fact, self.account.words) for fact in self._at_the_door()]
            named = [(order_id(self.account.name, fact.order), fact) for fact in new]
            self._know_standings({name for name, _ in named})
            self.moves.know(named, self.standings)
            unknown_yet = [fact for fact in new if "id" not in self._row(fact)]
            absorbing, absorbed = first_looks(unknown_yet)
            for fact in new:
                if fact.source_id not in absorbed:
                    self._take(fact, absorbing.get(fact.source_id, ()))
            self._write()
        pending = wanted.Pending(self.tx, self.account_id, self.findings)
        lists = {name for name, feed in self.account.feeds.items() if feed.defaults.kind is FeedKind.LISTING}
        listed = progress_rows.covered(self.runs, lists)
        given_up = pending.settle(self.accepted, self.orders, self.account.name, listed)
        self._settle(progress)
        progress_rows.quarantine(self.tx, self.account_id, self.findings, given_up)
        if progress is not None:
            new_rows = self.ids["newest_seq"] != self.ids_before["newest_seq"]
            progress_rows.advance(self.tx, self.account, self.runs[progress.feed], progress, new_rows)
        self._count()
        return self.recorded()

    def replay(self, orders: Iterable[dict[str, Any]]) -> int:
        """Read all facts of these orders again; returns how many orders have none any more."""
        for row in orders:
            self.orders[row["order_id"]] = {**row, "read_before": row["last_read_at"]}
        self._reread(self._fold_again(set(self.orders)))
        return len(self.orders.keys() - self.standings.keys())

    def keep(self) -> None:
        """Write down what a replay found."""
        self._write()
        self._count()

    def _count(self) -> None:
        if self.ids != self.ids_before:
            counters = {name: value for name, value in self.ids.items() if name.startswith("newest_")}
            self.tx.execute(_DRAWN, counters)

    def recorded(self) -> Recorded:
        """What this transaction adds."""
        before = self.ids_before
        changes = self.ids["newest_seq"] - before["newest_seq"]
        return Recorded(
            events=self.ids["newest_event"] - before["newest_event"],
            changes=changes,
            skipped=len(self.findings.skipped),
            newest_seq=self.ids["newest_seq"] if changes else 0,
            orders=self.ids["newest_order"] - before["newest_order"],
        )

    def _draw(self, name: str) -> int:
        self.ids[name] += 1
        return int(self.ids[name])

    # --- what stands ------------------------------------------------------------------------------------

    def _know_orders(self) -> None:
        names = {order_id(self.account.name, fact.order) for fact in self.facts}
        for row in several(self.tx, _ORDERS, _ORDER.c.order_id, names):
            self.orders[row.order_id] = row._asdict()

    def _row(self, fact: Fact) -> dict[str, Any]:
        return self.orders[order_id(self.account.name, fact.order)]

    def _at_the_door(self) -> list[Fact]:
        """The facts that are new, each with its final place in the order of facts."""
        new = []
        for fact in self.facts:
            name = order_id(self.account.name, fact.order)
            admitted = self.door.admit(fact, self.orders.get(name))
            if admitted is None:
                continue
            self.accepted.add(fact.source_id)
            new.append(admitted)
            self._note(admitted, name, fact.as_of)
        # Of one look at an order its own words come first, whatever order they get in the end.
        return sorted(new, key=lambda fact: (*stamp(fact)[:3], fact.part is not Part.ORDER, stamp(fact)[3:]))

    def _note(self, fact: Fact, name: str, said_at: datetime) -> None:
        """What the door must know of this fact when the next one knocks, in this slice or later."""
        row = self.orders.setdefault(name, {})
        row.setdefault("read_before", row.get("last_read_at"))
        row.setdefault("said_before", row.get("document_said_at"))
        if fact.source is Source.EVENT:
            row["event_as_of"] = max(filter(None, (row.get("event_as_of"), fact.as_of)))
            stands, shown = row.get("document_as_of"), row.get("document_said_at")
            if stands is not None and shown is not None and shown < fact.as_of <= stands:
                # What stands there need not speak for what this event tells: the next look does.
                row["document_as_of"] = shown
        elif fact.document is not None and fact.part in (Part.ORDER, Part.NUMBERS):
            kind = "document" if fact.part is Part.ORDER else "numbers_document"
            stands = row.get(f"{kind}_as_of")
            if stands is None or stands <= fact.as_of:
                row[kind], row[f"{kind}_as_of"] = digest(fact.document), fact.as_of
                row[f"{kind}_said_at"] = said_at
        if fact.deleted and "misses" in row:
            row["misses"] = 0
        if fact.source is Source.SNAPSHOT and fact.part is Part.ORDER:
            row["last_read_at"] = max(filter(None, (row.get("last_read_at"), fact.read_at)))

    def _know_standings(self, names: set[str]) -> None:
        version = self.account.words.version
        ids = {self.orders[name]["id"]: name for name in names if "id" in self.orders.get(name, {})}
        for pk, kept in self.remembered.known(self.tx, ids, self.account.words.in_memory).items():
            if self.orders[ids[pk]]["map_version"] == version:
                self.standings[ids[pk]] = kept.standing
                self.orders[ids[pk]].update(facts=kept.facts, last_fact=kept.newest)
        told = self._fold_again(names - self.standings.keys())
        self._reread(
            {name: told[name] for name in sorted(told) if self.orders[name]["map_version"] != version}
        )

    def _fold_again(self, names: set[str]) -> dict[str, list[Fact]]:
        """How these orders stand by all their facts; returns the facts."""
        known = {self.orders[name]["id"]: name for name in names if "id" in self.orders.get(name, {})}
        facts: dict[str, list[Fact]] = {}
        for row in several(self.tx, _FACTS, _FACT.c.order_pk, known):
            name = known[row.order_pk]
            facts.setdefault(name, []).append(self._again(row, self.orders[name]))
        for name, told in facts.items():
            self.standings[name] = fold(None, told)
            self.orders[name]["facts"] = len(told)
        return facts

    def stands(self) -> dict[int, Kept]:
        """How the orders stand that something new was told about, for the next slice."""
        version, stands = self.account.words.in_memory, {}
        for name in self.rows.orders:
            row = self.orders[name]
            stands[row["id"]] = Kept(self.standings[name], row["facts"], row["last_fact"], version)
        return stands

    def _again(self, row: Row[Any], order: dict[str, Any]) -> Fact:
        order["last_fact"] = max(order.get("last_fact", 0), row.id)
        ref = ref_of(order)
        said = (row.source, row.source_id, row.part, row.as_of, row.read_at, row.said)
        return decoded(ref, *said, self.account.words)

    def _reread(self, facts: Mapping[str, list[Fact]]) -> None:
        """Compare what the rows of these orders say with what their facts do in the present words: differences
        become changes as a replay's, and the rows are mended."""
        orders = {name: self.orders[name] for name in facts}
        stands = stood(self.tx, orders, self.standings)
        noted = unknown_words(self.tx, orders)
        for name, told in facts.items():
            row, before, after = self.orders[name], stands[name], self.standings[name]
            self.differences.extend(differing(name, before, after))
            newest = max(told, key=stamp)
            because = Fact(newest.order, newest.source, newest.source_id, newest.as_of, self.findings.at)
            changes = diff(before, after, because)
            if changes:
                batch, replay = self._draw("newest_fact"), self.ids["newest_seq"] + 1
                self._tell(changes, row, because, row["last_fact"], batch, replay)
            if before != after or row["map_version"] != self.account.words.version:
                row["map_version"] = self.account.words.version
                self._touched(name, before, after, self.findings.at if changes else None)
            self._reword(name, told, noted[name])

    def _reword(self, name: str, told: list[Fact], noted: set[tuple[str, str]]) -> None:
        """Note the order's words that nobody knows (any more), and forget those that somebody does. That a word
        is explained is no difference in its order: whoever opens the database to write forgets it, too."""
        pk, seen = self.orders[name]["id"], set[tuple[str, str]]()
        for fact in sorted(told, key=attrgetter("read_at")):
            here = {(str(vocabulary), word) for vocabulary, word in unknown(fact)}
            if here - noted:
                self._unknown_words(fact, pk)
            seen |= here
        unnoted = {vocabulary for vocabulary, _ in seen - noted}
        beyond = {vocabulary for vocabulary, word in noted if word == FURTHER and vocabulary in unnoted}
        seen = {(vocabulary, word) for vocabulary, word in seen if vocabulary not in beyond} | (seen & noted)
        seen |= {(vocabulary, FURTHER) for vocabulary in beyond}
        for vocabulary, word in sorted(noted - seen):
            key = {"account_id": self.account_id, "vocabulary": vocabulary, "word": word, "order_pk": pk}
            self.rows.known.append(key)
            if not is_known(word, Vocabulary(vocabulary), self.account.words):
                self.differences.append(Difference(name, "", f"unknown {vocabulary}", word, None))
        for vocabulary, word in sorted(seen - noted):
            self.differences.append(Difference(name, "", f"unknown {vocabulary}", None, word))

    # --- what follows -----------------------------------------------------------------------------------

    def _take(self, fact: Fact, history: tuple[Fact, ...] = ()) -> None:
        """One new fact (with the history it absorbs): folded, compared, written down."""
        name = order_id(self.account.name, fact.order)
        before = self.standings.get(name)
        row = self._born(name, fact)
        after = fold(before, (*history, fact))
        seq_before = self.ids["newest_seq"]
        for one in (*history, fact):
            row["last_fact"], row["facts"] = self._draw("newest_fact"), row.get("facts", 0) + 1
            self.rows.facts.append(fact_row(one, self.account_id, row["id"], row["last_fact"]))
            if one.document is not None:
                self.rows.documents[row["id"], digest(one.document)] = (one.document, one.read_at)
            if one.announced is not None:
                self._event(one, row["id"], is_late(before, one))
            self._unknown_words(one, row["id"])
        look = (name, fact.read_at)
        event = fact.source is Source.EVENT
        batch = row["last_fact"] if event else self.batches.setdefault(look, row["last_fact"])
        changes, moves = self.moves.follow(
            row["id"], name, before, after, self.findings.at, diff(before, after, fact)
        )
        self._tell(changes, row, fact, row["last_fact"], batch)
        self.standings[name] = after
        if fact.comment is not None:
            self.rows.comments.append(comment_row(fact, row["id"], self.ids["newest_seq"]))
        self._touched(name, before, after, fact.read_at if self.ids["newest_seq"] > seq_before else None)
        for move in moves:
            self._move(move, fact, row["last_fact"], batch)

    def _move(self, move: Move, fact: Fact, fact_id: int, batch: int) -> None:
        """A number went from one order to another: a row of the order where it is now."""
        here = move.here
        told = fact.as_of if fact.source is Source.EVENT else None
        change = Change("number_moved", "", move.left.order_id, here.order_id, here.number_key, told)
        self._tell([change], {"id": here.order_pk}, fact, fact_id, batch)
        if here.order_id in self.standings:
            self._touched(
                here.order_id, self.standings[here.order_id], self.standings[here.order_id], fact.read_at
            )
            self.rows.numbers[here.order_pk, here.number_key] = self.ids["newest_seq"]
        else:
            self.moves.touch(here, self.ids["newest_seq"], fact.read_at)

    def _settle(self, progress: Progress | None) -> None:
        """Tell of the numbers that came or went and did not move: at the end of a list of all orders, or of the
        last number list that was owed when it ended."""
        if progress is not None and progress.complete and progress.covers:
            settled = self.moves.settle(progress.covers, progress.attempted_at)
        elif lists := [want for want in self.findings.answered if want.part is Part.NUMBERS]:
            direction = lists[0].direction or Direction.PORT_IN
            settled = self.moves.settle(direction, listed_at(self.tx, self.account_id, direction))
        else:
            return
        self.rows = Rows()
        for one in settled:
            because = Fact(one.ref, Source.SNAPSHOT, "", self.findings.at, self.findings.at)
            change = Change(one.kind, "", number_key=one.place.number_key)
            self._tell([change], {"id": one.place.order_pk}, because, one.fact_id, self._draw("newest_fact"))
            self.moves.touch(one.place, self.ids["newest_seq"], self.findings.at)
        insert(self.tx, ChangeRow, self.rows.changes, CHANGE)
        self.moves.write()

    def _event(self, fact: Fact, order_pk: int, late: bool) -> None:
        """An event's row; a payload that comes later, in this slice or another, fills the same row."""
        row = event_row(fact, self.account_id, order_pk, self.account.words.region, late)
        key = (row["feed"], row["provider_event_id"])
        if key in self.rows.events:
            if row["payload_complete"]:
                self.rows.events[key].update({name: row[name] for name in FILLS})
        elif key in self.door.stored:
            self.rows.filled.append(row)
        else:
            self.rows.events[key] = {"id": self._draw("newest_event"), **row}

    def _unknown_words(self, fact: Fact, order_pk: int) -> None:
        seen = {"order_pk": order_pk, "first_seen_at": fact.read_at, "last_seen_at": fact.read_at}
        for vocabulary, word in unknown(fact):
            key = {"account_id": self.account_id, "vocabulary": vocabulary, "word": word}
            self.rows.words.append({**key, **seen})

    def _born(self, name: str, fact: Fact) -> dict[str, Any]:
        """The order's row, with an id of its own from the first fact on."""
        row = self.orders.setdefault(name, {})
        if "id" not in row:
            self.rows.born.add(name)
            row.update(
                read_before=None,
                id=self._draw("newest_order"),
                order_id=name,
                account_id=self.account_id,
                direction=fact.order.direction,
                provider_order_id=fact.order.written or fact.order.id,
                map_version=self.account.words.version,
                first_seen_at=fact.read_at,
                last_changed_at=fact.read_at,
                last_seq=0,
                last_fact=0,
                facts=0,
                misses=0,
            )
        return row

    def _touched(
        self, name: str, before: Standing | None, after: Standing, changed_at: datetime | None
    ) -> None:
        row = self.orders[name]
        seq = self.ids["newest_seq"]
        if changed_at is not None:
            row["last_seq"], row["last_changed_at"] = seq, max(row["last_changed_at"], changed_at)
        self.rows.orders.add(name)
        for key, here in after.numbers.items():
            if before is None or before.numbers.get(key) != here:
                self.rows.numbers[row["id"], key] = seq
        if before is None or before.reasons != after.reasons:
            self.rows.reasons.add(name)

    def _tell(
        self,
        changes: Iterable[Change],
        row: Mapping[str, Any],
        fact: Fact,
        fact_id: int,
        batch: int,
        replay: int = 0,
    ) -> None:
        """What one fact taught us, appended to the feed."""
        alike = (
            *(batch, fact_id, replay, row["id"], fact.read_at, self._not_before(row, fact)),
            *(self.findings.initial, "replay" if replay else str(fact.source)),
            fact.announced.key if fact.announced else None,
        )
        draw = self._draw
        self.rows.changes.extend((*alike, draw("newest_seq"), *change) for change in changes)

    def _not_before(self, row: Mapping[str, Any], fact: Fact) -> datetime | None:
        """The last time before this look at which we are sure to have seen the order as it was."""
        listed = None if row.get("misses") else self.covered.get(fact.order.direction)
        looks = (row.get("read_before"), listed)
        return max((at for at in looks if at is not None and at < fact.read_at), default=None)

    def _write(self) -> None:
        write(self.tx, self.account, self.rows, self.orders, self.standings)
        self.moves.write()

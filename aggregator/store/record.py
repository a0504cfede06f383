"""The commit: facts, what follows from them, changes, wants, quarantine, run record and cursor, in one
transaction or not at all.

    lock → epoch → what stands → the door → fold, diff → rows → progress → commit

No HTTP, no sleep and no log line in here. Every id is drawn from the one `feed_identity` row under the
writer's lock, so `seq` is in commit order and nothing a crash leaves can be half.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, delete, select, update
from sqlmodel import col

from aggregator.core.account import Account
from aggregator.core.diff import diff, differences, is_late
from aggregator.core.findings import Findings, Progress, Recorded
from aggregator.core.fold import fold, stamp
from aggregator.core.model import Change, Direction, Fact, OrderRef, Part, Source
from aggregator.core.normalise import normalise, number, unknown
from aggregator.core.standing import Standing
from aggregator.errors import Fenced
from aggregator.store import progress as progress_rows
from aggregator.store import wanted
from aggregator.store.door import Door
from aggregator.store.facts import decoded, encoded
from aggregator.store.rows import (
    FILLS,
    Rows,
    chunks,
    comment_row,
    digest,
    fill_event,
    insert,
    number_row,
    order_id,
    order_of,
    order_row,
    reason_row,
    several,
    upsert,
)
from aggregator.store.tables import (
    ChangeRow,
    CommentRow,
    DocumentRow,
    EventRow,
    FactRow,
    FeedIdentityRow,
    LeaseRow,
    NumberRow,
    OrderRow,
    ReasonRow,
    UnknownWordRow,
)


def record(
    tx: Connection,
    account: Account,
    account_id: int,
    epoch: int,
    findings: Findings,
    progress: Progress | None = None,
) -> Recorded:
    """Record one slice. Raises Fenced, and so writes nothing, when another process has taken the account."""
    lease = select(col(LeaseRow.epoch)).where(col(LeaseRow.account_id) == account_id)
    if tx.execute(lease.with_for_update(read=True)).scalar() != epoch:
        raise Fenced(f"account {account.name} was taken over by another process")
    return _Recording(tx, account, account_id, findings).run(progress)


@dataclass(frozen=True, slots=True)
class _FirstLooks:
    """For each first look at an order the history before it, and the facts that are so absorbed."""

    before: dict[str, tuple[Fact, ...]]
    absorbed: set[str]


class _Recording:
    """One transaction's work, step by step."""

    def __init__(self, tx: Connection, account: Account, account_id: int, findings: Findings) -> None:
        self.tx = tx
        self.account = account
        self.account_id = account_id
        self.findings = findings
        self.facts = sorted(findings.facts, key=stamp)
        self.ids = tx.execute(select(FeedIdentityRow.__table__)).one()._asdict()  # type: ignore[attr-defined]
        self.covered = progress_rows.covered(tx, account_id)
        self.orders: dict[str, dict[str, Any]] = {}
        self.standings: dict[str, Standing] = {}
        self.accepted: set[str] = set()
        self.rows = Rows()
        self.batches: dict[tuple[str, datetime], int] = {}

    def run(self, progress: Progress | None) -> Recorded:
        before = dict(self.ids)
        if self.facts:
            self._know_orders()
            new = self._at_the_door()
            self._know_standings({order_id(self.account.name, fact.order) for fact in new})
            first_looks = self._first_looks(new)
            for fact in new:
                if fact.source_id not in first_looks.absorbed:
                    self._take(fact, first_looks.before.get(fact.source_id, ()))
            self._write()
        pending = wanted.Pending(self.tx, self.account_id)
        given_up = pending.settle(self.findings, self.accepted, self.orders, self.account.name, self.covered)
        progress_rows.quarantine(self.tx, self.account_id, self.findings, given_up)
        if progress is not None:
            new_rows = self.ids["newest_seq"] != before["newest_seq"]
            progress_rows.advance(self.tx, self.account, self.account_id, progress, new_rows)
        if self.ids != before:
            counters = {name: value for name, value in self.ids.items() if name.startswith("newest_")}
            self.tx.execute(update(FeedIdentityRow).values(counters))
        return Recorded(
            events=self.ids["newest_event"] - before["newest_event"],
            changes=self.ids["newest_seq"] - before["newest_seq"],
            skipped=len(self.findings.skipped),
            newest_seq=self.ids["newest_seq"],
        )

    def _draw(self, name: str) -> int:
        self.ids[name] += 1
        return int(self.ids[name])

    # --- what stands ------------------------------------------------------------------------------------

    def _know_orders(self) -> None:
        names = {order_id(self.account.name, fact.order) for fact in self.facts}
        table = OrderRow.__table__  # type: ignore[attr-defined]
        for row in several(self.tx, select(table), table.c.order_id, names):
            self.orders[row.order_id] = row._asdict()

    def _at_the_door(self) -> list[Fact]:
        """The facts that are new, each with its final place in the order of facts."""
        door = Door(self.tx, self.account_id, self.facts)
        new = []
        for fact in self.facts:
            name = order_id(self.account.name, fact.order)
            admitted = door.admit(fact, self.orders.get(name))
            if admitted is None:
                continue
            self.accepted.add(fact.source_id)
            new.append(admitted)
            self._note(admitted, name)
        self.rows.filled = door.filled
        return sorted(new, key=stamp)

    def _note(self, fact: Fact, name: str) -> None:
        """What the door must know of this fact when the next one knocks, in this slice or later."""
        row = self.orders.setdefault(name, {})
        row.setdefault("read_before", row.get("last_read_at"))
        if fact.source is Source.EVENT:
            row["event_as_of"] = max(filter(None, (row.get("event_as_of"), fact.as_of)))
        elif fact.document is not None and fact.part in (Part.ORDER, Part.NUMBERS):
            kind = "document" if fact.part is Part.ORDER else "numbers_document"
            stands = row.get(f"{kind}_as_of")
            if stands is None or stands <= fact.as_of:
                row[kind], row[f"{kind}_as_of"] = digest(fact.document), fact.as_of
        if fact.source is Source.SNAPSHOT:
            row["last_read_at"] = max(filter(None, (row.get("last_read_at"), fact.read_at)))

    def _know_standings(self, names: set[str]) -> None:
        known = {self.orders[name]["id"]: name for name in names if "id" in self.orders.get(name, {})}
        facts: dict[str, list[Fact]] = {}
        table = FactRow.__table__  # type: ignore[attr-defined]
        for row in several(self.tx, select(table), table.c.order_pk, known):
            name = known[row.order_pk]
            facts.setdefault(name, []).append(self._again(row, self.orders[name]))
        for name, told in facts.items():
            self.standings[name] = fold(None, told)
            self._reread(name, told)

    def _again(self, row: Row[Any], order: Mapping[str, Any]) -> Fact:
        ref = OrderRef(Direction(order["direction"]), order["provider_order_id"])
        fact = decoded(ref, row.source, row.source_id, row.part, row.as_of, row.read_at, row.said)
        return normalise(fact, self.account.words)

    def _reread(self, name: str, told: list[Fact]) -> None:
        """Words changed since this order was last written: its differences come first, as a replay's."""
        row = self.orders[name]
        if row["map_version"] == self.account.words.version:
            return
        newest = max(told, key=stamp)
        standing = self.standings[name]
        for change in differences(order_of(row), standing.order, newest):
            self._change(
                change, name, newest, row["last_fact"], source="replay", replay=self.ids["newest_seq"] + 1
            )
        row["map_version"] = self.account.words.version

    def _first_looks(self, new: list[Fact]) -> "_FirstLooks":
        """The first sight of an order is one: the history that came in the same reply as the first look at it
        is folded with it, and told by the events alone."""
        looks = _FirstLooks({}, set())
        for look in new:
            name = order_id(self.account.name, look.order)
            if look.source is not Source.SNAPSHOT or look.part is not Part.ORDER or "id" in self.orders[name]:
                continue
            history = tuple(
                fact
                for fact in new
                if fact.order == look.order and fact.read_at == look.read_at and stamp(fact) < stamp(look)
            )
            if all(fact.source is Source.EVENT for fact in history):
                looks.before[look.source_id] = history
                looks.absorbed.update(fact.source_id for fact in history)
        return looks

    # --- what follows -----------------------------------------------------------------------------------

    def _take(self, fact: Fact, history: tuple[Fact, ...] = ()) -> None:
        """One new fact (with the history it absorbs): folded, compared, written down."""
        name = order_id(self.account.name, fact.order)
        fact, *earlier = (normalise(one, self.account.words) for one in (fact, *history))
        before = self.standings.get(name)
        row = self._born(name, fact)
        after = fold(before, (*earlier, fact))
        seq_before = self.ids["newest_seq"]
        for one in (*earlier, fact):
            fact_id = row["last_fact"] = self._draw("newest_fact")
            self.rows.facts.append(self._fact_row(one, row["id"], fact_id))
            if one.announced is not None:
                self.rows.events.append(self._event_row(one, row["id"], is_late(before, one)))
            for vocabulary, word in unknown(one):
                key = {
                    "account_id": self.account_id,
                    "vocabulary": vocabulary,
                    "word": word,
                    "order_pk": row["id"],
                }
                self.rows.words.append({**key, "first_seen_at": one.read_at, "last_seen_at": one.read_at})
        for change in diff(before, after, fact):
            self._change(change, name, fact, row["last_fact"])
        self.standings[name] = after
        if fact.comment is not None:
            self.rows.comments.append(comment_row(fact, row["id"], self.ids["newest_seq"]))
        self._touched(name, before, after, fact.read_at if self.ids["newest_seq"] > seq_before else None)

    def _born(self, name: str, fact: Fact) -> dict[str, Any]:
        """The order's row, with an id of its own from the first fact on."""
        row = self.orders.setdefault(name, {})
        if "id" not in row:
            row.update(
                read_before=None,
                id=self._draw("newest_order"),
                order_id=name,
                account_id=self.account_id,
                direction=fact.order.direction,
                provider_order_id=fact.order.id,
                map_version=self.account.words.version,
                first_seen_at=fact.read_at,
                last_changed_at=fact.read_at,
                last_seq=0,
                last_fact=0,
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

    def _change(
        self, change: Change, name: str, fact: Fact, fact_id: int, source: str | None = None, replay: int = 0
    ) -> None:
        row = self.orders[name]
        look = (name, fact.read_at)
        batch = fact_id if fact.source is Source.EVENT else self.batches.setdefault(look, fact_id)
        announced = fact.announced
        self.rows.changes.append(
            {
                "seq": self._draw("newest_seq"),
                "batch": batch,
                "fact_id": fact_id,
                "replay": replay,
                "order_pk": row["id"],
                "number_key": change.number_key,
                "kind": change.kind,
                "field": change.field,
                "old_value": change.old,
                "new_value": change.new,
                "occurred_at": change.occurred_at,
                "observed_at": fact.read_at,
                "not_before": self._not_before(row, fact),
                "late": change.late,
                "regression": change.regression,
                "unexpected": change.unexpected,
                "initial": self.findings.initial,
                "source": source or fact.source,
                "provider_event_id": announced.key if announced else None,
            }
        )

    def _not_before(self, row: Mapping[str, Any], fact: Fact) -> datetime | None:
        """The last time before this look at which we are sure to have seen the order as it was."""
        looks = (row.get("read_before"), self.covered.get(fact.order.direction))
        return max((at for at in looks if at is not None and at < fact.read_at), default=None)

    # --- rows -------------------------------------------------------------------------------------------

    def _fact_row(self, fact: Fact, order_pk: int, fact_id: int) -> dict[str, Any]:
        if fact.document is not None:
            self.rows.documents[digest(fact.document)] = fact.document
        return {
            "id": fact_id,
            "account_id": self.account_id,
            "order_pk": order_pk,
            "source": fact.source,
            "source_id": fact.source_id,
            "part": fact.part,
            "as_of": fact.as_of,
            "read_at": fact.read_at,
            "document": digest(fact.document) if fact.document is not None else None,
            "said": encoded(fact),
        }

    def _event_row(self, fact: Fact, order_pk: int, late: bool) -> dict[str, Any]:
        said = fact.announced
        assert said is not None
        number_key = number(said.number, self.account.words.region)[0] if said.number else None
        return {
            "id": self._draw("newest_event") if said.key not in self.rows.filled else 0,
            "account_id": self.account_id,
            "feed": said.feed,
            "provider_event_id": said.key,
            "order_pk": order_pk,
            "number_key": number_key,
            "event_type": said.type,
            "occurred_at": fact.as_of,
            "first_seen_at": fact.read_at,
            "late": late,
            "raw_from": said.raw_from,
            "raw_to": said.raw_to,
            "payload_complete": said.complete,
            "payload": said.payload,
        }

    def _write(self) -> None:
        """Every row of the transaction, a list for each table."""
        rows, tx = self.rows, self.tx
        orders = [order_row(self.orders[name], self.standings[name].order) for name in sorted(rows.orders)]
        keys = {self.orders[name]["id"]: self.standings[name] for name in rows.orders}
        upsert(tx, OrderRow, ["id"], orders)
        insert(
            tx, DocumentRow, [{"hash": hash, "body": body} for hash, body in rows.documents.items()], ["hash"]
        )
        insert(tx, FactRow, rows.facts)
        events = [row for row in rows.events if row["id"]]
        insert(tx, EventRow, events)
        filled = [{f"b_{k}": row[k] for k in FILLS} for row in rows.events if not row["id"]]
        if filled:
            tx.execute(fill_event(), filled)
        insert(tx, ChangeRow, rows.changes)
        numbers = [number_row(pk, key, keys[pk].numbers[key], seq) for (pk, key), seq in rows.numbers.items()]
        upsert(tx, NumberRow, ["order_pk", "number_key"], numbers)
        self._write_reasons()
        upsert(tx, CommentRow, ["order_pk", "comment_id"], rows.comments, keep_if_null=("body",))
        upsert(
            tx,
            UnknownWordRow,
            ["account_id", "vocabulary", "word", "order_pk"],
            rows.words,
            only=("last_seen_at",),
        )

    def _write_reasons(self) -> None:
        pks = [self.orders[name]["id"] for name in self.rows.reasons]
        for chunk in chunks(pks):
            self.tx.execute(delete(ReasonRow).where(col(ReasonRow.order_pk).in_(chunk)))
        held = [
            reason_row(self.orders[name]["id"], reason)
            for name in sorted(self.rows.reasons)
            for reason in self.standings[name].reasons
        ]
        insert(self.tx, ReasonRow, held)

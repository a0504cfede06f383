"""Wants: what must still be asked is a row, written with its reason and deleted with its answer."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, delete, select
from sqlmodel import col

from aggregator.core.due import backoff
from aggregator.core.findings import Findings
from aggregator.core.model import Direction, Fact, Part, Skipped, Source, Want
from aggregator.store.door import SETTLED
from aggregator.store.rows import upsert
from aggregator.store.tables import WantRow

PATIENCE = timedelta(hours=24)
"""How long an empty payload is asked for before it is given up and noted in quarantine."""
FIRST_PAUSE = timedelta(seconds=30)

Key = tuple[str, str]


class Pending:
    """An account's wants within one transaction."""

    def __init__(self, tx: Connection, account_id: int) -> None:
        self.tx = tx
        self.account_id = account_id
        rows = tx.execute(select(WantRow.__table__).where(col(WantRow.account_id) == account_id))  # type: ignore[attr-defined]
        self.rows: dict[Key, dict[str, Any]] = {(row.kind, row.ref): row._asdict() for row in rows}
        self.gone: set[Key] = set()
        self.changed: set[Key] = set()

    def settle(
        self,
        findings: Findings,
        accepted: set[str],
        orders: Mapping[str, Mapping[str, Any]],
        account: str,
        covered: Mapping[str, datetime],
    ) -> tuple[Skipped, ...]:
        """Strike what is answered, note what is wanted anew; returns the wants that were given up."""
        owed = {said.key for fact in findings.facts if (said := fact.announced) and not said.complete}
        for want in findings.wants:
            if want.because is None or want.because in accepted:
                order = orders.get(f"{account}/{want.ref}")
                if not _known_since(want, order, covered):
                    self._want(want, findings.at)
        for fact in findings.facts:
            self._strike_by(fact)
        for want in findings.answered:
            if not (want.part is Part.EVENT and want.id in owed):
                self._strike((want.part, want.ref))
        given_up = self._fail(
            [*findings.failed, *(w for w in findings.answered if w.id in owed)], findings.at
        )
        self._write()
        return given_up

    def _want(self, want: Want, at: datetime) -> None:
        key = (want.part, want.ref)
        since = want.since or at
        row = self.rows.get(key)
        if row is not None and row["since"] >= since:
            return
        fresh = {
            "account_id": self.account_id,
            "kind": want.part,
            "ref": want.ref,
            "since": since,
            "wanted_at": at,
            "tries": 0,
            "not_before": None,
        }
        self.rows[key] = fresh if row is None else {**row, "since": since, "not_before": None}
        self.changed.add(key)

    def _strike_by(self, fact: Fact) -> None:
        """A look at an order, and a payload that came, answer whoever asked for them."""
        if fact.announced is not None and fact.announced.complete:
            self._strike((Part.EVENT, f"{fact.announced.feed}/{fact.announced.key}"))
        if fact.source is Source.SNAPSHOT and fact.part is Part.ORDER:
            key = (Part.ORDER, f"{fact.order.direction}/{fact.order.id}")
            row = self.rows.get(key)
            if row is not None and row["since"] <= (fact.looked_at or fact.read_at):
                self._strike(key)

    def _strike(self, key: Key) -> None:
        if self.rows.pop(key, None) is not None:
            self.gone.add(key)
            self.changed.discard(key)

    def _fail(self, wants: Iterable[Want], at: datetime) -> tuple[Skipped, ...]:
        given_up = []
        for want in wants:
            key = (want.part, want.ref)
            row = self.rows.get(key)
            if row is None:
                continue
            if want.part is Part.EVENT and at - row["wanted_at"] >= PATIENCE:
                given_up.append(Skipped(want.id, "payload: still empty a day after the event was first seen"))
                self._strike(key)
                continue
            tries = row["tries"] + 1
            self.rows[key] = {**row, "tries": tries, "not_before": at + backoff(tries, FIRST_PAUSE)}
            self.changed.add(key)
        return tuple(given_up)

    def _write(self) -> None:
        for kind, ref in self.gone - self.changed:
            self.tx.execute(
                delete(WantRow).where(
                    col(WantRow.account_id) == self.account_id,
                    col(WantRow.kind) == kind,
                    col(WantRow.ref) == ref,
                )
            )
        upsert(
            self.tx, WantRow, ["account_id", "kind", "ref"], [self.rows[key] for key in sorted(self.changed)]
        )


def _known_since(want: Want, order: Mapping[str, Any] | None, covered: Mapping[str, datetime]) -> bool:
    """Whether what an order want asks for has been read already, safely after the event that caused it."""
    if want.part is not Part.ORDER or want.since is None:
        return False
    looks = [covered.get(want.direction or "")]
    if order is not None:
        if order.get("document_as_of") and order["document_as_of"] >= want.since:
            return True
        looks.append(order.get("last_read_at"))
    return any(at is not None and at >= want.since + SETTLED for at in looks)


def listed(tx: Connection, account_id: int, direction: Direction, started_at: datetime) -> None:
    """A complete listing has shown every order of a direction: wants older than its start are answered."""
    tx.execute(
        delete(WantRow).where(
            col(WantRow.account_id) == account_id,
            col(WantRow.kind) == Part.ORDER,
            col(WantRow.ref).startswith(f"{direction}/", autoescape=True),
            col(WantRow.since) <= started_at,
        )
    )


def pending(tx: Connection, account_id: int, now: datetime | None) -> tuple[Want, ...]:
    """The wants whose pause is over at `now` (all of them, when it is None), oldest first."""
    query = select(WantRow.__table__).where(col(WantRow.account_id) == account_id)  # type: ignore[attr-defined]
    wants = []
    for row in tx.execute(query.order_by(col(WantRow.since), col(WantRow.ref))):
        if now is not None and row.not_before is not None and row.not_before > now:
            continue
        head, id = row.ref.split("/", 1)
        part = Part(row.kind)
        if part is Part.EVENT:
            wants.append(Want(part, id, feed=head, since=row.since))
        else:
            wants.append(Want(part, id, Direction(head), since=row.since))
    return tuple(wants)

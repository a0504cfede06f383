"""Wants: what must still be asked is a row, written with its reason and deleted with its answer."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, bindparam, select

from aggregator.core.due import backoff
from aggregator.core.findings import CERTAIN, Findings
from aggregator.core.model import Direction, Fact, Part, Skipped, Source, Want
from aggregator.store.door import SETTLED
from aggregator.store.statements import remove, several, table_of, upsert
from aggregator.store.tables import OrderRow, WantRow

PATIENCE = timedelta(hours=24)
"""How long an empty payload is asked for before it is given up and noted in quarantine."""
FIRST_PAUSE = timedelta(seconds=30)
SETTLED_PAUSE = timedelta(days=1)
"""When something is asked for again of which the answer is certain, though it is none."""
KEY = ("account_id", "kind", "ref")

_WANT, _ORDER = table_of(WantRow), table_of(OrderRow)
_ALL = select(_WANT).where(_WANT.c.account_id == bindparam("account_id"))
_OF_KIND = _ALL.where(_WANT.c.kind == bindparam("kind"))
_PENDING = _ALL.order_by(_WANT.c.since, _WANT.c.ref)
_DELETED_AT = select(_ORDER.c.deleted_at).where(_ORDER.c.order_id == bindparam("order_id"))

Key = tuple[str, str]


class Pending:
    """The wants that one slice touches, within its transaction."""

    def __init__(self, tx: Connection, account_id: int, findings: Findings) -> None:
        self.tx = tx
        self.account_id = account_id
        self.findings = findings
        self.looks = {fact.source_id for fact in findings.facts if _is_look(fact)}
        self.rows: dict[Key, dict[str, Any]] = {}
        self.gone: set[Key] = set()
        self.changed: set[Key] = set()
        for kind, refs in _touched(findings).items():
            for row in several(tx, _OF_KIND, _WANT.c.ref, refs, account_id=account_id, kind=kind):
                self.rows[row.kind, row.ref] = row._asdict()

    def settle(
        self,
        accepted: set[str],
        orders: Mapping[str, Mapping[str, Any]],
        account: str,
        covered: Mapping[str, datetime],
    ) -> tuple[Skipped, ...]:
        """Strike what is answered, note what is wanted anew; returns the wants that were given up. `covered`:
        when the last whole list of each direction began. A look that itself wants its order is no answer to that."""
        findings = self.findings
        unanswered = {want.because for want in findings.wants if want.part is Part.ORDER} - {None}
        owed = {said.key for fact in findings.facts if (said := fact.announced) and not said.complete}
        for want in findings.wants:
            if want.not_before is None and (want.because is None or want.because in accepted):
                order = orders.get(f"{account}/{want.ref}")
                if not (
                    _known_before(want, order)
                    if want.because in self.looks
                    else _known_since(want, order, covered)
                ):
                    self._want(want, findings.at)
        for fact in findings.facts:
            if fact.announced is not None or fact.source_id not in unanswered:  # a payload that came is one
                self._strike_by(fact)
        for want in findings.answered:
            if not (want.part is Part.EVENT and want.id in owed):
                self._strike((want.part, want.ref))
        for want in findings.wants:
            if want.not_before is not None:  # the next look, which this answer makes for itself
                self._want(want, findings.at)
        given_up = self._fail(
            [*findings.failed, *(w for w in findings.answered if w.id in owed)], findings.at, account
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
            "not_before": want.not_before,
            "expected": want.expected,
            "answer": None,
            "answers": 0,
        }
        renewed = {"since": since, "not_before": want.not_before, "expected": want.expected}
        self.rows[key] = fresh if row is None else {**row, **renewed}
        self.changed.add(key)

    def _strike_by(self, fact: Fact) -> None:
        """A look at an order, and a payload that came, answer whoever asked for them."""
        key = _answered_by(fact)
        row = self.rows.get(key) if key else None
        if key and row and (key[0] is Part.EVENT or row["since"] <= (fact.looked_at or fact.read_at)):
            self._strike(key)

    def _strike(self, key: Key) -> None:
        if self.rows.pop(key, None) is not None:
            self.gone.add(key)
            self.changed.discard(key)

    def _fail(self, wants: Iterable[Want], at: datetime, account: str) -> tuple[Skipped, ...]:
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
            if want.part not in (Part.EVENT, Part.ORDER) and self._is_gone(f"{account}/{want.ref}"):
                self._strike(key)  # what stood beside an order that is deleted went with it
                continue
            tries = row["tries"] + 1
            pause = SETTLED_PAUSE if want.answers >= CERTAIN else backoff(tries, FIRST_PAUSE)
            answer = {"answer": want.answer, "answers": want.answers}
            self.rows[key] = {**row, "tries": tries, "not_before": at + pause, **answer}
            self.changed.add(key)
        return tuple(given_up)

    def _is_gone(self, order_id: str) -> bool:
        return self.tx.execute(_DELETED_AT, {"order_id": order_id}).scalar() is not None

    def _write(self) -> None:
        gone = [
            {"account_id": self.account_id, "kind": kind, "ref": ref}
            for kind, ref in sorted(self.gone - self.changed)
        ]
        remove(self.tx, WantRow, KEY, gone)
        upsert(self.tx, WantRow, KEY, [self.rows[key] for key in sorted(self.changed)])


def _answered_by(fact: Fact) -> Key | None:
    """The want that a fact may answer: for its event's payload, or for a look at its order."""
    if fact.announced is not None:
        said = fact.announced
        return (Part.EVENT, f"{said.feed}/{said.key}") if said.complete else None
    if _is_look(fact):
        return Part.ORDER, f"{fact.order.direction}/{fact.order.id}"
    return None


def _is_look(fact: Fact) -> bool:
    return fact.source is Source.SNAPSHOT and fact.part is Part.ORDER


def _touched(findings: Findings) -> dict[str, set[str]]:
    """The keys of all wants that a slice may write or strike."""
    keys: dict[str, set[str]] = {}
    for want in (*findings.wants, *findings.answered, *findings.failed):
        keys.setdefault(want.part, set()).add(want.ref)
    for fact in findings.facts:
        if key := _answered_by(fact):
            keys.setdefault(key[0], set()).add(key[1])
    return keys


def _known_since(want: Want, order: Mapping[str, Any] | None, covered: Mapping[str, datetime]) -> bool:
    """Whether what an order want asks for has been read already, safely after the event that caused it. A list
    without anything new about an order says that it is as it was, if it has shown it at all."""
    if order is None:
        return False
    listed = order.get("last_read_at") is not None and not order.get("misses")
    looks = (order.get("last_read_at"), covered.get(want.direction or "") if listed else None)
    return _is_known(want, order.get("document_said_at"), *looks)


def _known_before(want: Want, order: Mapping[str, Any] | None) -> bool:
    """The same for what a look at the order itself leaves open: only what stood before that look can tell."""
    return order is not None and _is_known(want, order.get("said_before"), order.get("read_before"))


def _is_known(want: Want, shown: datetime | None, *looks: datetime | None) -> bool:
    if want.part is not Part.ORDER or want.since is None:
        return False
    # A time in whole seconds may lie anywhere in its second, so an equal one proves nothing.
    if shown and (shown > want.since or (shown == want.since and want.since.microsecond)):
        return True
    return any(at is not None and at >= want.since + SETTLED for at in looks)


def pending(tx: Connection, account_id: int, now: datetime | None) -> tuple[Want, ...]:
    """The wants whose pause is over at `now` (all of them, when it is None), oldest first."""
    wants = []
    for row in tx.execute(_PENDING, {"account_id": account_id}):
        if now is not None and row.not_before is not None and row.not_before > now:
            continue
        head, id = row.ref.split("/", 1)
        part = Part(row.kind)
        wants.append(
            Want(
                part,
                id,
                direction=None if part is Part.EVENT else Direction(head),
                feed=head if part is Part.EVENT else None,
                since=row.since,
                noted_at=row.wanted_at,
                expected=row.expected,
                answer=row.answer,
                answers=row.answers,
            )
        )
    return tuple(wants)

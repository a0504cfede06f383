"""What we knew at a moment: the facts that had been read by then, folded with the present words.

Facts are no part of the contract's views, so this asks the tables themselves; a database role that may only read
the views is told so. An order whose facts were pruned cannot be answered for, and is named.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

from sqlalchemy import Connection, Row, func, select
from sqlalchemy.exc import DBAPIError

from aggregator.core.account import Account
from aggregator.core.clocks import clocks
from aggregator.core.fold import begun_by, fold
from aggregator.core.model import Fact, Source
from aggregator.core.past import judged
from aggregator.core.standing import NUMBER_FIELDS, Held, Number, Standing
from aggregator.errors import ConfigError
from aggregator.store import engine as engines
from aggregator.store.accounts import id_of
from aggregator.store.facts import decoded
from aggregator.store.queries import PORTION, Reader, plain
from aggregator.store.rows import ref_of
from aggregator.store.statements import several, table_of
from aggregator.store.tables import ChangeRow, FactRow, OrderRow
from aggregator.store.texts import described

View = dict[str, Any]
FORBIDDEN = "42501"  # SQLSTATE: insufficient privilege


@dataclass(frozen=True, slots=True)
class Then:
    """An order as we knew it, its row as the view would have shown it. `owed`: the announcements (by the
    provider's id) whose content was not there yet."""

    order: View
    standing: Standing
    owed: frozenset[str]

    def numbers(self, rows: Iterable[View]) -> list[View]:
        """Of these rows of `v1_numbers` those that were known then, as they were known."""
        known = self.standing.numbers
        return [_number(row, known[key], self.order) for row in rows if (key := row["number_key"]) in known]

    def reasons(self) -> list[View]:
        """The rows that `v1_reasons` would have shown."""
        return [_reason(self.order["order_id"], held) for held in self.standing.reasons]


class Past:
    """A reader of the database as of one moment."""

    def __init__(
        self,
        reader: Reader,
        accounts: Mapping[str, Account],
        at: datetime,
        keep_ended: timedelta,
        *,
        happened: bool = False,
    ) -> None:
        self.reader = reader
        self.happened = happened
        """Whether what had happened by then is asked for, as far as is known now, and not what was known then."""
        self.accounts = dict(accounts)
        self.at = at.astimezone(UTC)
        self.keep_ended = keep_ended
        self.unanswered: list[str] = []
        """Why what is asked cannot be answered, a line for each order or account."""

    def orders(self, rows: Iterable[View]) -> Iterator[Then]:
        """Of these rows of `v1_orders` those that were known then, as they were known."""
        seen = plain("", self.at)
        known = (row for row in rows if self.happened or row["first_seen_at"] <= seen)
        while portion := list(islice(known, PORTION)):
            yield from self._portion({row["order_id"]: row for row in portion})

    def _portion(self, rows: Mapping[str, View]) -> Iterator[Then]:
        with _readable(), self.reader.engine.connect() as connection:
            self._describe(connection, {row["account"] for row in rows.values()})
            facts = self._facts(connection, rows)
            changed = self._changed(connection, rows)
        for name, row in rows.items():
            if name in facts:
                standing = fold(None, facts[name], self.at) if self.happened else fold(None, facts[name])
                order = self._order(row, standing, facts[name], changed.get(name))
                yield Then(order, standing, frozenset() if self.happened else _owed(facts[name]))

    def _describe(self, connection: Connection, accounts: Iterable[str]) -> None:
        """Read reasons with what the providers say today that they mean."""
        for name in self.accounts.keys() & set(accounts):
            account_id = id_of(connection, name)
            if account_id is not None:
                self.accounts[name] = described(connection, self.accounts[name], account_id)

    def _facts(self, connection: Connection, rows: Mapping[str, View]) -> dict[str, list[Fact]]:
        fact, order = table_of(FactRow), table_of(OrderRow)
        query = select(fact, order.c.order_id).join(order, order.c.id == fact.c.order_pk)
        if not self.happened:
            query = query.where(fact.c.read_at <= self.at)
        facts: dict[str, list[Fact]] = {}
        for said in several(connection, query, order.c.order_id, rows):
            row = rows[said.order_id]
            account = self.accounts.get(row["account"])
            if account is None:
                continue
            told = _fact(row, said, account)
            if not self.happened or begun_by(told, self.at):
                facts.setdefault(said.order_id, []).append(told)
        for name, row in rows.items():
            if row["account"] not in self.accounts:
                self._unanswered(f"{row['account']}: not configured any more, so its words are not known")
            elif name not in facts and not (self.happened and self._has_facts(connection, name)):
                self._unanswered(f"{name}: its facts of that time were pruned")
        return facts

    def _has_facts(self, connection: Connection, order_id: str) -> bool:
        """Whether there are facts of an order at all: then what is asked for lies before all that was told of it."""
        fact, order = table_of(FactRow), table_of(OrderRow)
        query = select(fact.c.id).join(order, order.c.id == fact.c.order_pk)
        return connection.execute(query.where(order.c.order_id == order_id).limit(1)).first() is not None

    def _told(self, change: Any) -> Any:
        """When a change happened (where nobody told: when it was seen), or when it was told."""
        seen = change.c.observed_at
        return func.coalesce(change.c.occurred_at, seen) if self.happened else seen

    def _unanswered(self, why: str) -> None:
        if why not in self.unanswered:
            self.unanswered.append(why)

    def _changed(self, connection: Connection, rows: Mapping[str, View]) -> dict[str, Row[Any]]:
        """The newest change of each order that had been told by then."""
        change, order = table_of(ChangeRow), table_of(OrderRow)
        query = (
            select(
                order.c.order_id,
                func.max(change.c.seq).label("seq"),
                func.max(change.c.observed_at).label("at"),
            )
            .join(order, order.c.id == change.c.order_pk)
            .where(self._told(change) <= self.at)
            .group_by(order.c.order_id)
        )
        return {row.order_id: row for row in several(connection, query, order.c.order_id, rows)}

    def _order(self, row: View, standing: Standing, facts: list[Fact], changed: Row[Any] | None) -> View:
        order, account = standing.order, self.accounts[row["account"]]
        looks = [fact.read_at for fact in facts if fact.source is Source.SNAPSHOT]
        said: View = order._asdict()
        said |= judged(order, clocks(order, standing.ref.direction, account), self.at, self.keep_ended)
        said |= {
            "map_version": account.words.version,
            "reasons": list(order.reasons),
            "last_read_ok_at": max(looks, default=None),
            "last_seq": changed.seq if changed else None,
            "last_changed_at": changed.at if changed else None,  # the rows of that time were pruned
        }
        return {name: plain(name, said[name]) if name in said else value for name, value in row.items()}


def _fact(row: View, said: Row[Any], account: Account) -> Fact:
    ref = ref_of(row)
    told = (said.source, said.source_id, said.part, said.as_of, said.read_at, said.said)
    return decoded(ref, *told, account.words)


def _owed(facts: Iterable[Fact]) -> frozenset[str]:
    """The announcements that had come without their content, and not again with it."""
    known = {fact.source_id for fact in facts if fact.source is Source.EVENT}
    bare = {name.removesuffix("/bare") for name in known if name.endswith("/bare")}
    return frozenset(name.partition("/")[2] for name in bare - known)


def _number(line: View, number: Number, order: View) -> View:
    said: View = {name: getattr(number, name) for name in NUMBER_FIELDS}
    said["last_seq"] = order["last_seq"]
    return {name: plain(name, said[name]) if name in said else value for name, value in line.items()}


def _reason(order_id: str, held: Held) -> View:
    said = {
        "order_id": order_id,
        "number_key": held.number_key or None,
        "code": held.code,
        "raw_code": held.raw_code,
        "raw_text": held.raw_text,
        "waiting_on": held.waiting_on,
        "from_at": held.since,
        "to_at": held.until,
    }
    return {name: plain(name, value) for name, value in said.items()}


@contextmanager
def _readable() -> Iterator[None]:
    """Whoever may read the views only is told what is missing."""
    with engines.translated():
        try:
            yield
        except DBAPIError as error:
            if getattr(error.orig, "sqlstate", None) == FORBIDDEN:
                raise ConfigError(
                    "what was known then is computed from the stored facts, which this database role may not "
                    "read: ask with the daemon's role"
                ) from error
            raise

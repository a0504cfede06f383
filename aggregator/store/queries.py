"""What the read-only verbs ask: the `v1_` views, with bound filters and sort columns from a fixed list."""

import json
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from aggregator.core.normalise import number as number_key
from aggregator.errors import ConfigError, SchemaError, StoreError
from aggregator.store import engine as engines
from aggregator.store import schema

BOOLEANS = frozenset(
    [
        "needs_us",
        "is_open",
        "foc_is_firm",
        "messaging_open",
        "is_mixed",
        "requirements_met",
        "is_stuck",
        "is_current",
        "late",
        "regression",
        "unexpected",
        "initial",
        "payload_complete",
        "configured",
        "stale",
        "is_quiet",
        "fast_port",
    ]
)
JSON_COLUMNS = frozenset({"reasons", "payload"})
LARGEST = 100_000
MANY = 1 << 31  # more than there can be
ALIKE = 500  # names that are looked at for a hint
PORTION = 500  # rows fetched at a time: a long answer is never in memory whole

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class View:
    """How one view is filtered and sorted: the column that `since` and `until` speak of, and the order."""

    name: str
    order: str
    time: str | None
    columns: frozenset[str]


def _view(name: str, order: str, time: str | None, columns: str) -> View:
    return View(f"v1_{name}", order, time, frozenset(columns.split()))


VIEWS = {
    "waiting": _view(
        "waiting",
        "urgency, deadline_at is null, deadline_at, waiting_since",
        "waiting_since",
        "account provider direction state customer_reference",
    ),
    "groups": _view("groups", "account, group_key", None, "account provider group_key state"),
    "orders": _view(
        "orders",
        "is_open desc, last_changed_at desc, order_id",
        "last_changed_at",
        "order_id account provider direction state customer_reference is_open is_stuck",
    ),
    "changes": _view(
        "changes", "seq", "observed_at", "account provider direction customer_reference order_id kind"
    ),
    "events": _view("events", "occurred_at, event_id", "occurred_at", "account provider order_id"),
    "feeds": _view("feeds", "account, feed", "last_attempt_at", "account provider"),
    "accounts": _view("accounts", "account", None, "account provider"),
    "unknown": _view("unknown_words", "account, vocabulary, word", "last_seen_at", "account provider"),
    "quarantine": _view("quarantine", "last_seen_at desc, quarantine_id", "last_seen_at", "account provider"),
    "numbers": _view("numbers", "order_id, number_key", None, "order_id number_key account provider"),
    "reasons": _view("reasons", "from_at", None, "order_id"),
    "comments": _view("comments", "occurred_at", None, "order_id"),
    "timeline": _view("timeline", "sort_at, entry_id", "sort_at", "order_id number_key"),
}
OF_ORDERS = frozenset({"direction", "state", "customer_reference"})
"""What every view of rows that belong to orders can be filtered by: where it lacks the column, their orders decide."""


def open_reader(url: str, schema_name: str = "porting") -> "Reader":
    """Open the database to read. It is never created; one without our schema raises SchemaError."""
    address = engines.address_of(url)
    if address.get_backend_name() == "sqlite" and not Path(address.database or "").exists():
        raise ConfigError(f"no database yet at {address.database}; type: porting-aggregator poll")
    engine = engines.connect(url, schema_name, read_only=True)
    return Reader(engine)


class Reader:
    """The views, for programs that only read."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def close(self) -> None:
        """Let the connection go."""
        self.engine.dispose()

    def select(
        self,
        view: str,
        filters: Mapping[str, object] | None = None,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        after: int | None = None,
        limit: int | None = None,
        newest: bool = False,
        without: Collection[str] = (),
    ) -> list[Row]:
        """Rows of a view, oldest or most pressing first; with `newest`, the last `limit` rows of that order.
        Never more than `LARGEST`. Of changes, those of other attributes than the columns `without`."""
        limit = min(limit or LARGEST, LARGEST)
        return list(self.query(*self._asked(view, filters, since, until, after, limit, newest, without)))

    def each(
        self,
        view: str,
        filters: Mapping[str, object] | None = None,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int | None = None,
        newest: bool = False,
    ) -> Iterator[Row]:
        """The rows of a view one by one, as many as there are, of which only a few are in memory at a time;
        with `newest`, the last `limit` of them."""
        statement, values = self._asked(view, filters, since, until, None, limit, newest)
        with self._connected() as connection:
            streaming = connection.execution_options(yield_per=PORTION)
            with streaming.execute(text(statement), values) as found:
                for row in found.mappings():
                    yield {name: plain(name, value) for name, value in row.items()}

    def _asked(
        self,
        view: str,
        filters: Mapping[str, object] | None,
        since: datetime | None,
        until: datetime | None,
        after: int | None,
        limit: int | None,
        newest: bool,
        without: Collection[str] = (),
    ) -> tuple[str, dict[str, object]]:
        """The statement that asks for these rows, and its values."""
        known = VIEWS[view]
        where, values = _where(known, filters or {})
        for name, sign, at in (("since", ">=", since), ("until", "<", until)):
            if at is not None:
                if known.time is None:
                    raise ValueError(f"{known.name} has no {name}")
                where.append(f"{known.time} {sign} :{name}")
                values[name] = self._instant(at)
        if after is not None:
            where.append("seq > :after")
            values["after"] = after
        if without:
            hidden = {f"without_{number}": name for number, name in enumerate(sorted(without))}
            named = ", ".join(f":{name}" for name in hidden)
            where.append(f"not (kind = 'attribute_changed' and field in ({named}))")
            values |= hidden
        query = f"select * from {known.name}"
        query += f" where {' and '.join(where)}" if where else ""
        bound = f" limit {min(limit, MANY)}" if limit else ""
        if newest and bound:
            back = ", ".join(f"{part.strip()} desc" for part in known.order.split(","))
            query, bound = f"select * from ({query} order by {back}{bound}) as newest", ""
        return f"{query} order by {known.order}{bound}", values

    def query(self, statement: str, values: Mapping[str, object]) -> Iterator[Row]:
        """Run one of our own statements and give its rows as plain values."""
        with self._connected() as connection:
            rows = connection.execute(text(statement), values).mappings().all()
        for row in rows:
            yield {name: plain(name, value) for name, value in row.items()}

    @contextmanager
    def _connected(self) -> Iterator[Connection]:
        """A connection; what fails for want of our schema says so."""
        with engines.translated():
            try:
                with self.engine.connect() as connection:
                    yield connection
            except DBAPIError:
                try:
                    schema.explain(self.engine)
                except SchemaError:
                    raise
                except StoreError:
                    pass  # a mere reader may not look; its own error says enough
                raise

    def _instant(self, at: datetime) -> object:
        at = at.astimezone(UTC)
        return at.strftime("%Y-%m-%dT%H:%M:%S.%fZ") if self.engine.dialect.name == "sqlite" else at

    def identity(self) -> Row:
        """The change feed's name, floor and newest seq."""
        for row in self.query("select * from v1_feed_identity", {}):
            return row
        raise StoreError("the database has not been used yet; type: porting-aggregator poll")

    def orders_named(self, name: str) -> list[str]:
        """The order_ids that a name means: an order_id, a provider's id, a support key, first as it is written, then
        in any case; else a prefix of one."""
        columns = ("order_id", "provider_order_id", "support_key")
        exact = " or ".join(f"{column} = :name" for column in columns)
        in_any_case = " or ".join(f"lower({column}) = lower(:name)" for column in columns)
        like = " or ".join(rf"lower({column}) like lower(:start) escape '\'" for column in columns)
        asked = {"name": name, "start": f"{_literal(name)}%"}
        for means in (exact, in_any_case, like) if len(name) >= 3 else (exact, in_any_case):
            given = {key: value for key, value in asked.items() if f":{key}" in means}
            rows = self.query(f"select order_id from v1_orders where {means} order by order_id", given)
            if found := [row["order_id"] for row in rows]:
                return found
        return []

    def names_like(self, name: str) -> list[str]:
        """Names of orders that begin or end alike, for a hint at what may have been meant."""
        columns = ("order_id", "provider_order_id", "support_key")
        ends = {"start": f"{_literal(name[:3])}%", "end": f"%{_literal(name[-4:])}"}
        like = " union all ".join(
            rf"select {column} as name from v1_orders where {column} like :start escape '\' "
            rf"or {column} like :end escape '\'"
            for column in columns
        )
        query = f"select name from ({like}) as names order by name limit {ALIKE}"
        return [row["name"] for row in self.query(query, ends)]

    def number_keys(self, written: str) -> list[str]:
        """The keys a number may be stored under, however it is written."""
        regions = {row["region"] for row in self.select("accounts")} or {"US"}
        keys = {number_key(written, region)[0] for region in regions}
        digits = "".join(filter(str.isdigit, written))
        keys |= {digits, f"+{digits}"}
        found = []
        for key in sorted(keys):
            query = "select distinct number_key from v1_numbers where number_key = :key"
            found += [row["number_key"] for row in self.query(query, {"key": key})]
        return found


def _literal(text: str) -> str:
    """A text in a pattern of `like … escape '\\'`, meaning itself."""
    return text.replace("\\", "\\\\").replace("%", r"\%").replace("_", r"\_")


def _where(known: View, filters: Mapping[str, object]) -> tuple[list[str], dict[str, object]]:
    """The conditions of some filters (of a list, any value will do); those of columns that the view lacks speak of the rows' orders."""
    there = known.columns | (OF_ORDERS if "order_id" in known.columns else frozenset())
    for name in filters:
        if name not in there:
            raise ValueError(f"{known.name} has no filter {name}")
    where, foreign, values = list[str](), list[str](), dict[str, object]()
    for name, value in filters.items():
        many = (
            {f"{name}_{n}": one for n, one in enumerate(value)} if isinstance(value, list) else {name: value}
        )
        values |= many
        condition = f"{name} in ({', '.join(f':{bound}' for bound in many)})"
        (where if name in known.columns else foreign).append(condition)
    if foreign:
        where.append(f"order_id in (select order_id from v1_orders where {' and '.join(foreign)})")
    return where, values


def plain(name: str, value: object) -> object:
    """A view's value the same from both databases: instants as `…Z`, dates, booleans, lists."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    if isinstance(value, date):
        return value.isoformat()
    if name in BOOLEANS and value is not None:
        return bool(value)
    if name in JSON_COLUMNS and isinstance(value, str):
        return json.loads(value)
    return value

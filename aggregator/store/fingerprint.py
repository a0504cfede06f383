"""Whether a database has the tables, columns and views of this version. Its revision alone does not say so: a build
between two releases, or a hand, may have made other ones under the same number.
"""

import re
from collections.abc import Iterator

from sqlalchemy import Connection, Table, text

from aggregator.store import views
from aggregator.store.tables import TABLES

_COLUMNS = {
    "sqlite": text(
        'select m.name, c.name as field, c.type as kind, c."notnull" and c.dflt_value is null and not c.pk as owed '
        "from sqlite_master m, pragma_table_info(m.name) c where m.type = 'table'"
    ),
    "postgresql": text(
        "select c.relname as name, a.attname as field, format_type(a.atttypid, a.atttypmod) as kind, "
        "a.attnotnull and not a.atthasdef and a.attidentity = '' as owed "
        "from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped "
        "where c.relnamespace = current_schema()::regnamespace and c.relkind in ('r', 'p')"
    ),
}
_VIEWS = {
    "sqlite": text("select name, sql as made from sqlite_master where type = 'view'"),
    "postgresql": text(
        "select relname as name, obj_description(oid, 'pg_class') as made from pg_class "
        "where relnamespace = current_schema()::regnamespace and relkind = 'v'"
    ),
}
_CALLED = {"varchar": "character varying", "float": "double precision"}
"""Types that Postgres calls otherwise than SQL does."""


def of_tables(tx: Connection) -> list[str]:
    """What is wrong with the tables, one text for each fault. Tables of others are their own business."""
    found: dict[str, dict[str, tuple[str, bool]]] = {}
    for row in tx.execute(_COLUMNS[tx.dialect.name]):
        found.setdefault(row.name, {})[row.field] = row.kind.lower(), bool(row.owed)
    wrong: list[str] = []
    for name, table in sorted(TABLES.items()):
        wrong += (
            _of_table(name, dict(_columns(tx, table)), found[name]) if name in found else [f"no table {name}"]
        )
    return wrong


def _of_table(name: str, wanted: dict[str, str], found: dict[str, tuple[str, bool]]) -> Iterator[str]:
    for column, kind in wanted.items():
        if column not in found:
            yield f"{name} has no column {column}"
        elif found[column][0] != kind:
            yield f"{name}.{column} is {found[column][0]}, not {kind}"
    for column, (_, owed) in found.items():
        if owed and column not in wanted:  # one that may stay empty harms nobody
            yield f"{name} has a column {column}, which nobody fills"


def of_views(tx: Connection) -> list[str]:
    """The same for the views. SQLite keeps a view's text as it was written; for Postgres, which does not,
    `views.create` leaves a mark beside it."""
    is_file = tx.dialect.name == "sqlite"
    made = {row.name: row.made or "" for row in tx.execute(_VIEWS[tx.dialect.name])}
    wrong = []
    for name, statement in views.statements(tx.dialect.name):
        if name not in made:
            wrong.append(f"no view {name}")
        elif _plain(made[name]) != _plain(statement) if is_file else made[name] != views.mark(statement):
            wrong.append(f"{name} is made otherwise")
    return wrong


def _columns(tx: Connection, table: Table) -> Iterator[tuple[str, str]]:
    for column in table.columns:
        kind = column.type.compile(tx.dialect).lower()
        yield column.name, _CALLED.get(kind, kind) if tx.dialect.name == "postgresql" else kind


def _plain(statement: str) -> str:
    return re.sub(r"\s+", " ", statement).strip().lower()

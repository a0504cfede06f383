"""The views readers may rely on: one text for both databases, with the few words that differ filled in."""

import re
from hashlib import sha256
from pathlib import Path

from sqlalchemy import Connection, inspect

from aggregator.core.states import ROLLED_UP

VERSION_TABLE = "schema_version"
SOURCE = Path(__file__).with_name("views.sql")
_WORD = re.compile(r"@(\w+)\(")

_STATES = [(f"'{state}'", str(rank)) for rank, state in enumerate(ROLLED_UP, 1)]
_BOTH = {
    "rank": " ".join(("case {0}", *(f"when {state} then {rank}" for state, rank in _STATES), "end")),
    "ranked": " ".join(("case {0}", *(f"when {rank} then {state}" for state, rank in _STATES), "end")),
    "step": "case when {0} is null then {1} else {0} || ' → ' || coalesce({1}, '') end",
    "moved": "case when {0}.kind in ('order_seen', 'number_added') or {0}.kind = 'number_removed' and "
    "{0}.field = '' then null else case when {0}.field = '' then '' else {0}.field || ': ' end || "
    "coalesce({0}.old_value, '') || ' → ' || coalesce({0}.new_value, '') end",
}
_SQLITE = {
    **_BOTH,
    "json": "{0}",
    "ago": "strftime('%Y-%m-%dT%H:%M:%fZ', 'now', (-({0})) || ' seconds')",
    "later": "max(coalesce({0}, {1}), coalesce({1}, {0}))",
    "no": "0",
}
_POSTGRES = {
    **_BOTH,
    "json": "{0}::jsonb",
    "ago": "now() - make_interval(secs => ({0}))",
    "later": "greatest({0}, {1})",
    "no": "false",
}


def statements(dialect: str) -> list[tuple[str, str]]:
    """(name, statement) of each view, in the order in which they can be made."""
    source = re.sub(r"--.*", "", SOURCE.read_text(encoding="utf-8"))
    source = _filled(source, _SQLITE if dialect == "sqlite" else _POSTGRES)
    views = [view.strip() for view in source.split(";") if view.strip()]
    return [(re.findall(r"create view (\w+)", view)[0], view) for view in views]


def _filled(source: str, words: dict[str, str]) -> str:
    """Each `@word(…)` replaced by what the database calls it, from the inside out."""
    while found := list(_WORD.finditer(source)):
        start = found[-1]
        end = start.end()
        depth = 1
        while depth:
            depth += {"(": 1, ")": -1}.get(source[end], 0)
            end += 1
        inside = source[start.end() : end - 1]
        parts = inside.split(",") if start[1] in ("later", "step") else [inside]
        source = source[: start.start()] + words[start[1]].format(*map(str.strip, parts)) + source[end:]
    return source


def create(tx: Connection) -> None:
    """Make every view."""
    for name, statement in statements(tx.dialect.name):
        tx.exec_driver_sql(statement)
        if tx.dialect.name == "postgresql":
            tx.exec_driver_sql(f"comment on view {name} is '{mark(statement)}'")


def mark(statement: str) -> str:
    """What stands beside a view in Postgres, which keeps no view's text as it was written."""
    return f"porting-aggregator {sha256(statement.encode()).hexdigest()[:16]}"


def drop(tx: Connection) -> list[str]:
    """Drop every view of ours that is there; returns their names."""
    there = set(inspect(tx).get_view_names())
    ours = [name for name, _ in reversed(statements(tx.dialect.name)) if name in there]
    for name in ours:
        tx.exec_driver_sql(f"drop view {name}")
    return ours

"""The statements that write and find many rows at once: Core, in executemany form, each compiled once.

A statement is built once, with its module, and told its parameters when it runs: to build it anew costs four times
as much as to run it.

The columns' own types convert the values, but a value that was met a short while ago not again: the same few
instants stand in most rows of a slice, and converting each of them took a quarter of the time a slice takes.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import itemgetter
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Dialect,
    Row,
    Select,
    Table,
    Text,
    any_,
    bindparam,
    delete,
    func,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError
from sqlmodel import SQLModel

INSERT: dict[str, Any] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}
STYLES = {"sqlite": "qmark", "postgresql": "format"}  # by position, which the drivers take quickest
MANY = 50  # from so many rows on, COPY is worth its round trips
CONVERTED = 8_192  # values that are remembered for each type
OURS = "b_"  # a parameter that stands beside the column of that name

Model = type[SQLModel]
Names = tuple[str, ...]
Line = Mapping[str, Any] | tuple[Any, ...]


def table_of(model: Model) -> Table:
    """The table behind a model."""
    table: Table = model.__table__  # type: ignore[attr-defined]
    return table


# --- writing --------------------------------------------------------------------------------------------


def insert(
    tx: Connection, model: Model, rows: Sequence[Line], columns: Names = (), unless_there: Names = ()
) -> None:
    """Insert rows, each by its columns' names or as a tuple of these `columns`; with `unless_there` (a key), those
    that are there already are left as they are."""
    if not rows:
        return
    if tx.dialect.name == "postgresql" and not unless_there and len(rows) >= MANY:
        _copy(tx, model, rows, columns)
    else:
        _many(tx, rows, _inserting, model, columns or tuple(rows[0]), unless_there, columns=columns)


def upsert(
    tx: Connection,
    model: Model,
    keys: Names,
    rows: Sequence[Mapping[str, Any]],
    only: Names = (),
    keep_if_null: Names = (),
) -> None:
    """Insert rows or update those that are there (`only` these columns, where given)."""
    if rows:
        _many(tx, rows, _upserting, model, tuple(rows[0]), keys, only, keep_if_null)


def alter(
    tx: Connection, model: Model, keys: Names, rows: Sequence[Line], only: Names, columns: Names = ()
) -> None:
    """Update these columns of rows that are there; the rows as `insert` takes them."""
    if rows:
        _many(tx, rows, _altering, model, keys, only, columns=columns)


def remove(tx: Connection, model: Model, keys: Names, rows: Sequence[Mapping[str, Any]]) -> None:
    """Delete the rows with these keys."""
    if rows:
        _many(tx, rows, _removing, model, keys)


def _inserting(dialect: str, model: Model, columns: Names, unless_there: Names) -> Any:
    statement = INSERT[dialect](table_of(model)).values({name: bindparam(name) for name in columns})
    return statement.on_conflict_do_nothing(index_elements=unless_there) if unless_there else statement


def _upserting(
    dialect: str, model: Model, columns: Names, keys: Names, only: Names, keep_if_null: Names
) -> Any:
    table = table_of(model)
    statement = INSERT[dialect](table).values({name: bindparam(name) for name in columns})
    changed: dict[str, Any] = {}
    for name in columns:
        if name not in keys and (not only or name in only):
            new = statement.excluded[name]
            changed[name] = func.coalesce(new, table.c[name]) if name in keep_if_null else new
    return statement.on_conflict_do_update(index_elements=keys, set_=changed)


def _altering(dialect: str, model: Model, keys: Names, only: Names) -> Any:
    values: dict[str, Any] = {name: bindparam(f"{OURS}{name}") for name in only}
    return update(table_of(model)).where(*_here(model, keys)).values(values)


def _removing(dialect: str, model: Model, keys: Names) -> Any:
    return delete(table_of(model)).where(*_here(model, keys))


def _here(model: Model, keys: Names) -> Iterator[ColumnElement[bool]]:
    return (table_of(model).c[name] == bindparam(f"{OURS}{name}") for name in keys)


# --- executemany ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A statement as the driver takes it: its text, its parameters in order, and how some are converted."""

    text: str
    parameters: Names
    converters: Mapping[str, Callable[[Any], Any]]


_ready: dict[tuple[Any, ...], _Prepared] = {}
_converting: dict[tuple[str, str], Callable[[Any], Any] | None] = {}
"""How values are converted, by database and type: most instants of a slice stand in several of its tables."""


def _many(
    tx: Connection, rows: Sequence[Line], build: Callable[..., Any], *of: Any, columns: Names = ()
) -> None:
    prepared = _prepared(tx, build, *of)
    tx.exec_driver_sql(prepared.text, list(_lines(prepared, rows, columns)))


def _copy(tx: Connection, model: Model, rows: Sequence[Line], columns: Names) -> None:
    """New rows by COPY, which takes Postgres a third of the time."""
    prepared = _prepared(tx, _inserting, model, columns or tuple(rows[0]), ())
    quoted = tx.dialect.identifier_preparer.quote_identifier
    names = ", ".join(map(quoted, prepared.parameters))
    statement = f"copy {quoted(table_of(model).name)} ({names}) from stdin"
    driver: Any = tx.connection.driver_connection
    failure = tx.dialect.loaded_dbapi.Error
    try:
        with driver.cursor() as cursor, cursor.copy(statement) as copy:
            for line in _lines(prepared, rows, columns):
                copy.write_row(line)
    except failure as error:
        raise DBAPIError.instance(statement, None, error, failure, dialect=tx.dialect) from error


def _prepared(tx: Connection, build: Callable[..., Any], *of: Any) -> _Prepared:
    key = (tx.dialect.name, build, *of)
    return _ready.get(key) or _ready.setdefault(key, _compiled(build(tx.dialect.name, *of), tx.dialect))


def _lines(prepared: _Prepared, rows: Sequence[Line], columns: Names) -> Iterator[tuple[Any, ...]]:
    """The rows as the driver takes them."""
    taken: list[Iterable[Any]] = []
    for parameter in prepared.parameters:
        name = parameter.removeprefix(OURS)
        values = map(itemgetter(columns.index(name) if columns else name), rows)
        convert = prepared.converters.get(parameter)
        taken.append(map(convert, values) if convert else values)
    return zip(*taken, strict=True)


def _compiled(statement: Any, dialect: Dialect) -> _Prepared:
    style = STYLES[dialect.name]
    compiled = statement.compile(dialect=type(dialect)(paramstyle=style))  # type: ignore[call-arg]
    converters = {}
    for name, parameter in compiled.binds.items():
        kind = (dialect.name, repr(parameter.type))
        if kind not in _converting:
            convert = parameter.type.dialect_impl(dialect).bind_processor(dialect)
            _converting[kind] = convert and lru_cache(maxsize=CONVERTED)(convert)
        if convert := _converting[kind]:
            converters[name] = convert
    return _Prepared(str(compiled), tuple(compiled.positiontup), converters)


# --- finding --------------------------------------------------------------------------------------------


def several(
    tx: Connection, statement: Select[Any], column: Column[Any], values: Iterable[Any], **parameters: Any
) -> Iterable[Row[Any]]:
    """The rows whose column is one of many values. They go as one parameter: a parameter for each would cost more
    than finding its row."""
    wanted = sorted(values)
    if not wanted:
        return ()
    many = wanted if tx.dialect.name == "postgresql" else json.dumps(wanted)
    return tx.execute(_among(tx.dialect.name, statement, column), {"wanted": many, **parameters})


@lru_cache(maxsize=64)
def _among(dialect: str, statement: Select[Any], column: Column[Any]) -> Select[Any]:
    """The statement, for rows whose column is one of the values of the parameter `wanted`."""
    if dialect == "postgresql":
        many: Any = bindparam("wanted", type_=postgresql.ARRAY(column.type))
        return statement.where(column == any_(many))
    one = func.json_each(bindparam("wanted", type_=Text())).table_valued("value")
    return statement.where(column.in_(select(one.c.value)))

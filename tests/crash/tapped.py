"""Every moment at which a process can die: before and after each statement of its driver, COMMIT and ROLLBACK too.

The tap sits below SQLAlchemy, in the driver's own connection and cursor, so that nothing that reaches a database
goes past it: not the pragmas of a new connection, and not those of a close.
"""

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Self

import psycopg
from sqlalchemy import Engine, event

Tap = Callable[[str, Any], None]
"""Told where we are, and the driver's connection."""


class _Taps:
    tap: Tap | None = None


def point(where: str, connection: Any = None) -> None:
    """A moment at which the process may die."""
    if _Taps.tap is not None:
        _Taps.tap(where, connection)


@contextmanager
def tapped(tap: Tap) -> Iterator[None]:
    """Tell `tap` of every moment, for connections that are made in here."""
    event.listen(Engine, "do_connect", _connect)
    _Taps.tap = tap
    try:
        yield
    finally:
        _Taps.tap = None
        event.remove(Engine, "do_connect", _connect)


def _connect(dialect: Any, record: Any, arguments: Any, options: dict[str, Any]) -> Any:
    if dialect.name == "postgresql":
        return Postgres.connect(*arguments, **options, cursor_factory=PostgresCursor)
    options["factory"] = Sqlite
    return None


def _around(connection: Any, what: str, do: Callable[[], Any]) -> Any:
    word = " ".join(what.split())[:60]
    point(f"before {word}", connection)
    done = do()
    point(f"after {word}", connection)
    return done


class SqliteCursor(sqlite3.Cursor):
    """A cursor that says what it does."""

    def execute(self, sql: str, parameters: Any = (), /) -> Self:
        do = super().execute
        _around(self.connection, sql, lambda: do(sql, parameters))
        return self

    def executemany(self, sql: str, parameters: Any, /) -> Self:
        do = super().executemany
        _around(self.connection, sql, lambda: do(sql, parameters))
        return self


class Sqlite(sqlite3.Connection):
    """A connection that says what it does."""

    def cursor(self, factory: Any = None) -> Any:
        return super().cursor(SqliteCursor)

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        cursor: SqliteCursor = self.cursor()
        return cursor.execute(sql, parameters)

    def commit(self) -> None:
        _around(self, "COMMIT", super().commit)

    def rollback(self) -> None:
        _around(self, "ROLLBACK", super().rollback)


class PostgresCursor(psycopg.Cursor[Any]):
    """A cursor that says what it does."""

    def execute(self, query: Any, *arguments: Any, **options: Any) -> Self:
        do = super().execute
        _around(self.connection, str(query), lambda: do(query, *arguments, **options))
        return self

    def executemany(self, query: Any, *arguments: Any, **options: Any) -> None:
        do = super().executemany
        _around(self.connection, str(query), lambda: do(query, *arguments, **options))


class Postgres(psycopg.Connection[Any]):
    """A connection that says what it does."""

    def commit(self) -> None:
        point("before COMMIT", self)
        point("COMMIT is sent", self)
        super().commit()
        point("after COMMIT", self)

    def rollback(self) -> None:
        _around(self, "ROLLBACK", super().rollback)


class Dropped(BaseException):
    """The process ends here, and its connections with it."""


def dropping_at(number: int, places: list[str]) -> Tap:
    """A tap that ends the process at this point, and cuts its connection; at "COMMIT is sent" it is cut when
    COMMIT is on its way and its answer is not read. `places` tells where we were."""
    connections: dict[int, Any] = {}

    def tap(where: str, connection: Any) -> None:
        if len(places) == number:
            raise Dropped  # a dead process does nothing more
        places.append(where)
        if connection is not None:
            connections[id(connection)] = connection
        if len(places) < number:
            return
        if where == "COMMIT is sent":
            connection.pgconn.send_query(b"COMMIT")
            connection.pgconn.flush()
        for one in connections.values():
            one.pgconn.finish()
        raise Dropped

    return tap


def buried(address: str) -> None:
    """Wait until the server has noticed that nobody is there any more."""
    others = (
        "select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
    )
    with psycopg.connect(address, autocommit=True) as connection:
        while (left := connection.execute(others).fetchone()) and left[0]:
            time.sleep(0.002)

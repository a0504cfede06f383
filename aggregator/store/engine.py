"""Connections: the same rules for every engine, whichever database is behind it.

SQLite: our own BEGIN IMMEDIATE (the driver's deferred transactions lose updates), WAL with FULL durability.
Postgres: everything lives in a schema of ours, found by the search path.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from aggregator.errors import StoreError

WRITER_LOCK = 0x706F7274  # the advisory lock every writing transaction takes first ("port")
BUSY_MS = 10_000


def connect(url: str, schema: str = "porting", *, read_only: bool = False) -> Engine:
    """An engine for a database URL; nothing is opened yet."""
    address = make_url(url)
    if address.get_backend_name() == "sqlite":
        return _sqlite(address.database or "", read_only)
    address = address.set(drivername="postgresql+psycopg")
    options = f"-c search_path={schema} -c timezone=UTC"
    if read_only:
        options += " -c default_transaction_read_only=on"
    engine = create_engine(
        address, connect_args={"options": options, "connect_timeout": 10}, pool_pre_ping=True
    )
    return engine.execution_options(schema_name=schema)


def _sqlite(path: str, read_only: bool) -> Engine:
    read_url = f"sqlite:///file:{Path(path).absolute()}?mode=ro&uri=true"
    engine = create_engine(read_url if read_only else f"sqlite:///{path}")

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _: object) -> None:
        connection.isolation_level = None
        connection.execute(f"PRAGMA busy_timeout={BUSY_MS}")
        connection.execute("PRAGMA foreign_keys=ON")
        if not read_only:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")

    return engine


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """One transaction of a writer. Writers follow one another, so ids and `seq` are drawn in commit order."""
    with translated(), engine.begin() as tx:
        if tx.dialect.name == "postgresql":
            tx.execute(text("select pg_advisory_xact_lock(:key)"), {"key": WRITER_LOCK})
        yield tx


@contextmanager
def translated() -> Iterator[None]:
    """The database's errors as ours: they name what failed, not the statement and not its values."""
    try:
        yield
    except DBAPIError as error:
        raise StoreError(
            f"database: {str(error.orig).splitlines()[0] if error.orig else error.code}"
        ) from error
    except SQLAlchemyError as error:
        raise StoreError(f"database: {type(error).__name__}") from error


def close(engine: Engine) -> None:
    """The last close of a clean stop. SQLite leaves WAL mode, so that a reader who may not write into the
    directory can open the file; while another process is connected that is refused, which is harmless."""
    engine.dispose()
    if engine.dialect.name == "sqlite":
        with suppress(SQLAlchemyError, sqlite3.Error):
            connection = engine.raw_connection()
            try:
                cursor = connection.cursor()
                cursor.execute("PRAGMA busy_timeout=100")
                cursor.execute("PRAGMA journal_mode=DELETE")
            finally:
                connection.close()
        engine.dispose()

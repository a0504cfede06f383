"""SQLite as we use it, as a dialect of SQLAlchemy's. Listeners on an engine would do as well, but whoever has any
pays for them at every statement.
"""

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from sqlalchemy import Date, DateTime, PoolProxiedConnection
from sqlalchemy.dialects import registry, sqlite
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.ext.compiler import compiles
from sqlmodel.sql.sqltypes import UTCDateTime

NAME = "sqlite+file"
BUSY_MS = 10_000
GONE = "the database file was taken away or replaced"
OPENED = "opened"
BEGIN = "begin"
"""What a connection's `info` holds for its next transaction, where it is not to begin as a reader's."""


class Instant(sqlite.DATETIME):
    """Instants are stored in SQLite as the views show them, so that a reader's filter can use an index."""

    def bind_processor(self, dialect: object) -> Callable[[Any], str | None]:
        """UTC → `YYYY-MM-DDTHH:MM:SS.ffffffZ`."""
        return lambda at: at and at.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


@compiles(UTCDateTime, "sqlite")
@compiles(Date, "sqlite")
def text_column(kind: object, compiler: object, **_: object) -> str:
    """Columns of times are text: SQLite takes `'2026'` for a number when it compares it with another kind."""
    return "TEXT"


class File(SQLiteDialect_pysqlite):
    """A database file. Its transactions begin when they are begun; the driver's deferred ones lose updates.

    A file that is taken away or replaced under a running process is still there for whoever has it open, and what
    is committed to it is lost. So each transaction looks whether its file is the one of that name, and one that
    was there is opened again, never created."""

    supports_statement_cache = True

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.colspecs = {**self.colspecs, DateTime: Instant}
        self.was_there = False
        self.file: str | None = None

    def connect(self, *where: Any, **how: Any) -> Any:
        """A connection to the file; one that is named by a URI is only read."""
        reads = str(where[0]).startswith("file:")
        if not reads:
            self.file = str(Path(where[0]).absolute())
            if self.was_there:
                where, how["uri"] = (f"{Path(self.file).as_uri()}?mode=rw",), True
            else:
                _make(self.file)
        connection: Any = super().connect(*where, **how)
        try:
            connection.isolation_level = None
            connection.execute(f"PRAGMA busy_timeout={BUSY_MS}")
            connection.execute("PRAGMA foreign_keys=ON")
            if not reads:
                connection.execute("PRAGMA journal_mode=WAL")
                connection.execute("PRAGMA synchronous=FULL")
        except BaseException:
            connection.close()
            raise
        self.was_there = True
        return connection

    def do_begin(self, dbapi_connection: PoolProxiedConnection) -> None:
        """Begin a transaction: a reader's, or what the connection was told."""
        if self.file is not None:
            here = _identity(self.file)
            if dbapi_connection.info.setdefault(OPENED, here) != here or here is None:
                raise self.loaded_dbapi.OperationalError(GONE)
        dbapi_connection.cursor().execute(dbapi_connection.info.pop(BEGIN, "BEGIN"))

    def is_disconnect(self, e: Any, connection: Any, cursor: Any) -> bool:
        """Whether a connection is of no more use."""
        return str(e) == GONE or super().is_disconnect(e, connection, cursor)


def _make(file: str) -> None:
    """An empty file where there is none, which nobody but its owner and group can read. SQLite would let
    everybody. What is wrong with its place is SQLite's to say."""
    with suppress(OSError):
        os.close(os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o640))


def _identity(file: str) -> tuple[int, int] | None:
    """What tells a file from another of the same name; None where there is none."""
    try:
        found = os.stat(file)
    except OSError:
        return None
    return found.st_dev, found.st_ino


registry.register(NAME.replace("+", "."), __name__, File.__name__)

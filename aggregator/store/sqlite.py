"""SQLite as we use it, as a dialect of SQLAlchemy's. Listeners on an engine would do as well, but whoever has any
pays for them at every statement.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import Date, DateTime, PoolProxiedConnection
from sqlalchemy.dialects import registry, sqlite
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.ext.compiler import compiles
from sqlmodel.sql.sqltypes import UTCDateTime

NAME = "sqlite+file"
BUSY_MS = 10_000
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
    """A database file. Its transactions begin when they are begun (the driver's deferred ones lose updates), and
    a file that was there is opened again, never created: one that is taken away under a running process must not
    leave an empty one in its place."""

    supports_statement_cache = True

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.colspecs = {**self.colspecs, DateTime: Instant}
        self.was_there = False

    def connect(self, *where: Any, **how: Any) -> Any:
        """A connection to the file; one that is named by a URI is only read."""
        file = str(where[0])
        reads = file.startswith("file:")
        if self.was_there and not reads:
            where, how["uri"] = (f"{Path(file).absolute().as_uri()}?mode=rw",), True
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
        dbapi_connection.cursor().execute(dbapi_connection.info.pop(BEGIN, "BEGIN"))


registry.register(NAME.replace("+", "."), __name__, File.__name__)

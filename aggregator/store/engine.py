"""Connections: the same rules for every engine, whichever database is behind it.

SQLite: our own BEGIN IMMEDIATE for writers (the driver's deferred transactions lose updates), WAL with FULL
durability. Postgres: everything lives in a schema of ours, found by the search path.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import unquote, urlsplit

from sqlalchemy import (
    URL,
    Connection,
    Engine,
    NullPool,
    create_engine,
    event,
    make_url,
    text,
)
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, SQLAlchemyError, StatementError

from aggregator.errors import ConfigError, StoreError, Unusable
from aggregator.store import failures, postgres, sqlite

WRITER_LOCK = 0x706F7274  # the advisory lock every writing transaction takes first ("port")
_LOCK = text("select pg_advisory_xact_lock(:key), current_schema(), current_setting('search_path')")
VALUES = ("22", "23", "54")  # SQLSTATE: bad data, a broken constraint, a value beyond the database's limits
OVERFLOW = 20
"""Connections beside the five that stay open: one for each poll that waits for its turn to write, and some for the
daemon's own work, which must not wait behind them."""


class Unstorable(StoreError):
    """The database cannot hold a value it was given; trying again would not help."""


def user_of(url: str) -> str | None:
    """The database user that a URL names, if it names one."""
    return address_of(url).username


def address_of(url: str) -> URL:
    """A database URL taken apart. The message never holds it: there may be a password in it."""
    try:
        return make_url(url)
    except (ValueError, SQLAlchemyError):
        wrong = "cannot be taken apart (in a user's name or password, write @ as %40, : as %3A, / as %2F)"
        raise ConfigError(f"the database's URL {wrong}") from None


def connect(url: str, schema: str = "porting", *, read_only: bool = False) -> Engine:
    """An engine for a database URL; nothing is opened yet."""
    address = address_of(url)
    if address.get_backend_name() == "sqlite":
        return _sqlite(address.database or "", read_only)
    address = address.set(drivername="postgresql+psycopg")
    engine = create_engine(
        address,
        connect_args=postgres.arguments(schema, read_only),
        pool_pre_ping=True,
        max_overflow=OVERFLOW,
        isolation_level="READ COMMITTED",  # a writer that waited for its turn must see what the one before it did
        hide_parameters=True,  # else an error's traceback shows the values of a row
    )
    event.listen(engine, "connect", lambda connection, _: postgres.checked(connection, schema))
    return engine.execution_options(schema_name=schema)


def _sqlite(path: str, read_only: bool) -> Engine:
    if not read_only:
        url = URL.create(sqlite.NAME, database=path)
        return create_engine(url, hide_parameters=True, max_overflow=OVERFLOW)
    # No connection outlives its question: one that idles would keep a writer from leaving WAL mode, and would go
    # on reading a file that has been replaced.
    uri = Path(path).absolute().as_uri()
    url = URL.create(sqlite.NAME, database=uri, query={"mode": "ro", "uri": "true"})
    return create_engine(url, poolclass=NullPool, hide_parameters=True)


@contextmanager
def writing(engine: Engine, lock: int = WRITER_LOCK) -> Iterator[Connection]:
    """One transaction of a writer. Writers follow one another, so ids and `seq` are drawn in commit order."""
    with translated(), _reconnecting(engine), engine.connect() as tx:
        if tx.dialect.name == "sqlite":
            tx.info[sqlite.BEGIN] = "BEGIN IMMEDIATE"
        with tx.begin():
            if tx.dialect.name == "postgresql":
                _, found, path = tx.execute(_LOCK, {"key": lock}).one()
                require_schema(tx, found, path)
            yield tx


@contextmanager
def _reconnecting(engine: Engine) -> Iterator[None]:
    """After a session that could not write, the next one is a new one: the address may lead elsewhere by now."""
    try:
        yield
    except DBAPIError as error:
        if (getattr(error.orig, "sqlstate", None) or "").startswith(postgres.GONE):
            engine.dispose()
        raise


def require_schema(tx: Connection, found: str | None, path: str) -> None:
    """Raise Unusable where a transaction on Postgres would not write into our schema."""
    ours = tx.get_execution_options()["schema_name"]
    if not postgres.is_ours(found, path, ours):
        raise Unusable(postgres.elsewhere(found or path, ours))


@contextmanager
def translated() -> Iterator[None]:
    """The database's errors as ours: they name what failed, not the statement and not its values."""
    try:
        yield
    except DBAPIError as error:
        what = f"database: {str(error.orig).splitlines()[0] if error.orig else error.code}"
        sqlstate = getattr(error.orig, "sqlstate", None) or ""
        if (remedy := failures.remedy(error)) is not None:
            raise Unusable(f"{what}: {remedy}") from error
        bad = isinstance(error, DataError | IntegrityError) or sqlstate.startswith(VALUES)
        raise (Unstorable if bad else StoreError)(what) from error
    except StatementError as error:
        raise Unstorable(f"database: {type(error.orig).__name__} in a value") from error
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


def missing_folder(engine: Engine) -> Path | None:
    """The folder that a SQLite file should lie in, where there is none."""
    if engine.dialect.name != "sqlite" or not engine.url.database:
        return None
    folder = Path(engine.url.database).absolute().parent
    return None if folder.is_dir() else folder


def file_of(engine: Engine) -> Path:
    """The file behind an engine for SQLite, which writes or reads."""
    name = engine.url.database or ""
    return Path(unquote(urlsplit(name).path)) if name.startswith("file:") else Path(name)

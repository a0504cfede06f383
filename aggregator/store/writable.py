"""Whether the database may be written, asked without writing anything: reading works on a standby, too, and for a role
or a user without the right to write."""

import sqlite3
from contextlib import closing

from sqlalchemy import Engine, bindparam, text

from aggregator.errors import StoreError, Unusable
from aggregator.store import failures
from aggregator.store.engine import file_of, translated
from aggregator.store.tables import TABLES

PATIENCE_S = 1.0
_READ_ONLY = text("select pg_is_in_recovery() or current_setting('transaction_read_only')::boolean")
_LACKING = text(
    "select relname from pg_class where relnamespace = current_schema()::regnamespace and relname in :ours and not "
    "(has_table_privilege(oid, 'select') and has_table_privilege(oid, 'insert') "
    "and has_table_privilege(oid, 'update') and has_table_privilege(oid, 'delete')) order by relname limit 1"
).bindparams(bindparam("ours", expanding=True))


def require(engine: Engine) -> None:
    """Raise StoreError where nothing can be written for now, Unusable where that does not pass by itself."""
    if engine.dialect.name == "sqlite":
        _file(engine)
        return
    with translated(), engine.connect() as connection:
        read_only = connection.execute(_READ_ONLY).scalar()
        lacking = connection.execute(_LACKING, {"ours": sorted(TABLES)}).scalar()
    if read_only:
        engine.dispose()  # the address may lead to another server by now
        raise StoreError("database: it can only be read now: a standby, or set to read-only")
    if lacking:
        raise Unusable(f"database: permission denied to write table {lacking}: {failures.RIGHTS}")


def _file(engine: Engine) -> None:
    uri = f"{file_of(engine).absolute().as_uri()}?mode=rw"
    try:
        with closing(sqlite3.connect(uri, uri=True, isolation_level=None, timeout=PATIENCE_S)) as database:
            database.execute("BEGIN IMMEDIATE")
            database.execute("ROLLBACK")
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY:
            return  # somebody writes
        remedy = failures.of_file(error)
        what = f"database: {error}"
        raise (Unusable(f"{what}: {remedy}") if remedy else StoreError(what)) from error

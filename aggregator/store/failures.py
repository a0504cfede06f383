"""Failures of the database that do not pass by themselves, and what to do about each. Waiting and trying again is for
all others."""

import sqlite3

from sqlalchemy.exc import DBAPIError

from aggregator.store import postgres

UPGRADE = "porting-aggregator db upgrade"
TABLES = f"its tables or views are not this version's; type: {UPGRADE}"
RIGHTS = (
    f"the role lacks a right; as the owner ([database] owner_url), type: {UPGRADE} "
    "(for a reader: porting-aggregator db grant-reader ROLE)"
)
_SQLSTATES = {
    "3F000": f"there is no such schema; type: {UPGRADE}",
    "42501": RIGHTS,
    "42703": TABLES,
    "42P01": TABLES,
    "42883": TABLES,
}
_DAMAGED = (
    "the file is damaged, or is no SQLite database: put a backup back (then type: porting-aggregator db restored), "
    "or name another file in [database] url"
)
_CODES = {
    sqlite3.SQLITE_CORRUPT: _DAMAGED,
    sqlite3.SQLITE_NOTADB: _DAMAGED,
    sqlite3.SQLITE_READONLY: "who runs this may not write the file; type it as the user who owns it",
}


def remedy(error: DBAPIError) -> str | None:
    """What somebody must do before a failed statement can ever succeed; None where trying again may help."""
    sqlstate = getattr(error.orig, "sqlstate", None)
    if sqlstate is not None:
        return _SQLSTATES.get(sqlstate)
    return of_file(error.orig) if isinstance(error.orig, sqlite3.Error) else postgres.refused(error)


def of_file(error: sqlite3.Error) -> str | None:
    """The same for SQLite's own errors."""
    if str(error).startswith(("no such table", "no such column")):
        return TABLES
    code = getattr(error, "sqlite_errorcode", 0)
    if code == sqlite3.SQLITE_READONLY or code & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return _CODES[code & 0xFF]
    return None

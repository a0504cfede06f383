"""SQLite's write-ahead log: how long it is, and what cuts it short again.

SQLite takes it back into the file every thousand pages, but not past the oldest transaction that somebody still reads
in: a reader that sits in one makes it grow without end. Writers are not slowed down, the disk fills.
"""

import os
import sqlite3
from contextlib import closing, suppress

from sqlalchemy import Engine

from aggregator.errors import StoreError

LONG = 32 * 2**20
"""Bytes that it never reaches while readers come and go."""
PATIENCE_S = 0.1  # nobody can write meanwhile


def length(file: str) -> int:
    """The bytes of a database's; 0 where there is none."""
    with suppress(OSError):
        return os.stat(f"{file}-wal").st_size
    return 0


def shorten(engine: Engine) -> str | None:
    """Take a long one back into the file and cut it; returns what is wrong when it stays long."""
    file = engine.url.database
    if engine.dialect.name != "sqlite" or not file or length(file) < LONG:
        return None
    try:
        with closing(sqlite3.connect(file, isolation_level=None, timeout=PATIENCE_S)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    except sqlite3.Error as error:
        raise StoreError(f"database: {error}") from error
    return grown(file)


def grown(file: str) -> str | None:
    """What is wrong with a database whose write-ahead log is long."""
    if (size := length(file)) < LONG:
        return None
    return (
        f"{file}-wal has {size // 2**20} MB: a reader sits in a transaction and keeps it from being taken back "
        f"into the database (find it: fuser '{file}-wal')"
    )

"""A consistent copy of a SQLite file, and which files it may take the place of: never the database's own, and no
file that is something else.
"""

import os
import sqlite3
import stat
import tempfile
from contextlib import closing, suppress
from pathlib import Path

from sqlalchemy import Engine

from aggregator.errors import StoreError, Unusable
from aggregator.store import failures, sqlite

BESIDE = ("", "-wal", "-shm", "-journal")
"""What SQLite calls the files of one database, after its name."""
_OURS = "select count(*) from sqlite_master where type = 'table' and name in ('schema_version', 'port_order')"


def refusal(engine: Engine, target: Path, *, force: bool = False) -> str | None:
    """Why no copy may be written to `target`, or None. With `force` it may take the place of any file that is not
    in use as a database."""
    target = Path(os.path.realpath(target))
    database = Path(os.path.realpath(engine.url.database or ""))
    for end in BESIDE:
        own = Path(f"{database}{end}")
        if own == target or (target.exists() and own.exists() and own.samefile(target)):
            return f"{target} is {'the database itself' if not end else 'a part of the database itself'}"
    if not target.parent.is_dir():
        return f"there is no folder {target.parent}"
    for end in BESIDE[1:]:
        if Path(f"{target}{end}").exists():
            return f"{target}{end} lies there: {target} is in use as a database; name another file"
    if not os.path.lexists(target):
        return None
    if not stat.S_ISREG(target.stat().st_mode):
        return f"{target} is not a file"
    if not force and not _is_ours(target):
        return f"{target} is there and is no copy of ours; name another file, or replace it with --force"
    return None


def copy(engine: Engine, target: Path, *, force: bool = False) -> None:
    """A consistent copy of a SQLite file, as committed now, with the same rights. A copy of ours that stands there
    already is replaced once the new one is whole; StoreError when something else does, or when none can be made."""
    if (why := refusal(engine, target, force=force)) is not None:
        raise Unusable(f"database: no copy could be made: {why}")
    source = Path(engine.url.database or "").absolute()
    target = Path(os.path.realpath(target))
    unfinished: Path | None = None
    try:
        mode = source.stat().st_mode & 0o777
        descriptor, name = tempfile.mkstemp(prefix=".porting-", suffix=".part", dir=target.parent)
        unfinished = Path(name)
        os.fchmod(descriptor, mode)
        os.close(descriptor)
        with closing(sqlite3.connect(f"{source.as_uri()}?mode=ro", uri=True, isolation_level=None)) as reader:
            reader.execute(f"PRAGMA busy_timeout={sqlite.BUSY_MS}")
            reader.execute("VACUUM INTO ?", (name,))
        with unfinished.open("rb") as written:
            os.fsync(written.fileno())
        unfinished.replace(target)
        _keep_name(target.parent)
    except (sqlite3.Error, OSError) as error:
        if unfinished is not None:
            with suppress(OSError):
                unfinished.unlink(missing_ok=True)
        what = f"database: no copy could be made at {target}: {error}"
        remedy = failures.of_file(error) if isinstance(error, sqlite3.Error) else None
        raise (Unusable(f"{what}: {remedy}") if remedy else StoreError(what)) from error


def _keep_name(folder: Path) -> None:
    """The new name survives a loss of power too."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _is_ours(file: Path) -> bool:
    """Whether a file is a database of this program, whichever version made it."""
    try:
        with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)) as database:
            (found,) = database.execute(_OURS).fetchone()
    except sqlite3.Error:
        return False
    return bool(found == 2)

"""The schema: made, upgraded and checked by Alembic revisions, with the views dropped before and made again
after, in one transaction of ours. A failed upgrade leaves the old schema whole.
"""

from pathlib import Path

from sqlalchemy import Connection, Engine, inspect, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.schema import CreateSchema

from aggregator.errors import SchemaError, StoreError
from aggregator.store import failures, fingerprint
from aggregator.store.backup import copy
from aggregator.store.engine import require_schema, translated, writing
from aggregator.store.failures import UPGRADE
from aggregator.store.grants import grant_writer
from aggregator.store.views import VERSION_TABLE

MIGRATIONS = Path(__file__).parent / "migrations"
_NOT_SO = "the database says that it has schema {}, but it is not made so ({})"
FEW = 3
"""So many faults of a schema are named."""
_IN_USE = text("select current_schema(), current_setting('search_path')")
_REVISION = text(f"select version_num from {VERSION_TABLE}")
UPGRADE_LOCK = 0x75706772  # held while a schema is upgraded ("upgr")
INSTALL = "in that version's checkout, type: make install"


def upgrade(engine: Engine, writer: str | None = None) -> tuple[str | None, str]:
    """Bring the schema to this version; returns the revisions before and after. Of a SQLite file that has to
    change a copy is kept beside it. `writer` is the Postgres role that polls, where another one owns the
    tables."""
    with writing(engine, UPGRADE_LOCK) as tx:
        if tx.dialect.name == "postgresql":
            schema = engine.get_execution_options()["schema_name"]
            tx.execute(CreateSchema(schema, if_not_exists=True))
            require_schema(tx, *tx.execute(_IN_USE).one())
        before = revision(tx)
        if before is not None and before not in _revisions():
            raise SchemaError(_unfit(before))
        if tx.dialect.name == "sqlite" and before not in (None, head()):
            copy(engine, kept_beside(engine, str(before)))
        if before == head() and (wrong := fingerprint.of_tables(tx)):
            raise SchemaError(_by_another_build(head(), wrong))
        _migrate_all(tx, before)
        _require_made_so(tx)
        if writer is not None:
            grant_writer(tx, writer)
        return before, head()


def _migrate_all(tx: Connection, before: str | None) -> None:
    """Every revision that is missing. What these find otherwise than the revision before left it is said."""
    try:
        _migrate(tx)
    except DBAPIError as error:
        if failures.remedy(error) != failures.TABLES or before is None:
            raise
        raise SchemaError(_by_another_build(before, str(error.orig).splitlines()[:1])) from error


def _migrate(tx: Connection) -> None:
    from alembic import command  # a seventh of what a start of the program takes, which seldom needs it
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = tx
    command.upgrade(config, "head")


def kept_beside(engine: Engine, before: str) -> Path:
    """Where the copy of a SQLite file is kept that an upgrade from this revision makes first."""
    path = Path(engine.url.database or "")
    return path.with_name(f"{path.name}.schema-{before}")


def head() -> str:
    """The revision this version of the program needs."""
    return max(_revisions())


def _revisions() -> set[str]:
    """The revisions, which are numbered one after the other; a file's name begins with its own."""
    return {path.name.partition("_")[0] for path in (MIGRATIONS / "versions").glob("[0-9]*_*.py")}


def revision(tx: Connection) -> str | None:
    """The database's revision, or None where there is no schema yet."""
    if not inspect(tx).has_table(VERSION_TABLE):
        return None
    found: str | None = tx.execute(_REVISION).scalar()
    return found


def is_empty(engine: Engine) -> bool:
    """Whether there is nothing at all in the database yet."""
    with translated(), engine.connect() as connection:
        return not inspect(connection).get_table_names()


def require(engine: Engine) -> None:
    """Raise SchemaError with the command to type, unless the schema is the one this version needs."""
    with translated(), engine.connect() as connection:
        if (found := revision(connection)) != head():
            raise SchemaError(_unfit(found))
        _require_made_so(connection)


def _require_made_so(tx: Connection) -> None:
    """The tables and views, too, must be those of this version: the revision's number does not prove it."""
    if wrong := fingerprint.of_tables(tx):
        raise SchemaError(_by_another_build(head(), wrong))
    if wrong := fingerprint.of_views(tx):
        raise SchemaError(f"{_NOT_SO.format(head(), _some(wrong))}; type: {UPGRADE}")


def _by_another_build(revision: str, wrong: list[str]) -> str:
    return (
        f"{_NOT_SO.format(revision, _some(wrong))}: another build made it. Keep it, name a new one in [database] url, "
        "and fill that: porting-aggregator backfill ACCOUNT --since …"
    )


def _some(faults: list[str]) -> str:
    return ", ".join(faults[:FEW]) + (f" and {len(faults) - FEW} more" if len(faults) > FEW else "")


def explain(engine: Engine) -> None:
    """After a failure: raise SchemaError if the schema is the reason. A mere reader may not see its revision."""
    try:
        require(engine)
    except SchemaError:
        raise
    except StoreError:
        return


def _unfit(found: str | None) -> str:
    if found is None:
        return f"the database has no schema yet; type: {UPGRADE}"
    what = f"the database has schema {found}, this version needs {head()}"
    if found in _revisions():
        return f"{what}; type: {UPGRADE}"
    return f"{what}: a newer version made it; {INSTALL}"

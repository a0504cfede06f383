"""The schema: made, upgraded and checked by Alembic revisions, with the views dropped before and made again
after, in one transaction of ours. A failed upgrade leaves the old schema whole.
"""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, inspect, text

from aggregator.errors import SchemaError
from aggregator.store.engine import translated

MIGRATIONS = Path(__file__).parent / "migrations"
UPGRADE_LOCK = 0x75706772  # held while a schema is upgraded ("upgr")
UPGRADE = "porting-aggregator db upgrade"


def upgrade(engine: Engine) -> tuple[str | None, str]:
    """Bring the schema to this version; returns the revisions before and after."""
    schema = engine.get_execution_options().get("schema_name")
    with translated(), engine.begin() as tx:
        if tx.dialect.name == "postgresql":
            tx.execute(text("select pg_advisory_xact_lock(:key)"), {"key": UPGRADE_LOCK})
            tx.execute(text(f'create schema if not exists "{schema}"'))
        before = revision(tx)
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        config.attributes["connection"] = tx
        command.upgrade(config, "head")
        return before, head()


def head() -> str:
    """The revision this version of the program needs."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    return str(ScriptDirectory.from_config(config).get_current_head())


def revision(tx: Connection) -> str | None:
    """The database's revision, or None where there is no schema yet."""
    return MigrationContext.configure(tx, opts={"version_table": "schema_version"}).get_current_revision()


def is_empty(engine: Engine) -> bool:
    """Whether there is nothing at all in the database yet."""
    with translated(), engine.connect() as connection:
        return not inspect(connection).get_table_names()


def require(engine: Engine) -> None:
    """Raise SchemaError with the command to type, unless the schema is the one this version needs."""
    with translated(), engine.connect() as connection:
        found = revision(connection)
    if found == head():
        return
    what = "has no schema yet" if found is None else f"has schema {found}, this version needs {head()}"
    raise SchemaError(f"the database {what}; type: {UPGRADE}")

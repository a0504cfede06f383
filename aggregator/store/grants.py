"""Who may do what in Postgres. Readers get the views and nothing else; a daemon with a role of its own gets
the rows of tables that another role owns. On SQLite the file's permissions say all this.
"""

from collections.abc import Iterable, Mapping

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import ProgrammingError

from aggregator.errors import ConfigError, SchemaError, Unusable
from aggregator.store import views
from aggregator.store.engine import translated
from aggregator.store.failures import UPGRADE
from aggregator.store.tables import TABLES

MAKE_ROLE = "create role {role} login nosuperuser nocreatedb nocreaterole"
READER = (
    "revoke create on schema {schema} from public, {role}",
    "revoke all on {tables} from public, {role}",
    "revoke temporary on database {database} from public, {role}",
    "grant connect on database {database} to {role}",
    "grant usage on schema {schema} to {role}",
    "grant select on {views} to {role}",
    "alter role {role} connection limit 20",
    "alter role {role} in database {database} set search_path = {schema}",
    "alter role {role} in database {database} set statement_timeout = '60s'",
    "alter role {role} in database {database} set idle_in_transaction_session_timeout = '60s'",
)
WRITER = (
    "grant usage on schema {schema} to {role}",
    "grant select, insert, update, delete on {tables} to {role}",
    "grant select on {views} to {role}",
)
WRITES = text("select has_table_privilege(:role, 'port_order', 'insert')")
STILL_MAY = text(
    "select format('table %s', c.relname) from pg_class c "
    "where c.relnamespace = current_schema()::regnamespace and c.relkind in ('r', 'p') and "
    "(has_table_privilege(:role, c.oid, 'select, insert, update, delete, truncate, references, trigger') "
    "or has_any_column_privilege(:role, c.oid, 'select, insert, update, references')) "
    "union all select 'new tables' where has_schema_privilege(:role, current_schema(), 'create') "
    "union all select 'temporary tables' "
    "where has_database_privilege(:role, current_database(), 'temporary')"
)
MAY_READ = text(
    "select c.relname as view, coalesce(g.rolname, 'public') as role from pg_class c, aclexplode(c.relacl) a "
    "left join pg_roles g on g.oid = a.grantee where c.relnamespace = current_schema()::regnamespace "
    "and c.relkind = 'v' and a.privilege_type = 'SELECT' and a.grantee <> c.relowner"
)
FORBIDDEN = "42501"  # insufficient_privilege


def grant_reader(engine: Engine, role: str) -> bool:
    """Make a role a reader: of the `v1_` views, which it finds without naming the schema, and of nothing else.
    A role that is not there is made, without a password; returns whether it was. Doing it again is harmless.
    As Postgres cannot forbid one role what everybody may, nobody but the database's owner can make temporary
    tables there afterwards."""
    if engine.dialect.name != "postgresql":
        raise ConfigError("roles are for Postgres; a SQLite file can be read by whoever is in its group")
    with translated(), engine.begin() as tx:
        if tx.execute(text("select current_schema()")).scalar() is None:
            raise SchemaError(f"the database has no schema yet; type: {UPGRADE}")
        known = tx.execute(text("select 1 from pg_roles where rolname = :role"), {"role": role}).scalar()
        if known and tx.execute(WRITES, {"role": role}).scalar():
            raise Unusable(f"{role} writes here, as the daemon or an owner does; name another role")
        try:
            _run(tx, READER if known else (MAKE_ROLE, *READER), role)
        except ProgrammingError as error:
            if getattr(error.orig, "sqlstate", None) != FORBIDDEN:
                raise
            raise Unusable(
                f"{str(error.orig).splitlines()[0]}: making a reader needs a role that owns the database and "
                "may create roles ([database] owner_url)"
            ) from error
        # What a role may do also comes from the roles it belongs to, and from being a superuser.
        if left := tx.execute(STILL_MAY, {"role": role}).scalars().all():
            raise Unusable(
                f"{role} cannot be a mere reader, it would still have: {', '.join(left)} "
                "(is it a member of another role?)"
            )
        return not known


def grant_writer(tx: Connection, role: str) -> None:
    """Let the daemon's own role write rows into the tables; the schema stays their owner's."""
    if tx.dialect.name == "postgresql" and tx.execute(text("select current_user")).scalar() != role:
        _run(tx, WRITER, role)


def _run(tx: Connection, statements: Iterable[str], role: str) -> None:
    quoted = tx.dialect.identifier_preparer.quote_identifier
    schema, database = tx.execute(text("select current_schema(), current_database()")).one()
    names = {
        "role": quoted(role),
        "schema": quoted(schema),
        "database": quoted(database),
        "tables": ", ".join(map(quoted, [*sorted(TABLES), views.VERSION_TABLE])),
        "views": ", ".join(quoted(name) for name, _ in views.statements(tx.dialect.name)),
    }
    for statement in statements:
        tx.exec_driver_sql(statement.format(**names))


# --- over an upgrade, which drops the views and makes them again ----------------------------------------


def readers(tx: Connection) -> Mapping[str, frozenset[str]]:
    """Which views each role may read."""
    held: dict[str, set[str]] = {}
    if tx.dialect.name == "postgresql":
        for row in tx.execute(MAY_READ):
            held.setdefault(row.role, set()).add(row.view)
    return {role: frozenset(names) for role, names in held.items()}


def restore(tx: Connection, held: Mapping[str, frozenset[str]], dropped: Iterable[str]) -> None:
    """Let them read again what they could read before; who could read every view can read new ones too."""
    every = frozenset(dropped)
    now = frozenset(name for name, _ in views.statements(tx.dialect.name))
    quoted = tx.dialect.identifier_preparer.quote_identifier
    for role, names in held.items():
        if again := now if names >= every else names & now:
            what = ", ".join(map(quoted, sorted(again)))
            tx.exec_driver_sql(f"grant select on {what} to {quoted(role)}")

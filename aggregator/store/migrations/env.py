"""Run the revisions on the connection we are given, with the views out of the way."""

from alembic import context
from sqlmodel import SQLModel

from aggregator.store import grants, tables, views

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=SQLModel.metadata,
    render_as_batch=False,
    transactional_ddl=True,
    version_table=views.VERSION_TABLE,
)
assert tables.OrderRow.__tablename__ in SQLModel.metadata.tables
with context.begin_transaction():
    readers = grants.readers(connection)
    there = views.drop(connection)
    context.run_migrations()
    views.create(connection)
    grants.restore(connection, readers, there)

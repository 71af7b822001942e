"""Alembic's entry: it works on the connection, and inside the transaction, that `vmjira.store.upgrading` opened."""

from alembic import context

from vmjira.store.tables import VERSION_TABLE, metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()

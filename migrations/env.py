"""What Alembic runs for every command. minuted hands it a connection, and decides about the transaction itself."""

from alembic import context

from minuted_daemon.adapters.storage.schema import metadata

# SQLite can change few things of a table in place; a batch rebuilds the table instead.
context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()

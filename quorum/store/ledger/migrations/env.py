"""Alembic's environment: runs the migrations on the given connection."""

from alembic import context

from quorum.store.ledger.schema import metadata

config = context.config
connection = config.attributes.get("connection")

if connection is None:
    context.configure(
        dialect_name=config.attributes["dialect"],
        target_metadata=metadata,
        literal_binds=True,
    )
else:
    # SQLite cannot alter most of a table: Alembic creates a new one and copies the rows.
    context.configure(
        connection=connection,
        target_metadata=metadata,
        render_as_batch=connection.dialect.name == "sqlite",
        compare_type=True,
    )

with context.begin_transaction():
    context.run_migrations()

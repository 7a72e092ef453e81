"""How many verdicts were made when, kept by triggers.

A later migration that copies the table ``verdicts`` in SQLite must create its triggers anew.
"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

_KEY = "grain, action, category, first, writer"


def _sqlite(row: str, change: str) -> str:
    """The statement that adds ``change`` for a row of a trigger, ``new`` or ``old``."""
    return (
        f"INSERT INTO verdict_counts ({_KEY}, count) VALUES "  # noqa: S608 (constants)
        f"(CAST(strftime('%s', {row}.at) AS INTEGER) / 600, {row}.action, "
        f"COALESCE({row}.category, ''), {row}.revision = 1, 0, {change}) "
        f"ON CONFLICT ({_KEY}) DO UPDATE SET count = count + excluded.count;"
    )


def _postgres(row: str, change: str) -> str:
    return (
        f"INSERT INTO verdict_counts ({_KEY}, count) VALUES "  # noqa: S608 (constants)
        f"(CAST(floor(extract(epoch FROM {row}.at) / 600) AS bigint), {row}.action, "
        f"COALESCE({row}.category, ''), CASE WHEN {row}.revision = 1 THEN 1 ELSE 0 END, "
        f"pg_backend_pid(), {change}) "
        f"ON CONFLICT ({_KEY}) DO UPDATE SET count = verdict_counts.count + excluded.count;"
    )


_SQLITE = (
    f"CREATE TRIGGER verdicts_counted AFTER INSERT ON verdicts BEGIN {_sqlite('new', '1')} END",
    f"CREATE TRIGGER verdicts_uncounted AFTER DELETE ON verdicts BEGIN {_sqlite('old', '-1')} END",
    (
        "CREATE TRIGGER verdicts_recounted AFTER UPDATE OF at, action, category, revision "
        f"ON verdicts BEGIN {_sqlite('old', '-1')} {_sqlite('new', '1')} END"
    ),
    (
        "INSERT INTO verdict_counts "
        "SELECT CAST(strftime('%s', at) AS INTEGER) / 600, action, COALESCE(category, ''), "
        "revision = 1, 0, count(*) FROM verdicts GROUP BY 1, 2, 3, 4"
    ),
)

_POSTGRES = (
    (
        "CREATE FUNCTION count_verdict() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        f"IF TG_OP <> 'INSERT' THEN {_postgres('OLD', '-1')} END IF; "
        f"IF TG_OP <> 'DELETE' THEN {_postgres('NEW', '1')} END IF; "
        "RETURN NULL; END $$"
    ),
    (
        "CREATE TRIGGER verdicts_counted AFTER INSERT OR DELETE OR "
        "UPDATE OF at, action, category, revision ON verdicts "
        "FOR EACH ROW EXECUTE FUNCTION count_verdict()"
    ),
    (
        "INSERT INTO verdict_counts "
        "SELECT CAST(floor(extract(epoch FROM at) / 600) AS bigint), action, "
        "COALESCE(category, ''), "
        "CASE WHEN revision = 1 THEN 1 ELSE 0 END, 0, count(*) FROM verdicts GROUP BY 1, 2, 3, 4"
    ),
)


def upgrade() -> None:
    """Apply, and count what is there; of a million verdicts this takes some seconds."""
    op.create_table(
        "verdict_counts",
        sa.Column("grain", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("action", sa.String(length=16), nullable=False),
        sa.Column("category", sa.String(length=256), nullable=False),
        sa.Column("first", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("writer", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint(
            "grain", "action", "category", "first", "writer", name=op.f("pk_verdict_counts")
        ),
    )
    for statement in _SQLITE if op.get_context().dialect.name == "sqlite" else _POSTGRES:
        op.execute(statement)


def downgrade() -> None:
    """Undo."""
    if op.get_context().dialect.name == "sqlite":
        for name in ("verdicts_counted", "verdicts_uncounted", "verdicts_recounted"):
            op.execute(f"DROP TRIGGER {name}")
    else:
        op.execute("DROP TRIGGER verdicts_counted ON verdicts")
        op.execute("DROP FUNCTION count_verdict()")
    op.drop_table("verdict_counts")

"""The catalogue of reference works, and the kept fingerprints of uploads."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_LIVING = sa.text("NOT removed")


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "catalogue_works",
        sa.Column("serial", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("id", sa.String(length=256), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("facts", sa.Text(), nullable=False),
        sa.Column("content", sa.String(length=32), nullable=False),
        sa.Column("entries", sa.Integer(), nullable=False),
        sa.Column("seconds", sa.Float(), nullable=False),
        sa.Column("removed", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("serial", name=op.f("pk_catalogue_works")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_catalogue_works_id",
        "catalogue_works",
        ["id"],
        unique=True,
        sqlite_where=_LIVING,
        postgresql_where=_LIVING,
    )
    op.create_table(
        "catalogue_prints",
        sa.Column("serial", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("serial", name=op.f("pk_catalogue_prints")),
    )
    op.create_table(
        "catalogue_digests",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("serial", sa.Integer(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("digest", "serial", name=op.f("pk_catalogue_digests")),
    )
    op.create_table(
        "catalogue_state",
        sa.Column("name", sa.String(length=32), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_catalogue_state")),
    )
    op.create_table(
        "catalogue_uploads",
        sa.Column("id", sa.String(length=256), nullable=False),
        sa.Column("at", sa.String(length=40), nullable=False),
        sa.Column("upload", sa.LargeBinary(), nullable=False),
        sa.Column("labels", sa.Text(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_catalogue_uploads")),
    )
    op.create_index("ix_catalogue_uploads_at", "catalogue_uploads", ["at"])


def downgrade() -> None:
    """Undo."""
    for name in ("uploads", "state", "digests", "prints", "works"):
        op.drop_table(f"catalogue_{name}")

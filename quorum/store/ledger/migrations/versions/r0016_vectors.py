"""The embeddings of cases' texts, for search by meaning."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply; a console that searches by meaning fills it."""
    op.create_table(
        "case_vectors",
        sa.Column(
            "number", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True
        ),
        sa.Column("upload_id", sa.String(length=256), nullable=False),
        sa.Column("published_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("embedding", sa.String(length=64), nullable=False),
        sa.Column("vector", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_case_vectors")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_case_vectors_upload_id", "case_vectors", ["upload_id"], unique=True)


def downgrade() -> None:
    """Undo."""
    op.drop_index("ix_case_vectors_upload_id", "case_vectors")
    op.drop_table("case_vectors")

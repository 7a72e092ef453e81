"""The cases that were drawn for labels."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "samples",
        sa.Column("upload_id", sa.String(length=256), nullable=False),
        sa.Column("verdict_id", sa.String(length=256), nullable=False),
        sa.Column("probability", sa.Float(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("upload_id", name=op.f("pk_samples")),
    )


def downgrade() -> None:
    """Undo."""
    op.drop_table("samples")

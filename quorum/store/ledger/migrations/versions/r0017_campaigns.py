"""Decisions on campaigns that hold for their later members."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "standing_decisions",
        sa.Column("bulk", sa.String(length=256), nullable=False),
        sa.Column("campaign", sa.String(length=256), nullable=False),
        sa.Column("reviewer", sa.String(length=256), nullable=False),
        sa.Column("action", sa.String(length=16), nullable=False),
        sa.Column("category", sa.String(length=256)),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("taken", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("bulk", name=op.f("pk_standing_decisions")),
    )
    op.create_index("ix_standing_decisions_campaign", "standing_decisions", ["campaign"])


def downgrade() -> None:
    """Undo."""
    op.drop_index("ix_standing_decisions_campaign", "standing_decisions")
    op.drop_table("standing_decisions")

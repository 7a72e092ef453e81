"""The content that each verdict decided, and the client that made an upload."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply.

    Until now a verdict named no content. The current one was on the upload that is recorded, unless
    that was published after the verdict.
    """
    for table in ("verdicts", "cases"):
        op.add_column(table, sa.Column("content_at", sa.DateTime(timezone=True)))
    op.execute("UPDATE cases SET content_at = published_at WHERE published_at <= at")
    op.create_table(
        "owners",
        sa.Column("upload_id", sa.String(length=256), nullable=False),
        sa.Column("client", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("upload_id", name=op.f("pk_owners")),
    )


def downgrade() -> None:
    """Undo."""
    op.drop_table("owners")
    for table in ("cases", "verdicts"):
        op.drop_column(table, "content_at")

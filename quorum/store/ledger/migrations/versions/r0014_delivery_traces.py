"""Webhook deliveries continue the trace of their verdict."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column("deliveries", sa.Column("trace", sa.Text()))


def downgrade() -> None:
    """Undo."""
    op.drop_column("deliveries", "trace")

"""An index that finds what holds on an account's uploads by action, newest first."""

from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None

_NAME = "ix_cases_uploader_action_at"


def upgrade() -> None:
    """Apply."""
    op.create_index(_NAME, "cases", ["uploader", "action", "at"])


def downgrade() -> None:
    """Undo."""
    op.drop_index(_NAME, "cases")

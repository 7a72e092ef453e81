"""An index that holds all that the counts of the queues need."""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_NAME = "ix_tasks_state_category_kind_due_at"


def upgrade() -> None:
    """Apply."""
    op.create_index(_NAME, "tasks", ["state", "category", "kind", "due_at"])


def downgrade() -> None:
    """Undo."""
    op.drop_index(_NAME, "tasks")

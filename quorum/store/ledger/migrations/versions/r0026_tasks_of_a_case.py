"""An index of a case's tasks by their state; planners took one of all that wait instead."""

from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_index("ix_tasks_upload_id_state", "tasks", ["upload_id", "state"])
    op.drop_index("ix_tasks_upload_id", "tasks")


def downgrade() -> None:
    """Undo."""
    op.create_index("ix_tasks_upload_id", "tasks", ["upload_id"])
    op.drop_index("ix_tasks_upload_id_state", "tasks")

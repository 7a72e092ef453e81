"""An index of an uploader's tasks in the order of their expected harm."""

from alembic import op

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_index("ix_tasks_uploader_state_harm_id", "tasks", ["uploader", "state", "harm", "id"])
    op.drop_index("ix_tasks_uploader_state", "tasks")


def downgrade() -> None:
    """Undo."""
    op.create_index("ix_tasks_uploader_state", "tasks", ["uploader", "state"])
    op.drop_index("ix_tasks_uploader_state_harm_id", "tasks")

"""Indexes that find what holds on an account's uploads by action, and a kind's notices by time."""

from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None

_INDEXES = (
    ("ix_cases_uploader_action_at", "cases", ["uploader", "action", "at"]),
    ("ix_notices_kind_at_id_state", "notices", ["kind", "at", "id", "state"]),
)


def upgrade() -> None:
    """Apply."""
    for name, table, columns in _INDEXES:
        op.create_index(name, table, columns)


def downgrade() -> None:
    """Undo."""
    for name, table, _ in _INDEXES:
        op.drop_index(name, table)

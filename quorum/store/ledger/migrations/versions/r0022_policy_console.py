"""Policy drafts have a reason and golden cases, and are tried in the background."""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

_COLUMNS = (
    ("reason", sa.Text()),
    ("golden", sa.Text()),
    ("trial", sa.String(length=16)),
    ("trial_done", sa.Integer()),
    ("trial_total", sa.Integer()),
    ("trial_by", sa.String(length=256)),
    ("trial_at", sa.DateTime(timezone=True)),
    ("trial_error", sa.Text()),
)


def upgrade() -> None:
    """Apply; drafts from before have no reason, and are tried anew before they are proposed."""
    for name, kind in _COLUMNS:
        op.add_column("policy_drafts", sa.Column(name, kind))


def downgrade() -> None:
    """Undo."""
    for name, _ in reversed(_COLUMNS):
        op.drop_column("policy_drafts", name)

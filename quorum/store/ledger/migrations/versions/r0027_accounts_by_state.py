"""An index that finds the newest decisions on accounts that hold, or that a rule proposes."""

from alembic import op

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None

_NAME = "ix_account_verdicts_state_at_verdict_id"


def upgrade() -> None:
    """Apply."""
    op.create_index(_NAME, "account_verdicts", ["state", "at", "verdict_id"])


def downgrade() -> None:
    """Undo."""
    op.drop_index(_NAME, "account_verdicts")

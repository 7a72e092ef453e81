"""Keyed lines of the audit log, devices that users logged in from, reviewers' folded names."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply.

    Lines from before have no code of a key. Names of users hold ASCII alone, so that the database's
    own ``lower`` folds them.
    """
    op.add_column("audit_log", sa.Column("mac", sa.String(length=64)))
    op.create_index("ix_audit_log_subject_event", "audit_log", ["subject", "event"], unique=False)
    op.create_table(
        "known_devices",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("account", sa.String(length=64), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("digest", "account", name=op.f("pk_known_devices")),
    )
    op.create_index("ix_known_devices_expires_at", "known_devices", ["expires_at"], unique=False)
    op.execute("UPDATE tasks SET not_for = lower(not_for) WHERE not_for IS NOT NULL")
    op.execute("DELETE FROM login_failures")


def downgrade() -> None:
    """Undo."""
    op.drop_index("ix_known_devices_expires_at", "known_devices")
    op.drop_table("known_devices")
    op.drop_index("ix_audit_log_subject_event", "audit_log")
    op.drop_column("audit_log", "mac")

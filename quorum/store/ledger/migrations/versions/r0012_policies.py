"""The policies that were released, with their texts."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply; what consoles activated before is a release without a signature."""
    op.create_table(
        "policies",
        sa.Column("id", sa.String(length=256), nullable=False),
        sa.Column("version", sa.String(length=256), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("activated_by", sa.String(length=256), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("body", sa.Text()),
        sa.Column("attributes", sa.Text()),
        sa.Column("sent_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_policies")),
    )
    op.create_index("ix_policies_at_id", "policies", ["at", "id"], unique=False)
    op.create_index("ix_policies_version", "policies", ["version"], unique=False)
    op.execute(
        "INSERT INTO policies (id, version, at, activated_by, note, text) "
        "SELECT id, version, activated_at, activated_by, '', text FROM policy_drafts "
        "WHERE activated_at IS NOT NULL AND activated_by IS NOT NULL"
    )


def downgrade() -> None:
    """Undo."""
    op.drop_index("ix_policies_version", "policies")
    op.drop_index("ix_policies_at_id", "policies")
    op.drop_table("policies")

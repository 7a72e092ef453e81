"""Groups of cases: what they have in common, decisions on many of them, replies to uploaders."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply; the console writes the keys of cases that wait already."""
    op.create_table(
        "likeness_keys",
        sa.Column("key", sa.String(length=300), nullable=False),
        sa.Column("upload_id", sa.String(length=256), nullable=False),
        sa.PrimaryKeyConstraint("key", "upload_id", name=op.f("pk_likeness_keys")),
    )
    op.create_index("ix_likeness_keys_upload_id", "likeness_keys", ["upload_id"], unique=False)
    op.create_table(
        "sketches",
        sa.Column("upload_id", sa.String(length=256), nullable=False),
        sa.Column("sketch", sa.LargeBinary()),
        sa.PrimaryKeyConstraint("upload_id", name=op.f("pk_sketches")),
    )
    op.add_column("decisions", sa.Column("bulk", sa.String(length=256)))
    op.add_column("decisions", sa.Column("reply", sa.Text()))
    op.create_index("ix_decisions_bulk", "decisions", ["bulk"], unique=False)
    op.create_index("ix_tasks_uploader_state", "tasks", ["uploader", "state"], unique=False)


def downgrade() -> None:
    """Undo."""
    op.drop_index("ix_tasks_uploader_state", "tasks")
    op.drop_index("ix_decisions_bulk", "decisions")
    op.drop_column("decisions", "reply")
    op.drop_column("decisions", "bulk")
    op.drop_table("sketches")
    op.drop_index("ix_likeness_keys_upload_id", "likeness_keys")
    op.drop_table("likeness_keys")

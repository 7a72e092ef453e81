"""Legal notices: the notices, who sent them, what happened to each, and copies."""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "notices",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("upload_id", sa.String(length=256), nullable=True),
        sa.Column("location", sa.Text(), nullable=True),
        sa.Column("known", sa.Boolean(), nullable=False),
        sa.Column("uploader", sa.String(length=256), nullable=True),
        sa.Column("answers", sa.String(length=64), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("earliest_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("work", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("lacks", sa.Text(), nullable=False),
        sa.Column("client", sa.String(length=64), nullable=True),
        sa.Column("reference", sa.String(length=256), nullable=True),
        sa.Column("reporter_id", sa.String(length=64), nullable=False),
        sa.Column("token", sa.String(length=64), nullable=False),
        sa.Column("task_id", sa.String(length=256), nullable=True),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("decided_by", sa.String(length=256), nullable=True),
        sa.Column("action", sa.String(length=16), nullable=True),
        sa.Column("swept_to", sa.String(length=40), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notices")),
    )
    op.create_index("ix_notices_at_id", "notices", ["at", "id"], unique=False)
    op.create_index(
        "ix_notices_kind_state_due_at", "notices", ["kind", "state", "due_at"], unique=False
    )
    op.create_index("ix_notices_state_due_at", "notices", ["state", "due_at"], unique=False)
    op.create_index("ix_notices_task_id", "notices", ["task_id"], unique=False)
    op.create_index("ix_notices_token", "notices", ["token"], unique=False)
    op.create_index("ix_notices_upload_id", "notices", ["upload_id"], unique=False)
    op.create_index("ix_notices_uploader", "notices", ["uploader"], unique=False)
    op.create_table(
        "notice_people",
        sa.Column("notice_id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("phone", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("on_behalf", sa.Text(), nullable=False),
        sa.Column("signature", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("notice_id", name=op.f("pk_notice_people")),
    )
    op.create_table(
        "notice_events",
        sa.Column("notice_id", sa.String(length=64), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("event", sa.String(length=32), nullable=False),
        sa.Column("actor", sa.String(length=256), nullable=False),
        sa.Column("details", sa.Text(), nullable=False),
        sa.Column("logged", sa.Boolean(), nullable=False),
        sa.Column("told_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("notice_id", "number", name=op.f("pk_notice_events")),
    )
    op.create_index("ix_notice_events_logged", "notice_events", ["logged"], unique=False)
    op.create_index("ix_notice_events_told_at_at", "notice_events", ["told_at", "at"], unique=False)
    op.create_table(
        "notice_copies",
        sa.Column("notice_id", sa.String(length=64), nullable=False),
        sa.Column("upload_id", sa.String(length=256), nullable=False),
        sa.Column("how", sa.String(length=16), nullable=False),
        sa.Column("score", sa.Float(), nullable=False),
        sa.Column("found_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("task_id", sa.String(length=256), nullable=True),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("decided_by", sa.String(length=256), nullable=True),
        sa.PrimaryKeyConstraint("notice_id", "upload_id", name=op.f("pk_notice_copies")),
    )
    op.create_index(
        "ix_notice_copies_state_due_at", "notice_copies", ["state", "due_at"], unique=False
    )
    op.create_index("ix_notice_copies_task_id", "notice_copies", ["task_id"], unique=False)
    op.create_index("ix_notice_copies_upload_id", "notice_copies", ["upload_id"], unique=False)


def downgrade() -> None:
    """Undo."""
    for name in ("notice_copies", "notice_events", "notice_people", "notices"):
        op.drop_table(name)

"""Users' reports: reporters, reported contents, and the reports on them."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "reporters",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("client", sa.String(length=64), nullable=True),
        sa.Column("name", sa.String(length=256), nullable=False),
        sa.Column("sent", sa.Integer(), nullable=False),
        sa.Column("upheld", sa.Integer(), nullable=False),
        sa.Column("rejected", sa.Integer(), nullable=False),
        sa.Column("first_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("tokens", sa.Float(), nullable=False),
        sa.Column("tokens_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("suspended_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("suspended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("suspended_by", sa.String(length=256), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reporters")),
    )
    op.create_index("ix_reporters_rejected_id", "reporters", ["rejected", "id"], unique=False)
    op.create_index("ix_reporters_suspended_at", "reporters", ["suspended_at"], unique=False)
    op.create_table(
        "report_cases",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("upload_id", sa.String(length=256), nullable=True),
        sa.Column("content", sa.String(length=256), nullable=True),
        sa.Column("location", sa.Text(), nullable=True),
        sa.Column("known", sa.Boolean(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("category", sa.String(length=256), nullable=False),
        sa.Column("severity", sa.Integer(), nullable=False),
        sa.Column("trusted", sa.Boolean(), nullable=False),
        sa.Column("reports", sa.Integer(), nullable=False),
        sa.Column("doubt", sa.Float(), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("task_id", sa.String(length=256), nullable=True),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("outcome", sa.String(length=16), nullable=True),
        sa.Column("action", sa.String(length=16), nullable=True),
        sa.Column("decided_category", sa.String(length=256), nullable=True),
        sa.Column("decided_by", sa.String(length=256), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_report_cases")),
    )
    op.create_index(
        "ix_report_cases_closed_at_id", "report_cases", ["closed_at", "id"], unique=False
    )
    op.create_index(
        "ix_report_cases_opened_at_id", "report_cases", ["opened_at", "id"], unique=False
    )
    op.create_index(
        "ix_report_cases_state_task_id", "report_cases", ["state", "task_id"], unique=False
    )
    op.create_index(
        "ix_report_cases_state_trusted_due_at",
        "report_cases",
        ["state", "trusted", "due_at"],
        unique=False,
    )
    op.create_index("ix_report_cases_upload_id", "report_cases", ["upload_id"], unique=False)
    op.create_table(
        "reports",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("case_id", sa.String(length=64), nullable=False),
        sa.Column("reporter_id", sa.String(length=64), nullable=False),
        sa.Column("upload_id", sa.String(length=256), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("category", sa.String(length=256), nullable=False),
        sa.Column("law", sa.Boolean(), nullable=False),
        sa.Column("trusted", sa.Boolean(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("lacks", sa.Text(), nullable=False),
        sa.Column("client", sa.String(length=64), nullable=True),
        sa.Column("reference", sa.String(length=256), nullable=True),
        sa.Column("token", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("repeat", sa.Boolean(), nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("action", sa.String(length=16), nullable=True),
        sa.Column("told_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reports")),
    )
    op.create_index("ix_reports_at_id", "reports", ["at", "id"], unique=False)
    op.create_index("ix_reports_case_id", "reports", ["case_id"], unique=False)
    op.create_index("ix_reports_reporter_id_at", "reports", ["reporter_id", "at"], unique=False)
    op.create_index("ix_reports_token", "reports", ["token"], unique=False)
    op.create_index(
        "ix_reports_told_at_decided_at", "reports", ["told_at", "decided_at"], unique=False
    )
    op.create_index("ix_reports_upload_id", "reports", ["upload_id"], unique=False)


def downgrade() -> None:
    """Undo."""
    for name in ("reports", "report_cases", "reporters"):
        op.drop_table(name)

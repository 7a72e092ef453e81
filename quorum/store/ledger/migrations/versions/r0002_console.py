"""The tables of the reviewers' console, and the triggers that let the audit log only grow."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_TABLES = (
    "users",
    "sessions",
    "login_failures",
    "audit_log",
    "tasks",
    "skips",
    "decisions",
    "appeals",
    "golden_answers",
    "policy_drafts",
)


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "users",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("password", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("disabled", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_users")),
    )
    op.create_table(
        "sessions",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("user", sa.String(length=64), nullable=False),
        sa.Column("csrf", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_sessions")),
    )
    op.create_index("ix_sessions_expires_at", "sessions", ["expires_at"], unique=False)
    op.create_index("ix_sessions_user", "sessions", ["user"], unique=False)
    op.create_table(
        "login_failures",
        sa.Column("key", sa.String(length=256), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("last_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("blocked_until", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_login_failures")),
    )
    op.create_table(
        "audit_log",
        sa.Column("number", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("at", sa.String(length=40), nullable=False),
        sa.Column("actor", sa.String(length=256), nullable=False),
        sa.Column("event", sa.String(length=64), nullable=False),
        sa.Column("subject", sa.String(length=256), nullable=False),
        sa.Column("details", sa.Text(), nullable=False),
        sa.Column("previous", sa.String(length=64), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_audit_log")),
    )
    op.create_table(
        "tasks",
        sa.Column("id", sa.String(length=256), nullable=False),
        sa.Column("upload_id", sa.String(length=256), nullable=False),
        sa.Column("verdict_id", sa.String(length=256), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("category", sa.String(length=256), nullable=True),
        sa.Column("territories", sa.Text(), nullable=False),
        sa.Column("severity", sa.Integer(), nullable=False),
        sa.Column("harm", sa.Float(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("uploader", sa.String(length=256), nullable=True),
        sa.Column("score", sa.Float(), nullable=True),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("not_for", sa.String(length=256), nullable=True),
        sa.Column("only_for", sa.String(length=256), nullable=True),
        sa.Column("claimed_by", sa.String(length=256), nullable=True),
        sa.Column("claimed_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("outcome", sa.String(length=32), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tasks")),
    )
    op.create_index("ix_tasks_claimed_by_state", "tasks", ["claimed_by", "state"], unique=False)
    op.create_index(
        "ix_tasks_state_category_harm_id",
        "tasks",
        ["state", "category", "harm", "id"],
        unique=False,
    )
    op.create_index("ix_tasks_state_harm_id", "tasks", ["state", "harm", "id"], unique=False)
    op.create_index(
        "ix_tasks_state_opened_at_id", "tasks", ["state", "opened_at", "id"], unique=False
    )
    op.create_index("ix_tasks_upload_id", "tasks", ["upload_id"], unique=False)
    op.create_index("ix_tasks_verdict_id_kind", "tasks", ["verdict_id", "kind"], unique=False)
    op.create_table(
        "skips",
        sa.Column("task_id", sa.String(length=256), nullable=False),
        sa.Column("reviewer", sa.String(length=256), nullable=False),
        sa.Column("upload_id", sa.String(length=256), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("task_id", "reviewer", name=op.f("pk_skips")),
    )
    op.create_index("ix_skips_upload_id", "skips", ["upload_id"], unique=False)
    op.create_table(
        "decisions",
        sa.Column("id", sa.String(length=256), nullable=False),
        sa.Column("task_id", sa.String(length=256), nullable=False),
        sa.Column("upload_id", sa.String(length=256), nullable=False),
        sa.Column("verdict_id", sa.String(length=256), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("reviewer", sa.String(length=256), nullable=False),
        sa.Column("action", sa.String(length=16), nullable=False),
        sa.Column("category", sa.String(length=256), nullable=True),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("seconds", sa.Float(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_decisions")),
    )
    op.create_index("ix_decisions_kind_at", "decisions", ["kind", "at"], unique=False)
    op.create_index("ix_decisions_reviewer_at", "decisions", ["reviewer", "at"], unique=False)
    op.create_index("ix_decisions_state_due_at", "decisions", ["state", "due_at"], unique=False)
    op.create_index("ix_decisions_task_id", "decisions", ["task_id"], unique=False)
    op.create_index("ix_decisions_upload_id", "decisions", ["upload_id"], unique=False)
    op.create_table(
        "appeals",
        sa.Column("id", sa.String(length=256), nullable=False),
        sa.Column("upload_id", sa.String(length=256), nullable=False),
        sa.Column("verdict_id", sa.String(length=256), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("first_reviewer", sa.String(length=256), nullable=True),
        sa.Column("reviewer", sa.String(length=256), nullable=True),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("statement", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_appeals")),
    )
    op.create_index("ix_appeals_state_at", "appeals", ["state", "at"], unique=False)
    op.create_index("ix_appeals_upload_id", "appeals", ["upload_id"], unique=False)
    op.create_table(
        "golden_answers",
        sa.Column("upload_id", sa.String(length=256), nullable=False),
        sa.Column("action", sa.String(length=16), nullable=False),
        sa.Column("category", sa.String(length=256), nullable=True),
        sa.Column("author", sa.String(length=256), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("upload_id", name=op.f("pk_golden_answers")),
    )
    op.create_table(
        "policy_drafts",
        sa.Column("id", sa.String(length=256), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("version", sa.String(length=256), nullable=False),
        sa.Column("author", sa.String(length=256), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("report", sa.Text(), nullable=True),
        sa.Column("activated_by", sa.String(length=256), nullable=True),
        sa.Column("activated_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_policy_drafts")),
    )
    op.create_index("ix_policy_drafts_state_at", "policy_drafts", ["state", "at"], unique=False)
    if op.get_context().dialect.name == "sqlite":
        for verb in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER audit_log_no_{verb.lower()} BEFORE {verb} ON audit_log "
                "BEGIN SELECT RAISE(ABORT, 'the audit log only grows'); END"
            )
    else:
        op.execute(
            "CREATE FUNCTION audit_log_only_grows() RETURNS trigger LANGUAGE plpgsql AS $$ "
            "BEGIN RAISE EXCEPTION 'the audit log only grows'; END $$"
        )
        op.execute(
            "CREATE TRIGGER audit_log_no_change BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_log "
            "FOR EACH STATEMENT EXECUTE FUNCTION audit_log_only_grows()"
        )


def downgrade() -> None:
    """Undo."""
    for name in reversed(_TABLES):
        op.drop_table(name)
    if op.get_context().dialect.name != "sqlite":
        op.execute("DROP FUNCTION audit_log_only_grows()")

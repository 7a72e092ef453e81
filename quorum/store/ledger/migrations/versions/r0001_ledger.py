"""The ledger's first tables."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "cases",
        sa.Column("upload_id", sa.String(length=256), nullable=False),
        sa.Column("uploader", sa.String(length=256), nullable=True),
        sa.Column("title", sa.Text(), nullable=True),
        sa.Column("language", sa.String(length=35), nullable=True),
        sa.Column("published_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("verdict_id", sa.String(length=256), nullable=True),
        sa.Column("revision", sa.Integer(), nullable=True),
        sa.Column("action", sa.String(length=16), nullable=True),
        sa.Column("category", sa.String(length=256), nullable=True),
        sa.Column("rule", sa.String(length=256), nullable=True),
        sa.Column("policy_version", sa.String(length=256), nullable=True),
        sa.Column("decided_by", sa.String(length=16), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("latency", sa.Float(), nullable=True),
        sa.Column("top_score", sa.Float(), nullable=True),
        sa.Column("reviewed_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("upload_id", name=op.f("pk_cases")),
    )
    op.create_index(
        "ix_cases_action_at_upload_id", "cases", ["action", "at", "upload_id"], unique=False
    )
    op.create_index(
        "ix_cases_action_top_score_upload_id",
        "cases",
        ["action", "top_score", "upload_id"],
        unique=False,
    )
    op.create_index("ix_cases_at_upload_id", "cases", ["at", "upload_id"], unique=False)
    op.create_index(
        "ix_cases_category_at_upload_id", "cases", ["category", "at", "upload_id"], unique=False
    )
    op.create_index(
        "ix_cases_published_at_upload_id", "cases", ["published_at", "upload_id"], unique=False
    )
    op.create_index(
        "ix_cases_rule_at_upload_id", "cases", ["rule", "at", "upload_id"], unique=False
    )
    op.create_index(
        "ix_cases_uploader_at_upload_id", "cases", ["uploader", "at", "upload_id"], unique=False
    )
    op.create_table(
        "dead_letters",
        sa.Column("id", sa.String(length=256), nullable=False),
        sa.Column("original_id", sa.String(length=256), nullable=False),
        sa.Column("part", sa.Integer(), nullable=False),
        sa.Column("parts", sa.Integer(), nullable=False),
        sa.Column("stage", sa.String(length=256), nullable=False),
        sa.Column("error", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("upload_id", sa.String(length=256), nullable=True),
        sa.Column("uploader", sa.String(length=256), nullable=True),
        sa.Column("attributes", sa.Text(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_dead_letters")),
    )
    op.create_index("ix_dead_letters_at_id", "dead_letters", ["at", "id"], unique=False)
    op.create_index("ix_dead_letters_original_id", "dead_letters", ["original_id"], unique=False)
    op.create_index("ix_dead_letters_stage_at", "dead_letters", ["stage", "at"], unique=False)
    op.create_index("ix_dead_letters_upload_id", "dead_letters", ["upload_id"], unique=False)
    op.create_index("ix_dead_letters_uploader", "dead_letters", ["uploader"], unique=False)
    op.create_table(
        "deliveries",
        sa.Column("id", sa.String(length=256), nullable=False),
        sa.Column("endpoint", sa.String(length=256), nullable=False),
        sa.Column("upload_id", sa.String(length=256), nullable=False),
        sa.Column("verdict_id", sa.String(length=256), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deliveries")),
    )
    op.create_index("ix_deliveries_due_at", "deliveries", ["due_at"], unique=False)
    op.create_index("ix_deliveries_upload_id", "deliveries", ["upload_id"], unique=False)
    op.create_table(
        "forgotten",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_forgotten")),
    )
    op.create_table(
        "predictions",
        sa.Column("id", sa.String(length=256), nullable=False),
        sa.Column("upload_id", sa.String(length=256), nullable=False),
        sa.Column("detector", sa.String(length=256), nullable=False),
        sa.Column("version", sa.String(length=256), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("score", sa.Float(), nullable=True),
        sa.Column("shadow", sa.Boolean(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_predictions")),
    )
    op.create_index("ix_predictions_detector_at", "predictions", ["detector", "at"], unique=False)
    op.create_index("ix_predictions_upload_id", "predictions", ["upload_id"], unique=False)
    op.create_table(
        "reviews",
        sa.Column("id", sa.String(length=256), nullable=False),
        sa.Column("upload_id", sa.String(length=256), nullable=False),
        sa.Column("verdict_id", sa.String(length=256), nullable=False),
        sa.Column("action", sa.String(length=16), nullable=False),
        sa.Column("reviewer", sa.String(length=256), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reviews")),
    )
    op.create_index("ix_reviews_at_id", "reviews", ["at", "id"], unique=False)
    op.create_index("ix_reviews_reviewer_at", "reviews", ["reviewer", "at"], unique=False)
    op.create_index("ix_reviews_upload_id", "reviews", ["upload_id"], unique=False)
    op.create_table(
        "runs",
        sa.Column("id", sa.String(length=256), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("policy_version", sa.String(length=256), nullable=False),
        sa.Column("summary", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_runs")),
    )
    op.create_index("ix_runs_ended_at", "runs", ["ended_at"], unique=False)
    op.create_table(
        "statements",
        sa.Column("verdict_id", sa.String(length=256), nullable=False),
        sa.Column("upload_id", sa.String(length=256), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("record", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("verdict_id", name=op.f("pk_statements")),
    )
    op.create_index("ix_statements_at_verdict_id", "statements", ["at", "verdict_id"], unique=False)
    op.create_index("ix_statements_upload_id", "statements", ["upload_id"], unique=False)
    op.create_table(
        "uploads",
        sa.Column("id", sa.String(length=256), nullable=False),
        sa.Column("uploader", sa.String(length=256), nullable=False),
        sa.Column("published_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_uploads")),
    )
    op.create_index("ix_uploads_published_at_id", "uploads", ["published_at", "id"], unique=False)
    op.create_index("ix_uploads_uploader", "uploads", ["uploader"], unique=False)
    op.create_table(
        "verdicts",
        sa.Column("id", sa.String(length=256), nullable=False),
        sa.Column("upload_id", sa.String(length=256), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("action", sa.String(length=16), nullable=False),
        sa.Column("category", sa.String(length=256), nullable=True),
        sa.Column("rule", sa.String(length=256), nullable=False),
        sa.Column("policy_version", sa.String(length=256), nullable=False),
        sa.Column("decided_by", sa.String(length=16), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("latency", sa.Float(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_verdicts")),
    )
    op.create_index("ix_verdicts_at_id", "verdicts", ["at", "id"], unique=False)
    op.create_index(
        "ix_verdicts_upload_id_revision", "verdicts", ["upload_id", "revision"], unique=False
    )


def downgrade() -> None:
    """Undo."""
    op.drop_table("cases")
    op.drop_table("dead_letters")
    op.drop_table("deliveries")
    op.drop_table("forgotten")
    op.drop_table("predictions")
    op.drop_table("reviews")
    op.drop_table("runs")
    op.drop_table("statements")
    op.drop_table("uploads")
    op.drop_table("verdicts")

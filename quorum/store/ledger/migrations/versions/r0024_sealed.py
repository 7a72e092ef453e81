"""Child-abuse material: sealed cases with matches and logs; listed hashes and their standings."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None


def _text(name: str, length: int, *, nullable: bool = False) -> "sa.Column[Any]":
    return sa.Column(name, sa.String(length=length), nullable=nullable)


def _time(name: str, *, nullable: bool = True) -> "sa.Column[Any]":
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def upgrade() -> None:
    """Apply."""
    _sealed()
    _hashes()


def _sealed() -> None:
    op.create_table(
        "sealed_cases",
        _text("upload_id", 256),
        _text("id", 64),
        _text("state", 16),
        _text("how", 16),
        _time("sealed_at", nullable=False),
        _text("sealed_by", 256),
        _time("due_at"),
        sa.Column("flooded", sa.Boolean(), nullable=False),
        sa.Column("content", sa.Text()),
        _time("decided_at"),
        _text("decided_by", 256, nullable=True),
        sa.Column("viewed", sa.Boolean()),
        _time("packaged_at"),
        _text("package", 64, nullable=True),
        _time("reported_at"),
        _text("reported_by", 256, nullable=True),
        _text("report_number", 64, nullable=True),
        _time("preserved_until"),
        _time("ended_at"),
        sa.PrimaryKeyConstraint("upload_id", name=op.f("pk_sealed_cases")),
    )
    op.create_index("ix_sealed_cases_id", "sealed_cases", ["id"])
    op.create_index("ix_sealed_cases_state_due_at", "sealed_cases", ["state", "due_at"])
    op.create_index("ix_sealed_cases_preserved_until", "sealed_cases", ["preserved_until"])
    op.create_table(
        "sealed_matches",
        _text("upload_id", 256),
        _text("hash", 80),
        _text("how", 16),
        sa.Column("what", sa.Text(), nullable=False),
        _time("at", nullable=False),
        sa.PrimaryKeyConstraint("upload_id", "hash", name=op.f("pk_sealed_matches")),
    )
    op.create_index("ix_sealed_matches_hash_at", "sealed_matches", ["hash", "at"])
    op.create_table(
        "sealed_events",
        _text("case_id", 64),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        _time("at", nullable=False),
        _text("event", 32),
        _text("actor", 256),
        sa.Column("details", sa.Text(), nullable=False),
        sa.Column("logged", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("case_id", "number", name=op.f("pk_sealed_events")),
    )
    op.create_index("ix_sealed_events_logged", "sealed_events", ["logged"])


def _hashes() -> None:
    op.create_table(
        "hash_entries",
        _text("source", 64),
        _text("kind", 8),
        _text("value", 64),
        _text("category", 16),
        _text("reference", 256),
        _text("at", 40),
        sa.PrimaryKeyConstraint("source", "kind", "value", name=op.f("pk_hash_entries")),
    )
    op.create_index("ix_hash_entries_kind_value", "hash_entries", ["kind", "value"])
    op.create_index("ix_hash_entries_source_reference", "hash_entries", ["source", "reference"])
    op.create_table(
        "hash_standings",
        _text("kind", 8),
        _text("value", 64),
        _text("standing", 16),
        _text("by", 256),
        _text("at", 40),
        sa.Column("why", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("kind", "value", name=op.f("pk_hash_standings")),
    )
    op.create_table(
        "hash_state",
        _text("name", 96),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_hash_state")),
    )
    op.create_table(
        "hash_opinions",
        _text("id", 64),
        _text("source", 64),
        _text("kind", 8),
        _text("value", 64),
        _text("reference", 256),
        _text("opinion", 16),
        _text("at", 40),
        _text("by", 256),
        sa.Column("tries", sa.Integer(), nullable=False),
        _text("sent_at", 40, nullable=True),
        sa.Column("error", sa.Text()),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_hash_opinions")),
    )
    op.create_index("ix_hash_opinions_source_sent_at", "hash_opinions", ["source", "sent_at"])


def downgrade() -> None:
    """Undo."""
    for name in (
        "hash_opinions",
        "hash_state",
        "hash_standings",
        "hash_entries",
        "sealed_events",
        "sealed_matches",
        "sealed_cases",
    ):
        op.drop_table(name)

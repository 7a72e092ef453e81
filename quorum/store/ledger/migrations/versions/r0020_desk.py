"""Decisions on accounts with their appeals, queues, exposure and breaks, skills, preferences."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def _key(name: str, *, nullable: bool = False) -> "sa.Column[Any]":
    return sa.Column(name, sa.String(length=256), nullable=nullable)


def _time(name: str, *, nullable: bool = True) -> "sa.Column[Any]":
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def upgrade() -> None:
    """Apply; verdicts from before that decide on accounts are listed, tasks are routed later."""
    op.create_table(
        "account_verdicts",
        _key("verdict_id"),
        _key("id"),
        _key("uploader"),
        _key("upload_id"),
        sa.Column("action", sa.String(length=16), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        _time("until"),
        _time("at", nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("verdict_id", name=op.f("pk_account_verdicts")),
    )
    op.create_index("ix_account_verdicts_uploader_at", "account_verdicts", ["uploader", "at"])
    op.create_index("ix_account_verdicts_upload_id", "account_verdicts", ["upload_id"])
    op.create_index("ix_account_verdicts_at_verdict_id", "account_verdicts", ["at", "verdict_id"])
    op.create_table(
        "account_orders",
        _key("id"),
        _key("uploader"),
        _key("upload_id"),
        _key("verdict_id"),
        sa.Column("action", sa.String(length=16), nullable=False),
        _time("until"),
        sa.Column("reason", sa.Text(), nullable=False),
        _key("reviewer"),
        _time("at", nullable=False),
        _key("second", nullable=True),
        _time("second_at"),
        sa.Column("state", sa.String(length=16), nullable=False),
        _time("due_at"),
        sa.Column("error", sa.Text()),
        _key("appeal", nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_account_orders")),
    )
    op.create_index("ix_account_orders_uploader_at", "account_orders", ["uploader", "at"])
    op.create_index("ix_account_orders_upload_id", "account_orders", ["upload_id"])
    op.create_index("ix_account_orders_state_due_at", "account_orders", ["state", "due_at"])
    op.create_table(
        "account_appeals",
        _key("id"),
        _key("uploader"),
        _key("upload_id"),
        _key("verdict_id"),
        sa.Column("text", sa.Text(), nullable=False),
        _time("at", nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        _key("first_reviewer", nullable=True),
        _key("second", nullable=True),
        _key("reviewer", nullable=True),
        _time("decided_at"),
        sa.Column("statement", sa.Text()),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_account_appeals")),
    )
    op.create_index("ix_account_appeals_uploader", "account_appeals", ["uploader"])
    op.create_index("ix_account_appeals_upload_id", "account_appeals", ["upload_id"])
    op.create_index("ix_account_appeals_state_at", "account_appeals", ["state", "at"])
    op.create_table(
        "exposures",
        sa.Column("reviewer", sa.String(length=64), nullable=False),
        sa.Column("day", sa.String(length=10), nullable=False),
        _key("category"),
        sa.Column("seconds", sa.Float(), nullable=False),
        _time("seen_at", nullable=False),
        sa.PrimaryKeyConstraint("reviewer", "day", "category", name=op.f("pk_exposures")),
    )
    op.create_table(
        "stints",
        sa.Column("reviewer", sa.String(length=64), nullable=False),
        _time("began_at", nullable=False),
        _time("seen_at", nullable=False),
        _time("rest_until"),
        sa.PrimaryKeyConstraint("reviewer", name=op.f("pk_stints")),
    )
    op.create_table(
        "preferences",
        sa.Column("user", sa.String(length=64), nullable=False),
        sa.Column("blur", sa.Boolean(), nullable=False),
        sa.Column("grey", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("user", name=op.f("pk_preferences")),
    )
    op.add_column("users", sa.Column("skills", sa.Text()))
    op.add_column("tasks", sa.Column("language", sa.String(length=35)))
    op.add_column("tasks", sa.Column("reach", sa.Float()))
    op.add_column("tasks", sa.Column("queue", sa.String(length=64)))
    op.add_column("tasks", sa.Column("assigned_to", sa.String(length=64)))
    op.add_column("tasks", _time("assigned_until"))
    op.create_index("ix_tasks_state_queue_harm_id", "tasks", ["state", "queue", "harm", "id"])
    op.create_index(
        "ix_tasks_state_queue_kind_due_at_opened_at",
        "tasks",
        ["state", "queue", "kind", "due_at", "opened_at"],
    )
    op.create_index("ix_tasks_assigned_to_state", "tasks", ["assigned_to", "state"])
    op.execute(_LISTED[op.get_context().dialect.name])


#: What verdicts from before decide on accounts, as rows of their own.
_LISTED = {
    "postgresql": """
        INSERT INTO account_verdicts
            (verdict_id, id, uploader, upload_id, action, state, until, at, body)
        SELECT id, account->>'id', account->>'uploader', upload_id, account->>'action',
               account->>'state', (account->>'until')::timestamptz, at, account::text
        FROM (SELECT id, upload_id, at, body::json->'account' AS account FROM verdicts
              WHERE body LIKE '%"account":{"id":%') AS found
        WHERE account->>'uploader' IS NOT NULL
    """,
    "sqlite": """
        INSERT INTO account_verdicts
            (verdict_id, id, uploader, upload_id, action, state, until, at, body)
        SELECT id, json_extract(body, '$.account.id'), json_extract(body, '$.account.uploader'),
               upload_id, json_extract(body, '$.account.action'),
               json_extract(body, '$.account.state'),
               replace(substr(json_extract(body, '$.account.until'), 1, 19), 'T', ' ')
                   || '.000000',
               at, json_extract(body, '$.account')
        FROM verdicts
        WHERE body LIKE '%"account":{"id":%'
          AND json_extract(body, '$.account.uploader') IS NOT NULL
    """,
}


def downgrade() -> None:
    """Undo."""
    op.drop_index("ix_tasks_assigned_to_state", "tasks")
    op.drop_index("ix_tasks_state_queue_kind_due_at_opened_at", "tasks")
    op.drop_index("ix_tasks_state_queue_harm_id", "tasks")
    for name in ("assigned_until", "assigned_to", "queue", "reach", "language"):
        op.drop_column("tasks", name)
    op.drop_column("users", "skills")
    for name in ("preferences", "stints", "exposures"):
        op.drop_table(name)
    op.drop_index("ix_account_appeals_state_at", "account_appeals")
    op.drop_index("ix_account_appeals_upload_id", "account_appeals")
    op.drop_index("ix_account_appeals_uploader", "account_appeals")
    op.drop_table("account_appeals")
    op.drop_index("ix_account_orders_state_due_at", "account_orders")
    op.drop_index("ix_account_orders_upload_id", "account_orders")
    op.drop_index("ix_account_orders_uploader_at", "account_orders")
    op.drop_table("account_orders")
    op.drop_index("ix_account_verdicts_at_verdict_id", "account_verdicts")
    op.drop_index("ix_account_verdicts_upload_id", "account_verdicts")
    op.drop_index("ix_account_verdicts_uploader_at", "account_verdicts")
    op.drop_table("account_verdicts")

"""The words of uploads and the labels of verdicts, for search."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import TSVECTOR

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_FTS5 = (
    # The words are cut before they come here: this tokenizer parts them at spaces alone.
    (
        "CREATE VIRTUAL TABLE texts_index USING fts5("
        "words, content='texts', content_rowid='number', tokenize='ascii', prefix='2 3')"
    ),
    (
        "CREATE TRIGGER texts_added AFTER INSERT ON texts BEGIN "
        "INSERT INTO texts_index(rowid, words) VALUES (new.number, new.words); END"
    ),
    (
        "CREATE TRIGGER texts_taken AFTER DELETE ON texts BEGIN "
        "INSERT INTO texts_index(texts_index, rowid, words) "
        "VALUES ('delete', old.number, old.words); END"
    ),
    (
        "CREATE TRIGGER texts_changed AFTER UPDATE OF words ON texts BEGIN "
        "INSERT INTO texts_index(texts_index, rowid, words) "
        "VALUES ('delete', old.number, old.words); "
        "INSERT INTO texts_index(rowid, words) VALUES (new.number, new.words); END"
    ),
)


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "texts",
        sa.Column(
            "number", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True
        ),
        sa.Column("upload_id", sa.String(length=256), nullable=False),
        sa.Column("published_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("words", sa.Text().with_variant(TSVECTOR(), "postgresql"), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_texts")),
    )
    op.create_index("ix_texts_upload_id", "texts", ["upload_id"], unique=True)
    op.create_table(
        "case_labels",
        sa.Column("upload_id", sa.String(length=256), nullable=False),
        sa.Column("label", sa.String(length=256), nullable=False),
        sa.Column("verdict_id", sa.String(length=256), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("upload_id", "label", name=op.f("pk_case_labels")),
    )
    op.create_index(
        "ix_case_labels_label_at_upload_id", "case_labels", ["label", "at", "upload_id"]
    )
    if op.get_context().dialect.name == "sqlite":
        for statement in _FTS5:
            op.execute(statement)
    else:
        op.create_index("ix_texts_words", "texts", ["words"], postgresql_using="gin")


def downgrade() -> None:
    """Undo."""
    if op.get_context().dialect.name == "sqlite":
        for name in ("texts_added", "texts_taken", "texts_changed"):
            op.execute(f"DROP TRIGGER {name}")
        op.execute("DROP TABLE texts_index")
    op.drop_table("case_labels")
    op.drop_table("texts")

"""The tables that a search reads: the words of uploads, and the labels of current verdicts."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, String, Table, Text
from sqlalchemy.dialects.postgresql import TSVECTOR

from quorum.store.ledger.schema import UtcTime, metadata

__all__ = ["case_labels", "texts"]

_KEY = String(256)

#: One row an upload. SQLite indexes the words with FTS5, PostgreSQL with GIN; both indexes are
#: made by the migration.
texts = Table(
    "texts",
    metadata,
    #: Grows with the time of recording, so that a search reads the newest first.
    Column("number", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("upload_id", _KEY, nullable=False),
    Column("published_at", UtcTime, nullable=False),
    Column("words", Text().with_variant(TSVECTOR, "postgresql"), nullable=False),
    Index("ix_texts_upload_id", "upload_id", unique=True),
)

#: A row of an earlier verdict stays; it is none of the verdict that the case has now.
case_labels = Table(
    "case_labels",
    metadata,
    Column("upload_id", _KEY, primary_key=True),
    #: In lower case; ``violence/fight`` has a row as ``violence`` too.
    Column("label", _KEY, primary_key=True),
    Column("verdict_id", _KEY, nullable=False),
    Column("at", UtcTime, nullable=False),
    Index("ix_case_labels_label_at_upload_id", "label", "at", "upload_id"),
)

"""The tables of the search index: words of uploads and labels of verdicts."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, String, Table, Text
from sqlalchemy.dialects.postgresql import TSVECTOR

from quorum.store.ledger.schema import UtcTime, metadata

__all__ = ["case_labels", "texts"]

_KEY = String(256)

#: One row for each upload. The migration creates the full-text index: FTS5 in SQLite, GIN in
#: PostgreSQL.
texts = Table(
    "texts",
    metadata,
    #: Grows with the time of recording: a search reads the newest first.
    Column("number", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("upload_id", _KEY, nullable=False),
    Column("published_at", UtcTime, nullable=False),
    Column("words", Text().with_variant(TSVECTOR, "postgresql"), nullable=False),
    Index("ix_texts_upload_id", "upload_id", unique=True),
)

#: Rows of superseded verdicts stay; a search compares ``verdict_id`` with the current one.
case_labels = Table(
    "case_labels",
    metadata,
    Column("upload_id", _KEY, primary_key=True),
    #: In lower case; ``violence/fight`` has a second row for ``violence``.
    Column("label", _KEY, primary_key=True),
    Column("verdict_id", _KEY, nullable=False),
    Column("at", UtcTime, nullable=False),
    Index("ix_case_labels_label_at_upload_id", "label", "at", "upload_id"),
)

"""The table of the embeddings of cases' texts, for search by meaning."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, String, Table

from quorum.store.ledger.schema import UtcTime, metadata

__all__ = ["case_vectors"]

case_vectors = Table(
    "case_vectors",
    metadata,
    #: Grows with the time of writing: a reader continues after the last one that it knows.
    Column("number", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("upload_id", String(256), nullable=False),
    #: When the content was published whose text it is.
    Column("published_at", UtcTime, nullable=False),
    #: Name and version of the embedding; rows of another one are made anew.
    Column("embedding", String(64), nullable=False),
    #: One signed byte for each dimension; empty for an upload without text.
    Column("vector", LargeBinary, nullable=False),
    Index("ix_case_vectors_upload_id", "upload_id", unique=True),
    # A number is never given twice, so that no reader misses what replaced the last row.
    sqlite_autoincrement=True,
)

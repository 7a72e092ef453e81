"""The table of legal holds, which keep rows from erasure and retention."""

from __future__ import annotations

from sqlalchemy import Column, Index, String, Table, Text

from quorum.store.ledger.schema import UtcTime, metadata

__all__ = ["holds"]

_KEY = String(256)

#: Rows are never deleted: a hold that ended stays, with who ended it.
holds = Table(
    "holds",
    metadata,
    Column("id", String(64), primary_key=True),
    #: upload or uploader.
    Column("kind", String(16), nullable=False),
    #: The upload's id, or the uploader.
    Column("subject", _KEY, nullable=False),
    Column("placed_by", _KEY, nullable=False),
    Column("placed_at", UtcTime, nullable=False),
    #: The reason, such as the file number of a court.
    Column("why", Text, nullable=False),
    #: When it ends by itself; null for never.
    Column("until", UtcTime),
    Column("released_by", _KEY),
    Column("released_at", UtcTime),
    Column("released_why", Text),
    Index("ix_holds_subject_kind", "subject", "kind"),
    Index("ix_holds_placed_at_id", "placed_at", "id"),
)

"""Keeps the embeddings of the newest cases' texts."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, and_, delete, select

from quorum.store.ledger.reading import to_summary
from quorum.store.ledger.schema import cases
from quorum.store.ledger.sealing import unsealed
from quorum.store.ledger.search_schema import texts
from quorum.store.ledger.statements import in_chunks
from quorum.store.ledger.values import CaseSummary
from quorum.store.ledger.vectors_schema import case_vectors
from quorum.store.ledger.writing_rows import upsert

__all__ = [
    "CasePlace",
    "VectorRow",
    "kept",
    "page",
    "read",
    "summaries_of",
    "trim",
    "vector_of",
    "write",
]


class CasePlace(NamedTuple):
    """A case in the order of recording.

    Attributes:
        number: Its place in that order.
        upload_id: The upload.
        known: Whether the embedding of its content is kept.
    """

    number: int
    upload_id: str
    known: bool


class VectorRow(NamedTuple):
    """A kept embedding: its number, its upload, and a byte for each dimension."""

    number: int
    upload_id: str
    vector: bytes


def page(
    connection: Connection, place: int, embedding: str, *, newer: bool, limit: int
) -> list[CasePlace]:
    """The next cases in the order of recording, from a place on.

    Args:
        connection: A connection to the ledger.
        place: Where to continue.
        embedding: Name and version of the embedding.
        newer: Whether to go on to newer cases, rather than to older ones.
        limit: The most cases.
    """
    t, v = texts.c, case_vectors.c
    same = and_(
        v.upload_id == t.upload_id,
        v.published_at >= t.published_at,
        v.embedding == embedding,
    )
    query = (
        select(t.number, t.upload_id, v.number.is_not(None))
        .join(case_vectors, same, isouter=True)
        .where(t.number > place if newer else t.number < place)
        .order_by(t.number if newer else t.number.desc())
        .limit(limit)
    )
    return [CasePlace(*row) for row in connection.execute(query)]


def write(
    connection: Connection, embedding: str, vectors: Mapping[str, tuple[datetime, bytes]]
) -> None:
    """Keep embeddings, instead of those of former contents; of erased uploads none is kept.

    Args:
        connection: A connection that writes.
        embedding: Name and version of the embedding.
        vectors: By upload, when its content was published, and its embedding.
    """
    # A concurrent erasure waits for this lock and then deletes what is written here.
    there = (
        select(cases.c.upload_id)
        .where(cases.c.upload_id.in_(vectors))
        .order_by(cases.c.upload_id)
        .with_for_update(read=True, of=cases)
    )
    rows = [
        {
            "upload_id": upload_id,
            "published_at": vectors[upload_id][0],
            "embedding": embedding,
            "vector": vectors[upload_id][1],
        }
        for upload_id in connection.execute(there).scalars()
    ]
    connection.execute(delete(case_vectors).where(case_vectors.c.upload_id.in_(vectors)))
    upsert(connection, case_vectors, rows, "upload_id", None)


def read(connection: Connection, embedding: str, after: int, limit: int) -> list[VectorRow]:
    """The embeddings written after one, in that order."""
    v = case_vectors.c
    query = (
        select(v.number, v.upload_id, v.vector)
        .where(v.number > after, v.embedding == embedding)
        .order_by(v.number)
        .limit(limit)
    )
    return [VectorRow(*row) for row in connection.execute(query)]


def vector_of(
    connection: Connection, embedding: str, upload_id: str, published_at: datetime
) -> bytes | None:
    """The embedding of an upload's content of a time; None if none of it is kept."""
    v = case_vectors.c
    query = select(v.vector).where(
        v.upload_id == upload_id, v.embedding == embedding, v.published_at >= published_at
    )
    return connection.execute(query).scalar_one_or_none()


def kept(connection: Connection, upload_ids: Collection[str]) -> set[str]:
    """Those of some uploads whose embedding is kept still."""
    v = case_vectors.c
    found: set[str] = set()
    for chunk in in_chunks(sorted(upload_ids)):
        query = select(v.upload_id).where(v.upload_id.in_(chunk))
        found.update(connection.execute(query).scalars())
    return found


def summaries_of(connection: Connection, upload_ids: Collection[str]) -> dict[str, CaseSummary]:
    """Those of some cases that are decided, by upload."""
    c = cases.c
    columns = [c[name] for name in CaseSummary.__dataclass_fields__]
    found: dict[str, CaseSummary] = {}
    for chunk in in_chunks(sorted(upload_ids)):
        query = select(*columns).where(
            c.upload_id.in_(chunk), c.at.is_not(None), unsealed(c.upload_id)
        )
        found.update((row.upload_id, to_summary(row)) for row in connection.execute(query))
    return found


def trim(connection: Connection, most: int) -> Sequence[str]:
    """Delete the embeddings of all but the cases recorded last; returns of which uploads.

    Args:
        connection: A connection that writes.
        most: The number of cases.
    """
    t, v = texts.c, case_vectors.c
    last = select(t.number).order_by(t.number.desc()).offset(most).limit(1).scalar_subquery()
    query = select(v.upload_id).join(texts, t.upload_id == v.upload_id).where(t.number <= last)
    old = list(connection.execute(query).scalars())
    for chunk in in_chunks(old):
        connection.execute(delete(case_vectors).where(v.upload_id.in_(chunk)))
    return old

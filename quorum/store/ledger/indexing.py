"""Writes the search index: words of uploads and labels of verdicts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, select

from quorum.core.messages import Upload, Verdict
from quorum.store.ledger.reading import load_cases
from quorum.store.ledger.schema import cases
from quorum.store.ledger.search_schema import case_labels, texts
from quorum.store.ledger.words import as_tsvector, words_of
from quorum.store.ledger.writing_rows import Row, newer, upsert

__all__ = ["LEAST", "fill", "labels_of", "text_of", "write_labels", "write_texts"]

#: Labels with a lower probability are not indexed.
LEAST = 0.3
#: Indexed labels of one verdict.
_MOST = 64
_BATCH = 200


def text_of(upload: Upload) -> str:
    """The words of an upload to index, separated by spaces."""
    return " ".join(words_of(upload.title, upload.description, *upload.tags, *upload.comments))


def labels_of(verdict: Verdict) -> tuple[str, ...]:
    """The labels of a verdict to index, with their ancestors, in lower case."""
    found: dict[str, None] = {}
    for one in verdict.predictions:
        for label, probability in one.labels.items():
            if probability < LEAST:
                continue
            parts = label.casefold().replace("\x00", "\ufffd").split("/")
            found.update(dict.fromkeys("/".join(parts[:n])[:256] for n in range(1, len(parts) + 1)))
    return tuple(found)[:_MOST]


def write_texts(connection: Connection, rows: Sequence[Row]) -> None:
    """Write the words of uploads; of two uploads with one id, the one published later wins."""
    cut = as_tsvector if connection.dialect.name == "postgresql" else str
    made = [
        {
            "upload_id": row["id"],
            "published_at": row["published_at"],
            "words": cut(row["words"]),
        }
        for row in rows
    ]
    # Numbered in the order of publishing: a search reads the newest first.
    better = newer(texts, "published_at", or_equal=True)
    upsert(connection, texts, made, "upload_id", better, ("published_at",))


def write_labels(connection: Connection, rows: Sequence[Row]) -> None:
    """Write the labels of verdicts; of two verdicts with one label, the later one wins."""
    made = [
        {
            "upload_id": row["upload_id"],
            "label": label,
            "verdict_id": row["id"],
            "at": row["at"],
        }
        for row in rows
        for label in row["labels"]
    ]
    upsert(connection, case_labels, made, ("upload_id", "label"), newer(case_labels, "at"))


def fill(connection: Connection, after: str = "") -> str | None:
    """Index the next cases that are not indexed, in a ledger older than the search.

    Args:
        connection: A connection that writes.
        after: The result of the previous call; empty to begin.

    Returns:
        The id to continue from; None at the end.
    """
    query = (
        select(cases.c.upload_id)
        .join(texts, texts.c.upload_id == cases.c.upload_id, isouter=True)
        .where(texts.c.number.is_(None), cases.c.upload_id > after)
        .order_by(cases.c.upload_id)
        .limit(_BATCH)
        # A concurrent erasure waits for this lock and then deletes what is written here.
        .with_for_update(read=True, of=cases)
    )
    ids = list(connection.execute(query).scalars())
    uploads: list[dict[str, Any]] = []
    verdicts: list[dict[str, Any]] = []
    for case in load_cases(connection, ids, ("upload", "verdicts")):
        if case.upload is not None:
            at = case.upload.published_at
            uploads.append(
                {"id": case.upload_id, "published_at": at, "words": text_of(case.upload)}
            )
        if case.verdict is not None:
            one = case.verdict
            verdicts.append(
                {"id": one.id, "upload_id": one.upload_id, "at": one.at, "labels": labels_of(one)}
            )
    write_texts(connection, uploads)
    write_labels(connection, verdicts)
    return ids[-1] if len(ids) == _BATCH else None

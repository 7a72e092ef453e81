"""What leaves the ledger: by age (retention), and by an uploader's request (erasure)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlalchemy import Connection, Table, delete, exists, func, or_, select

from quorum.store.ledger import schema
from quorum.store.ledger.catalogue_schema import take_kept_uploads
from quorum.store.ledger.console_schema import take_console_rows
from quorum.store.ledger.indexing import take_index
from quorum.store.ledger.values import Forgotten, Pruned

__all__ = [
    "forget",
    "forgotten_digest",
    "gone",
    "old_cases",
    "prune_cases",
    "prune_letters",
    "prune_strays",
]

#: Rows that one statement names; SQLite takes no more than 32,766 parameters.
CHUNK = 500

#: The tables whose rows belong to an upload, with the column that says to which.
_OWNED = (
    (schema.uploads, "id"),
    (schema.predictions, "upload_id"),
    (schema.verdicts, "upload_id"),
    (schema.reviews, "upload_id"),
    (schema.statements, "upload_id"),
    (schema.deliveries, "upload_id"),
    (schema.cases, "upload_id"),
)


def forgotten_digest(kind: str, identifier: str) -> str:
    """What is kept of one that was erased: a digest, so that a replay is recognised."""
    return hashlib.sha256(f"{kind}\0{identifier}".encode()).hexdigest()


def gone(connection: Connection, digests: Sequence[str]) -> dict[str, datetime]:
    """Which of the digests were erased, and when."""
    table = schema.forgotten.c
    found: dict[str, datetime] = {}
    for chunk in _chunks(digests):
        query = select(table.digest, table.at).where(table.digest.in_(chunk))
        found.update((row.digest, row.at) for row in connection.execute(query))
    return found


def old_cases(connection: Connection, before: datetime, limit: int | None) -> list[str]:
    """Cases of which nothing happened since: published, decided and reviewed before."""
    c = schema.cases.c
    return list(
        connection.execute(
            select(c.upload_id)
            .where(
                or_(c.published_at < before, c.published_at.is_(None)),
                or_(c.at < before, c.at.is_(None)),
                or_(c.reviewed_at < before, c.reviewed_at.is_(None)),
                func.coalesce(c.published_at, c.at, c.reviewed_at).is_not(None),
            )
            .order_by(c.upload_id)
            .limit(limit)
        ).scalars()
    )


def prune_cases(connection: Connection, upload_ids: Sequence[str], *, dry_run: bool) -> Pruned:
    """Take all that belongs to these uploads, what the console and search keep of them too."""
    if not dry_run:
        for chunk in _chunks(upload_ids):
            take_console_rows(connection, chunk)
            take_kept_uploads(connection, chunk)
            take_index(connection, chunk)
    counts = {
        table.name: _take(connection, table, column, upload_ids, dry_run=dry_run)
        for table, column in _OWNED
    }
    return Pruned(**counts)


def prune_strays(connection: Connection, before: datetime, *, dry_run: bool) -> int:
    """Take predictions from before a time of which there is no case."""
    p, c = schema.predictions.c, schema.cases.c
    known = exists().where(c.upload_id == p.upload_id)
    return _where(connection, schema.predictions, (p.at < before) & ~known, dry_run)


def prune_letters(connection: Connection, before: datetime, *, dry_run: bool) -> int:
    """Take dead letters from before a time."""
    return _where(connection, schema.dead_letters, schema.dead_letters.c.at < before, dry_run)


def forget(connection: Connection, uploader: str, at: datetime, *, dry_run: bool) -> Forgotten:
    """Take all of one uploader, and leave the digests that keep it out."""
    cases, letters = schema.cases.c, schema.dead_letters.c
    ids = connection.execute(
        select(schema.uploads.c.id).where(schema.uploads.c.uploader == uploader)
    )
    also = connection.execute(select(cases.upload_id).where(cases.uploader == uploader))
    upload_ids = sorted({*ids.scalars(), *also.scalars()})
    rows = prune_cases(connection, upload_ids, dry_run=dry_run)
    taken = _where(connection, schema.dead_letters, letters.uploader == uploader, dry_run)
    # A dead letter that names the upload alone (a malformed prediction) goes with the upload.
    for chunk in _chunks(upload_ids):
        named = letters.upload_id.in_(chunk) & (
            letters.uploader.is_(None) | (letters.uploader != uploader)
        )
        taken += _where(connection, schema.dead_letters, named, dry_run)
    unread = connection.execute(
        select(func.count())
        .select_from(schema.dead_letters)
        .where(letters.uploader.is_(None), letters.upload_id.is_(None))
    ).scalar_one()
    if not dry_run:
        digests = [forgotten_digest("uploader", uploader)]
        digests += [forgotten_digest("upload", upload_id) for upload_id in upload_ids]
        for chunk in _chunks(digests):
            connection.execute(delete(schema.forgotten).where(schema.forgotten.c.digest.in_(chunk)))
        connection.execute(
            schema.forgotten.insert(), [{"digest": value, "at": at} for value in digests]
        )
    counts = {name: getattr(rows, name) for name in Pruned.__slots__}
    return Forgotten(Pruned(**counts | {"dead_letters": taken}), unread)


def _take(
    connection: Connection, table: Table, column: str, ids: Sequence[str], *, dry_run: bool
) -> int:
    return sum(
        _where(connection, table, table.c[column].in_(chunk), dry_run) for chunk in _chunks(ids)
    )


def _where(connection: Connection, table: Table, condition: object, dry_run: bool) -> int:
    if dry_run:
        query = select(func.count()).select_from(table).where(condition)  # type: ignore[arg-type]
        return int(connection.execute(query).scalar_one())
    return connection.execute(delete(table).where(condition)).rowcount  # type: ignore[arg-type]


def _chunks(values: Sequence[str]) -> Iterable[Sequence[str]]:
    return (values[start : start + CHUNK] for start in range(0, len(values), CHUNK))

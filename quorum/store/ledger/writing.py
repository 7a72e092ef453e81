"""Writes rows as upserts by message id, so that a replay changes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, and_, case, func, literal, or_

from quorum.store.ledger import schema
from quorum.store.ledger.accounts_schema import account_verdicts
from quorum.store.ledger.indexing import write_labels, write_texts
from quorum.store.ledger.sealing import seal_matched
from quorum.store.ledger.writing_rows import Row, newer, upsert

__all__ = [
    "write_dead_letters",
    "write_deliveries",
    "write_owners",
    "write_predictions",
    "write_reviews",
    "write_statements",
    "write_uploads",
    "write_verdicts",
]

#: Before the time of any content.
_EARLIER = datetime(1970, 1, 1, tzinfo=UTC)

#: The columns of ``cases`` with the current verdict, each with its column of the verdict's row.
_CURRENT = {
    "verdict_id": "id",
    **{
        name: name
        for name in (
            "content_at",
            "revision",
            "action",
            "category",
            "rule",
            "policy_version",
            "decided_by",
            "at",
            "latency",
            "top_score",
        )
    },
}


def write_uploads(connection: Connection, rows: Sequence[Row]) -> None:
    """Insert uploads; of two with one id the one published later wins, of two of one time the last.

    So does a case decide which of two contents holds.
    """
    stored = [_only(row, schema.uploads) for row in rows]
    later = newer(schema.uploads, "published_at", or_equal=True)
    upsert(connection, schema.uploads, stored, "id", later)
    facts = [
        {
            "upload_id": row["id"],
            **{name: row[name] for name in ("uploader", "title", "language", "published_at")},
        }
        for row in rows
    ]
    later = newer(schema.cases, "published_at", or_equal=True)
    upsert(connection, schema.cases, facts, "upload_id", later)
    write_texts(connection, rows)


def write_predictions(connection: Connection, rows: Sequence[Row]) -> None:
    """Insert predictions; of two with one id, the later one wins. A known hash seals the upload."""
    upsert(connection, schema.predictions, rows, "id", newer(schema.predictions, "at"))
    seal_matched(connection, rows)


def write_verdicts(connection: Connection, rows: Sequence[Row]) -> None:
    """Insert verdicts; that with the greatest (content_at, revision, at, id) becomes the current.

    A verdict of version 0.2, which names no content, is compared by the rest.
    """
    stored = [_only(row, schema.verdicts) for row in rows]
    upsert(connection, schema.verdicts, stored, "id", newer(schema.verdicts, "at"))
    current = [
        {
            "upload_id": row["upload_id"],
            **{column: row[source] for column, source in _CURRENT.items()},
        }
        for row in rows
    ]
    upsert(
        connection,
        schema.cases,
        current,
        "upload_id",
        _holds,
    )
    accounts = [row["account"] for row in rows if row.get("account") is not None]
    upsert(connection, account_verdicts, accounts, "verdict_id", newer(account_verdicts, "at"))
    write_labels(connection, rows)


def _holds(insert: Any) -> ColumnElement[bool]:
    """The condition that a new verdict holds over the current one of its case."""
    table, new = schema.cases.c, insert.excluded
    old_content, new_content = (_content_at(one.content_at, one.at) for one in (table, new))
    same = or_(new_content == old_content, old_content.is_(None), new_content.is_(None))
    greater = newer(schema.cases, "revision", "at", "verdict_id")(insert)
    return or_(table.revision.is_(None), new_content > old_content, and_(same, greater))


def _content_at(content_at: Any, at: Any) -> Any:
    """When the content of a verdict was published; null if nothing is known of it.

    A verdict of version 0.2 was on the upload, unless that was published after it was made.
    """
    published = schema.cases.c.published_at
    earlier = literal(_EARLIER, schema.UtcTime())
    return func.coalesce(content_at, case((published <= at, published), (published > at, earlier)))


def write_reviews(connection: Connection, rows: Sequence[Row]) -> None:
    """Insert reviews; the id is a digest of all fields but the note."""
    upsert(connection, schema.reviews, rows, "id", None)
    reviewed = [{"upload_id": row["upload_id"], "reviewed_at": row["at"]} for row in rows]
    upsert(connection, schema.cases, reviewed, "upload_id", newer(schema.cases, "reviewed_at"))


def write_statements(connection: Connection, rows: Sequence[Row]) -> None:
    """Insert statements; of two of one verdict, the later one or the one with a record wins."""

    def better(insert: Any) -> ColumnElement[bool]:
        table, new = schema.statements.c, insert.excluded
        same = and_(new.at == table.at, new.record.is_not(None), table.record.is_(None))
        return or_(new.at > table.at, same)

    upsert(connection, schema.statements, rows, "verdict_id", better)


def write_dead_letters(connection: Connection, rows: Sequence[Row]) -> None:
    """Insert dead letters; of several of one original, the first wins."""
    upsert(connection, schema.dead_letters, rows, "id", None)


def write_owners(connection: Connection, rows: Sequence[Row]) -> None:
    """Insert owners; the first one of an upload stays."""
    upsert(connection, schema.owners, rows, "upload_id", None)


def write_deliveries(connection: Connection, rows: Sequence[Row]) -> None:
    """Insert deliveries; an existing one stays unchanged."""
    upsert(connection, schema.deliveries, rows, "id", None)


def _only(row: Row, table: Table) -> Row:
    return {name: value for name, value in row.items() if name in table.c}

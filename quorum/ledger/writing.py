"""The statements that write: upserts by message id, so that a replay changes nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, and_, or_
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.dml import Insert

from quorum.ledger import schema

__all__ = [
    "write_dead_letters",
    "write_deliveries",
    "write_predictions",
    "write_reviews",
    "write_statements",
    "write_uploads",
    "write_verdicts",
]

Row = Mapping[str, Any]

#: The columns of ``cases`` that follow the current verdict, by the name in the verdict's row.
_CURRENT = {
    "verdict_id": "id",
    **{
        name: name
        for name in (
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
    """Insert uploads; of two with one id, the one published later stays."""
    stored = [_only(row, schema.uploads) for row in rows]
    _upsert(connection, schema.uploads, stored, "id", _newer(schema.uploads, "published_at"))
    facts = [
        {
            "upload_id": row["id"],
            **{name: row[name] for name in ("uploader", "title", "language", "published_at")},
        }
        for row in rows
    ]
    _upsert(connection, schema.cases, facts, "upload_id", _newer(schema.cases, "published_at"))


def write_predictions(connection: Connection, rows: Sequence[Row]) -> None:
    """Insert predictions; of two with one id, the one made later stays."""
    _upsert(connection, schema.predictions, rows, "id", _newer(schema.predictions, "at"))


def write_verdicts(connection: Connection, rows: Sequence[Row]) -> None:
    """Insert verdicts, and set the current one of each case: the greatest (revision, at, id)."""
    stored = [_only(row, schema.verdicts) for row in rows]
    _upsert(connection, schema.verdicts, stored, "id", _newer(schema.verdicts, "at"))
    current = [
        {
            "upload_id": row["upload_id"],
            **{column: row[source] for column, source in _CURRENT.items()},
        }
        for row in rows
    ]
    _upsert(
        connection,
        schema.cases,
        current,
        "upload_id",
        _newer(schema.cases, "revision", "at", "verdict_id"),
    )


def write_reviews(connection: Connection, rows: Sequence[Row]) -> None:
    """Insert reviews; a review's id holds all that it says but its note."""
    _upsert(connection, schema.reviews, rows, "id", None)
    reviewed = [{"upload_id": row["upload_id"], "reviewed_at": row["at"]} for row in rows]
    _upsert(connection, schema.cases, reviewed, "upload_id", _newer(schema.cases, "reviewed_at"))


def write_statements(connection: Connection, rows: Sequence[Row]) -> None:
    """Insert statements; a later one of the same verdict, or one with its record, stays."""

    def better(insert: Any) -> ColumnElement[bool]:
        table, new = schema.statements.c, insert.excluded
        same = and_(new.at == table.at, new.record.is_not(None), table.record.is_(None))
        return or_(new.at > table.at, same)

    _upsert(connection, schema.statements, rows, "verdict_id", better)


def write_dead_letters(connection: Connection, rows: Sequence[Row]) -> None:
    """Insert dead letters; the same original at the same stage is one, first told first kept."""
    _upsert(connection, schema.dead_letters, rows, "id", None)


def write_deliveries(connection: Connection, rows: Sequence[Row]) -> None:
    """Insert deliveries; one that is known, delivered or not, stays as it is."""
    _upsert(connection, schema.deliveries, rows, "id", None)


def _only(row: Row, table: Table) -> Row:
    return {name: value for name, value in row.items() if name in table.c}


def _newer(table: Table, *columns: str) -> Any:
    """The condition that the new row is greater by these columns, compared first to last."""

    def condition(insert: Any) -> ColumnElement[bool]:
        first = table.c[columns[0]]
        greater: list[ColumnElement[bool]] = [first.is_(None)]
        equal: list[ColumnElement[bool]] = []
        for name in columns:
            old, new = table.c[name], insert.excluded[name]
            greater.append(and_(*equal, new > old))
            equal.append(new == old)
        return or_(*greater)

    return condition


def _upsert(
    connection: Connection, table: Table, rows: Sequence[Row], key: str, newer: Any
) -> None:
    """Insert rows; where the key is there, replace what the row gives if ``newer`` holds."""
    if not rows:
        return
    # One order for all writers: two that lock the same rows in other orders would dead-lock.
    rows = sorted(rows, key=lambda row: str(row[key]))
    insert: Insert
    if connection.dialect.name == "postgresql":
        made = postgresql.insert(table)
    else:
        made = sqlite.insert(table)  # type: ignore[assignment]
    if newer is None:
        insert = made.on_conflict_do_nothing(index_elements=[key])
    else:
        given = {name: made.excluded[name] for name in rows[0] if name != key}
        insert = made.on_conflict_do_update(index_elements=[key], set_=given, where=newer(made))
    connection.execute(insert, [dict(row) for row in rows])

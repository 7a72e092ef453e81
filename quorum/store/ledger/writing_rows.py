"""The upsert that all writers use."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, and_, or_
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.dml import Insert

__all__ = ["Better", "Row", "newer", "upsert"]

Row = Mapping[str, Any]


Better = Callable[[Any], ColumnElement[bool]]


def newer(table: Table, *columns: str, or_equal: bool = False) -> Better:
    """The condition that the new row is greater by these columns, in lexicographic order.

    Args:
        table: The table.
        columns: The columns; where the first is null, the new row wins.
        or_equal: Whether a row that is equal in all columns wins, too.
    """

    def condition(insert: Any) -> ColumnElement[bool]:
        first = table.c[columns[0]]
        greater: list[ColumnElement[bool]] = [first.is_(None)]
        equal: list[ColumnElement[bool]] = []
        for name in columns:
            old, new = table.c[name], insert.excluded[name]
            greater.append(and_(*equal, new > old))
            equal.append(new == old)
        return or_(*greater, and_(*equal)) if or_equal else or_(*greater)

    return condition


def upsert(
    connection: Connection,
    table: Table,
    rows: Sequence[Row],
    key: str | tuple[str, ...],
    better: Any,
    first: tuple[str, ...] = (),
) -> None:
    """Insert rows; where the key exists, update the row if ``better`` holds."""
    if not rows:
        return
    keys = (key,) if isinstance(key, str) else key
    # One order for all writers: different orders of row locks would deadlock.
    rows = sorted(rows, key=lambda row: tuple(str(row[name]) for name in (*first, *keys)))
    insert: Insert
    if connection.dialect.name == "postgresql":
        made = postgresql.insert(table)
    else:
        made = sqlite.insert(table)  # type: ignore[assignment]
    if better is None:
        insert = made.on_conflict_do_nothing(index_elements=keys)
    else:
        given = {name: made.excluded[name] for name in rows[0] if name not in keys}
        insert = made.on_conflict_do_update(index_elements=keys, set_=given, where=better(made))
    connection.execute(insert, [dict(row) for row in rows])

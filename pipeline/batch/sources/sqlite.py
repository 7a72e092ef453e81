"""A table of SQLite: each value has a type of its own, and times are texts in many forms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Double,
    LargeBinary,
    String,
    Text,
    and_,
    case,
    cast,
    false,
    func,
    literal,
    or_,
    type_coerce,
)

from quorum.core.errors import MalformedMessage
from quorum.core.messages.carriage import decoded
from quorum.pipeline.batch.sources.columns import EPOCHS, Columns, Values, edges_in_any_zone
from quorum.pipeline.batch.sources.conversions import Sql
from quorum.store.ledger import TimeRange

__all__ = ["SqliteColumns"]


class SqliteColumns(Columns):
    """See Columns."""

    def prepare(self, connection: Connection) -> None:
        """Let text that is not UTF-8 come as it is, instead of ending the query."""
        driver: Any = connection.connection.driver_connection
        driver.text_factory = _text

    def within(self, span: TimeRange) -> list[ColumnElement[bool]]:
        """Rows that may be within a span.

        What SQLite reads as a time is left out where it is more than a day away: no zone is
        further from UTC. The rest is looked at once it is read.
        """
        column = self.chosen["published_at"]
        day, seconds = func.julianday(type_coerce(column, String)), _seconds(column)
        near, near_seconds = [], []
        for far, is_first in edges_in_any_zone(span):
            text = far.replace(tzinfo=None).isoformat(sep=" ", timespec="seconds")
            limit = func.julianday(text)
            near.append(day >= limit if is_first else day <= limit)
            at = far.timestamp()
            near_seconds.append(seconds >= at if is_first else seconds <= at)
        if not near:
            return []
        dated = type_coerce(column, String).bool_op("GLOB")("[0-9][0-9][0-9][0-9]-[0-9][0-9]-*")
        kind = func.typeof(column)
        return [
            case(
                (kind == "text", or_(~dated, day.is_(None), and_(*near))),
                (kind.in_(["integer", "real"]), or_(seconds.is_(None), and_(*near_seconds))),
                else_=literal(1) == 1,
            )
        ]

    def untimed(self) -> ColumnElement[bool]:
        """See Columns."""
        return false()

    def keys(self, *, untimed: bool) -> list[ColumnElement[Any]]:
        """See Columns."""
        return [type_coerce(self.chosen["id"], String)]

    def after(self, key: Sequence[Any]) -> list[Any]:
        """See Columns."""
        return [_bindable(one) for one in key]

    def fields(self, names: Sequence[str]) -> list[ColumnElement[Any]]:
        """See Columns."""
        # Values come as they are: the types of SQLAlchemy refuse some.
        return [type_coerce(self.chosen[name], String) for name in names]

    def values(self, names: Sequence[str], row: Sequence[Any]) -> Values:
        """See Columns."""
        return {name: _typed(value) for name, value in zip(names, row, strict=True)}


def _seconds(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """Unix seconds of a number, whatever unit it is in; NULL if it is no epoch."""
    number = type_coerce(column, Double)
    return case(
        *((and_(number >= first, number < last), number / unit) for unit, first, last in EPOCHS)
    )


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _bindable(key: Any) -> Any:
    if not isinstance(key, str) or key.isascii():
        return key
    try:
        key.encode()
    except UnicodeEncodeError:
        return cast(literal(key.encode("utf-8", "surrogateescape"), LargeBinary), Text)
    return key


def _typed(value: Any) -> tuple[Sql, Any]:
    match value:
        case None:
            return Sql.OTHER, None
        case int():
            return Sql.WHOLE, value
        case float():
            return Sql.FRACTION, value
        case bytes():
            return Sql.BYTES, value
    text = str(value)
    if not text.isascii():
        try:
            text = decoded(text.encode("utf-8", "surrogateescape"))
        except MalformedMessage:
            # Left as it is: its conversion refuses it, and the dead letter has its bytes.
            return Sql.TEXT, text
    return Sql.TEXT, text

"""A table of MySQL or MariaDB: values come as the texts that the server writes.

Its driver would refuse or change some: times like ``0000-00-00``, lengths beyond a day.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from sqlalchemy import (
    JSON,
    ColumnElement,
    Date,
    DateTime,
    Float,
    Integer,
    LargeBinary,
    Numeric,
    String,
    Time,
    and_,
    cast,
    false,
    or_,
    type_coerce,
)
from sqlalchemy.dialects.mysql import BIT, CHAR, TIMESTAMP, YEAR
from sqlalchemy.types import TypeEngine, _Binary

from quorum.pipeline.batch.sources.columns import Columns, Values, edges_in_any_zone
from quorum.pipeline.batch.sources.conversions import Sql
from quorum.store.ledger import TimeRange

__all__ = ["MysqlColumns", "kind_of"]

_KINDS: Final[tuple[tuple[type[TypeEngine[Any]], Sql], ...]] = (
    (JSON, Sql.JSON),
    (TIMESTAMP, Sql.INSTANT),
    (DateTime, Sql.STAMP),
    (Date, Sql.DATE),
    (Time, Sql.SPAN),
    (YEAR, Sql.OTHER),
    (BIT, Sql.BYTES),
    (Integer, Sql.WHOLE),
    (Numeric, Sql.FRACTION),
    (Float, Sql.FRACTION),  # of SQLAlchemy 2.1 no kind of Numeric
    (LargeBinary, Sql.BYTES),
    (_Binary, Sql.BYTES),
    (String, Sql.TEXT),
)
#: A length as MySQL writes it: -838:59:59.000000 to 838:59:59.000000.
_LENGTH: Final = re.compile(r"(-?)(\d+):(\d{2}):(\d{2}(?:\.\d+)?)")


def kind_of(type_: TypeEngine[Any]) -> Sql:
    """The kind of a column's type."""
    return next((kind for known, kind in _KINDS if isinstance(type_, known)), Sql.OTHER)


class MysqlColumns(Columns):
    """See Columns."""

    def _kind(self, name: str) -> Sql:
        return kind_of(self.chosen[name].type)

    @property
    def lacks_zones(self) -> bool:
        """See Columns."""
        return self._kind("published_at") in (Sql.STAMP, Sql.DATE)

    @property
    def has_zones(self) -> bool:
        """See Columns."""
        return self._kind("published_at") is Sql.INSTANT

    def within(self, span: TimeRange) -> list[ColumnElement[bool]]:
        """Rows that may be within a span.

        Columns of times leave out what is more than a day away: no zone is further from UTC. The
        rest is looked at once it is read.
        """
        if self._kind("published_at") not in (Sql.INSTANT, Sql.STAMP, Sql.DATE):
            return []
        column = self.chosen["published_at"]
        near = []
        for far, is_first in edges_in_any_zone(span):
            limit = far.replace(tzinfo=None).isoformat(sep=" ", timespec="seconds")
            near.append(_plain(column) >= limit if is_first else _plain(column) <= limit)
        if not near:
            return []
        # What is no time, such as 0000-00-00, belongs to every span.
        return [or_(column.is_(None), _plain(column) < "1000-01-01", and_(*near))]

    def untimed(self) -> ColumnElement[bool]:
        """See Columns."""
        return false()

    def keys(self, *, untimed: bool) -> list[ColumnElement[Any]]:
        """Nothing: an order by a collation that ignores case would hide ids between pages."""
        return []

    def after(self, key: Sequence[Any]) -> list[Any]:
        """See Columns."""
        return list(key)

    def fields(self, names: Sequence[str]) -> list[ColumnElement[Any]]:
        """See Columns."""
        return [self._selected(name) for name in names]

    def _selected(self, name: str) -> ColumnElement[Any]:
        column: ColumnElement[Any] = self.chosen[name]
        if self._kind(name) is Sql.BYTES:
            return cast(column, LargeBinary)
        return cast(column, CHAR(charset="utf8mb4"))

    def values(self, names: Sequence[str], row: Sequence[Any]) -> Values:
        """See Columns."""
        return {name: self._typed(name, value) for name, value in zip(names, row, strict=True)}

    def _typed(self, name: str, value: Any) -> tuple[Sql, Any]:
        kind = self._kind(name)
        if value is None:
            return kind, None
        try:
            match kind:
                case Sql.WHOLE:
                    return kind, int(value)
                case Sql.FRACTION:
                    return kind, Decimal(value)
                case Sql.JSON:
                    return kind, json.loads(value, parse_float=Decimal)
                case Sql.INSTANT:
                    return kind, f"{value}Z"
                case Sql.SPAN:
                    return kind, _seconds(value)
                case Sql.BYTES:
                    return kind, bytes(value)
        except (ValueError, InvalidOperation, RecursionError):
            return Sql.TEXT, str(value)  # its conversion refuses it
        return kind, str(value)


def _plain(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """A column of times as it is compared with text, which the server converts."""
    return type_coerce(column, String)


def _seconds(text: str) -> Decimal:
    found = _LENGTH.fullmatch(text)
    if found is None:
        raise ValueError(text)
    sign, hours, minutes, seconds = found.groups()
    whole = int(hours) * 3600 + int(minutes) * 60 + Decimal(seconds)
    return -whole if sign else whole

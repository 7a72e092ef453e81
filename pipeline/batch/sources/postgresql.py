"""A table of PostgreSQL: a row comes as JSON that the database makes, which has every value.

Its driver would refuse some: infinity, years before 1 or after 9999, types that it does not know.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

from sqlalchemy import (
    ARRAY,
    JSON,
    BigInteger,
    Boolean,
    ColumnElement,
    Date,
    DateTime,
    Double,
    Float,
    Integer,
    Interval,
    LargeBinary,
    Numeric,
    String,
    Text,
    Time,
    Uuid,
    and_,
    case,
    cast,
    extract,
    func,
    literal,
    null,
    or_,
)
from sqlalchemy.dialects.postgresql import DOMAIN
from sqlalchemy.types import TypeEngine

from quorum.core.messages.carriage import whole_escapes
from quorum.pipeline.batch.sources.columns import EPOCHS, Columns, Values
from quorum.pipeline.batch.sources.conversions import EPOCH_FROM, EPOCH_TO, Sql
from quorum.store.ledger import TimeRange

__all__ = ["PostgresColumns", "kind_of"]

_FIRST: Final = datetime.fromtimestamp(EPOCH_FROM, UTC)
_LAST: Final = datetime.fromtimestamp(EPOCH_TO, UTC)

_DAY: Final = (
    "(20[0-9]{2}-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)"
    "|02-(0[1-9]|1[0-9]|2[0-8]))|20([02468][048]|[13579][26])-02-29)"
)
_CLOCK: Final = "[T ]([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]([.][0-9]{1,6})?"
#: Texts that PostgreSQL and Python read as the same time; the cast of another might end the query.
_WITH_ZONE: Final = f"^{_DAY}{_CLOCK}(Z|[+-](0[0-9]|1[0-4]):?[0-5][0-9])$"
_WITHOUT_ZONE: Final = f"^{_DAY}({_CLOCK})?$"

_KINDS: Final[tuple[tuple[type[TypeEngine[Any]], Sql], ...]] = (
    (ARRAY, Sql.ARRAY),
    (JSON, Sql.JSON),
    (Boolean, Sql.BOOLEAN),
    (Interval, Sql.SPAN),
    (Time, Sql.SPAN),
    (Date, Sql.DATE),
    (Integer, Sql.WHOLE),
    (Numeric, Sql.FRACTION),
    (Float, Sql.FRACTION),  # of SQLAlchemy 2.1 no kind of Numeric
    (LargeBinary, Sql.BYTES),
    (Uuid, Sql.OTHER),
    (String, Sql.TEXT),
)
#: Kinds whose values the driver reads whatever they are, so that pages may begin after one.
_PAGED: Final = frozenset({Sql.TEXT, Sql.WHOLE, Sql.FRACTION, Sql.BYTES})


def kind_of(type_: TypeEngine[Any]) -> Sql:
    """The kind of a column's type."""
    if isinstance(type_, DOMAIN):
        return kind_of(type_.data_type)
    if isinstance(type_, DateTime):
        return Sql.INSTANT if type_.timezone else Sql.STAMP
    # SQLAlchemy has no common class of intervals.
    if type_.__visit_name__ == "INTERVAL":
        return Sql.SPAN
    return next((kind for known, kind in _KINDS if isinstance(type_, known)), Sql.OTHER)


def _large(number: int) -> ColumnElement[int]:
    """A number that a column of integers may not hold, which would end the query."""
    return literal(number, BigInteger)


class PostgresColumns(Columns):
    """See Columns."""

    def _kind(self, name: str) -> Sql:
        return kind_of(self.chosen[name].type)

    @property
    def time(self) -> ColumnElement[Any]:
        """See Columns."""
        column: ColumnElement[Any] = self.chosen["published_at"]
        zoned = DateTime(timezone=True)
        match self._kind("published_at"):
            case Sql.INSTANT:
                return column
            case Sql.STAMP | Sql.DATE if self.timezone is not None:
                # Within some days: the zone of a time at the end of all times may overflow.
                near = and_(column >= cast("1999-12-30", Date), column < cast("2100-01-03", Date))
                return case((near, func.timezone(self.timezone, cast(column, DateTime()))))
            case Sql.WHOLE | Sql.FRACTION:
                return case(
                    *(
                        (
                            and_(column >= _large(first), column < _large(last)),
                            func.to_timestamp(cast(column, Double) / unit),
                        )
                        for unit, first, last in EPOCHS
                    )
                )
            case Sql.TEXT:
                text = cast(column, Text)
                forms: list[tuple[ColumnElement[bool], ColumnElement[Any]]] = [
                    (text.regexp_match(_WITH_ZONE), cast(text, zoned))
                ]
                if self.timezone is not None:
                    naive = func.timezone(self.timezone, cast(text, DateTime()))
                    forms.append((text.regexp_match(_WITHOUT_ZONE), naive))
                return case(*forms)
        return cast(null(), zoned)

    @property
    def lacks_zones(self) -> bool:
        """See Columns."""
        return self._kind("published_at") in (Sql.STAMP, Sql.DATE)

    def within(self, span: TimeRange) -> list[ColumnElement[bool]]:
        """See Columns."""
        since = _FIRST if span.since is None else max(_FIRST, span.since)
        until = _LAST if span.until is None else min(_LAST, span.until)
        return [self.time >= since, self.time < until]

    def untimed(self) -> ColumnElement[bool]:
        """See Columns."""
        return or_(self.time.is_(None), self.time < _FIRST, self.time >= _LAST)

    def keys(self, *, untimed: bool) -> list[ColumnElement[Any]]:
        """See Columns."""
        column = self.chosen["id"]
        if self._kind("id") not in _PAGED and not isinstance(column.type, Uuid):
            return []
        return [column] if untimed else [self.time, column]

    def after(self, key: Sequence[Any]) -> list[Any]:
        """See Columns."""
        return list(key)

    def fields(self, names: Sequence[str]) -> list[ColumnElement[Any]]:
        """See Columns."""
        return [cast(func.json_build_array(*(self._as_json(name) for name in names)), Text)]

    def _as_json(self, name: str) -> ColumnElement[Any]:
        column: ColumnElement[Any] = self.chosen[name]
        match self._kind(name):
            case Sql.TEXT | Sql.OTHER:
                # The text of char(n) has no padding, and any type has a text.
                return cast(column, Text)
            case Sql.BYTES:
                return func.encode(column, "hex")
            case Sql.SPAN:
                return extract("epoch", column)
        return column

    def values(self, names: Sequence[str], row: Sequence[Any]) -> Values:
        """See Columns."""
        read = json.loads(whole_escapes(row[0]), parse_float=Decimal)
        return {name: self._typed(name, value) for name, value in zip(names, read, strict=True)}

    def _typed(self, name: str, value: Any) -> tuple[Sql, Any]:
        kind = self._kind(name)
        if value is None:
            return kind, None
        if kind is Sql.BYTES:
            return kind, bytes.fromhex(value)
        if kind in (Sql.FRACTION, Sql.SPAN) and isinstance(value, str):
            return kind, Decimal(value)  # NaN and infinities, which JSON lacks
        return kind, value

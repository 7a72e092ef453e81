"""A table of the platform's own as a source of a batch."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import (
    ColumnElement,
    DateTime,
    MetaData,
    Row,
    Select,
    String,
    Table,
    and_,
    cast,
    func,
    inspect,
    or_,
    select,
    tuple_,
    type_coerce,
)

from quorum.core.errors import ConfigurationError
from quorum.core.messages import Upload
from quorum.pipeline.batch.sources.base import PAGE, BatchSource, Range, is_outside, split
from quorum.store.ledger import TimeRange, database_url, redacted
from quorum.store.ledger.reading import within
from quorum.store.ledger.transactions import Transactions

__all__ = ["TableBatch"]

#: The fields of an upload that a table may have, and those that it must.
FIELDS = tuple(name for name in Upload.model_fields)
REQUIRED = ("id", "uploader", "published_at")
_LISTS = frozenset({"tags", "territories", "comments"})


@dataclass(frozen=True)
class TableBatch(BatchSource):
    """A table of the platform's own.

    Attributes:
        url: Its database.
        table: Its name, with a schema if it has one.
        columns: For fields of an upload, the column that holds it, where the names differ.
        timezone: The zone of times without one; None to refuse them.
    """

    url: str
    table: str
    columns: Mapping[str, str] = field(default_factory=dict)
    timezone: str | None = None

    @cached_property
    def _database(self) -> Transactions:
        return Transactions(database_url(self.url))

    def __getstate__(self) -> dict[str, Any]:
        """Without connections: a worker makes its own."""
        names = ("url", "table", "columns", "timezone")
        return {name: getattr(self, name) for name in names}

    @cached_property
    def _found(self) -> tuple[Table, dict[str, Any]]:
        schema, _, name = self.table.rpartition(".")
        metadata = MetaData()

        def reflect(connection: Any) -> Table | None:
            if not inspect(connection).has_table(name, schema=schema or None):
                return None
            return Table(name, metadata, schema=schema or None, autoload_with=connection)

        where = redacted(self.url)
        table = self._database.run(reflect)
        if table is None:
            msg = f"{where} has no table {self.table}; give another with --table"
            raise ConfigurationError(msg) from None
        if unknown := set(self.columns) - set(FIELDS):
            msg = f"an upload has no field {min(unknown)}; it has {', '.join(FIELDS)}"
            raise ConfigurationError(msg)
        chosen: dict[str, Any] = {}
        for name_ in FIELDS:
            column = self.columns.get(name_, name_)
            if column in table.c:
                chosen[name_] = table.c[column]
            elif name_ in REQUIRED or name_ in self.columns:
                msg = (
                    f"the table {self.table} has no column {column} for {name_} (it has "
                    f"{', '.join(table.c.keys())}); name it with --column {name_}=COLUMN"
                )
                raise ConfigurationError(msg)
        return table, chosen

    @property
    def _is_sqlite(self) -> bool:
        return database_url(self.url).drivername == "sqlite"

    def _time(self) -> ColumnElement[Any]:
        """What rows are chosen by, where the database knows times."""
        column: ColumnElement[Any] = self._found[1]["published_at"]
        if isinstance(column.type, DateTime) and column.type.timezone:
            return column
        if not isinstance(column.type, DateTime):
            return cast(column, DateTime(timezone=True))
        if self.timezone is None:
            raise self._without_zones()
        return func.timezone(self.timezone, column)

    def _without_zones(self) -> ConfigurationError:
        return ConfigurationError(
            f"the times of {self.table} have no zone; name it: --timezone UTC, or "
            "--timezone Europe/Berlin"
        )

    def _check_zones(self) -> None:
        """Refuse a table whose first times all lack a zone: no row could be used.

        One among others that do ends as a dead letter.
        """
        if self.timezone is not None:
            return
        column = type_coerce(self._found[1]["published_at"], String)
        query = select(column).where(column.is_not(None)).limit(PAGE)
        read = [_as_datetime(text) for text in self._database.run(lambda c: c.scalars(query).all())]
        times = [at for at in read if at is not None]
        if times and all(at.tzinfo is None for at in times):
            raise self._without_zones()

    def _within(self, span: TimeRange) -> list[ColumnElement[bool]]:
        if self._is_sqlite:
            return self._near(span)
        return within(self._time(), span)

    def _near(self, span: TimeRange) -> list[ColumnElement[bool]]:
        """Rows of SQLite that may be within a span; its times are texts in many forms.

        What SQLite reads as a time is left out where it is more than a day away: no zone is
        further from UTC. The rest is looked at once it is read.
        """
        column = self._found[1]["published_at"]
        day = func.julianday(type_coerce(column, String))
        near = []
        for edge, days in ((span.since, -1), (span.until, 1)):
            if edge is None:
                continue
            try:
                far = edge.astimezone(UTC).replace(tzinfo=None) + timedelta(days=days)
            except OverflowError:
                continue
            limit = func.julianday(far.isoformat(sep=" ", timespec="seconds"))
            near.append(day >= limit if days < 0 else day <= limit)
        if not near:
            return []
        dated = type_coerce(column, String).bool_op("GLOB")("[0-9][0-9][0-9][0-9]-[0-9][0-9]-*")
        return [or_(func.typeof(column) != "text", ~dated, day.is_(None), and_(*near))]

    def ranges(self, span: TimeRange, count: int) -> list[Range]:
        """See BatchSource."""
        table, _ = self._found
        if self._is_sqlite:
            self._check_zones()
            return [Range(span)]
        time = self._time()
        query = select(func.min(time), func.max(time)).select_from(table)
        found = self._database.run(lambda c: c.execute(query.where(*self._within(span))).one())
        untimed = Range(untimed=True)
        if found[0] is None:
            return [untimed]
        first, last = (at.astimezone(UTC) for at in found)
        return [*(Range(part) for part in split(first, last, count)), untimed]

    def size(self, span: TimeRange) -> int | None:
        """See BatchSource."""
        if self._is_sqlite and (span.since or span.until):
            return sum(1 for _ in self._values(Range(span), ["published_at"]))
        query = select(func.count()).select_from(self._found[0]).where(*self._within(span))
        return int(self._database.run(lambda c: c.execute(query).scalar_one()))

    def read(self, part: Range) -> Iterator[bytes]:
        """See BatchSource."""
        for values in self._values(part, list(self._found[1])):
            yield self._as_json(values)

    def _values(self, part: Range, names: Sequence[str]) -> Iterator[dict[str, Any]]:
        """Fields of the rows of a range."""
        chosen = self._found[1]
        # SQLite's times come as they are: its driver refuses some forms.
        fields = [
            type_coerce(chosen[name], String) if self._is_sqlite else chosen[name] for name in names
        ]
        if part.untimed:
            conditions: list[ColumnElement[bool]] = [self._time().is_(None)]
            ordered = [chosen["id"]]
        else:
            conditions = self._within(part.span)
            ordered = [chosen["id"]] if self._is_sqlite else [self._time(), chosen["id"]]
        query = select(*ordered, *fields).where(*conditions)
        for row in self._rows(query, ordered):
            values = dict(zip(names, row[len(ordered) :], strict=True))
            values["published_at"] = self._as_time(values["published_at"])
            if not (self._is_sqlite and is_outside(values["published_at"], part.span)):
                yield values

    def _rows(self, query: Select[Any], ordered: Sequence[Any]) -> Iterator[Row[Any]]:
        key = ordered[-1]
        pages = query.where(key.is_not(None)).order_by(*ordered).limit(PAGE)
        after: tuple[Any, ...] | None = None
        while True:
            page = pages if after is None else pages.where(tuple_(*ordered) > tuple_(*after))
            rows = self._database.run(lambda c, page=page: c.execute(page).all())  # type: ignore[misc]
            yield from rows
            if len(rows) < PAGE:
                break
            after = tuple(rows[-1][: len(ordered)])
        # Nothing is greater than no id: pages would end at the first of these.
        yield from self._database.stream(query.where(key.is_(None)), PAGE)

    def _as_json(self, row: Mapping[str, Any]) -> bytes:
        made: dict[str, Any] = {}
        for name, value in row.items():
            if value is None:
                continue
            if name in _LISTS:
                value = _as_list(value)
            elif name in ("id", "uploader") and isinstance(value, int):
                value = str(value)
            made[name] = value
        return json.dumps(made, default=str).encode()

    def _as_time(self, value: Any) -> Any:
        if value is None or (at := _as_datetime(value)) is None:
            return value
        if at.tzinfo is None:
            if self.timezone is None:
                return str(value)
            at = at.replace(tzinfo=ZoneInfo(self.timezone))
        return at.astimezone(UTC).isoformat()


def _as_datetime(value: Any) -> datetime | None:
    try:
        return value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    except ValueError:
        return None


def _as_list(value: Any) -> Any:
    """A list, however the table keeps it: as an array, as JSON, or as words with commas."""
    if isinstance(value, list | tuple):
        return list(value)
    if not isinstance(value, str):
        return value
    try:
        read = json.loads(value)
    except ValueError:
        read = None
    if isinstance(read, list):
        return read
    return [word.strip() for word in value.split(",") if word.strip()]

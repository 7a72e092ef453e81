"""A table of the platform's own as a source of a batch."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    MetaData,
    Row,
    Select,
    String,
    Table,
    cast,
    func,
    inspect,
    select,
    tuple_,
    type_coerce,
)

from quorum.core.errors import ConfigurationError
from quorum.core.messages import Upload
from quorum.pipeline.batch.sources.base import (
    PAGE,
    BatchSource,
    Range,
    RefusedRow,
    is_outside,
    split,
)
from quorum.pipeline.batch.sources.columns import Columns, Values
from quorum.pipeline.batch.sources.conversions import Unconvertible, convert, moment
from quorum.pipeline.batch.sources.postgresql import PostgresColumns
from quorum.pipeline.batch.sources.sqlite import SqliteColumns
from quorum.store.ledger import TimeRange, database_url, redacted
from quorum.store.ledger.transactions import Transactions

__all__ = ["TableBatch"]

#: The fields of an upload that a table may have, and those that it must.
FIELDS = tuple(name for name in Upload.model_fields)
REQUIRED = ("id", "uploader", "published_at")


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
    def _found(self) -> tuple[Table, Columns]:
        schema, _, name = self.table.rpartition(".")
        metadata = MetaData()

        def reflect(connection: Any) -> Table | None:
            if not inspect(connection).has_table(name, schema=schema or None):
                return None
            return Table(name, metadata, schema=schema or None, autoload_with=connection)

        where = redacted(self.url)
        if self._database.absent:
            msg = f"there is no database {where}; check --database, or QUORUM_SOURCE"
            raise ConfigurationError(msg)
        table = self._database.run(reflect)
        if table is None:
            msg = f"{where} has no table {self.table}; give another with --table"
            raise ConfigurationError(msg) from None
        if unknown := set(self.columns) - set(FIELDS):
            msg = f"an upload has no field {min(unknown)}; it has {', '.join(FIELDS)}"
            raise ConfigurationError(msg)
        chosen: dict[str, Column[Any]] = {}
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
        made = SqliteColumns if self._is_sqlite else PostgresColumns
        return table, made(chosen, self.timezone)

    @property
    def _is_sqlite(self) -> bool:
        return database_url(self.url).drivername == "sqlite"

    def _check_zones(self) -> None:
        """Refuse a table whose times lack a zone: no row could be used.

        One such time among others that have one ends as a dead letter.
        """
        if self.timezone is not None:
            return
        _, columns = self._found
        column = columns.chosen["published_at"]
        times: list[datetime] = []
        if not columns.lacks_zones:
            text = type_coerce(column, String) if self._is_sqlite else cast(column, String)
            query = select(text).where(column.is_not(None)).limit(PAGE)
            read = (moment(row[0], None) for row in self._run(query) if isinstance(row[0], str))
            times = [at for at in read if at is not None]
        if columns.lacks_zones or (times and all(at.tzinfo is None for at in times)):
            msg = (
                f"the times of {self.table} have no zone; name it: --timezone UTC, or "
                "--timezone Europe/Berlin"
            )
            raise ConfigurationError(msg)

    def ranges(self, span: TimeRange, count: int) -> list[Range]:
        """See BatchSource."""
        self._check_zones()
        table, columns = self._found
        if columns.time is None:
            return [Range(span)]
        bounds = select(func.min(columns.time), func.max(columns.time)).select_from(table)
        found = self._run(bounds.where(*columns.within(span)))[0]
        untimed = Range(span, untimed=True)
        if found[0] is None:
            return [untimed]
        first, last = (at.astimezone(UTC) for at in found)
        return [*(Range(part) for part in split(first, last, count)), untimed]

    def size(self, span: TimeRange) -> int | None:
        """See BatchSource."""
        table, columns = self._found
        if columns.time is None and (span.since or span.until):
            return sum(1 for _ in self._converted(Range(span), ["published_at"]))
        conditions = columns.within(span)
        query = select(func.count()).select_from(table).where(*conditions)
        return int(self._run(query)[0][0])

    def read(self, part: Range) -> Iterator[bytes | RefusedRow]:
        """See BatchSource."""
        _, columns = self._found
        yield from self._converted(part, list(columns.chosen))

    def _converted(self, part: Range, names: Sequence[str]) -> Iterator[bytes | RefusedRow]:
        """The rows of a range as uploads, with these fields."""
        _, columns = self._found
        is_exact = columns.time is not None and not part.untimed
        conditions = [columns.untimed()] if part.untimed else columns.within(part.span)
        keys = columns.keys(untimed=part.untimed)
        query = select(*keys, *columns.fields(names)).where(*conditions)
        for row in self._rows(query, keys):
            values = columns.values(names, row[len(keys) :])
            made, problems = self._upload(values)
            if not is_exact and is_outside(made.get("published_at"), part.span):
                continue
            if problems:
                yield RefusedRow(_as_found(values), "; ".join(problems))
            else:
                yield json.dumps(made).encode()

    def _upload(self, values: Values) -> tuple[dict[str, Any], list[str]]:
        """The fields of an upload, and what is wrong with the others."""
        zone = self._found[1].zone
        made: dict[str, Any] = {}
        problems = []
        for name, (kind, value) in values.items():
            if value is None:
                continue
            try:
                made[name] = convert(name, kind, value, zone)
            except Unconvertible as error:
                problems.append(str(error))
        return made, problems

    def _run(self, query: Select[Any]) -> Sequence[Row[Any]]:
        columns = self._found[1]

        def rows(connection: Any) -> Sequence[Row[Any]]:
            columns.prepare(connection)
            found: Sequence[Row[Any]] = connection.execute(query).all()
            return found

        return self._database.run(rows)

    def _rows(self, query: Select[Any], keys: Sequence[ColumnElement[Any]]) -> Iterator[Row[Any]]:
        if not keys:
            yield from self._database.stream(query, PAGE)
            return
        id_ = keys[-1]
        pages = query.where(id_.is_not(None)).order_by(*keys).limit(PAGE)
        page = pages
        while True:
            rows = self._run(page)
            yield from rows
            if len(rows) < PAGE:
                break
            last = self._found[1].after(rows[-1][: len(keys)])
            page = pages.where(tuple_(*keys) > tuple_(*last))
        # Nothing is greater than no id: pages would end at the first of these.
        yield from self._database.stream(query.where(id_.is_(None)), PAGE)


def _as_found(values: Values) -> bytes:
    """A row for its dead letter: what the table has, as JSON."""
    found = {name: value for name, (_, value) in values.items() if value is not None}
    text = json.dumps(found, default=_plain, ensure_ascii=False)
    return text.encode("utf-8", "surrogateescape")


def _plain(value: Any) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)

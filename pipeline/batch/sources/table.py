"""A table of the platform's own as a source of a batch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC
from functools import cached_property
from typing import Any, Final

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
from quorum.pipeline.batch.sources.base import (
    PAGE,
    BatchSource,
    Range,
    RefusedRow,
    split,
)
from quorum.pipeline.batch.sources.columns import Columns
from quorum.pipeline.batch.sources.conversions import Sql, moment
from quorum.pipeline.batch.sources.mysql import MysqlColumns
from quorum.pipeline.batch.sources.postgresql import PostgresColumns
from quorum.pipeline.batch.sources.rows import check_zones, chosen_columns, row_of
from quorum.pipeline.batch.sources.sqlite import SqliteColumns
from quorum.store.ledger import TimeRange, redacted, source_url
from quorum.store.ledger.transactions import Transactions

__all__ = ["TableBatch"]


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
        return Transactions(source_url(self.url))

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
        names = chosen_columns(f"the table {self.table}", table.c.keys(), self.columns)
        chosen: dict[str, Column[Any]] = {field: table.c[name] for field, name in names.items()}
        made = _COLUMNS[source_url(self.url).get_backend_name()]
        return table, made(chosen, self.timezone)

    @property
    def _is_sqlite(self) -> bool:
        return source_url(self.url).drivername == "sqlite"

    def _check_zones(self) -> None:
        """Refuse a table whose times lack a zone: no row could be used.

        One such time among others that have one ends as a dead letter.
        """
        if self.timezone is not None:
            return
        _, columns = self._found
        column = columns.chosen["published_at"]
        if columns.lacks_zones:
            check_zones(self.table, [(Sql.STAMP, "")])
        if columns.has_zones:
            return
        text = type_coerce(column, String) if self._is_sqlite else cast(column, String)
        query = select(text).where(column.is_not(None)).limit(PAGE)
        found = (row[0] for row in self._run(query))
        texts = [one for one in found if isinstance(one, str) and moment(one, None) is not None]
        check_zones(self.table, [(Sql.TEXT, one) for one in texts])

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
            made = row_of(values, columns.zone, None if is_exact else part.span)
            if made is not None:
                yield made

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


_COLUMNS: Final[Mapping[str, type[Columns]]] = {
    "sqlite": SqliteColumns,
    "postgresql": PostgresColumns,
    "mysql": MysqlColumns,
}

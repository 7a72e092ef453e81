"""Where a batch reads its uploads from: the ledger, a table of the platform's, or files.

Each gives ranges that can be read apart from each other, and each range the JSON of its uploads,
so that one that cannot be used is kept as it was.
"""

from __future__ import annotations

import itertools
import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any
from zoneinfo import ZoneInfo

from apache_beam.io.filesystems import FileSystems
from sqlalchemy import (
    ColumnElement,
    DateTime,
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

from quorum.errors import ConfigurationError
from quorum.ledger import Ledger, Span, database_url, redacted
from quorum.ledger.transactions import Transactions
from quorum.messages import Upload

__all__ = ["BatchSource", "FileBatch", "LedgerBatch", "Range", "TableBatch", "split"]

#: Rows that are read at once.
PAGE = 1000

#: The fields of an upload that a table may have, and those that it must.
FIELDS = tuple(name for name in Upload.model_fields)
REQUIRED = ("id", "uploader", "published_at")
_LISTS = frozenset({"tags", "territories", "comments"})


@dataclass(frozen=True, slots=True)
class Range:
    """A part of a source.

    Attributes:
        span: Of the times of publication.
        path: Of a file.
        untimed: Only rows without a time, which no span holds.
    """

    span: Span = field(default_factory=Span)
    path: str = ""
    untimed: bool = False


class BatchSource(ABC):
    """A bounded source of uploads."""

    @abstractmethod
    def ranges(self, span: Span, count: int) -> list[Range]:
        """About so many ranges that together hold the uploads of a span."""

    @abstractmethod
    def read(self, part: Range) -> Iterator[bytes]:
        """The uploads of a range, as JSON."""

    def size(self, span: Span) -> int | None:
        """How many uploads a span has; None where only reading tells."""
        return None


def split(first: datetime, last: datetime, count: int) -> list[Span]:
    """Spans of equal length from a time to just after another.

    The first is open to the past and the last to the future only as far as asked for.
    """
    end = last + timedelta(microseconds=1)
    step = (end - first) / count
    edges = [first + step * index for index in range(count)] + [end]
    return [Span(a, b) for a, b in itertools.pairwise(edges) if a < b]


@dataclass(frozen=True)
class LedgerBatch(BatchSource):
    """The uploads that a ledger holds.

    Attributes:
        url: The ledger; None for ``QUORUM_DATABASE``.
    """

    url: str | None = None

    def ranges(self, span: Span, count: int) -> list[Range]:
        """See BatchSource."""
        with Ledger(self.url) as ledger:
            bounds = ledger.bounds(span)
        if bounds is None:
            return []
        return [Range(part) for part in split(*bounds, count)]

    def read(self, part: Range) -> Iterator[bytes]:
        """See BatchSource."""
        with Ledger(self.url) as ledger:
            for upload in ledger.uploads(part.span, page=PAGE):
                yield upload.to_bytes()

    def size(self, span: Span) -> int | None:
        """See BatchSource."""
        with Ledger(self.url) as ledger:
            return ledger.count_uploads(span)


@dataclass(frozen=True)
class FileBatch(BatchSource):
    """Files of JSON lines, here or where Beam's file systems reach (``gs://``).

    Attributes:
        pattern: A path; ``*`` stands for any part of a name.
    """

    pattern: str

    def ranges(self, span: Span, count: int) -> list[Range]:
        """See BatchSource."""
        try:
            found = FileSystems.match([self.pattern])[0].metadata_list
        except Exception as error:
            msg = f"cannot look for {self.pattern}: {error}"
            raise ConfigurationError(msg) from None
        if not found:
            msg = f"there is no file {self.pattern}"
            raise ConfigurationError(msg)
        return [Range(span, item.path) for item in found]

    def read(self, part: Range) -> Iterator[bytes]:
        """See BatchSource."""
        bounded = part.span.since is not None or part.span.until is not None
        with FileSystems.open(part.path) as lines:
            for line in _lines(lines):
                if line.strip() and not (bounded and _outside(line, part.span)):
                    yield line


def _lines(file: Any) -> Iterator[bytes]:
    rest = b""
    while chunk := file.read(1 << 20):
        *whole, rest = (rest + chunk).split(b"\n")
        yield from whole
    if rest:
        yield rest


def _outside(line: bytes, span: Span) -> bool:
    """Whether a line tells a time outside; one that tells none is read, to be told as bad."""
    try:
        return _outside_of(json.loads(line)["published_at"], span)
    except (ValueError, KeyError, TypeError, RecursionError):
        return False


@dataclass(frozen=True)
class TableBatch(BatchSource):
    """A table of the platform's own.

    Attributes:
        url: Its database.
        table: Its name, with a schema if it has one.
        columns: For fields of an upload, the column that holds it, where the names differ.
        timezone: The zone of times that tell none; None to refuse them.
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
        column = self._found[1]["published_at"]
        if isinstance(column.type, DateTime) and column.type.timezone:
            return column
        if not isinstance(column.type, DateTime):
            return cast(column, DateTime(timezone=True))
        if self.timezone is None:
            msg = (
                f"the times of {self.table} tell no zone; say which it is: --timezone UTC, or "
                "--timezone Europe/Berlin"
            )
            raise ConfigurationError(msg)
        return func.timezone(self.timezone, column)

    def _within(self, span: Span) -> list[ColumnElement[bool]]:
        if self._is_sqlite:
            return []
        time = self._time()
        found = []
        if span.since is not None:
            found.append(time >= span.since)
        if span.until is not None:
            found.append(time < span.until)
        return found

    def ranges(self, span: Span, count: int) -> list[Range]:
        """See BatchSource."""
        table, _ = self._found
        if self._is_sqlite:
            # SQLite's times are texts in many forms: they are read in the order of ids, and
            # chosen here.
            return [Range(span)]
        time = self._time()
        query = select(func.min(time), func.max(time)).select_from(table)
        found = self._database.run(lambda c: c.execute(query.where(*self._within(span))).one())
        untimed = Range(untimed=True)
        if found[0] is None:
            return [untimed]
        first, last = (at.astimezone(UTC) for at in found)
        return [*(Range(part) for part in split(first, last, count)), untimed]

    def size(self, span: Span) -> int | None:
        """See BatchSource."""
        if self._is_sqlite and (span.since or span.until):
            return None
        query = select(func.count()).select_from(self._found[0]).where(*self._within(span))
        return int(self._database.run(lambda c: c.execute(query).scalar_one()))

    def read(self, part: Range) -> Iterator[bytes]:
        """See BatchSource."""
        _table, chosen = self._found
        key = chosen["id"]
        conditions: list[ColumnElement[bool]]
        if self._is_sqlite:
            conditions, ordered = [], [key]
        elif part.untimed:
            conditions, ordered = [self._time().is_(None)], [key]
        else:
            conditions, ordered = self._within(part.span), [self._time(), key]
        # SQLite's times come as they are: its driver refuses some forms.
        fields = [type_coerce(c, String) if self._is_sqlite else c for c in chosen.values()]
        query = select(*ordered, *fields).where(*conditions).order_by(*ordered).limit(PAGE)
        for row in self._rows(query, ordered):
            values = dict(zip(chosen, row[len(ordered) :], strict=True))
            values["published_at"] = self._as_time(values["published_at"])
            if not (self._is_sqlite and _outside_of(values["published_at"], part.span)):
                yield self._as_json(values)

    def _rows(self, query: Select[Any], ordered: Sequence[Any]) -> Iterator[Row[Any]]:
        after: tuple[Any, ...] | None = None
        while True:
            page = query if after is None else query.where(tuple_(*ordered) > tuple_(*after))
            rows = self._database.run(lambda c, page=page: c.execute(page).all())  # type: ignore[misc]
            yield from rows
            if len(rows) < PAGE:
                return
            after = tuple(rows[-1][: len(ordered)])

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
        if value is None:
            return None
        try:
            at = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
        except ValueError:
            return value
        if at.tzinfo is None:
            if self.timezone is None:
                return str(value)
            at = at.replace(tzinfo=ZoneInfo(self.timezone))
        return at.astimezone(UTC).isoformat()


def _outside_of(value: Any, span: Span) -> bool:
    try:
        at = datetime.fromisoformat(value)
        return (span.since is not None and at < span.since) or (
            span.until is not None and at >= span.until
        )
    except (ValueError, TypeError):
        return False


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

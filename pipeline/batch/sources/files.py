"""Files as a source of a batch: JSON lines, CSV and Parquet."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import islice
from pathlib import PurePosixPath
from typing import Any, Final
from zoneinfo import ZoneInfo

from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems

from quorum.core.errors import ConfigurationError, MalformedMessage
from quorum.core.messages import MAX_MESSAGE_BYTES, Upload
from quorum.core.messages.carriage import plain_json
from quorum.core.messages.lines import json_lines
from quorum.pipeline.batch.sources.base import PAGE, BatchSource, Range, RefusedRow, is_outside
from quorum.pipeline.batch.sources.columns import Values
from quorum.pipeline.batch.sources.conversions import Sql
from quorum.pipeline.batch.sources.csv_rows import csv_values
from quorum.pipeline.batch.sources.parquet_rows import groups_of, parquet_values
from quorum.pipeline.batch.sources.rows import check_zones, chosen_columns, row_of
from quorum.store.ledger import TimeRange

__all__ = ["FileBatch", "lacks_extra"]

_CSV: Final = (".csv", ".tsv")
_PARQUET: Final = ".parquet"
#: The scheme of a place, its name, and the extra that brings its client.
_CLOUDS: Final = {"gs": "dataflow", "s3": "aws"}


def lacks_extra(place: str, error: Exception) -> str:
    """Why a place cannot be reached, with the extra to install if that is it."""
    extra = _CLOUDS.get(place.partition("://")[0])
    if extra and "Unable to get filesystem" in str(error):
        return f"{place} needs a client: pip install 'quorum-moderation[{extra}]'"
    return f"cannot look for {place}: {error}"


@dataclass(frozen=True)
class FileBatch(BatchSource):
    """Files, here or where Beam's file systems reach (``gs://``, ``s3://``).

    Attributes:
        pattern: A path; ``*`` stands for any part of a name.
        columns: For fields of an upload, the column or key that holds it, where the names differ.
        timezone: The zone of times without one; None to refuse them.
    """

    pattern: str
    columns: Mapping[str, str] = field(default_factory=dict)
    timezone: str | None = None

    def ranges(self, span: TimeRange, count: int) -> list[Range]:
        """See BatchSource."""
        try:
            found = FileSystems.match([self.pattern])[0].metadata_list
        except Exception as error:
            raise ConfigurationError(lacks_extra(self.pattern, error)) from None
        if not found:
            msg = f"there is no file {self.pattern}"
            raise ConfigurationError(msg)
        paths = sorted(item.path for item in found)
        if self._has_columns(paths[0]):
            times = (
                values.get("published_at", (Sql.TEXT, None))
                for values in islice(self._values(paths[0], None), PAGE)
                if not isinstance(values, RefusedRow)
            )
            check_zones(paths[0], () if self.timezone else times)
            if self.timezone:
                next(times, None)  # so that a header without the columns is told now
        return [part for path in paths for part in self._parts(span, path)]

    def _parts(self, span: TimeRange, path: str) -> list[Range]:
        if _form(path) != _PARQUET:
            return [Range(span, path)]
        with _opened(path) as file:
            return [Range(span, path, group) for group in range(groups_of(file, path))]

    def read(self, part: Range) -> Iterator[bytes | RefusedRow]:
        """See BatchSource."""
        bounded = part.span.since is not None or part.span.until is not None
        span = part.span if bounded else None
        if not self._has_columns(part.path):
            with FileSystems.open(part.path) as file:
                for line in json_lines(file, part.path):
                    if line.strip() and not (bounded and _outside(line, part.span)):
                        yield line
            return
        zone = ZoneInfo(self.timezone) if self.timezone else None
        for values in self._values(part.path, part.group):
            row = values if isinstance(values, RefusedRow) else row_of(values, zone, span)
            if row is not None:
                yield row

    def _has_columns(self, path: str) -> bool:
        """Whether rows are converted; else a line is a message."""
        return _form(path) != "" or bool(self.columns) or self.timezone is not None

    def _values(self, path: str, group: int | None) -> Iterator[Values | RefusedRow]:
        form = _form(path)
        if form == _PARQUET:
            with _opened(path) as file:
                yield from parquet_values(file, path, self.columns, group)
            return
        with FileSystems.open(path) as file:
            if form in _CSV:
                yield from csv_values(file, path, self.columns)
                return
            for line in json_lines(file, path):
                if line.strip():
                    yield self._from_json(line)

    def _from_json(self, line: bytes) -> Values | RefusedRow:
        """The values of an object of the platform's own, by an upload's fields."""
        try:
            plain, _ = plain_json(line, Upload.kind, MAX_MESSAGE_BYTES)
            found = json.loads(plain, parse_float=Decimal)
        except (MalformedMessage, ValueError, RecursionError) as error:
            return RefusedRow(line, str(error))
        if not isinstance(found, dict):
            return RefusedRow(line, "not a JSON object")
        # A key that an object lacks is no value; a field that is none at all is told.
        chosen_columns("it", {*self.columns.values(), *Upload.model_fields}, self.columns)
        names = {name: self.columns.get(name, name) for name in Upload.model_fields}
        return {name: (Sql.JSON, found.get(key)) for name, key in names.items()}


def _form(path: str) -> str:
    """How a file is laid out, by its name: ``.csv``, ``.tsv``, ``.parquet`` or nothing."""
    ends = PurePosixPath(path).suffixes
    if ends and ends[-1] in (".gz", ".bz2", ".zst"):
        ends = ends[:-1]
    last = ends[-1].lower() if ends else ""
    return last if last in (*_CSV, _PARQUET) else ""


def _opened(path: str) -> Any:
    """A file that can be read from any place."""
    return FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED)


def _outside(line: bytes, span: TimeRange) -> bool:
    """Whether a line has a time outside the range; one without a time is read and refused later."""
    try:
        plain, _ = plain_json(line, Upload.kind, MAX_MESSAGE_BYTES)
        return is_outside(json.loads(plain)["published_at"], span)
    except (MalformedMessage, ValueError, KeyError, TypeError, RecursionError):
        return False

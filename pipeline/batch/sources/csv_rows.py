"""The rows of a CSV file by the names of its header, whatever wrote it."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from quorum.core.errors import ConfigurationError
from quorum.core.messages import MAX_MESSAGE_BYTES
from quorum.core.messages.lines import Readable, marked_encoding, text_lines
from quorum.pipeline.batch.sources.base import RefusedRow
from quorum.pipeline.batch.sources.columns import Values
from quorum.pipeline.batch.sources.conversions import Sql
from quorum.pipeline.batch.sources.rows import REQUIRED, chosen_columns

__all__ = ["csv_values"]

_DELIMITERS: Final = (",", ";", "\t", "|")


@dataclass
class _Lines:
    """Lines as ``csv`` reads them, and those of the row that it is at."""

    lines: Iterator[bytes]

    def __post_init__(self) -> None:
        self.taken: list[bytes] = []

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = next(self.lines)
        self.taken.append(line)
        return line.decode("utf-8", "surrogateescape") + "\n"

    def row(self) -> bytes:
        """The lines since the last call: one row, as it was written."""
        row, self.taken = b"\n".join(self.taken), []
        return row


def csv_values(
    file: Readable, name: str, columns: Mapping[str, str]
) -> Iterator[Values | RefusedRow]:
    """Iterate over the rows of a CSV file, by an upload's fields; an empty cell is no value.

    The header tells the delimiter: of comma, semicolon, tab and bar the one that gives the columns
    that are needed.

    Args:
        file: In UTF-8, UTF-16 or UTF-32 with their marks, or in UTF-8 without; in gzip or not.
        name: The file's name, for errors.
        columns: For fields of an upload, the column that holds it, where the names differ.

    Raises:
        ConfigurationError: If it has no header, or the header lacks a column.
    """
    csv.field_size_limit(MAX_MESSAGE_BYTES)
    lines = _Lines(text_lines(file, name, marked_encoding))
    delimiter, header = _header(lines, name, columns)
    chosen = chosen_columns(name, header, columns)
    if twice := [one for one in chosen.values() if header.count(one) > 1]:
        msg = f"{name} has two columns {twice[0]}"
        raise ConfigurationError(msg)
    places = {field: header.index(column) for field, column in chosen.items()}
    lines.row()
    reader = csv.reader(lines, delimiter=delimiter)
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield RefusedRow(lines.row(), f"the row cannot be read: {error}")
            continue
        row = lines.row()
        if not any(cells):
            continue
        if len(cells) != len(header):
            why = (
                f"the row has {len(cells)} cells and the header {len(header)}; what holds the "
                "delimiter must be in quotes"
            )
            yield RefusedRow(row, why)
            continue
        yield {field: (Sql.TEXT, cells[at] or None) for field, at in places.items()}


def _header(lines: _Lines, name: str, columns: Mapping[str, str]) -> tuple[str, list[str]]:
    given: tuple[str, ...] = _DELIMITERS
    first = next(lines, "").removeprefix("\ufeff")
    if first[:4].lower() == "sep=":  # Excel's own way to name the delimiter
        given, first = (first[4:5],), next(lines, "")
    if not first.strip():
        msg = f"{name} is empty: a CSV file begins with the names of its columns"
        raise ConfigurationError(msg)
    # A name may hold a line break.
    while first.count('"') % 2 and (more := next(lines, "")):
        first += more
    read = {one: _cells(first, one) for one in given}
    needed = {columns.get(field, field) for field in REQUIRED}
    delimiter = max(given, key=lambda one: (len(needed & set(read[one])), len(read[one])))
    return delimiter, read[delimiter]


def _cells(line: str, delimiter: str) -> list[str]:
    lines = line.splitlines(keepends=True)
    cells = next(csv.reader(lines, delimiter=delimiter, skipinitialspace=True), [])
    return [cell.strip() for cell in cells]

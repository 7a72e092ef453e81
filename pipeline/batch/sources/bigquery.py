"""A table or view of BigQuery as a source of a batch, read by Beam's own source."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, timedelta
from decimal import Decimal, InvalidOperation
from functools import cached_property
from typing import Any, Final
from zoneinfo import ZoneInfo

import apache_beam as beam

from quorum.core.errors import ConfigurationError
from quorum.pipeline.batch.sources.base import BatchSource, Found, Range, RefusedRow
from quorum.pipeline.batch.sources.columns import Values
from quorum.pipeline.batch.sources.conversions import Sql
from quorum.pipeline.batch.sources.rows import check_zones, chosen_columns, row_of
from quorum.store.ledger import TimeRange

__all__ = ["BigQueryBatch", "table_of"]

SCHEME: Final = "bigquery://"

_PROJECT: Final = re.compile(r"(?:[a-z0-9.-]+:)?[a-z][a-z0-9-]{4,28}[a-z0-9]")
_DATASET: Final = re.compile(r"[A-Za-z0-9_]{1,1024}")
#: Letters, digits and the few marks that BigQuery takes in names; no backquote.
_NAME: Final = re.compile(r"[\w $#-]{1,1024}")
_KINDS: Final[Mapping[str, Sql]] = {
    "STRING": Sql.TEXT,
    "INTEGER": Sql.WHOLE,
    "INT64": Sql.WHOLE,
    "FLOAT": Sql.FRACTION,
    "FLOAT64": Sql.FRACTION,
    "NUMERIC": Sql.FRACTION,
    "BIGNUMERIC": Sql.FRACTION,
    "BOOLEAN": Sql.BOOLEAN,
    "BOOL": Sql.BOOLEAN,
    "BYTES": Sql.BYTES,
    "TIMESTAMP": Sql.INSTANT,
    "DATETIME": Sql.STAMP,
    "DATE": Sql.DATE,
    "JSON": Sql.JSON,
}
#: The column of the whole row, as JSON.
_ROW: Final = "quorum_row"


def table_of(address: str, table: str | None = None) -> tuple[str, str, str]:
    """Project, dataset and table of ``bigquery://PROJECT/DATASET`` and a table's name.

    Args:
        address: With the table as its third part, or without.
        table: Its name, where the address has none.

    Raises:
        ConfigurationError: If it names no table of BigQuery.
    """
    parts = address.removeprefix(SCHEME).strip("/").split("/")
    if table is not None:
        parts.append(table)
    if (
        len(parts) == 3
        and _PROJECT.fullmatch(parts[0])
        and _DATASET.fullmatch(parts[1])
        and _NAME.fullmatch(parts[2])
    ):
        return parts[0], parts[1], parts[2]
    msg = f"{address} names no table: write bigquery://PROJECT/DATASET, and --table NAME"
    raise ConfigurationError(msg)


@dataclass(frozen=True)
class BigQueryBatch(BatchSource):
    """A table or view of BigQuery.

    The query reads the columns that are chosen, of the rows of the window, each row as one JSON
    text that BigQuery makes: so the values are the same whichever way Beam fetches them.

    Attributes:
        address: ``bigquery://PROJECT/DATASET``.
        table: Its name.
        columns: For fields of an upload, the column that holds it, where the names differ.
        timezone: The zone of times without one; None to refuse them.
    """

    address: str
    table: str
    columns: Mapping[str, str] = field(default_factory=dict)
    timezone: str | None = None

    @cached_property
    def _chosen(self) -> dict[str, tuple[str, Sql]]:
        """The column and its kind, of each field of an upload that the table has."""
        kinds = _kinds_of(*table_of(self.address, self.table))
        where = f"the table {self.table}"
        names = chosen_columns(where, list(kinds), self.columns)
        chosen = {name: (column, kinds[column]) for name, column in names.items()}
        check_zones(where, [(chosen["published_at"][1], "")] if self.timezone is None else [])
        return chosen

    def query(self, span: TimeRange) -> str:
        """The query of a span, in GoogleSQL.

        Raises:
            ConfigurationError: If the table cannot be had, or lacks a column.
        """
        project, dataset, table = table_of(self.address, self.table)
        picked = ", ".join(
            f"{_quoted(column)} AS `{name}`" for name, (column, _) in self._chosen.items()
        )
        conditions = self._within(span)
        where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
        source = f"`{project}`.`{dataset}`.{_quoted(table)}"
        return f"SELECT TO_JSON_STRING(STRUCT({picked})) AS {_ROW} FROM {source}{where}"  # noqa: S608

    def _within(self, span: TimeRange) -> list[str]:
        """Conditions of the rows that may be in a span, on the bare column: partitions are pruned.

        Rows without a time are in every span.
        """
        column, kind = self._chosen["published_at"]
        if kind not in (Sql.INSTANT, Sql.STAMP, Sql.DATE):
            return []
        time = _quoted(column)
        made = []
        for sign, edge, far in ((">=", span.since, -1), ("<", span.until, 1)):
            if edge is None:
                continue
            if kind is Sql.DATE:
                # No zone is further from UTC than a day; what is outside is left out when read.
                day = (edge.astimezone(UTC) + timedelta(days=far)).date()
                made.append(f"({time} {sign} DATE '{day.isoformat()}' OR {time} IS NULL)")
                continue
            text = edge.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")
            literal = f"TIMESTAMP '{text}+00'"
            if kind is Sql.STAMP:
                literal = f"DATETIME({literal}, '{self.timezone}')"
            made.append(f"({time} {sign} {literal} OR {time} IS NULL)")
        return made

    def ranges(self, span: TimeRange, count: int) -> list[Range]:
        """See BatchSource; BigQuery splits the result itself."""
        self.query(span)
        return [Range(span)]

    def read(self, part: Range) -> Iterator[Found]:
        """Nothing: rows are read by ``rows`` alone."""
        raise NotImplementedError

    def rows(self, begin: beam.pvalue.PBegin, ranges: Sequence[Range]) -> Any:
        """See BatchSource."""
        (part,) = ranges
        project = table_of(self.address, self.table)[0]
        read = beam.io.ReadFromBigQuery(
            query=self.query(part.span), use_standard_sql=True, project=project
        )
        kinds = {name: kind for name, (_, kind) in self._chosen.items()}
        convert = _Convert(kinds, self.timezone, part.span)
        return (
            begin
            | "Read BigQuery" >> read
            | "Spread" >> beam.Reshuffle()
            | "Convert" >> beam.ParDo(convert).with_output_types(Found)
        )


class _Convert(beam.DoFn):
    def __init__(self, kinds: Mapping[str, Sql], timezone: str | None, span: TimeRange) -> None:
        self.kinds = kinds
        self.timezone = timezone
        self.span = span

    def process(self, element: Mapping[str, Any]) -> Iterator[Found]:
        text = element[_ROW]
        found = json.loads(text, parse_float=Decimal)
        values: Values = {name: _typed(kind, found.get(name)) for name, kind in self.kinds.items()}
        made = row_of(values, ZoneInfo(self.timezone) if self.timezone else None, self.span)
        if isinstance(made, RefusedRow):
            made = RefusedRow(text.encode(), made.error)
        if made is not None:
            yield made


def _typed(kind: Sql, value: Any) -> tuple[Sql, Any]:
    """A value as ``convert`` takes it, of what TO_JSON_STRING makes."""
    if isinstance(value, str):
        try:
            if kind is Sql.WHOLE:  # beyond 53 bits it is in quotes
                return kind, int(value)
            if kind is Sql.FRACTION:
                return kind, Decimal(value)
            if kind is Sql.BYTES:
                return kind, base64.b64decode(value, validate=True)
        except (ValueError, InvalidOperation, binascii.Error):
            return Sql.OTHER, value
    return kind, value


def _kinds_of(project: str, dataset: str, table: str) -> dict[str, Sql]:
    """The columns of a table, each with its kind."""
    try:
        from google.api_core.exceptions import GoogleAPIError
        from google.auth.exceptions import GoogleAuthError
        from google.cloud import bigquery  # type: ignore[attr-defined, unused-ignore]
    except ImportError:
        msg = "BigQuery needs its client: pip install 'quorum-moderation[dataflow]'"
        raise ConfigurationError(msg) from None
    try:
        found = bigquery.Client(project=project).get_table(f"{project}.{dataset}.{table}")
    except (GoogleAPIError, GoogleAuthError, OSError) as error:
        told = str(error).splitlines()[0]
        msg = f"cannot look at {project}.{dataset}.{table} of BigQuery: {told}"
        raise ConfigurationError(msg) from None
    return {
        column.name: Sql.ARRAY
        if column.mode == "REPEATED"
        else _KINDS.get(column.field_type, Sql.OTHER)
        for column in found.schema
    }


def _quoted(name: str) -> str:
    if not _NAME.fullmatch(name):
        msg = f"{name!r} cannot be the name of a column or table of BigQuery"
        raise ConfigurationError(msg)
    return f"`{name}`"

"""Where a batch also writes verdicts and predictions: files and tables for other tools.

The ledger stays what holds; an output is a copy for analysts. It has one row for each content that
the run has read, decided now or before, so that a run which was killed and started again writes
all of them.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import PurePosixPath
from typing import Any, Final, Literal

import apache_beam as beam

from quorum.core.errors import ConfigurationError
from quorum.core.messages import Message, Prediction, Verdict
from quorum.pipeline.batch.sources.bigquery import SCHEME, table_of

__all__ = ["COLUMNS", "Output", "cells", "refusal"]

Kind = Literal["verdicts", "predictions"]


class Type(StrEnum):
    """The type of a column."""

    TEXT = "text"
    WHOLE = "whole number"
    NUMBER = "number"
    FLAG = "true or false"
    TIME = "time"
    LIST = "list of texts"


#: The columns of each kind, in their order; ``message`` is the whole message as JSON.
COLUMNS: Final[Mapping[Kind, Mapping[str, Type]]] = {
    "verdicts": {
        "upload_id": Type.TEXT,
        "id": Type.TEXT,
        "revision": Type.WHOLE,
        "supersedes": Type.TEXT,
        "action": Type.TEXT,
        "category": Type.TEXT,
        "rule": Type.TEXT,
        "decided_by": Type.TEXT,
        "policy_version": Type.TEXT,
        "reasons": Type.LIST,
        "statement": Type.TEXT,
        "at": Type.TIME,
        "latency": Type.NUMBER,
        "digest": Type.TEXT,
        "published_at": Type.TIME,
        "message": Type.TEXT,
    },
    "predictions": {
        "upload_id": Type.TEXT,
        "id": Type.TEXT,
        "detector": Type.TEXT,
        "version": Type.TEXT,
        "status": Type.TEXT,
        "score": Type.NUMBER,
        "reason": Type.TEXT,
        "shadow": Type.FLAG,
        "elapsed": Type.NUMBER,
        "at": Type.TIME,
        "digest": Type.TEXT,
        "message": Type.TEXT,
    },
}

_MESSAGES: Final[Mapping[Kind, type[Message]]] = {"verdicts": Verdict, "predictions": Prediction}
_BIGQUERY: Final = {
    Type.TEXT: "STRING",
    Type.WHOLE: "INTEGER",
    Type.NUMBER: "FLOAT",
    Type.FLAG: "BOOLEAN",
    Type.TIME: "TIMESTAMP",
    Type.LIST: "STRING",
}


def cells(kind: Kind, message: bytes) -> dict[str, Any]:
    """The columns of one message.

    Args:
        kind: What it is.
        message: Its JSON.

    Returns:
        Values by column: times with their zone, lists as lists, what is absent as None.
    """
    read = _MESSAGES[kind].from_bytes(message)
    columns = [name for name in COLUMNS[kind] if name != "message"]
    found = {name: _plain(getattr(read, name)) for name in columns}
    return found | {"message": message.decode()}


def _plain(value: Any) -> Any:
    if isinstance(value, StrEnum):
        return value.value
    return list(value) if isinstance(value, tuple) else value


@dataclass(frozen=True)
class Output:
    """A file or a table to write to.

    Attributes:
        kind: What is written.
        place: ``….jsonl``, ``….csv`` or ``….parquet``, here or where Beam's file systems reach; or
            ``bigquery://PROJECT/DATASET/TABLE``.

    Raises:
        ConfigurationError: If it is none of these.
    """

    kind: Kind
    place: str

    def __post_init__(self) -> None:
        if self.place.startswith(SCHEME):
            table_of(self.place)
        elif self._form not in _WRITERS:
            msg = (
                f"cannot write {self.kind} to {self.place}: its name must end in "
                f"{', '.join(_WRITERS)}, or be bigquery://PROJECT/DATASET/TABLE"
            )
            raise ConfigurationError(msg)

    @property
    def _form(self) -> str:
        path = PurePosixPath(self.place)
        return PurePosixPath(path.stem).suffix if path.suffix == ".gz" else path.suffix

    def of_window(self, begin: datetime) -> Output:
        """The output of one window of several: files have its begin in their names."""
        if self.place.startswith(SCHEME):
            return self
        head, dot, rest = self.place.rpartition(self._form)
        return Output(self.kind, f"{head}-{begin:%Y%m%dT%H%MZ}{dot}{rest}")

    def write(self, messages: beam.PCollection[bytes], beam_args: Sequence[str]) -> None:
        """Write a collection of messages; a file that is there is replaced, a table grows.

        Args:
            messages: Their JSON.
            beam_args: Beam's options of the run: with ``--temp_location`` BigQuery loads files,
                else rows are streamed into it.
        """
        name = f"Write {self.kind}"
        if not self.place.startswith(SCHEME):
            _ = messages | name >> _WriteFile(self.kind, self.place, self._form)
            return
        project, dataset, table = table_of(self.place)
        methods = beam.io.WriteToBigQuery.Method
        rows = messages | f"Rows of {self.kind}" >> beam.Map(_json_cells, self.kind)
        written = rows | name >> beam.io.WriteToBigQuery(
            table=table,
            dataset=dataset,
            project=project,
            schema={"fields": _bigquery_schema(self.kind)},
            method=methods.FILE_LOADS if _loads(beam_args) else methods.STREAMING_INSERTS,
            # Beam's default would try a row that the table refuses for ever.
            insert_retry_strategy="RETRY_ON_TRANSIENT_ERROR",
        )
        if not _loads(beam_args):
            refused = written.failed_rows_with_errors
            _ = refused | f"Refused {self.kind}" >> beam.Map(_refuse, self.place)


def _loads(beam_args: Sequence[str]) -> bool:
    """Whether BigQuery loads files: where there is a place in Cloud Storage for them.

    Raises:
        ConfigurationError: If the place is elsewhere, where BigQuery cannot read.
    """
    places = [place for one in beam_args if (place := one.removeprefix("--temp_location=")) != one]
    if places and not places[-1].startswith("gs://"):
        msg = (
            f"--temp_location={places[-1]}: must begin with gs://, where BigQuery loads from; "
            "leave it out to stream rows"
        )
        raise ConfigurationError(msg)
    return bool(places)


def refusal(error: Exception) -> str:
    """Why BigQuery did not load files, of the error by which Beam ended; empty for other errors."""
    found = re.search(
        r"BigQuery job \S+ failed\. Error Result:.*?message: (.+?)\n", str(error), re.S
    )
    return f"BigQuery does not load what was written: {found[1]}" if found else ""


def _refuse(failed: tuple[str, Mapping[str, Any], Sequence[Mapping[str, Any]]], place: str) -> None:
    """End the run for a row that the table does not take: an output lacks none silently."""
    _, row, errors = failed
    told = "; ".join(str(one.get("message") or one.get("reason")) for one in errors)
    msg = f"{place} refuses {row.get('upload_id')}: {told}"
    raise ConfigurationError(msg)


class _WriteFile(beam.PTransform[beam.PCollection[bytes], Any]):
    def __init__(self, kind: Kind, place: str, form: str) -> None:
        super().__init__()
        self.kind, self.place, self.form = kind, place, form

    def expand(self, messages: beam.PCollection[bytes]) -> Any:
        return _WRITERS[self.form](messages, self.kind, self.place)


def _as_lines(messages: beam.PCollection[bytes], kind: Kind, place: str) -> Any:
    return messages | beam.io.WriteToText(
        place, shard_name_template="", coder=beam.coders.BytesCoder()
    )


def _as_csv(messages: beam.PCollection[bytes], kind: Kind, place: str) -> Any:
    rows = messages | "Rows" >> beam.Map(_csv_row, kind)
    header = _csv_line(list(COLUMNS[kind]))
    return rows | beam.io.WriteToText(place, shard_name_template="", header=header)


def _as_parquet(messages: beam.PCollection[bytes], kind: Kind, place: str) -> Any:
    import pyarrow as pa

    types = {
        Type.TEXT: pa.string(),
        Type.WHOLE: pa.int64(),
        Type.NUMBER: pa.float64(),
        Type.FLAG: pa.bool_(),
        Type.TIME: pa.timestamp("us", "UTC"),
        Type.LIST: pa.list_(pa.string()),
    }
    schema = pa.schema([(name, types[type_]) for name, type_ in COLUMNS[kind].items()])
    rows = messages | "Rows" >> beam.Map(lambda message: cells(kind, message))
    return rows | beam.io.WriteToParquet(place, schema, shard_name_template="")


_WRITERS: Final[Mapping[str, Callable[[beam.PCollection[bytes], Kind, str], Any]]] = {
    ".jsonl": _as_lines,
    ".csv": _as_csv,
    ".parquet": _as_parquet,
}


def _csv_row(message: bytes, kind: Kind) -> str:
    values = _json_cells(message, kind).values()
    return _csv_line(
        [json.dumps(one, ensure_ascii=False) if isinstance(one, list) else one for one in values]
    )


def _csv_line(values: Sequence[Any]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="").writerow(values)
    return out.getvalue()


def _json_cells(message: bytes, kind: Kind) -> dict[str, Any]:
    found = cells(kind, message)
    return {
        name: one.isoformat() if isinstance(one, datetime) else one for name, one in found.items()
    }


def _bigquery_schema(kind: Kind) -> list[dict[str, str]]:
    return [
        {
            "name": name,
            "type": _BIGQUERY[type_],
            "mode": "REPEATED" if type_ is Type.LIST else "NULLABLE",
        }
        for name, type_ in COLUMNS[kind].items()
    ]

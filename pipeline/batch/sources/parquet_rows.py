"""The rows of a Parquet file, by the names and types of its columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.types as kinds

from quorum.core.errors import InputError
from quorum.pipeline.batch.sources.base import PAGE
from quorum.pipeline.batch.sources.columns import Values
from quorum.pipeline.batch.sources.conversions import Sql
from quorum.pipeline.batch.sources.rows import chosen_columns

__all__ = ["groups_of", "kind_of", "parquet_values"]

_BEGIN: Final = datetime(1970, 1, 1, tzinfo=UTC)
_DIVISORS: Final = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}


def kind_of(type_: pa.DataType) -> Sql:
    """The kind of a column's type."""
    if kinds.is_dictionary(type_):
        return kind_of(type_.value_type)
    tests: tuple[tuple[Any, Sql], ...] = (
        (lambda t: kinds.is_string(t) or kinds.is_large_string(t), Sql.TEXT),
        (kinds.is_integer, Sql.WHOLE),
        (lambda t: kinds.is_floating(t) or kinds.is_decimal(t), Sql.FRACTION),
        (kinds.is_boolean, Sql.BOOLEAN),
        (
            lambda t: (
                kinds.is_binary(t) or kinds.is_large_binary(t) or kinds.is_fixed_size_binary(t)
            ),
            Sql.BYTES,
        ),
        (lambda t: kinds.is_timestamp(t) and t.tz is not None, Sql.INSTANT),
        (kinds.is_timestamp, Sql.STAMP),
        (kinds.is_date, Sql.DATE),
        (lambda t: kinds.is_time(t) or kinds.is_duration(t), Sql.SPAN),
        (
            lambda t: kinds.is_list(t) or kinds.is_large_list(t) or kinds.is_fixed_size_list(t),
            Sql.ARRAY,
        ),
    )
    return next((kind for test, kind in tests if test(type_)), Sql.OTHER)


def groups_of(file: Any, name: str) -> int:
    """How many groups of rows a file has.

    Raises:
        InputError: If it is damaged.
    """
    with _readable(name):
        return int(pq.ParquetFile(file).num_row_groups)


def parquet_values(
    file: Any, name: str, columns: Mapping[str, str], group: int | None = None
) -> Iterator[Values]:
    """Iterate over the rows of a file, by an upload's fields; null is no value.

    Args:
        file: A file that can be read from any place.
        name: Its name, for errors.
        columns: For fields of an upload, the column that holds it, where the names differ.
        group: Only this group of rows.

    Raises:
        ConfigurationError: If the file lacks a column.
        InputError: If it is damaged.
    """
    with _readable(name):
        opened = pq.ParquetFile(file)
        chosen = chosen_columns(name, opened.schema_arrow.names, columns)
        groups = None if group is None else [group]
        batches = opened.iter_batches(PAGE, row_groups=groups, columns=list(chosen.values()))
        for batch in batches:
            read = {}
            for field, column in chosen.items():
                array = batch.column(batch.schema.get_field_index(column))
                kind = kind_of(array.type)
                read[field] = [(kind, value) for value in _plain(array, kind)]
            for index in range(batch.num_rows):
                yield {field: values[index] for field, values in read.items()}


@contextmanager
def _readable(name: str) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        msg = f"{name} cannot be read as Parquet: {str(error).splitlines()[0]}"
        raise InputError(msg) from None


def _plain(array: pa.Array, kind: Sql) -> list[Any]:
    """The values of a column as ``convert`` takes them; None for null."""
    type_ = array.type
    if kinds.is_dictionary(type_):
        array, type_ = array.dictionary_decode(), type_.value_type
    match kind:
        case Sql.INSTANT | Sql.STAMP:
            numbers = array.cast(pa.int64()).to_pylist()
            return [_time(one, type_.unit, zoned=kind is Sql.INSTANT) for one in numbers]
        case Sql.DATE:
            return [None if one is None else one.isoformat() for one in array.to_pylist()]
        case Sql.SPAN:
            whole = pa.int32() if kinds.is_time32(type_) else pa.int64()
            unit = _DIVISORS[type_.unit]
            numbers = array.cast(whole).to_pylist()
            return [None if one is None else Decimal(one) / unit for one in numbers]
    values: list[Any] = array.to_pylist()
    return values


def _time(number: int | None, unit: str, *, zoned: bool) -> str | None:
    """ISO 8601 of a time since 1970; its digits if no year has it."""
    if number is None:
        return None
    try:
        at = _BEGIN + timedelta(microseconds=number * 1_000_000 // _DIVISORS[unit])
    except OverflowError:
        return f"{number} {unit}"
    return at.isoformat() if zoned else at.replace(tzinfo=None).isoformat()

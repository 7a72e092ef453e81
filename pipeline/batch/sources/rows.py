"""From the values of a row to the JSON of an upload, whatever the row was read from."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from datetime import date, datetime, time, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from quorum.core.errors import ConfigurationError
from quorum.core.messages import Upload
from quorum.pipeline.batch.sources.base import RefusedRow, is_outside
from quorum.pipeline.batch.sources.columns import Values
from quorum.pipeline.batch.sources.conversions import Sql, Unconvertible, convert, moment
from quorum.store.ledger import TimeRange

__all__ = ["FIELDS", "REQUIRED", "as_found", "check_zones", "chosen_columns", "converted", "row_of"]

#: The fields of an upload that a row may have, and those that it must.
FIELDS: Final = tuple(name for name in Upload.model_fields)
REQUIRED: Final = ("id", "uploader", "published_at")


def chosen_columns(
    where: str, names: Collection[str], columns: Mapping[str, str]
) -> dict[str, str]:
    """The column of each field of an upload that is there.

    Args:
        where: What holds the columns, for errors.
        names: The columns that there are.
        columns: For fields of an upload, the column that holds it, where the names differ.

    Raises:
        ConfigurationError: If a field is unknown, or a column that is needed or named is absent.
    """
    if unknown := set(columns) - set(FIELDS):
        msg = f"an upload has no field {min(unknown)}; it has {', '.join(FIELDS)}"
        raise ConfigurationError(msg)
    chosen: dict[str, str] = {}
    for field in FIELDS:
        column = columns.get(field, field)
        if column in names:
            chosen[field] = column
        elif field in REQUIRED or field in columns:
            msg = (
                f"{where} has no column {column} for {field} (it has "
                f"{', '.join(list(names)[:40])}); name it with --column {field}=COLUMN"
            )
            raise ConfigurationError(msg)
    return chosen


def converted(values: Values, zone: ZoneInfo | None) -> tuple[dict[str, Any], list[str]]:
    """The fields of an upload, and what is wrong with the others."""
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


def row_of(
    values: Values, zone: ZoneInfo | None, span: TimeRange | None
) -> bytes | RefusedRow | None:
    """An upload as JSON, or why it cannot be one; None if its time is outside a span."""
    made, problems = converted(values, zone)
    if span is not None and is_outside(made.get("published_at"), span):
        return None
    if problems:
        return RefusedRow(as_found(values), "; ".join(problems))
    return json.dumps(made).encode()


def check_zones(where: str, times: Iterable[tuple[Sql, Any]]) -> None:
    """Refuse a source whose times all lack a zone: no row could be used.

    Raises:
        ConfigurationError: If there are times and none of them has a zone.
    """
    naive = False
    for kind, value in times:
        if value is None:
            continue
        if kind in (Sql.STAMP, Sql.DATE):
            naive = True
        elif isinstance(value, str) and (at := moment(value, None)) is not None:
            if at.tzinfo is not None:
                return
            naive = True
        else:
            return
    if naive:
        msg = (
            f"the times of {where} have no zone; name it: --timezone UTC, or "
            "--timezone Europe/Berlin"
        )
        raise ConfigurationError(msg)


def as_found(values: Values) -> bytes:
    """A row for its dead letter: what the source has, as JSON."""
    found = {name: value for name, (_, value) in values.items() if value is not None}
    text = json.dumps(found, default=_plain, ensure_ascii=False)
    return text.encode("utf-8", "surrogateescape")


def _plain(value: Any) -> str:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, date | datetime | time | timedelta):
        return value.isoformat() if not isinstance(value, timedelta) else str(value)
    return str(value)

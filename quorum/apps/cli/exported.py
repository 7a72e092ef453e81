"""Rows of the ledger as a file: CSV, or JSON lines."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, TextIO

import typer

from quorum.core.errors import ConfigurationError
from quorum.core.spreadsheet import UTF8_MARK, csv_line

__all__ = ["OutFile", "check_out", "plain", "write_rows"]

OutFile = Annotated[
    Path | None, typer.Option(help="The file, .csv or .jsonl; by default stdout as .jsonl.")
]


def check_out(out: Path | None) -> None:
    """Refuse a file of another kind, before anything is read.

    Raises:
        ConfigurationError: If it ends in neither .csv nor .jsonl.
    """
    if out is not None and out.suffix not in (".csv", ".jsonl"):
        msg = f"--out {out}: name a file that ends in .csv or .jsonl"
        raise ConfigurationError(msg)


def write_rows(out: Path | None, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> int:
    """Write rows, and return how many there were.

    Args:
        out: The file; stdout, as JSON lines, without one.
        columns: Those of a CSV file; JSON lines have each row whole.
        rows: The rows.
    """
    with ExitStack() as stack:
        file: TextIO = sys.stdout
        if out is not None:
            file = stack.enter_context(out.open("w", encoding="utf-8", newline=""))
        table = out is not None and out.suffix == ".csv"
        if table:
            file.write(UTF8_MARK + csv_line(columns))
        count = 0
        for one in rows:
            count += 1
            file.write(
                csv_line(one[name] for name in columns)
                if table
                else json.dumps(one, default=plain) + "\n"
            )
    return count


def plain(value: Any) -> str:
    """A value as text: empty for None, RFC 3339 for a time."""
    if value is None:
        return ""
    return value.isoformat() if isinstance(value, datetime) else str(value)

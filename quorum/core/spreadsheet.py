"""Rows as CSV that is safe to open in a spreadsheet."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable
from datetime import datetime
from typing import Final

__all__ = ["UTF8_MARK", "cell", "csv_line"]

#: The first character of a file by which spreadsheets know UTF-8.
UTF8_MARK: Final = "\ufeff"

#: What is not seen and does not keep a spreadsheet from running what follows.
_UNSEEN = r"\s\x00-\x1f\x7f-\x9f\xad\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff"
#: Where a cell begins: in countries that write 1,5 for one and a half, at a semicolon, too; and
#: there a cell's quotes do not hold its line breaks together.
_BEGINS = re.compile(rf"(^|[;\t\r\n])(?=[{_UNSEEN}]*[=+\-@|%＝＋－＠﹢﹣﹦﹫])")


def csv_line(values: Iterable[object]) -> str:
    """One line of CSV (RFC 4180), with its end."""
    out = io.StringIO()
    csv.writer(out).writerow([cell(value) for value in values])
    return out.getvalue()


def cell(value: object) -> str:
    """A value as a cell; an apostrophe stands before what a spreadsheet would run as a formula."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.isoformat()
    if not isinstance(value, str):
        return str(value)
    return _BEGINS.sub(r"\1'", f"'{value}" if value[:1] in ("\t", "\r", "\n") else value)

"""What a search found as CSV that a spreadsheet can open without harm."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from quorum.store.ledger import CaseSummary, Ledger
from quorum.store.ledger.search import Search, search

__all__ = ["cell", "lines"]

_PAGE = 500


def lines(ledger: Ledger, wanted: Search) -> Iterator[str]:
    """The lines, read page by page: none of it is held, and no transaction waits for a reader."""
    names = list(CaseSummary.__dataclass_fields__)
    yield _line(names)
    after: str | None = ""
    while after is not None:
        found = ledger.transact(lambda c, at=after: search(c, wanted, after=at, limit=_PAGE))  # type: ignore[misc]
        yield "".join(_line(getattr(row, name) for name in names) for row in found.rows)
        after = found.next


def _line(values: Any) -> str:
    out = io.StringIO()
    csv.writer(out).writerow([cell(value) for value in values])
    return out.getvalue()


def cell(value: object) -> str:
    """A value as a spreadsheet may read it: text that would be a formula is only text."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.isoformat()
    text = str(value)
    if isinstance(value, str) and text.lstrip()[:1] in ("=", "+", "-", "@", "|", "%"):
        return f"'{text}"
    return f"'{text}" if isinstance(value, str) and text[:1] in ("\t", "\r", "\n") else text

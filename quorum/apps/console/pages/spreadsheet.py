"""Search results as CSV that is safe to open in a spreadsheet."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from quorum.store.ledger import CaseSummary, Ledger
from quorum.store.ledger.search import Found, Search, search

__all__ = ["cell", "lines"]

_PAGE = 500


def lines(ledger: Ledger, query: Search) -> Iterator[str]:
    """Yield CSV lines, one transaction per page of results, so that a slow reader blocks nobody."""
    names = list(CaseSummary.__dataclass_fields__)
    yield _line(names)
    after: str | None = ""
    while after is not None:
        found = _find(ledger, query, after)
        yield "".join(_line(getattr(row, name) for name in names) for row in found.rows)
        after = found.next


def _find(ledger: Ledger, query: Search, after: str) -> Found:
    return ledger.transact(lambda connection: search(connection, query, after=after, limit=_PAGE))


def _line(values: Any) -> str:
    out = io.StringIO()
    csv.writer(out).writerow([cell(value) for value in values])
    return out.getvalue()


def cell(value: object) -> str:
    """Format a value as a cell; text that a spreadsheet would run as a formula is quoted."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.isoformat()
    text = str(value)
    if isinstance(value, str) and text.lstrip()[:1] in ("=", "+", "-", "@", "|", "%"):
        return f"'{text}"
    return f"'{text}" if isinstance(value, str) and text[:1] in ("\t", "\r", "\n") else text

"""Search results as CSV."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import select

from quorum.core.spreadsheet import UTF8_MARK, csv_line
from quorum.store.ledger import CaseSummary, Ledger
from quorum.store.ledger.console_schema import decisions
from quorum.store.ledger.search import Found, Search, search

__all__ = ["lines"]

_PAGE = 500
#: What the newest review of a case adds to its summary.
_REVIEWED = (
    "reviewer",
    "review_action",
    "review_labels",
    "review_note",
    "review_at",
    "review_seconds",
)


def lines(ledger: Ledger, query: Search) -> Iterator[str]:
    """Yield CSV lines, one transaction per page of results, so that a slow reader blocks nobody.

    The first character is the mark by which spreadsheets know UTF-8.
    """
    names = list(CaseSummary.__dataclass_fields__)
    yield UTF8_MARK + csv_line([*names, *_REVIEWED])
    after: str | None = ""
    while after is not None:
        found = _find(ledger, query, after)
        reviewed = _reviews(ledger, [row.upload_id for row in found.rows])
        yield "".join(
            csv_line([*(getattr(row, name) for name in names), *reviewed[row.upload_id]])
            for row in found.rows
        )
        after = found.next


def _reviews(ledger: Ledger, uploads: Sequence[str]) -> dict[str, tuple[Any, ...]]:
    """The newest review of each upload that counts, and the seconds that it took."""
    found: dict[str, tuple[Any, ...]] = dict.fromkeys(uploads, (None,) * len(_REVIEWED))
    if not uploads:
        return found
    d = decisions.c
    query = select(d.upload_id, d.reviewer, d.at, d.seconds).where(d.upload_id.in_(uploads))
    taken = {
        (row.upload_id, row.reviewer, row.at): row.seconds
        for row in ledger.transact(lambda connection: connection.execute(query).all())
    }
    for case in ledger.get_cases(uploads, ["verdicts", "reviews"]):
        if case.counted_reviews:
            one = max(case.counted_reviews, key=lambda review: review.at)
            seconds = taken.get((case.upload_id, one.reviewer, one.at))
            words = (one.reviewer, one.action.value, ", ".join(one.labels), one.note)
            rounded = None if seconds is None else round(seconds, 1)
            found[case.upload_id] = (*words, one.at, rounded)
    return found


def _find(ledger: Ledger, query: Search, after: str) -> Found:
    return ledger.transact(lambda connection: search(connection, query, after=after, limit=_PAGE))

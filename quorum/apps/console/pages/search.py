"""The search page and its export; each search has a URL that can be shared."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response, StreamingResponse

from quorum.apps.console.accounts import audit
from quorum.apps.console.pages.base import CurrentSession, Lead, console_of
from quorum.apps.console.pages.rendering import render
from quorum.apps.console.pages.spreadsheet import lines
from quorum.core.messages import Action
from quorum.store.ledger import CaseFilter, TimeRange
from quorum.store.ledger.indexing import LEAST
from quorum.store.ledger.search import MOST_READ, Search
from quorum.store.ledger.search import search as find

__all__ = ["router"]

router = APIRouter()
_PAGE = 50
_NAMES = ("text", "upload", "uploader", "action", "category", "rule", "label", "since", "until")


@dataclass(frozen=True, slots=True)
class SearchQuery:
    """A search: the fields as typed, the parsed query, and what could not be parsed."""

    given: dict[str, str]
    parsed: Search
    message: str


def search_query(request: Request) -> SearchQuery:
    """Read a search from the query string; invalid times are reported, not rejected."""
    given = {name: request.query_params.get(name, "").strip()[:256] for name in _NAMES}
    message = ""
    since, until = _time(given["since"]), _time(given["until"])
    if (given["since"] and not since) or (given["until"] and not until):
        message = "Write a time as 2026-01-31 or 2026-01-31T12:00 (UTC)."
    if since and until and until < since:
        message, until = "The end is before the start; the end was ignored.", None
    actions = tuple(action for action in Action if action.value == given["action"])
    chosen = CaseFilter(
        unsealed=True,
        actions=actions,
        categories=(given["category"],) if given["category"] else (),
        rules=(given["rule"],) if given["rule"] else (),
        upload=given["upload"] or None,
        uploader=given["uploader"] or None,
        decided=TimeRange(since, until),
    )
    return SearchQuery(given, Search(chosen, given["text"], given["label"]), message)


def _time(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


@router.get("/search")
def search(
    request: Request,
    session: CurrentSession,
    query: Annotated[SearchQuery, Depends(search_query)],
    after: str = "",
) -> Response:
    """Show one page of the results."""
    console = console_of(request)
    found = console.ledger.transact(lambda c: find(c, query.parsed, after=after[:512], limit=_PAGE))
    rules = console.policy.rules
    kept = {name: value for name, value in query.given.items() if value}
    return render(
        request,
        "search.html",
        found=found,
        query=query,
        address=urlencode(kept),
        begun=bool(after),
        next=urlencode({**kept, "after": found.next}) if found.next is not None else "",
        read=MOST_READ,
        least=LEAST,
        rules=[rule.name for rule in rules],
        categories=sorted({rule.category for rule in rules if rule.category}),
    )


@router.get("/search.csv")
def export(
    request: Request,
    user: Lead,
    query: Annotated[SearchQuery, Depends(search_query)],
) -> Response:
    """Stream all results as CSV."""
    console = console_of(request)
    names = sorted(name for name, value in query.given.items() if value)
    console.ledger.transact(
        lambda c: audit.append(c, user.name, "cases.exported", "search", fields=names),
        writes=True,
    )
    return StreamingResponse(
        lines(console.ledger, query.parsed),
        media_type="text/csv; charset=utf-8",
        headers={"content-disposition": 'attachment; filename="cases.csv"'},
    )

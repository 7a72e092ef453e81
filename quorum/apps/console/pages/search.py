"""Search. Each has an address that can be shared."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response, StreamingResponse

from quorum.apps.console.accounts import audit
from quorum.apps.console.accounts.access import Permission, User
from quorum.apps.console.pages.base import Visitor, console_of, needs, render
from quorum.apps.console.pages.spreadsheet import lines
from quorum.core.messages import Action
from quorum.store.ledger import CaseFilter, Span
from quorum.store.ledger.indexing import LEAST
from quorum.store.ledger.search import MOST_READ, Search
from quorum.store.ledger.search import search as find

__all__ = ["router"]

router = APIRouter()
_PAGE = 50
_NAMES = ("text", "upload", "uploader", "action", "category", "rule", "label", "since", "until")


@dataclass(frozen=True, slots=True)
class SearchQuery:
    """What is searched for; times as they were typed."""

    given: dict[str, str]
    wanted: Search
    told: str


def asked(request: Request) -> SearchQuery:
    """Read a search from the address; what cannot be read is told, not refused."""
    given = {name: request.query_params.get(name, "").strip()[:256] for name in _NAMES}
    told = ""
    since, until = _time(given["since"]), _time(given["until"])
    if (given["since"] and not since) or (given["until"] and not until):
        told = "A time is written as 2026-01-31 or 2026-01-31T12:00 (UTC)."
    if since and until and until < since:
        told, until = "The end lies before the beginning; the end was left out.", None
    actions = tuple(action for action in Action if action.value == given["action"])
    chosen = CaseFilter(
        actions=actions,
        categories=(given["category"],) if given["category"] else (),
        rules=(given["rule"],) if given["rule"] else (),
        upload=given["upload"] or None,
        uploader=given["uploader"] or None,
        decided=Span(since, until),
    )
    return SearchQuery(given, Search(chosen, given["text"], given["label"]), told)


def _time(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


@router.get("/search")
def search(
    request: Request,
    session: Visitor,
    asked: Annotated[SearchQuery, Depends(asked)],
    after: str = "",
) -> Response:
    """One page of what was found, newest first."""
    console = console_of(request)
    found = console.ledger.transact(lambda c: find(c, asked.wanted, after=after[:512], limit=_PAGE))
    rules = console.policy.rules
    kept = {name: value for name, value in asked.given.items() if value}
    return render(
        request,
        "search.html",
        found=found,
        asked=asked,
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
    user: Annotated[User, Depends(needs(Permission.LEAD))],
    asked: Annotated[SearchQuery, Depends(asked)],
) -> Response:
    """All that was found, as CSV, however much it is."""
    console = console_of(request)
    names = sorted(name for name, value in asked.given.items() if value)
    console.ledger.transact(
        lambda c: audit.append(c, user.name, "cases.exported", "search", fields=names),
        writes=True,
    )
    return StreamingResponse(
        lines(console.ledger, asked.wanted),
        media_type="text/csv; charset=utf-8",
        headers={"content-disposition": 'attachment; filename="cases.csv"'},
    )

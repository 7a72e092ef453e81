"""Search, and its result as CSV. Each search has an address that can be shared."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response, StreamingResponse

from quorum.console import audit
from quorum.console.access import Permission, User
from quorum.console.pages import Console, Visitor, console_of, needs, render
from quorum.ledger import CaseFilter, CaseSummary, Span
from quorum.messages import Action

__all__ = ["router"]

router = APIRouter()
_PAGE = 50
_EXPORT = 20_000
#: A label stands within predictions, which no index covers: so many of the newest are read.
_LABELLED = 800
_NAMES = ("text", "upload", "uploader", "action", "category", "rule", "label", "since", "until")


@dataclass(frozen=True, slots=True)
class Asked:
    """What is searched for; times as they were typed."""

    given: dict[str, str]
    chosen: CaseFilter
    told: str


def asked(request: Request) -> Asked:
    """Read a search from the address; what cannot be read is told, not refused."""
    given = {name: request.query_params.get(name, "").strip()[:256] for name in _NAMES}
    told = ""
    since, until = _time(given["since"]), _time(given["until"])
    if (given["since"] and not since) or (given["until"] and not until):
        told = "A time is written as 2026-01-31 or 2026-01-31T12:00 (UTC)."
    if since and until and until < since:
        told, until = "The end lies before the beginning; the end was left out.", None
    actions = tuple(action for action in Action if action.value == given["action"])
    return Asked(
        given,
        CaseFilter(
            actions=actions,
            categories=(given["category"],) if given["category"] else (),
            rules=(given["rule"],) if given["rule"] else (),
            uploader=given["uploader"] or None,
            decided=Span(since, until),
            title=given["text"] or None,
        ),
        told,
    )


def _time(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


@router.get("/search")
def search(
    request: Request, session: Visitor, wanted: Annotated[Asked, Depends(asked)], after: str = ""
) -> Response:
    """One page of what was found, newest first."""
    console = console_of(request)
    rows = _find(console, wanted, after)
    more = len(rows) > _PAGE
    kept = {name: value for name, value in wanted.given.items() if value}
    last = rows[_PAGE - 1] if more else None
    return render(
        request,
        "search.html",
        rows=rows[:_PAGE],
        asked=wanted,
        address=urlencode(kept),
        next=urlencode({**kept, "after": last.upload_id}) if last is not None else "",
        labelled=_LABELLED,
        rules=[rule.name for rule in console.policy.rules],
        categories=sorted({rule.category for rule in console.policy.rules if rule.category}),
    )


def _find(console: Console, wanted: Asked, after: str) -> list[CaseSummary]:
    if wanted.given["upload"]:
        return _one(console, wanted.given["upload"])
    mark = next(iter(_one(console, after)), None) if after else None
    if wanted.given["label"]:
        return _labelled(console, wanted, mark)
    return console.ledger.find(wanted.chosen, after=mark, limit=_PAGE + 1)


def _one(console: Console, upload_id: str) -> list[CaseSummary]:
    case = console.ledger.get_cases([upload_id], ["upload", "verdicts"])[0]
    verdict = case.verdict
    if verdict is None:
        return []
    upload = case.upload
    return [
        CaseSummary(
            upload_id=upload_id,
            uploader=None if upload is None else upload.uploader,
            title=None if upload is None else upload.title,
            language=None if upload is None else upload.language,
            published_at=None if upload is None else upload.published_at,
            verdict_id=verdict.id,
            revision=verdict.revision,
            action=verdict.action,
            category=verdict.category,
            rule=verdict.rule,
            policy_version=verdict.policy_version,
            decided_by=verdict.decided_by,
            at=verdict.at,
            latency=verdict.latency,
            top_score=max(
                (p.score for p in verdict.predictions if p.score is not None), default=None
            ),
            reviewed_at=None,
        )
    ]


def _labelled(console: Console, wanted: Asked, mark: CaseSummary | None) -> list[CaseSummary]:
    label = wanted.given["label"].casefold()
    rows = console.ledger.find(wanted.chosen, after=mark, limit=_LABELLED)
    found: list[CaseSummary] = []
    for start in range(0, len(rows), 200):
        chunk = {row.upload_id: row for row in rows[start : start + 200]}
        for case in console.ledger.get_cases(list(chunk), ["verdicts"]):
            used = case.verdict.predictions if case.verdict is not None else ()
            names = {name.casefold() for one in used for name in one.labels}
            if any(name == label or name.startswith(f"{label}/") for name in names):
                found.append(chunk[case.upload_id])
        if len(found) > _PAGE:
            break
    return found[: _PAGE + 1]


@router.get("/search.csv")
def export(
    request: Request,
    user: Annotated[User, Depends(needs(Permission.LEAD))],
    wanted: Annotated[Asked, Depends(asked)],
) -> Response:
    """All that was found, as CSV."""
    console = console_of(request)
    kept = {name: value for name, value in wanted.given.items() if value}
    console.ledger.transact(
        lambda c: audit.append(c, user.name, "cases.exported", "search", fields=sorted(kept)),
        writes=True,
    )
    return StreamingResponse(
        _lines(console, wanted),
        media_type="text/csv; charset=utf-8",
        headers={"content-disposition": 'attachment; filename="cases.csv"'},
    )


def _lines(console: Console, wanted: Asked) -> Iterator[str]:
    names = list(CaseSummary.__dataclass_fields__)
    yield _line(names)
    if wanted.given["upload"] or wanted.given["label"]:
        for row in _find(console, wanted, "")[:_PAGE]:
            yield _line(getattr(row, name) for name in names)
        return
    after, count = None, 0
    while count < _EXPORT:
        rows = console.ledger.find(wanted.chosen, after=after, limit=500)
        for row in rows:
            yield _line(getattr(row, name) for name in names)
        count += len(rows)
        if len(rows) < 500:
            return
        after = rows[-1]


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

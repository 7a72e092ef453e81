"""Appeals: the platforms' API, the list of appeals, and a form for appeals by letter."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any, Literal
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import JSONResponse, Response

from quorum.apps.console.desk import account_appeals, appeals
from quorum.apps.console.desk.appeals import AppealRefused
from quorum.apps.console.pages.base import CurrentSession, FormFields, Lead, PageError, console_of
from quorum.apps.console.pages.rendering import redirect, render

__all__ = ["router"]

router = APIRouter()
_PAGE = 50


class AppealBody(BaseModel):
    """The body of an appeal that a platform submits for an uploader."""

    model_config = ConfigDict(extra="forbid")

    upload_id: Annotated[str, Field(min_length=1, max_length=256)]
    verdict_id: Annotated[str, Field(min_length=1, max_length=256)]
    text: Annotated[str, Field(min_length=1, max_length=appeals.MAX_TEXT)]
    #: Whether the appeal is against what the verdict decides on the upload, or on the account.
    about: Literal["upload", "account"] = "upload"


def platform(request: Request) -> str:
    """Return the name of the request's API key."""
    keyring = console_of(request).keyring
    key = None if keyring is None else keyring.find(request.headers)
    if key is None:
        raise PageError(401, "Send an API key of this console: authorization: Bearer KEY.")
    if "moderate" not in key.scopes:
        raise PageError(403, "This API key cannot submit appeals; it lacks the scope moderate.")
    return key.name


Platform = Annotated[str, Depends(platform)]


@router.post("/api/appeals", status_code=201)
def send_appeal(request: Request, body: AppealBody, by: Platform) -> Response:
    """Accept an uploader's appeal from a platform."""
    ledger = console_of(request).ledger
    try:
        take = account_appeals.appeal_account if body.about == "account" else appeals.appeal
        made, new = take(ledger, body.upload_id, body.verdict_id, body.text, by)
    except AppealRefused as error:
        raise PageError(422, str(error)) from None
    return JSONResponse({"id": made, "state": "open" if new else "known"}, 201 if new else 200)


@router.get("/api/appeals/{appeal_id}")
def read_appeal(request: Request, appeal_id: str, by: Platform) -> dict[str, Any]:
    """Return the state of an appeal."""
    ledger = console_of(request).ledger
    row = appeals.find_appeal(ledger, appeal_id[:256])
    if row is None:
        row = account_appeals.find_account_appeal(ledger, appeal_id[:256])
    if row is None:
        raise PageError(404, "There is no such appeal.")
    decided = None if row.decided_at is None else row.decided_at.isoformat()
    return {
        "id": row.id,
        "upload_id": row.upload_id,
        "verdict_id": row.verdict_id,
        "at": row.at.isoformat(),
        "state": row.state,
        "statement": row.statement,
        "decided_at": decided,
    }


@router.get("/appeals")
def appeals_page(
    request: Request, session: CurrentSession, state: str = "", before: str = ""
) -> Response:
    """Show the newest appeals, optionally in one state."""
    ledger = console_of(request).ledger
    counts = asdict(appeals.counts(ledger))
    chosen = state if state in counts else None
    rows = appeals.newest(ledger, _PAGE + 1, state=chosen, before=_mark(before))
    last = rows[_PAGE - 1] if len(rows) > _PAGE else None
    mark = {} if last is None else {"before": f"{last.at.isoformat()},{last.id}"}
    kept = {"state": chosen} if chosen else {}
    return render(
        request,
        "appeals.html",
        rows=rows[:_PAGE],
        counts=counts,
        state=chosen,
        next=urlencode({**kept, **mark}) if mark else "",
    )


def _mark(text: str) -> tuple[datetime, str] | None:
    at, _, appeal_id = text.partition(",")
    try:
        found = datetime.fromisoformat(at)
    except ValueError:
        return None
    return (found, appeal_id) if found.tzinfo else None


@router.post("/appeals")
def enter_appeal(request: Request, given: FormFields, user: Lead) -> Response:
    """Record an appeal that arrived by letter."""
    ledger, upload_id = console_of(request).ledger, given.get("upload", "")
    try:
        appeals.appeal(
            ledger, upload_id, given.get("verdict", ""), given.get("text", ""), user.name
        )
    except AppealRefused as error:
        raise PageError(422, f"{str(error).capitalize()}.") from None
    return redirect(request, "/case", upload=upload_id)

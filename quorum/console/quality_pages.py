"""Appeals, golden cases and the quality of reviews."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import JSONResponse, Response

from quorum.console import appeals, golden, quality
from quorum.console.access import Permission, User
from quorum.console.appeals import AppealRefused
from quorum.console.pages import Fields, Refused, Visitor, console_of, go, needs, render
from quorum.messages import Action

__all__ = ["router"]

router = APIRouter()
Lead = Annotated[User, Depends(needs(Permission.LEAD))]


class AppealBody(BaseModel):
    """What a platform sends for an uploader."""

    model_config = ConfigDict(extra="forbid")

    upload_id: Annotated[str, Field(min_length=1, max_length=256)]
    verdict_id: Annotated[str, Field(min_length=1, max_length=256)]
    text: Annotated[str, Field(min_length=1, max_length=appeals.MAX_TEXT)]


def platform(request: Request) -> str:
    """The name of the key that a platform asks with."""
    keyring = console_of(request).keyring
    key = None if keyring is None else keyring.find(request.headers)
    if key is None:
        raise Refused(401, "Give an API key of this console: authorization: Bearer KEY.")
    if "moderate" not in key.scopes:
        raise Refused(403, "This API key is not for sending appeals; its scopes lack moderate.")
    return str(key.name)


Platform = Annotated[str, Depends(platform)]


@router.post("/api/appeals", status_code=201)
def send_appeal(request: Request, body: AppealBody, by: Platform) -> Response:
    """Take an uploader's appeal from a platform."""
    ledger = console_of(request).ledger
    try:
        made, new = appeals.appeal(ledger, body.upload_id, body.verdict_id, body.text, by)
    except AppealRefused as error:
        raise Refused(422, str(error)) from None
    return JSONResponse({"id": made, "state": "open" if new else "known"}, 201 if new else 200)


@router.get("/api/appeals/{appeal_id}")
def read_appeal(request: Request, appeal_id: str, by: Platform) -> dict[str, Any]:
    """How an appeal stands."""
    row = appeals.find_appeal(console_of(request).ledger, appeal_id[:256])
    if row is None:
        raise Refused(404, "There is no such appeal.")
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


@router.get("/quality")
def quality_page(request: Request, session: Visitor) -> Response:
    """Agreement, accuracy and appeals."""
    ledger = console_of(request).ledger
    found = quality.measure(ledger)
    return render(request, "quality.html", found=found, appeals=appeals.newest(ledger, 50), told="")


@router.post("/appeals")
def enter_appeal(request: Request, given: Fields, user: Lead) -> Response:
    """Take an appeal that came by letter."""
    ledger, upload_id = console_of(request).ledger, given.get("upload", "")
    try:
        appeals.appeal(
            ledger, upload_id, given.get("verdict", ""), given.get("text", ""), user.name
        )
    except AppealRefused as error:
        raise Refused(422, f"{str(error).capitalize()}.") from None
    return go(request, "/case", upload=upload_id)


@router.post("/golden")
def set_golden(request: Request, given: Fields, user: Lead) -> Response:
    """Say what the right answer of a case is, to measure reviewers by."""
    upload_id = given.get("upload", "")
    try:
        action = Action(given.get("action", ""))
    except ValueError:
        raise Refused(422, "Choose the right action of the golden case.") from None
    if not golden.set_answer(console_of(request).ledger, upload_id, action, None, user.name):
        raise Refused(404, "The ledger knows no decided upload of this id.")
    return go(request, "/case", upload=upload_id)

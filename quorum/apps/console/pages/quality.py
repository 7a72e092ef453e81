"""Golden cases and the quality of reviews."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from quorum.apps.console.accounts.access import Permission, User
from quorum.apps.console.desk import appeals, golden, quality
from quorum.apps.console.pages.base import Fields, Refused, Visitor, console_of, go, needs, render
from quorum.core.messages import Action

__all__ = ["router"]

router = APIRouter()
Lead = Annotated[User, Depends(needs(Permission.LEAD))]


@router.get("/quality")
def quality_page(request: Request, session: Visitor) -> Response:
    """Agreement and accuracy."""
    ledger = console_of(request).ledger
    found = quality.measure(ledger)
    return render(request, "quality.html", found=found, appeals=appeals.counts(ledger))


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

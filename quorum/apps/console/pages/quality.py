"""The quality page, and the form that makes a case golden."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from quorum.apps.console.desk import appeals, golden, quality
from quorum.apps.console.pages.base import CurrentSession, FormFields, Lead, PageError, console_of
from quorum.apps.console.pages.rendering import redirect, render
from quorum.core.messages import Action

__all__ = ["router"]

router = APIRouter()


@router.get("/quality")
def quality_page(request: Request, session: CurrentSession) -> Response:
    """Show the agreement and the accuracy of reviewers."""
    ledger = console_of(request).ledger
    found = quality.measure(ledger)
    return render(request, "quality.html", found=found, appeals=appeals.counts(ledger))


@router.post("/golden")
def set_golden(request: Request, given: FormFields, user: Lead) -> Response:
    """Make a case golden by setting its correct action."""
    upload_id = given.get("upload", "")
    try:
        action = Action(given.get("action", ""))
    except ValueError:
        raise PageError(422, "Choose the correct action of the golden case.") from None
    if not golden.set_answer(console_of(request).ledger, upload_id, action, None, user.name):
        raise PageError(404, "The ledger has no decided upload with this id.")
    return redirect(request, "/case", upload=upload_id)

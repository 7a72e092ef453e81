"""The form by which a decided case is decided again."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from quorum.apps.console.desk import again
from quorum.apps.console.desk.decisions import Conflict
from quorum.apps.console.pages.base import FormFields, PageError, Reviewer, console_of
from quorum.apps.console.pages.rendering import redirect

__all__ = ["router"]

router = APIRouter()


@router.post("/again")
def decide_again(request: Request, given: FormFields, user: Reviewer) -> Response:
    """Open a decided case for its correction, and show it."""
    upload_id = given.get("upload", "")[:256]
    try:
        again.begin(console_of(request).ledger, upload_id, user)
    except Conflict as error:
        raise PageError(409, str(error)) from None
    return redirect(request, "/case", upload=upload_id)

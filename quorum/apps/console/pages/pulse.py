"""What is behind, as each page shows it and asks for it again every few seconds."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from quorum.apps.console.desk.alarms import digest_of
from quorum.apps.console.pages.base import console_of, current_session
from quorum.apps.console.pages.rendering import render

__all__ = ["router"]

router = APIRouter()


@router.get("/pulse")
def pulse(request: Request, seen: str = "") -> Response:
    """Render what is behind; 204 if that is what the page shows already.

    While the database is away nobody's session can be read; that it is away is told to everybody.
    """
    watch = console_of(request).watch
    found = watch.current()
    away = [one for one in found if one.name == "ledger"]
    left = None
    if away:
        found = tuple(away)
    else:
        left = current_session(request).left
    if digest_of(found) == seen:
        response = Response(status_code=204)
    else:
        response = render(request, "_alarms.html", alarms=found, alarms_digest=digest_of(found))
    if left is not None:
        response.headers["quorum-left"] = str(left)
    return response

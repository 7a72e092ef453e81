"""A reviewer's own decisions, and the preview of a reply."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from quorum.apps.console.desk import history, replies
from quorum.apps.console.desk.tasks import get_task
from quorum.apps.console.pages.base import FormFields, Reviewer, console_of
from quorum.apps.console.pages.rendering import render
from quorum.core.messages import Action

__all__ = ["router"]

router = APIRouter()
_PAGE = 50


@router.get("/mine")
def mine(
    request: Request,
    user: Reviewer,
    action: str = "",
    before: Annotated[str, Query(max_length=600)] = "",
) -> Response:
    """Show the reader's decisions, newest first."""
    chosen = next((one for one in Action if one.value == action), None)
    found = console_of(request).ledger.transact(
        lambda c: history.of_reviewer(c, user.name, chosen, _mark(before), _PAGE + 1)
    )
    last = found[_PAGE - 1] if len(found) > _PAGE else None
    kept = {"action": chosen.value} if chosen else {}
    mark = {} if last is None else {"before": f"{last.decision.at.isoformat()},{last.decision.id}"}
    return render(
        request,
        "mine.html",
        rows=found[:_PAGE],
        action=chosen,
        next=urlencode({**kept, **mark}) if mark else "",
    )


def _mark(text: str) -> tuple[datetime, str] | None:
    at, _, decision_id = text.partition(",")
    try:
        found = datetime.fromisoformat(at)
    except ValueError:
        return None
    return (found, decision_id) if found.tzinfo else None


@router.post("/reply/preview")
def preview(request: Request, given: FormFields, user: Reviewer) -> Response:
    """Render a reply as the uploader of the form's case gets it."""
    console, text = console_of(request), given.get("reply", "")[: 2 * replies.MAX_REPLY]
    task = console.ledger.transact(lambda c: get_task(c, given.get("task", "")))
    category = given.get("category") or (None if task is None else task.category)
    shown = "" if task is None else replies.filled(text, task, category, console.policy.categories)
    return render(request, "_preview.html", shown=shown, most=replies.MAX_REPLY)

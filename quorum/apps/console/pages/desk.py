"""The list of queues, assignment, and how a user wants to see media at first."""

from __future__ import annotations

from datetime import timedelta

from fastapi import APIRouter, Request
from sqlalchemy import Connection
from starlette.responses import Response

from quorum.apps.console.accounts.access import Permission
from quorum.apps.console.desk import exposure, filing
from quorum.apps.console.desk.decisions import Conflict
from quorum.apps.console.desk.filing import QueueState
from quorum.apps.console.desk.kept import Kept
from quorum.apps.console.desk.shift import Shift, shift_of
from quorum.apps.console.pages.base import (
    CurrentSession,
    FormFields,
    Lead,
    PageError,
    console_of,
)
from quorum.apps.console.pages.rendering import redirect, render
from quorum.core.messages import now

__all__ = ["router"]

router = APIRouter()
_ASSIGNED = timedelta(hours=8)


@router.get("/queues")
def queues_page(request: Request, session: CurrentSession) -> Response:
    """Show the queues with what waits, their clocks and who may take from them."""
    console = console_of(request)
    desk = console.settings.desk

    kept: Kept[list[QueueState]] = request.app.state.queue_states

    def work(connection: Connection) -> tuple[dict[str, list[str]], Shift]:
        return (
            filing.takers(connection, desk),
            shift_of(connection, desk, session.user.name, now()),
        )

    states = kept.current()
    who, shift = console.ledger.transact(work)
    return render(
        request,
        "queues.html",
        states=states,
        rules={one.name: one for one in desk.queues},
        within={one.name: desk.within(one.name) for one in states},
        who=who,
        shift=shift,
        reviews=session.user.may(Permission.DECIDE),
    )


@router.post("/assign")
def assign(request: Request, given: FormFields, user: Lead) -> Response:
    """Give a case to a reviewer for eight hours, or to everyone again."""
    console = console_of(request)
    try:
        upload_id = filing.assign_to(
            console.ledger,
            console.settings.desk,
            given.get("task", ""),
            given.get("reviewer", "") or None,
            _ASSIGNED,
            user.name,
        )
    except Conflict as error:
        raise PageError(409, str(error)) from None
    return redirect(request, "/case", upload=upload_id)


@router.get("/preferences")
def preferences_page(request: Request, session: CurrentSession) -> Response:
    """Show how the user wants to see media at first."""
    name = session.user.name
    found = console_of(request).ledger.transact(lambda c: exposure.preferences_of(c, name))
    return render(request, "preferences.html", chosen=found, saved=False)


@router.post("/preferences")
def save_preferences(request: Request, session: CurrentSession, given: FormFields) -> Response:
    """Keep how the user wants to see media at first."""
    chosen = exposure.Preferences(given.get("blur") == "yes", given.get("grey") == "yes")
    name = session.user.name
    console_of(request).ledger.transact(
        lambda c: exposure.save_preferences(c, name, chosen), writes=True
    )
    return render(request, "preferences.html", chosen=chosen, saved=True)

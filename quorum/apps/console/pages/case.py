"""The page of one case, and the forms to decide, undo, release and renew it."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from sqlalchemy import Connection, select
from starlette.responses import Response

from quorum.apps.console.accounts.access import Permission, User
from quorum.apps.console.desk import (
    bulk,
    claims,
    decisions,
    disputes,
    exposure,
    filing,
    tasks,
)
from quorum.apps.console.desk.decisions import Conflict
from quorum.apps.console.desk.exposure import preferences_of
from quorum.apps.console.desk.replies import replier
from quorum.apps.console.desk.routing import DEFAULT
from quorum.apps.console.pages import case_view
from quorum.apps.console.pages.base import (
    Console,
    CurrentSession,
    FormFields,
    PageError,
    Reviewer,
    UploadId,
    console_of,
)
from quorum.apps.console.pages.queue import redirect_to_next, shift_for
from quorum.apps.console.pages.rendering import redirect, render
from quorum.core.messages import Action, now
from quorum.store.ledger.schema import cases

__all__ = ["router"]

router = APIRouter()


@router.get("/case")
def case_page(request: Request, session: CurrentSession, upload: UploadId) -> Response:
    """Show one case."""
    return _page(request, session.user, upload)


def _page(request: Request, user: User, upload_id: str, status: int = 200, **more: Any) -> Response:
    console = console_of(request)
    reviews = user.may(Permission.DECIDE)
    if reviews:
        exposure.note(console.ledger, console.settings.desk, user.name, upload_id, now())
    view = case_view.load(console, upload_id, user)
    if view is None:
        message = (
            "The ledger has no upload with this id. It may not have arrived yet, or retention or "
            "an erasure deleted it."
        )
        raise PageError(404, message)
    kept = {k: v for k, v in request.query_params.items() if k.startswith("queue_")}
    given = {
        "message": "",
        "note": "",
        "reply": "",
        **replying(console, view),
        "category": None,
        "kept": kept,
        "dwell": int(console.settings.dwell.total_seconds() * 1000),
        "translates": _translates(console, view),
        "like": console.settings.meanings > 0,
        "works": console.settings.works is not None,
        "claims": disputes.owner_claims(console.ledger, view.case),
        "highlighting": sorted({d for f in view.fields for p in f.parts for d in p.detectors}),
    }
    shift = shift_for(request, user.name)
    given["shift"] = shift if reviews else None
    seen = console.ledger.transact(lambda c: preferences_of(c, user.name))
    task = view.task
    over = task is not None and task.category in shift.hidden
    given["blur"], given["grey"] = seen.blur or over, seen.grey
    given["takers"] = _takers(console, view) if user.may(Permission.LEAD) else []
    return render(request, "case.html", status, view=view, **{**given, **more})


def _translates(console: Console, view: case_view.CaseView) -> bool:
    """Whether a translation is offered: the text may be in another language than the readers'."""
    translator, upload = console.settings.translator, view.case.upload
    if translator is None or upload is None or not view.fields:
        return False
    known = (upload.language or "").lower().split("-")[0]
    return known != translator.recipe.to.lower().split("-")[0]


def _takers(console: Console, view: case_view.CaseView) -> list[str]:
    """Whom a lead may give the case to."""
    task, desk = view.task, console.settings.desk
    if task is None or task.only_for is not None:
        return []
    found = console.ledger.transact(lambda c: filing.takers(c, desk))
    return found.get(task.queue or DEFAULT, [])


def replying(console: Console, view: case_view.CaseView | None) -> dict[str, Any]:
    """What the form of a reply offers; without a case, for cases of several languages."""
    replies = console.settings.replies
    upload = None if view is None else view.case.upload
    appeal = view is not None and view.task is not None and view.task.kind == "appeal"
    return {
        "templates": replies.for_case(None if upload is None else upload.language, appeal=appeal),
        "macros": replies.macros,
        "text_of": replies.text_of,
        "appeal": appeal,
    }


@router.get("/case/status")
def status(request: Request, session: CurrentSession, upload: UploadId, seen: str = "") -> Response:
    """Render the changes since the page was rendered; the page polls this."""
    console = console_of(request)

    def work(connection: Connection) -> tuple[Any, list[decisions.ReviewDecision]]:
        query = select(cases).where(cases.c.upload_id == upload)
        return connection.execute(query).first(), decisions.of_case(connection, upload)

    name = session.user.name
    reviews = session.user.may(Permission.DECIDE)
    if reviews:
        exposure.note(console.ledger, console.settings.desk, name, upload, now())
    row, made = console.ledger.transact(work)
    holds = console.ledger.transact(lambda c: tasks.held_by(c, session.user.name, upload))
    blind = holds is not None and holds.kind in ("double", "golden")
    mine = [one for one in made if one.reviewer == session.user.name and one.state != "undone"]
    return render(
        request,
        "_status.html",
        row=None if blind else row,
        seen=seen,
        upload_id=upload,
        decision=mine[-1] if mine and not blind else None,
        shift=shift_for(request, name) if reviews else None,
    )


@router.post("/decide")
def decide(request: Request, given: FormFields, user: Reviewer) -> Response:
    """Decide a case that the reviewer holds."""
    console = console_of(request)
    task_id, note = given.get("task", ""), given.get("note", "")
    category = given.get("category") or None
    try:
        action = Action(given.get("action", ""))
    except ValueError:
        message = "Choose an action: allow, restrict, second review, or remove."
        raise PageError(422, message) from None
    known = console.policy.categories
    desk, upload = console.settings.desk, given.get("upload", "")
    exposure.note(console.ledger, desk, user.name, upload, now(), ends=True)
    if category is not None and category not in known:
        raise PageError(422, "The policy in force has no such category; choose another.")
    try:
        decisions.decide(
            console.ledger,
            task_id,
            user.name,
            action,
            category,
            note,
            console.settings.undo,
            categories=known,
            reply=replier(given.get("reply", ""), known),
        )
    except Conflict as error:
        upload_id = given.get("upload", "")
        more = {"message": str(error), "note": note, "category": category}
        more["reply"] = given.get("reply", "")
        return _page(request, user, upload_id, 409, **more)
    return redirect_to_next(request, user, given)


@router.post("/undo")
def undo(request: Request, given: FormFields, user: Reviewer) -> Response:
    """Undo a decision, and all others that were made together with it."""
    ledger, decision_id = console_of(request).ledger, given.get("decision", "")
    many = ledger.transact(lambda c: bulk.bulk_of(c, decision_id))
    try:
        if many is not None:
            bulk.undo_many(ledger, many, user.name)
            return redirect(request, "/group/decided", id=many)
        found = decisions.undo(ledger, decision_id, user.name)
    except Conflict as error:
        raise PageError(409, str(error)) from None
    return redirect(request, "/case", upload=found.upload_id)


@router.post("/release")
def release(request: Request, given: FormFields, user: Reviewer) -> Response:
    """Return a case to its queue."""
    ledger, task_id = console_of(request).ledger, given.get("task", "")
    ledger.transact(lambda c: claims.release(c, task_id, user.name), writes=True)
    return redirect(request, "/queue")


@router.post("/renew")
def renew(request: Request, given: FormFields, user: Reviewer) -> Response:
    """Renew a lease: 204, or 409 if the case can no longer be held."""
    console = console_of(request)
    found = claims.claim(console.ledger, given.get("task", ""), user.name, console.settings.desk)
    return Response(status_code=204 if found is not None else 409)

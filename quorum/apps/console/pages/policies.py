"""The policy in force, and drafts."""

from __future__ import annotations

import json

from fastapi import APIRouter, Request
from starlette.responses import Response

from quorum.aggregator.policy.policy import Policy
from quorum.aggregator.study.difference import differences
from quorum.apps.console.desk import drafts, rollback
from quorum.apps.console.desk.decisions import Conflict
from quorum.apps.console.desk.versions import deciding
from quorum.apps.console.pages.base import CurrentSession, FormFields, Lead, PageError, console_of
from quorum.apps.console.pages.rendering import redirect, render
from quorum.core.errors import PolicyError

__all__ = ["router"]

router = APIRouter()


@router.get("/policy")
def policy_page(request: Request, session: CurrentSession) -> Response:
    """Show the policy in force as text and as a diagram, and the drafts."""
    return _page(request)


def _page(request: Request, status: int = 200, **more: str) -> Response:
    console = console_of(request)
    policy, found = console.policy, drafts.newest(console.ledger)
    given = {"message": "", "text": policy.text, "name": ""}
    return render(
        request,
        "policy.html",
        status,
        policy=policy,
        active=next((row for row in found if row.state == "active"), None),
        drafts=found,
        deciding=console.ledger.transact(deciding),
        problem=console.active_policy.problem(),
        earlier=rollback.earlier(console.ledger, console.active_policy.start),
        **{**given, **more},
    )


@router.post("/policy")
def save(request: Request, given: FormFields, user: Lead) -> Response:
    """Save a draft."""
    ledger, text = console_of(request).ledger, given.get("text", "").replace("\r\n", "\n")
    try:
        draft_id = drafts.save(ledger, given.get("name", ""), text, user.name)
    except PolicyError as error:
        return _page(
            request, 422, message="\n".join(error.lines), text=text, name=given.get("name", "")
        )
    return redirect(request, "/policy/draft", id=draft_id)


@router.post("/policy/rollback")
def roll_back(request: Request, given: FormFields, user: Lead) -> Response:
    """Propose an earlier or a shipped policy, which another person activates."""
    console, active = console_of(request), console_of(request).active_policy
    try:
        rollback.propose_rollback(
            console.ledger, active.start, active.current(), given.get("key", ""), user.name
        )
    except Conflict as error:
        raise PageError(409, str(error)) from None
    return redirect(request, "/policy")


@router.get("/policy/draft")
def draft_page(request: Request, session: CurrentSession, id: str) -> Response:  # noqa: A002
    """Show a draft, its differences from the policy in force, and its backtest."""
    console = console_of(request)
    row = drafts.get(console.ledger, id[:256])
    if row is None:
        raise PageError(404, "There is no such draft.")
    try:
        changes = differences(console.policy, Policy.from_text(row.text))
    except PolicyError as error:
        changes = tuple(f"Not a valid policy of this version: {line}" for line in error.lines)
    return render(
        request,
        "draft.html",
        row=row,
        report=None if row.report is None else json.loads(row.report),
        differences=changes,
        backtest_cases=drafts.BACKTEST_CASES,
    )


@router.post("/policy/draft")
def change(request: Request, given: FormFields, user: Lead) -> Response:
    """Backtest, propose or activate a draft."""
    console, draft_id = console_of(request), given.get("id", "")
    try:
        match given.get("what"):
            case "try":
                drafts.run_backtest(console.ledger, draft_id, user.name)
            case "propose":
                drafts.propose(console.ledger, draft_id, user.name)
            case "activate":
                file = console.settings.policy_file
                drafts.activate(console.ledger, draft_id, user.name, file)
            case _:
                raise PageError(422, "Choose what to do with the draft.")
    except Conflict as error:
        raise PageError(409, str(error)) from None
    return redirect(request, "/policy/draft", id=draft_id)

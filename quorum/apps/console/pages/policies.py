"""The policy in force, and drafts."""

from __future__ import annotations

import json
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from quorum.aggregator.policy.policy import Policy
from quorum.aggregator.study.difference import in_short
from quorum.aggregator.study.rollout import measure_text
from quorum.apps.console.desk import drafts, rollback, trials
from quorum.apps.console.desk.decisions import Conflict
from quorum.apps.console.desk.policy_history import events_of, past_releases
from quorum.apps.console.desk.rollouts import compare_rollouts
from quorum.apps.console.desk.versions import deciding
from quorum.apps.console.pages.base import CurrentSession, FormFields, Lead, PageError, console_of
from quorum.apps.console.pages.rendering import redirect, render
from quorum.core.errors import PolicyError
from quorum.store.ledger import Ledger

__all__ = ["router"]

router = APIRouter()


@router.get("/policy")
def policy_page(request: Request, session: CurrentSession) -> Response:
    """Show the policy in force as text and as a diagram, and the drafts."""
    console = console_of(request)
    policy, found = console.policy, drafts.newest(console.ledger)
    return render(
        request,
        "policy.html",
        policy=policy,
        active=next((row for row in found if row.state == "active"), None),
        drafts=found,
        deciding=console.ledger.transact(deciding),
        problem=console.active_policy.problem(),
        earlier=rollback.earlier(console.ledger, console.active_policy.start),
    )


@router.get("/policy/history")
def history_page(request: Request, session: CurrentSession) -> Response:
    """Show who put which policy in force, when and why, and what it changed."""
    return render(
        request, "policy_history.html", releases=past_releases(console_of(request).ledger)
    )


@router.get("/policy/rollouts")
def rollouts_page(request: Request, session: CurrentSession) -> Response:
    """Show both sides of what is rolled out to a share of uploaders."""
    found = compare_rollouts(console_of(request).ledger)
    return render(request, "rollouts.html", found=found, told=measure_text)


@router.post("/policy/rollback")
def roll_back(request: Request, given: FormFields, user: Lead) -> Response:
    """Propose an earlier or a shipped policy, which another person activates."""
    console, active = console_of(request), console_of(request).active_policy
    try:
        rollback.propose_rollback(
            console.ledger,
            active.start,
            active.current(),
            given.get("key", ""),
            user.name,
            given.get("reason", ""),
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
        changes = in_short(console.policy, Policy.from_text(row.text))
    except PolicyError as error:
        changes = tuple(f"Not a valid policy of this version: {line}" for line in error.lines)
    return render(
        request,
        "draft.html",
        differences=changes,
        events=console.ledger.transact(lambda connection: events_of(connection, row.id)),
        **_trial(console.ledger, row),
    )


@router.get("/policy/draft/trial")
def trial(request: Request, session: CurrentSession, id: str) -> Response:  # noqa: A002
    """Render how far the trial of a draft is, or what it found."""
    ledger = console_of(request).ledger
    row = drafts.get(ledger, id[:256])
    if row is None:
        raise PageError(404, "There is no such draft.")
    return render(request, "_trial.html", **_trial(ledger, row))


def _trial(ledger: Ledger, row: Any) -> dict[str, Any]:
    report = None if row.report is None else json.loads(row.report)
    return {
        "row": row,
        "report": report,
        "samples": [] if report is None else trials.samples_of(ledger, report),
        "radius": None if report is None else report.get("radius"),
        "running": row.trial in ("waiting", "running"),
        "most_cases": trials.MOST_CASES,
    }


@router.post("/policy/draft")
def change(request: Request, given: FormFields, user: Lead) -> Response:
    """Have a draft tried, ask for its approval, or activate it."""
    console, draft_id = console_of(request), given.get("id", "")
    try:
        match given.get("what"):
            case "try":
                trials.ask_for_trial(console.ledger, draft_id, user.name)
                request.app.state.policy_trials.wake()
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

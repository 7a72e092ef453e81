"""The policy in force, and drafts of the next one."""

from __future__ import annotations

import json
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from quorum.aggregator.policy.policy import Policy
from quorum.aggregator.study.difference import differences
from quorum.apps.console.accounts.access import Permission, User
from quorum.apps.console.desk import drafts
from quorum.apps.console.desk.decisions import Conflict
from quorum.apps.console.pages.base import Fields, Refused, Visitor, console_of, go, needs, render
from quorum.core.errors import PolicyError

__all__ = ["router"]

router = APIRouter()
Lead = Annotated[User, Depends(needs(Permission.LEAD))]


def _in_force(request: Request, found: Any) -> tuple[Policy, Any]:
    """The policy that was activated here last, else the one that the console was started with."""
    active = next((row for row in found if row.state == "active"), None)
    return console_of(request).policy, active


@router.get("/policy")
def policy_page(request: Request, session: Visitor) -> Response:
    """The policy as text and as a picture, and the drafts."""
    found = drafts.newest(console_of(request).ledger)
    policy, active = _in_force(request, found)
    return _page(request, policy, active, found)


def _page(
    request: Request, policy: Policy, active: Any, found: Any, status: int = 200, **more: Any
) -> Response:
    given = {"told": "", "text": policy.text, "name": ""}
    file = console_of(request).settings.policy_file
    return render(
        request,
        "policy.html",
        status,
        policy=policy,
        active=active,
        drafts=found,
        file=file is not None,
        **{**given, **more},
    )


@router.post("/policy")
def save(request: Request, given: Fields, user: Lead) -> Response:
    """Keep a draft."""
    ledger, text = console_of(request).ledger, given.get("text", "").replace("\r\n", "\n")
    try:
        draft_id = drafts.save(ledger, given.get("name", ""), text, user.name)
    except PolicyError as error:
        found = drafts.newest(ledger)
        policy, active = _in_force(request, found)
        more = {"told": str(error), "text": text, "name": given.get("name", "")}
        return _page(request, policy, active, found, 422, **more)
    return go(request, "/policy/draft", id=draft_id)


@router.get("/policy/draft")
def draft_page(request: Request, session: Visitor, id: str) -> Response:  # noqa: A002
    """One draft: what it changes, and what it would have changed."""
    ledger = console_of(request).ledger
    row = drafts.get(ledger, id[:256])
    if row is None:
        raise Refused(404, "There is no such draft.")
    policy, _ = _in_force(request, drafts.newest(ledger))
    return render(
        request,
        "draft.html",
        row=row,
        report=None if row.report is None else json.loads(row.report),
        differences=differences(policy, Policy.from_text(row.text)),
        tried=drafts.TRIED,
    )


@router.post("/policy/draft")
def change(request: Request, given: Fields, user: Lead) -> Response:
    """Try, propose or activate a draft."""
    console, draft_id = console_of(request), given.get("id", "")
    try:
        match given.get("what"):
            case "try":
                drafts.try_out(console.ledger, draft_id, user.name)
            case "propose":
                drafts.propose(console.ledger, draft_id, user.name)
            case "activate":
                file = console.settings.policy_file
                drafts.activate(console.ledger, draft_id, user.name, file)
            case _:
                raise Refused(422, "Choose what is to happen to the draft.")
    except Conflict as error:
        raise Refused(409, str(error)) from None
    return go(request, "/policy/draft", id=draft_id)

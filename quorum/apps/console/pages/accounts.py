"""Uploaders' accounts: what waits for people, the page of one, and the forms to decide on it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from sqlalchemy import Connection, select
from starlette.responses import Response

from quorum.apps.console.accounts.access import Permission, User
from quorum.apps.console.desk import account_appeals, account_orders, accounts
from quorum.apps.console.desk.appeals import AppealRefused
from quorum.apps.console.desk.decisions import Conflict
from quorum.apps.console.pages.base import (
    CurrentSession,
    FormFields,
    Lead,
    PageError,
    Reviewer,
    console_of,
)
from quorum.apps.console.pages.rendering import redirect, render
from quorum.core.messages import now
from quorum.store.ledger.accounts_schema import account_orders as order_table
from quorum.store.ledger.accounts_schema import account_verdicts

__all__ = ["router"]

router = APIRouter()
_PAGE = 50

Account = Annotated[str, Query(max_length=256)]

#: What each decision is called on the pages.
WORDS = {"warn": "warned", "suspend": "suspended", "ban": "banned", "none": "lifted"}


@router.get("/accounts")
def accounts_page(
    request: Request, session: CurrentSession, before: Annotated[str, Query(max_length=400)] = ""
) -> Response:
    """Show what waits for people, and the newest decisions that hold on accounts."""

    def work(connection: Connection) -> dict[str, Any]:
        o, a = order_table.c, account_verdicts.c
        proposed = select(order_table).where(o.state == "proposed").order_by(o.at).limit(_PAGE)
        held = accounts.all_decisions().where(accounts.current())
        asked = held.where(a.state == "proposed").order_by(a.at.desc()).limit(_PAGE)
        holds = held.where(a.state == "holds").order_by(a.at.desc(), a.verdict_id.desc())
        if (mark := _mark(before)) is not None:
            holds = holds.where((a.at < mark[0]) | ((a.at == mark[0]) & (a.verdict_id < mark[1])))
        return {
            "proposed": [
                account_orders.order_from_row(row) for row in connection.execute(proposed)
            ],
            "asked": [accounts.decision_from_row(row) for row in connection.execute(asked)],
            "appeals": account_appeals.newest(connection, _PAGE, state="open"),
            "holds": [
                accounts.decision_from_row(row)
                for row in connection.execute(holds.limit(_PAGE + 1))
            ],
        }

    found = console_of(request).ledger.transact(work)
    holds = found.pop("holds")
    last = holds[_PAGE - 1] if len(holds) > _PAGE else None
    return render(
        request,
        "accounts.html",
        holds=holds[:_PAGE],
        next="" if last is None else f"{last.at.isoformat()},{last.verdict_id}",
        words=WORDS,
        **found,
    )


def _mark(text: str) -> tuple[datetime, str] | None:
    at, _, verdict_id = text.partition(",")
    try:
        found = datetime.fromisoformat(at)
    except ValueError:
        return None
    return (found, verdict_id) if found.tzinfo else None


@router.get("/account")
def account_page(request: Request, session: CurrentSession, uploader: Account) -> Response:
    """Show one account."""
    return _page(request, session.user, uploader)


def _page(request: Request, user: User, uploader: str, status: int = 200, **more: Any) -> Response:
    console = console_of(request)
    policy = console.policy
    found = console.ledger.transact(lambda c: accounts.load_account(c, policy, uploader))
    if found is None:
        raise PageError(404, "The ledger has no upload of this account, or they were all erased.")
    at = now()
    given: dict[str, Any] = {"message": "", "typed": {}, "shown": ""}
    return render(
        request,
        "account.html",
        status,
        file=found,
        most=accounts.COUNTED,
        shut=found.shut(at),
        half_life=policy.strikes.half_life / 86400,
        rules=[one for one in policy.rules if one.account is not None],
        undoable={
            one.id
            for one in found.orders
            if one.state == "waiting"
            and one.due_at is not None
            and one.due_at > at
            and user.name == (one.second or one.reviewer)
        },
        lead=user.may(Permission.LEAD),
        acts=WORDS,
        at=at,
        **{**given, **more},
    )


@router.post("/account/decide")
def decide(request: Request, given: FormFields, user: Reviewer) -> Response:
    """Warn or suspend an account, lift what holds, or propose a ban."""
    console, uploader = console_of(request), given.get("uploader", "")
    try:
        account_orders.place(
            console.ledger,
            given.get("upload", ""),
            user,
            given.get("action", ""),
            given.get("reason", ""),
            console.settings.undo,
            until=_until(given.get("days", "")),
        )
    except Conflict as error:
        return _page(request, user, uploader, 409, message=str(error), typed=given)
    return redirect(request, "/account", uploader=uploader)


def _until(text: str) -> datetime | None:
    """The end of a suspension of some days; None if it has none.

    Raises:
        Conflict: If it is no number of days.
    """
    if not text.strip():
        return None
    if not (text.strip().isascii() and text.strip().isdigit() and 0 < int(text) <= 3650):
        msg = "A suspension has 1 to 3650 days, or none until a person lifts it."
        raise Conflict(msg)
    return now() + timedelta(days=int(text))


@router.post("/account/preview")
def preview(request: Request, given: FormFields, user: Reviewer) -> Response:
    """Render the statement as the account's owner gets it."""
    console = console_of(request)
    (case,) = console.ledger.get_cases([given.get("upload", "")[:256]], ("upload", "verdicts"))
    reason = given.get("reason", "")[: account_orders.MAX_REASON]
    try:
        shown = accounts.preview(
            case, given.get("action", ""), reason, _until(given.get("days", ""))
        )
    except Conflict as error:
        shown = str(error)
    return render(request, "_preview.html", shown=shown, most=account_orders.MAX_REASON)


def _decided(request: Request, order: account_orders.Order) -> Response:
    return redirect(request, "/account", uploader=order.uploader)


@router.post("/account/confirm")
def confirm(request: Request, given: FormFields, user: Lead) -> Response:
    """Confirm a ban as the second person."""
    console = console_of(request)
    try:
        done = account_orders.confirm(
            console.ledger, given.get("order", ""), user, console.settings.undo
        )
    except Conflict as error:
        raise PageError(409, str(error)) from None
    return _decided(request, done)


@router.post("/account/refuse")
def refuse(request: Request, given: FormFields, user: Reviewer) -> Response:
    """Refuse a proposed ban, or take back one's own."""
    try:
        done = account_orders.refuse(console_of(request).ledger, given.get("order", ""), user)
    except Conflict as error:
        raise PageError(409, str(error)) from None
    return _decided(request, done)


@router.post("/account/undo")
def undo(request: Request, given: FormFields, user: Reviewer) -> Response:
    """Take back a decision that is not published yet."""
    try:
        done = account_orders.undo(console_of(request).ledger, given.get("order", ""), user)
    except Conflict as error:
        raise PageError(409, str(error)) from None
    return _decided(request, done)


@router.post("/account/appeal")
def enter_appeal(request: Request, given: FormFields, user: Lead) -> Response:
    """Record an appeal of an account's owner that arrived by letter."""
    try:
        account_appeals.appeal_account(
            console_of(request).ledger,
            given.get("upload", ""),
            given.get("verdict", ""),
            given.get("text", ""),
            user.name,
        )
    except AppealRefused as error:
        raise PageError(422, f"{str(error).capitalize()}.") from None
    return redirect(request, "/account", uploader=given.get("uploader", ""))


@router.post("/account/appeal/decide")
def decide_appeal(request: Request, given: FormFields, user: Reviewer) -> Response:
    """Uphold or lift what an account's owner appeals against."""
    console = console_of(request)
    outcome = given.get("outcome", "")
    if outcome not in ("uphold", "lift"):
        raise PageError(422, "Choose an outcome: uphold the decision, or lift it.")
    try:
        uploader = account_appeals.decide_appeal(
            console.ledger,
            given.get("appeal", ""),
            user,
            given.get("statement", ""),
            console.settings.undo,
            lift=outcome == "lift",
        )
    except Conflict as error:
        raise PageError(409, str(error)) from None
    return redirect(request, "/account", uploader=uploader)

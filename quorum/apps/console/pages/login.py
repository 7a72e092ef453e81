"""Logging in and out, users, and the audit log."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from quorum.apps.console.accounts import access, audit, sessions
from quorum.apps.console.accounts.access import Permission, Role, User
from quorum.apps.console.pages.base import (
    Fields,
    Refused,
    Visitor,
    console_of,
    cookie_name,
    fields,
    go,
    needs,
    render,
    set_cookie,
)
from quorum.core.errors import ConfigurationError

__all__ = ["router"]

router = APIRouter()


@router.get("/login")
def login_page(request: Request, next: str = "/") -> Response:  # noqa: A002
    """Ask for name and password."""
    return render(request, "login.html", next=_inside(next), told="", name="")


@router.post("/login")
def login(request: Request, given: Annotated[Mapping[str, str], Depends(fields)]) -> Response:
    """Open a session."""
    console = console_of(request)
    name, target = given.get("name", ""), _inside(given.get("next", "/"))
    address = request.client.host if request.client else "-"
    status, told = 401, "This name and password do not go together."
    made = None
    try:
        made = sessions.log_in(console.ledger, name, given.get("password", ""), address)
    except sessions.TooManyTries as error:
        status, told = 429, str(error)
    if made is None:
        return render(request, "login.html", status, next=target, told=told, name=name[:64])
    response = go(request, target)
    set_cookie(console, response, made)
    return response


def _inside(target: str) -> str:
    """Only a path of the console: a link must not lead elsewhere after logging in."""
    inside = target.startswith("/") and not target.startswith(("//", "/\\"))
    return target if inside and target.isprintable() else "/"


@router.post("/logout")
def logout(request: Request, session: Visitor, given: Fields) -> Response:
    """End the session."""
    console = console_of(request)
    sessions.log_out(console.ledger, session)
    response = go(request, "/login")
    response.delete_cookie(cookie_name(console), path="/")
    return response


@router.get("/users")
def users_page(
    request: Request, user: Annotated[User, Depends(needs(Permission.ADMIN))]
) -> Response:
    """Who may use the console."""
    found = access.list_users(console_of(request).ledger)
    return render(request, "users.html", users=found, roles=list(Role), told="")


@router.post("/users")
def change_user(
    request: Request,
    given: Fields,
    user: Annotated[User, Depends(needs(Permission.ADMIN))],
) -> Response:
    """Make a user, or shut one out."""
    ledger, name = console_of(request).ledger, given.get("name", "")
    what = given.get("what")
    if what in ("disable", "enable"):
        if name == user.name:
            raise Refused(409, "You cannot shut yourself out; another admin can.")
        access.set_disabled(ledger, name, disabled=what == "disable", by=user.name)
        return go(request, "/users")
    try:
        role = Role(given.get("role", ""))
        access.create_user(ledger, name, role, given.get("password") or None, user.name)
    except (ValueError, ConfigurationError) as error:
        found = access.list_users(ledger)
        return render(request, "users.html", 422, users=found, roles=list(Role), told=str(error))
    return go(request, "/users")


@router.get("/audit")
def audit_page(
    request: Request,
    user: Annotated[User, Depends(needs(Permission.AUDIT))],
    before: int | None = None,
) -> Response:
    """The audit log, newest first."""
    ledger = console_of(request).ledger
    return render(request, "audit.html", lines=audit.newest(ledger, before=before))


@router.post("/audit/verify")
def verify(
    request: Request,
    given: Fields,
    user: Annotated[User, Depends(needs(Permission.AUDIT))],
) -> Response:
    """Check the chain."""
    return render(request, "_verified.html", found=audit.verify(console_of(request).ledger))

"""Log-in and log-out, users, and the audit log."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import JSONResponse, Response

from quorum.apps.console.accounts import access, audit, sessions
from quorum.apps.console.accounts.access import Role
from quorum.apps.console.accounts.anchors import read_anchors
from quorum.apps.console.accounts.audit_key import anchors_file
from quorum.apps.console.accounts.sessions import Session
from quorum.apps.console.accounts.throttle import DEVICE_LIFETIME
from quorum.apps.console.pages.base import (
    Admin,
    Auditor,
    CurrentSession,
    FormFields,
    PageError,
    client_address,
    console_of,
    cookie_name,
    form_fields,
)
from quorum.apps.console.pages.rendering import (
    inside,
    redirect,
    render,
    set_cookie,
    set_new_cookie,
)
from quorum.apps.oidc.provider import ProviderUnavailable
from quorum.core import metrics
from quorum.core.errors import ConfigurationError

__all__ = ["router"]

_log = logging.getLogger(__name__)

router = APIRouter()

_NO_PASSWORDS = "Nobody logs in with a password here; use single sign-on."
_OUTCOMES = {200: "ok", 401: "failed", 429: "limited"}


def _count(status: int) -> None:
    metrics.CONSOLE_LOGINS.labels("password", _OUTCOMES[status]).inc()


@router.get("/login")
def login_page(request: Request, next: str = "/") -> Response:  # noqa: A002
    """Show the log-in form."""
    return render(request, "login.html", next=inside(next), message="", name="")


@router.post("/login")
def login(request: Request, given: Annotated[Mapping[str, str], Depends(form_fields)]) -> Response:
    """Log in."""
    console = console_of(request)
    name, target = given.get("name", ""), inside(given.get("next", "/"))
    device = request.cookies.get(cookie_name(console, "device"), "")
    if not console.passwords:
        raise PageError(403, _NO_PASSWORDS)
    status, message = 401, "The name or the password is wrong."
    made = None
    try:
        made = sessions.log_in(
            console.ledger, name, given.get("password", ""), client_address(request), device
        )
    except sessions.TooManyAttempts as error:
        status, message = 429, str(error)
    _count(status if made is None else 200)
    if made is None:
        return render(request, "login.html", status, next=target, message=message, name=name[:64])
    response = redirect(request, target)
    set_cookie(console, response, made.cookie)
    set_cookie(console, response, made.device, "device", DEVICE_LIFETIME)
    return response


@router.get("/session")
def session_answer(request: Request, session: CurrentSession) -> Response:
    """Answer with the session, which lasts longer by that; 401 if there is none.

    A page asks before it sends a form, so that a session that ended costs no typed text.
    """
    return _session_answer(request, session)


def _session_answer(request: Request, session: Session) -> Response:
    told = {
        "name": session.user.name,
        "csrf": session.csrf,
        "left": session.left,
        "most": session.most,
    }
    response = JSONResponse(told)
    set_new_cookie(request, response)
    return response


@router.post("/login/again")
def login_again(
    request: Request, given: Annotated[Mapping[str, str], Depends(form_fields)]
) -> Response:
    """Log in from a page whose session ended, without leaving it."""
    console, made = console_of(request), None
    if not console.passwords:
        return JSONResponse({"message": _NO_PASSWORDS}, 403)
    device = request.cookies.get(cookie_name(console, "device"), "")
    name, password = given.get("name", ""), given.get("password", "")
    try:
        made = sessions.log_in(console.ledger, name, password, client_address(request), device)
    except sessions.TooManyAttempts as error:
        _count(429)
        return JSONResponse({"message": str(error)}, 429)
    found = None if made is None else sessions.find_session(console.ledger, made.cookie)
    _count(401 if found is None else 200)
    if made is None or found is None:
        return JSONResponse({"message": "The name or the password is wrong."}, 401)
    response = _session_answer(request, found)
    set_cookie(console, response, made.cookie)
    set_cookie(console, response, made.device, "device", DEVICE_LIFETIME)
    return response


@router.get("/password")
def password_page(request: Request, session: CurrentSession) -> Response:
    """Show the form by which users change their own passwords."""
    if not session.user.has_password:
        raise PageError(404, "You log in without a password of the console.")
    return render(request, "password.html", message="")


@router.post("/password")
def change_password(request: Request, session: CurrentSession, given: FormFields) -> Response:
    """Change the user's own password, and log in again."""
    ledger = console_of(request).ledger
    old, new = given.get("old", ""), given.get("new", "")
    try:
        if new != given.get("again"):
            message = "The two new passwords differ."
        elif sessions.change_password(ledger, session.user, old, new, client_address(request)):
            return redirect(request, "/login")
        else:
            message = "The present password is wrong."
    except (ConfigurationError, sessions.TooManyAttempts) as error:
        message = str(error)
    return render(request, "password.html", 422, message=message)


@router.post("/logout")
def logout(request: Request, session: CurrentSession, given: FormFields) -> Response:
    """Log out; through the identity provider, if the settings ask for it and it opened this."""
    console = console_of(request)
    id_token = sessions.log_out(console.ledger, session)
    request.state.session = None
    sign_on, told, farewell = console.sign_on, "", None
    if sign_on is not None:
        try:
            farewell = sign_on.farewell(id_token, _address(request, "/login"))
        except ProviderUnavailable as error:
            _log.warning("the identity provider is not available: %s", error)
            told = (
                f"You are logged out here. {sign_on.settings.name} does not answer: log out there "
                "too, or close the browser."
            )
    if farewell is not None:
        # A redirect of a form to another host is refused by the page's own rules (form-action).
        response = render(request, "signed_off.html", farewell=farewell)
    elif told:
        response = render(request, "login.html", 503, next="/", message=told, name="")
    else:
        response = redirect(request, "/login")
    response.delete_cookie(cookie_name(console), path="/")
    return response


def _address(request: Request, path: str) -> str:
    # The host is one of those that were allowed (SecurityMiddleware).
    scheme = "https" if console_of(request).settings.secure else "http"
    return f"{scheme}://{request.headers['host']}{path}"


@router.get("/users")
def users_page(request: Request, user: Admin) -> Response:
    """Show the users."""
    return _users(request, "", 200)


def _users(request: Request, message: str, status: int) -> Response:
    ledger = console_of(request).ledger
    desk = console_of(request).settings.desk
    return render(
        request,
        "users.html",
        status,
        users=access.list_users(ledger),
        identities=access.list_identities(ledger),
        roles=list(Role),
        skills=access.skills_of(ledger),
        asked=sorted({one for queue in desk.queues for one in queue.skills}),
        message=message,
    )


@router.post("/users")
def change_user(
    request: Request,
    given: FormFields,
    user: Admin,
) -> Response:
    """Create, change, disable or enable a user, or set their skills."""
    ledger, name = console_of(request).ledger, given.get("name", "")
    what = given.get("what")
    if what in ("disable", "enable"):
        if name == user.name:
            raise PageError(409, "You cannot disable yourself; another admin can.")
        access.set_disabled(ledger, name, disabled=what == "disable", by=user.name)
        return redirect(request, "/users")
    if what == "skills":
        try:
            access.set_skills(ledger, name, given.get("skills", "").split(), user.name)
        except ConfigurationError as error:
            return _users(request, str(error), 422)
        return redirect(request, "/users")
    try:
        role = Role(given.get("role", ""))
        access.create_user(ledger, name, role, given.get("password") or None, user.name)
    except (ValueError, ConfigurationError) as error:
        return _users(request, str(error), 422)
    return redirect(request, "/users")


@router.get("/audit")
def audit_page(
    request: Request,
    user: Auditor,
    before: Annotated[int | None, Query(ge=0, le=2**31 - 1)] = None,
) -> Response:
    """Show the audit log, newest first."""
    ledger = console_of(request).ledger
    return render(request, "audit.html", lines=audit.newest(ledger, before=before))


@router.post("/audit/verify")
def verify(
    request: Request,
    given: FormFields,
    user: Auditor,
) -> Response:
    """Verify the audit log's chain."""
    file = anchors_file()
    anchors = [] if file is None else read_anchors(file)
    found = audit.verify(console_of(request).ledger, anchors)
    return render(request, "_verified.html", found=found)

"""Log-in through an identity provider."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Final

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from quorum.apps.console.accounts.identities import NotAdmitted
from quorum.apps.console.accounts.sessions import tokens_equal
from quorum.apps.console.accounts.sign_on import FLOW_SECONDS, Flow, SignOn
from quorum.apps.console.accounts.throttle import TooManyAttempts
from quorum.apps.console.pages.base import (
    Console,
    CurrentSession,
    PageError,
    client_address,
    console_of,
    cookie_name,
)
from quorum.apps.console.pages.rendering import inside, redirect, render, set_cookie
from quorum.apps.oidc.provider import ProviderUnavailable
from quorum.apps.oidc.tokens import TokenRefused
from quorum.core import metrics

__all__ = ["router"]

_log = logging.getLogger(__name__)

router = APIRouter()

#: Log-ins that a browser may have begun at once, in as many tabs.
_FLOWS: Final = 4


@router.get("/login/sso")
def begin(request: Request, next: str = "/") -> Response:  # noqa: A002
    """Send the browser to the identity provider."""
    console = console_of(request)
    sign_on = _sign_on(console)
    target = inside(next)
    try:
        url, flow = sign_on.begin(_comes_back_to(request, console), target)
    except ProviderUnavailable as error:
        return _away(request, sign_on, error, target)
    response = RedirectResponse(url, 303)
    prefix = _flow_cookie(console, "")
    held = [name for name in request.cookies if name.startswith(prefix)]
    for name in held[: max(0, len(held) - _FLOWS + 1)]:
        _forget(console, response, name)
    set_cookie(console, response, flow.cookie(), _kind(flow.state), timedelta(seconds=FLOW_SECONDS))
    return response


@router.get("/login/sso/done")
def done(request: Request, session: CurrentSession) -> Response:
    """Tell that this tab may be closed: another one waited for the log-in."""
    return render(request, "signed_on.html")


@router.get("/login/sso/callback")
def finish(request: Request) -> Response:
    """Take what the identity provider sent the browser back with, and open the session."""
    console = console_of(request)
    sign_on = _sign_on(console)
    answer = dict(request.query_params)
    state = answer.get("state", "")
    name = _flow_cookie(console, state)
    flow = Flow.read(request.cookies.get(name, ""))
    if flow is None or not tokens_equal(flow.state, state):
        # Not begun in this browser, or begun long ago: nothing of it is used.
        metrics.CONSOLE_LOGINS.labels("sso", "refused").inc()
        told = "This log-in was not begun in this browser, or took too long. Please begin again."
        return render(request, "login.html", 400, next="/", message=told, name="")
    target = inside(flow.target)
    try:
        cookie = sign_on.finish(
            flow, answer, _comes_back_to(request, console), client_address(request)
        )
    except ProviderUnavailable as error:
        response = _away(request, sign_on, error, target)
    except TokenRefused as error:
        _log.warning("a log-in through the identity provider was refused: %s", error)
        told = f"{sign_on.settings.name} did not log you in: {error}. Please begin again."
        response = _refused(request, 401, told, target, "failed")
    except NotAdmitted as error:
        response = _refused(request, 403, str(error), target, "refused")
    except TooManyAttempts as error:
        response = _refused(request, 429, str(error), target, "limited")
    else:
        metrics.CONSOLE_LOGINS.labels("sso", "ok").inc()
        response = redirect(request, target)
        set_cookie(console, response, cookie)
    _forget(console, response, name)
    return response


def _sign_on(console: Console) -> SignOn:
    if console.sign_on is None:
        raise PageError(404, "There is no such page.")
    return console.sign_on


def _away(request: Request, sign_on: SignOn, error: Exception, target: str) -> Response:
    _log.warning("the identity provider is not available: %s", error)
    told = (
        f"{sign_on.settings.name} does not answer, so that nobody can log in through it. Nothing "
        "was changed, and who is logged in stays so; try again in a minute."
    )
    if sign_on.settings.passwords:
        told += " Who has a password here can log in with it."
    response = _refused(request, 503, told, target, "unavailable")
    response.headers["retry-after"] = "60"
    return response


def _refused(request: Request, status: int, told: str, target: str, outcome: str) -> Response:
    metrics.CONSOLE_LOGINS.labels("sso", outcome).inc()
    return render(request, "login.html", status, next=target, message=told, name="")


def _comes_back_to(request: Request, console: Console) -> str:
    # The host is one of those that were allowed (SecurityMiddleware).
    scheme = "https" if console.settings.secure else "http"
    return f"{scheme}://{request.headers['host']}/login/sso/callback"


def _kind(state: str) -> str:
    return f"sso-{''.join(one for one in state[:8] if one.isalnum() or one in '-_')}"


def _flow_cookie(console: Console, state: str) -> str:
    return cookie_name(console, _kind(state))


def _forget(console: Console, response: Response, name: str) -> None:
    response.delete_cookie(name, path="/", secure=console.settings.secure, httponly=True)

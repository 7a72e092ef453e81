"""Shared parts of the pages: application state, sessions, permissions, forms."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Query, Request
from starlette.datastructures import UploadFile

from quorum.aggregator.policy.policy import Policy
from quorum.apps.console.accounts import sessions
from quorum.apps.console.accounts.access import PERMISSIONS, Permission, User, find_user
from quorum.apps.console.accounts.security import MAX_BODY
from quorum.apps.console.accounts.sessions import Session
from quorum.apps.console.desk.active_policy import ActivePolicy
from quorum.apps.console.settings import ConsoleSettings
from quorum.apps.http.keys import Keyring
from quorum.store.ledger import Ledger

__all__ = [
    "Admin",
    "Auditor",
    "Console",
    "CurrentSession",
    "FormFields",
    "Lead",
    "LoginRequired",
    "PageError",
    "Reviewer",
    "UploadId",
    "console_of",
    "cookie_name",
    "form_fields",
]


@dataclass(frozen=True, slots=True)
class Console:
    """The state that the pages share."""

    ledger: Ledger
    active_policy: ActivePolicy
    settings: ConsoleSettings
    keyring: Keyring | None = None

    @property
    def policy(self) -> Policy:
        """The policy in force."""
        return self.active_policy.current()


class PageError(Exception):
    """An error that is shown as a page.

    Args:
        status: The HTTP status.
        message: What is wrong and what to do.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class LoginRequired(Exception):
    """The request has no valid session."""


def console_of(request: Request) -> Console:
    """Return the state of the console that serves a request."""
    console: Console = request.app.state.console
    return console


def cookie_name(console: Console) -> str:
    """Return the name of the session cookie.

    Browsers accept the prefix ``__Host-`` over https only, and bind the cookie to the host.
    """
    return "__Host-quorum" if console.settings.secure else "quorum_session"


def current_session(request: Request) -> Session:
    """Return the session of a request; opens one for a user signed in by the reverse proxy.

    Raises:
        LoginRequired: If nobody is logged in.
        PageError: If the reverse proxy names an unknown user.
    """
    console = console_of(request)
    cookie = request.cookies.get(cookie_name(console), "")
    found = sessions.find_session(console.ledger, cookie) if cookie else None
    name = _proxy_user(request, console)
    if name is not None and (found is None or found.user.name != name):
        user = console.ledger.transact(lambda connection: find_user(connection, name))
        if user is None or user.disabled:
            msg = "You are signed in, but have no account here; ask an admin to add you."
            raise PageError(403, msg)
        cookie = console.ledger.transact(lambda c: sessions.open_session(c, user), writes=True)
        request.state.new_cookie = cookie
        found = sessions.find_session(console.ledger, cookie)
    if found is None:
        raise LoginRequired
    request.state.session = found
    return found


def _proxy_user(request: Request, console: Console) -> str | None:
    header = console.settings.user_header
    if header is None or request.client is None:
        return None
    if request.client.host not in console.settings.proxies:
        return None
    return request.headers.get(header) or None


CurrentSession = Annotated[Session, Depends(current_session)]


def _require(permission: Permission) -> Callable[[Session], User]:
    """Create a dependency that returns the user if they have a permission."""

    def check(session: CurrentSession) -> User:
        if not session.user.may(permission):
            roles = [role.value for role, allowed in PERMISSIONS.items() if permission in allowed]
            msg = (
                f"This requires the role {' or '.join(roles)}; yours is {session.user.role.value}."
            )
            raise PageError(403, msg)
        return session.user

    return check


#: The user of a request, who must have the permission of this kind of user.
Reviewer = Annotated[User, Depends(_require(Permission.DECIDE))]
Lead = Annotated[User, Depends(_require(Permission.LEAD))]
Auditor = Annotated[User, Depends(_require(Permission.AUDIT))]
Admin = Annotated[User, Depends(_require(Permission.ADMIN))]

UploadId = Annotated[str, Query(max_length=256)]


async def form_fields(request: Request) -> Mapping[str, str]:
    """Read the text fields of a form; files are ignored."""
    form = await request.form(max_files=0, max_part_size=MAX_BODY)
    given = {name: value for name, value in form.items() if not isinstance(value, UploadFile)}
    return {name: str(value).encode("utf-8", "replace").decode() for name, value in given.items()}


def verified_fields(
    session: CurrentSession, given: Annotated[Mapping[str, str], Depends(form_fields)]
) -> Mapping[str, str]:
    """Return the fields of a form after checking its CSRF token.

    Raises:
        PageError: If the token is not that of the session.
    """
    if not sessions.tokens_equal(given.get("csrf", ""), session.csrf):
        msg = "This form is from an earlier session. Go back, reload the page, and send it again."
        raise PageError(403, msg)
    return given


FormFields = Annotated[Mapping[str, str], Depends(verified_fields)]

"""Shared parts of the pages: application state, sessions, permissions, forms."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Query, Request
from starlette.datastructures import UploadFile

from quorum.aggregator.policy.policy import Policy
from quorum.apps.console.accounts import sessions
from quorum.apps.console.accounts.access import PERMISSIONS, Permission, User, find_user
from quorum.apps.console.accounts.names import folded
from quorum.apps.console.accounts.security import MAX_BODY
from quorum.apps.console.accounts.sessions import Session
from quorum.apps.console.accounts.sign_on import SignOn
from quorum.apps.console.desk.active_policy import ActivePolicy
from quorum.apps.console.settings import ConsoleSettings
from quorum.apps.console.watch import Watch
from quorum.apps.http.keys import Keyring
from quorum.core import metrics
from quorum.store.ledger import Ledger, LedgerUnavailable
from quorum.store.ledger.sealing import sealed_id

__all__ = [
    "Admin",
    "Auditor",
    "Console",
    "CurrentSession",
    "FormFields",
    "IdentityReader",
    "Lead",
    "LoginRequired",
    "PageError",
    "Reviewer",
    "SealedCase",
    "Specialist",
    "UploadId",
    "client_address",
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
    watch: Watch
    keyring: Keyring | None = None
    sign_on: SignOn | None = None

    @property
    def policy(self) -> Policy:
        """The policy in force."""
        return self.active_policy.current()

    @property
    def passwords(self) -> bool:
        """Whether users may log in with a password."""
        return self.sign_on is None or self.sign_on.settings.passwords


#: The header in which a reverse proxy proves itself, if the console has a secret of it.
PROXY_SECRET_HEADER = "quorum-proxy-secret"  # noqa: S105


#: The names under which addresses and forms name an upload.
_UPLOADS = ("upload", "of")

#: Fields of a form: more than one decision takes cases, so that it can say what is too many.
_MAX_FIELDS = 20_000


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


class SealedCase(Exception):
    """The request is about a sealed case, which no ordinary page shows.

    Args:
        case_id: The case.
        user: Who asks.
    """

    def __init__(self, case_id: str, user: User) -> None:
        super().__init__(case_id)
        self.case_id = case_id
        self.user = user


def console_of(request: Request) -> Console:
    """Return the state of the console that serves a request."""
    console: Console = request.app.state.console
    return console


def cookie_name(console: Console, kind: str = "session") -> str:
    """Return the name of the session's cookie, or of another kind of cookie.

    Browsers accept the prefix ``__Host-`` over https only, and bind the cookie to the host.
    """
    if kind != "session":
        return f"__Host-quorum-{kind}" if console.settings.secure else f"quorum_{kind}"
    return "__Host-quorum" if console.settings.secure else "quorum_session"


def current_session(request: Request) -> Session:
    """Return the session of a request; opens one for a user signed in by the reverse proxy.

    Raises:
        LoginRequired: If nobody is logged in.
        PageError: If the reverse proxy names an unknown user.
        LedgerUnavailable: At once, without asking, while the database is known to be away.
    """
    console = console_of(request)
    if console.watch.away:
        msg = "the database does not answer"
        raise LedgerUnavailable(msg)
    cookie = request.cookies.get(cookie_name(console), "")
    # A page that refreshes itself does not keep a session alive.
    active = "hx-request" not in request.headers and request.url.path != "/live"
    found = sessions.find_session(console.ledger, cookie, active=active) if cookie else None
    name = _proxy_user(request, console)
    if name is not None and (found is None or folded(found.user.name) != folded(name)):
        user = console.ledger.transact(lambda connection: find_user(connection, name))
        if user is None or user.disabled:
            msg = "You are signed in, but have no account here; ask an admin to add you."
            raise PageError(403, msg)
        address = client_address(request)
        cookie = console.ledger.transact(
            lambda c: sessions.open_session_by_proxy(c, user, address), writes=True
        )
        metrics.CONSOLE_LOGINS.labels("proxy", "ok").inc()
        request.state.new_cookie = cookie
        found = sessions.find_session(console.ledger, cookie)
    if found is None:
        raise LoginRequired
    request.state.session = found
    refuse_sealed(console, found.user, *(request.query_params.get(name) for name in _UPLOADS))
    return found


def refuse_sealed(console: Console, user: User, *upload_ids: str | None) -> None:
    """Refuse what is about a sealed case, whoever asks: its media is shown to nobody here.

    Raises:
        SealedCase: If one of the uploads is sealed.
    """
    asked = [one for one in upload_ids if one]
    if asked and (sealed := console.ledger.transact(lambda c: sealed_id(c, asked))) is not None:
        raise SealedCase(sealed, user)


def _proxy_user(request: Request, console: Console) -> str | None:
    """The user whom a trusted reverse proxy names; None if it names none.

    Raises:
        PageError: If it does not name exactly one.
    """
    settings = console.settings
    if settings.user_header is None or not _from_proxy(request, settings):
        return None
    named = request.headers.getlist(settings.user_header)
    if len(named) > 1:
        # A client may have sent one of them, and proxies differ in which one they mean.
        raise PageError(400, f"There is more than one header {settings.user_header}.")
    return named[0].strip() or None if named else None


def _from_proxy(request: Request, settings: ConsoleSettings) -> bool:
    """Whether a request is of a trusted proxy, by its address, and its secret if it has one."""
    if request.client is None or request.client.host not in settings.proxies:
        return False
    if settings.proxy_secret is None:
        return True
    given = request.headers.getlist(PROXY_SECRET_HEADER)
    return len(given) == 1 and sessions.tokens_equal(given[0], settings.proxy_secret)


def client_address(request: Request) -> str:
    """The client's address, for limits and the log: of a proxy that was named, the one it names.

    The last address of ``X-Forwarded-For`` is what the proxy saw itself; those before it were sent
    by the client.
    """
    settings = console_of(request).settings
    peer = request.client.host if request.client else "-"
    if not settings.behind_proxy or not _from_proxy(request, settings):
        return peer
    named = ",".join(request.headers.getlist("x-forwarded-for")).rpartition(",")[2].strip()
    try:
        return str(ipaddress.ip_address(named))
    except ValueError:
        return peer


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
IdentityReader = Annotated[User, Depends(_require(Permission.IDENTITY))]
Specialist = Annotated[User, Depends(_require(Permission.SEALED))]
Admin = Annotated[User, Depends(_require(Permission.ADMIN))]

UploadId = Annotated[str, Query(max_length=256)]


async def form_fields(request: Request) -> Mapping[str, str]:
    """Read the text fields of a form; files are ignored."""
    form = await request.form(max_files=0, max_fields=_MAX_FIELDS, max_part_size=MAX_BODY)
    given = {name: value for name, value in form.items() if not isinstance(value, UploadFile)}
    return {name: str(value).encode("utf-8", "replace").decode() for name, value in given.items()}


def verified_fields(
    request: Request,
    session: CurrentSession,
    given: Annotated[Mapping[str, str], Depends(form_fields)],
) -> Mapping[str, str]:
    """Return the fields of a form after checking its CSRF token.

    Raises:
        PageError: If the token is not that of the session.
        SealedCase: If it is about a sealed case.
    """
    if not sessions.tokens_equal(given.get("csrf", ""), session.csrf):
        msg = "This form is from an earlier session. Go back, reload the page, and send it again."
        raise PageError(403, msg)
    refuse_sealed(console_of(request), session.user, *(given.get(name) for name in _UPLOADS))
    return given


FormFields = Annotated[Mapping[str, str], Depends(verified_fields)]

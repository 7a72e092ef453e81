"""What the pages share: the state, who asks, forms, and how a page is made."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import parse_qsl, quote, urlencode

import jinja2
from fastapi import Depends, Request
from starlette.datastructures import UploadFile
from starlette.responses import HTMLResponse, RedirectResponse, Response

from quorum.aggregator.policy.policy import Policy
from quorum.apps.console.accounts import sessions
from quorum.apps.console.accounts.access import PERMISSIONS, Permission, User, find_user
from quorum.apps.console.accounts.security import MAX_BODY
from quorum.apps.console.accounts.sessions import Session
from quorum.apps.console.desk import decisions
from quorum.apps.console.desk.in_force import InForce
from quorum.apps.console.desk.publishing import Reviews
from quorum.apps.console.settings import ConsoleSettings
from quorum.core.messages import Action, now
from quorum.store.ledger import Ledger

__all__ = [
    "Console",
    "Fields",
    "LoginNeeded",
    "Refused",
    "Visitor",
    "console_of",
    "go",
    "needs",
    "render",
]

_FOLDER = Path(__file__).parent.parent
_ENVIRONMENT = jinja2.Environment(
    loader=jinja2.FileSystemLoader(_FOLDER / "templates"),
    # Everything, whatever a template is called: titles are written by strangers.
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


#: The pages of the main navigation, and who may see them.
_PAGES = (
    ("/queue", "Queue", Permission.READ),
    ("/overview", "Overview", Permission.READ),
    ("/search", "Search", Permission.READ),
    ("/appeals", "Appeals", Permission.READ),
    ("/quality", "Quality", Permission.READ),
    ("/policy", "Policy", Permission.READ),
    ("/audit", "Audit", Permission.AUDIT),
    ("/users", "Users", Permission.ADMIN),
)


@dataclass(frozen=True, slots=True)
class Console:
    """What the pages work on."""

    ledger: Ledger
    in_force: InForce
    reviews: Reviews
    settings: ConsoleSettings
    keyring: Any = None

    @property
    def policy(self) -> Policy:
        """In force now."""
        return self.in_force.current()


class Refused(Exception):
    """A page that tells why something was not done.

    Args:
        status: The HTTP status.
        told: What was wrong and what to do.
    """

    def __init__(self, status: int, told: str) -> None:
        super().__init__(told)
        self.status = status
        self.told = told


class LoginNeeded(Exception):
    """Nobody is logged in."""


def console_of(request: Request) -> Console:
    """The console that a request is for."""
    console: Console = request.app.state.console
    return console


def cookie_name(console: Console) -> str:
    """With its prefix, a browser takes the cookie by https alone, for this host alone."""
    return "__Host-quorum" if console.settings.secure else "quorum_session"


def visitor(request: Request) -> Session:
    """Who is logged in.

    Raises:
        LoginNeeded: If nobody is.
        Refused: If the reverse proxy names someone whom the console does not know.
    """
    console = console_of(request)
    cookie = request.cookies.get(cookie_name(console), "")
    found = sessions.find_session(console.ledger, cookie) if cookie else None
    told = _told_by_proxy(request, console)
    if told is not None and (found is None or found.user.name != told):
        user = console.ledger.transact(lambda connection: find_user(connection, told))
        if user is None or user.disabled:
            msg = "You are signed in, but not known here; an admin can add you."
            raise Refused(403, msg)
        made = console.ledger.transact(lambda c: sessions.open_session(c, user), writes=True)
        request.state.new_cookie = made
        found = sessions.find_session(console.ledger, made)
    if found is None:
        raise LoginNeeded
    request.state.session = found
    return found


def _told_by_proxy(request: Request, console: Console) -> str | None:
    header = console.settings.user_header
    if header is None or request.client is None:
        return None
    if request.client.host not in console.settings.proxies:
        return None
    return request.headers.get(header) or None


Visitor = Annotated[Session, Depends(visitor)]


def needs(permission: Permission) -> Callable[[Session], User]:
    """A dependency: the user, who must have this permission."""

    def check(session: Visitor) -> User:
        if not session.user.may(permission):
            roles = [role.value for role, allowed in PERMISSIONS.items() if permission in allowed]
            msg = f"This is for {' and '.join(roles)}; you are {session.user.role.value}."
            raise Refused(403, msg)
        return session.user

    return check


async def fields(request: Request) -> Mapping[str, str]:
    """The fields of a form that came from one of our pages.

    Raises:
        Refused: If it did not.
    """
    form = await request.form(max_files=0, max_part_size=MAX_BODY)
    given = {name: value for name, value in form.items() if not isinstance(value, UploadFile)}
    return {name: str(value).encode("utf-8", "replace").decode() for name, value in given.items()}


def own_fields(session: Visitor, given: Annotated[Mapping[str, str], Depends(fields)]) -> Any:
    """The fields, once the token of the session was found among them."""
    if not sessions.same(given.get("csrf", ""), session.csrf):
        msg = "This form is from an earlier session. Go back, reload the page, and send it again."
        raise Refused(403, msg)
    return given


Fields = Annotated[Mapping[str, str], Depends(own_fields)]


def go(request: Request, url: str, **query: str) -> Response:
    """Send the browser to another page of the console."""
    asked = "&".join(f"{name}={quote(value, safe='')}" for name, value in query.items())
    response = RedirectResponse(f"{url}?{asked}" if asked else url, 303)
    _keep_cookie(request, response)
    return response


def render(request: Request, template: str, status: int = 200, **values: Any) -> Response:
    """A page."""
    session: Session | None = getattr(request.state, "session", None)
    console = console_of(request)
    waiting = None
    if session is not None and session.user.may(Permission.DECIDE) and template[0] != "_":
        name = session.user.name
        waiting = console.ledger.transact(lambda c: decisions.waiting_of(c, name))
    given = {
        "session": session,
        "user": None if session is None else session.user,
        "csrf": "" if session is None else session.csrf,
        "may": (lambda name: session is not None and session.user.may(Permission(name))),
        "waiting": waiting,
        "path": request.url.path,
        "clock": now(),
        "Action": Action,
        "nav": _nav(session),
        **values,
    }
    response = HTMLResponse(_ENVIRONMENT.get_template(template).render(given), status)
    _keep_cookie(request, response)
    return response


def _nav(session: Session | None) -> list[tuple[str, str]]:
    if session is None:
        return []
    return [(url, name) for url, name, needed in _PAGES if session.user.may(needed)]


def _keep_cookie(request: Request, response: Response) -> None:
    made = getattr(request.state, "new_cookie", None)
    if made is not None:
        set_cookie(console_of(request), response, made)


def set_cookie(console: Console, response: Response, value: str) -> None:
    """Give the browser its session."""
    response.set_cookie(
        cookie_name(console),
        value,
        httponly=True,
        samesite="lax",
        secure=console.settings.secure,
        path="/",
    )


def _ago(value: datetime | None) -> str:
    if value is None:
        return "–"
    return _span((now() - value).total_seconds())


def _span(seconds: float) -> str:
    seconds = abs(seconds)
    for limit, unit, name in ((90, 1, "s"), (5400, 60, "min"), (129600, 3600, "h")):
        if seconds < limit:
            return f"{seconds / unit:.0f} {name}"
    return f"{seconds / 86400:.0f} d"


def _took(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds < 90 else _span(seconds)


def _when(value: datetime | None) -> str:
    return "–" if value is None else value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")


def _clock(value: float) -> str:
    whole = int(value)
    return f"{whole // 60}:{whole % 60:02d}"


def _left(value: datetime) -> str:
    rest = value - now()
    told = _span(rest.total_seconds())
    return f"{told} over" if rest < timedelta(0) else f"{told} left"


#: Detectors that ship keep their colours; others share the rest.
_HUES = {"violence": 0, "nsfw": 1, "spam": 2, "copyright": 3}
_WORDS = {
    "allow": "Allowed",
    "restrict": "Restricted",
    "review": "Passed to a second person",
    "remove": "Removed",
}


def _hue(detector: str) -> int:
    return _HUES.get(detector, 4 + sum(detector.encode("utf-8", "replace")) % 2)


def _page_link(query: str, page: int) -> str:
    kept = [(name, value) for name, value in parse_qsl(query) if name != "page"]
    return "?" + urlencode([*kept, ("page", str(page))])


_ENVIRONMENT.filters.update(
    ago=_ago,
    when=_when,
    clock=_clock,
    left=_left,
    span=_span,
    took=_took,
    hue=_hue,
    page_link=_page_link,
    action_words=_WORDS.__getitem__,
)

"""Rendering of pages: the template environment, its filters, responses with cookies."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

import jinja2
from fastapi import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from quorum.apps.console.accounts.access import Permission
from quorum.apps.console.accounts.sessions import Session
from quorum.apps.console.desk import bulk, decisions
from quorum.apps.console.desk.alarms import digest_of
from quorum.apps.console.desk.replies import FIELDS
from quorum.apps.console.pages.base import Console, console_of, cookie_name
from quorum.core.messages import Action, now
from quorum.core.report.page import KIT

__all__ = ["inside", "redirect", "render", "set_cookie", "set_new_cookie"]

#: The pages of the main navigation, with the permission to see them.
_PAGES = (
    ("/queue", "Queue", Permission.READ),
    ("/queues", "Queues", Permission.READ),
    ("/overview", "Overview", Permission.READ),
    ("/search", "Search", Permission.READ),
    ("/reports", "Reports", Permission.READ),
    ("/notices", "Notices", Permission.READ),
    ("/sealed", "Sealed", Permission.SEALED),
    ("/mine", "Mine", Permission.DECIDE),
    ("/appeals", "Appeals", Permission.READ),
    ("/accounts", "Accounts", Permission.READ),
    ("/quality", "Quality", Permission.READ),
    ("/policy", "Policy", Permission.READ),
    ("/holds", "Holds", Permission.READ),
    ("/transparency", "Transparency", Permission.READ),
    ("/audit", "Audit", Permission.AUDIT),
    ("/users", "Users", Permission.ADMIN),
)


def redirect(request: Request, url: str, **query: str) -> Response:
    """Redirect to another page of the console, as the response to a form."""
    encoded = "&".join(f"{name}={quote(value, safe='')}" for name, value in query.items())
    response = RedirectResponse(f"{url}?{encoded}" if encoded else url, 303)
    set_new_cookie(request, response)
    return response


def inside(target: str) -> str:
    """Return the target if it is a path of the console, else ``/`` (no open redirect)."""
    is_path = target.startswith("/") and not target.startswith(("//", "/\\"))
    return target if is_path and target.isprintable() else "/"


def render(request: Request, template: str, status: int = 200, **values: Any) -> Response:
    """Render a template; names that start with ``_`` are fragments of a page."""
    session: Session | None = getattr(request.state, "session", None)
    console = console_of(request)
    waiting, together = None, 1
    if session is not None and session.user.may(Permission.DECIDE) and template[0] != "_":
        name = session.user.name
        waiting = console.ledger.transact(lambda c: decisions.undoable(c, name))
        if waiting is not None and (many := waiting.bulk) is not None:
            together = console.ledger.transact(lambda c: bulk.size_of(c, many))
    given = {
        "user": None if session is None else session.user,
        "csrf": "" if session is None else session.csrf,
        "left": 0 if session is None else session.left,
        "most": 0 if session is None else session.most,
        "may": (lambda name: session is not None and session.user.may(Permission(name))),
        "waiting": waiting,
        "together": together,
        "path": request.url.path,
        "clock": now(),
        "fields": FIELDS,
        "Action": Action,
        "nav": _nav(session),
        "alarms": console.watch.current(),
        "passwords": console.passwords,
        "sso": None if console.sign_on is None else console.sign_on.settings.name,
        **values,
    }
    given.setdefault("alarms_digest", digest_of(given["alarms"]))
    response = HTMLResponse(_ENVIRONMENT.get_template(template).render(given), status)
    set_new_cookie(request, response)
    return response


def _nav(session: Session | None) -> list[tuple[str, str]]:
    if session is None:
        return []
    return [(url, name) for url, name, needed in _PAGES if session.user.may(needed)]


def set_new_cookie(request: Request, response: Response) -> None:
    """Set the cookie of a session that this request opened, if it opened one."""
    cookie = getattr(request.state, "new_cookie", None)
    if cookie is not None:
        set_cookie(console_of(request), response, cookie)


def set_cookie(
    console: Console,
    response: Response,
    value: str,
    kind: str = "session",
    lifetime: timedelta | None = None,
) -> None:
    """Set the session's cookie, or one of another kind that has its own lifetime."""
    response.set_cookie(
        cookie_name(console, kind),
        value,
        max_age=None if lifetime is None else int(lifetime.total_seconds()),
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


def _moment(value: datetime) -> str:
    """A time of today without its day."""
    value = value.astimezone(UTC)
    return value.strftime("%H:%M:%S" if value.date() == now().date() else "%Y-%m-%d %H:%M")


def _clock(value: float) -> str:
    whole = int(value)
    return f"{whole // 60}:{whole % 60:02d}"


def _left(value: datetime) -> str:
    rest = value - now()
    span = _span(rest.total_seconds())
    return f"{span} overdue" if rest < timedelta(0) else f"{span} left"


#: Shipped detectors have fixed colours; others share the remaining two.
_HUES = {"violence": 0, "nsfw": 1, "spam": 2, "copyright": 3}
_WORDS = {
    "allow": "Allowed",
    "restrict": "Restricted",
    "review": "Passed to a second reviewer",
    "remove": "Removed",
}


def _hue(detector: str) -> int:
    return _HUES.get(detector, 4 + sum(detector.encode("utf-8", "replace")) % 2)


def _page_link(query: str, page: int) -> str:
    kept = [(name, value) for name, value in parse_qsl(query) if name != "page"]
    return "?" + urlencode([*kept, ("page", str(page))])


_ENVIRONMENT = jinja2.Environment(
    loader=jinja2.FileSystemLoader([Path(__file__).parent.parent / "templates", KIT]),
    # Titles are untrusted, so escaping must not depend on a template's file name.
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_ENVIRONMENT.filters.update(
    ago=_ago,
    when=_when,
    moment=_moment,
    clock=_clock,
    left=_left,
    span=_span,
    took=_took,
    hue=_hue,
    page_link=_page_link,
    action_words=_WORDS.__getitem__,
)

"""Sessions: log-in with rate limiting, session cookies, CSRF tokens."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection, delete, insert, select, update

from quorum.apps.console.accounts import access, audit
from quorum.apps.console.accounts.access import User, authenticate, find_user
from quorum.apps.console.accounts.names import folded
from quorum.apps.console.accounts.throttle import (
    Counter,
    TooManyAttempts,
    count_attempt,
    counters,
    remember,
    take_back,
)
from quorum.core.messages import now
from quorum.store.ledger import Ledger
from quorum.store.ledger.console_schema import sessions

__all__ = [
    "LoggedIn",
    "Session",
    "TooManyAttempts",
    "change_password",
    "find_session",
    "log_in",
    "log_out",
    "open_session",
    "open_session_by_proxy",
    "tokens_equal",
]

#: After what a user does, their session lasts so much longer: a shift.
LIFETIME: Final = timedelta(hours=10)
#: And it ends so long after the log-in, whatever they do.
LONGEST: Final = timedelta(hours=24)
#: The end is moved only this often: not every page is a write.
_SLIDE: Final = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Session:
    """The session of a user who is logged in.

    Attributes:
        user: The user.
        csrf: The token that each of their forms must contain.
        digest: SHA-256 of the cookie's value.
        ends: When it ends, unless the user does something before.
        longest: When it ends in any case.
    """

    user: User
    csrf: str
    digest: str
    ends: datetime
    longest: datetime

    @property
    def left(self) -> int:
        """Seconds until it ends."""
        return max(0, int((self.ends - now()).total_seconds()))

    @property
    def most(self) -> int:
        """Seconds until it ends in any case."""
        return max(0, int((self.longest - now()).total_seconds()))


@dataclass(frozen=True, slots=True)
class LoggedIn:
    """A log-in that succeeded.

    Attributes:
        cookie: The value of the session's cookie.
        device: The value of the cookie by which the browser is known at the next log-in.
    """

    cookie: str
    device: str


def log_in(
    ledger: Ledger, name: str, password: str, address: str, device: str = ""
) -> LoggedIn | None:
    """Check name and password and open a session.

    Args:
        ledger: The ledger.
        name: The user's name; its case does not matter.
        password: The password.
        address: The client's IP address.
        device: The value of the browser's cookie from an earlier log-in; empty if it has none.

    Returns:
        The cookies; None if the name or the password is wrong.

    Raises:
        TooManyAttempts: If the attempt is rate-limited; the password is not checked.
    """
    at = now()

    def count(connection: Connection) -> tuple[Counter, ...]:
        counted = counters(connection, name, address, device, at)
        count_attempt(connection, counted, at)
        return counted

    counted = ledger.transact(count, writes=True)
    user = authenticate(ledger, name, password)

    def work(connection: Connection) -> LoggedIn | None:
        if user is None:
            audit.append(connection, "-", "login.failed", name[:64], address=address)
            return None
        take_back(connection, counted)
        audit.append(connection, user.name, "login", user.name, address=address)
        known = remember(connection, user.name, address, device, at)
        return LoggedIn(open_session(connection, user), known)

    return ledger.transact(work, writes=True)


def change_password(ledger: Ledger, user: User, old: str, new: str, address: str) -> bool:
    """Change a user's own password; attempts with a wrong old one are limited as log-ins are.

    Returns:
        Whether the old password was right.

    Raises:
        ConfigurationError: If the new password is too short or too long.
        TooManyAttempts: If the attempt is rate-limited.
    """
    counted = (Counter(f"password:{folded(user.name)}", 5),)
    ledger.transact(lambda connection: count_attempt(connection, counted, now()), writes=True)
    changed = access.change_password(ledger, user, old, new)
    if changed:
        ledger.transact(lambda connection: take_back(connection, counted), writes=True)
    return changed


def open_session_by_proxy(connection: Connection, user: User, address: str) -> str:
    """Open the session of a user whom a reverse proxy signed in, and return its cookie."""
    audit.append(connection, user.name, "login", user.name, address=address, by="proxy")
    return open_session(connection, user)


def open_session(connection: Connection, user: User, id_token: str | None = None) -> str:
    """Open a session and return its cookie.

    Args:
        connection: A transaction that writes.
        user: The user.
        id_token: The provider's ID token, where logging out there needs it; None without one.
    """
    cookie = secrets.token_urlsafe(32)
    at = now()
    connection.execute(delete(sessions).where(sessions.c.expires_at < at))
    connection.execute(
        insert(sessions).values(
            digest=_digest(cookie),
            user=user.name,
            csrf=secrets.token_urlsafe(32),
            created_at=at,
            expires_at=at + LIFETIME,
            id_token=id_token,
        )
    )
    return cookie


def find_session(ledger: Ledger, cookie: str, *, active: bool = True) -> Session | None:
    """Return the session of a cookie; None if it expired or its user is disabled.

    Args:
        ledger: The ledger.
        cookie: The value of the cookie.
        active: Whether the user did something, so that the session lasts longer; a page that
            refreshes itself is nobody's action.
    """
    digest = _digest(cookie)

    def work(connection: Connection) -> Session | None:
        row = connection.execute(select(sessions).where(sessions.c.digest == digest)).first()
        if row is None or row.expires_at <= now():
            return None
        user = find_user(connection, row.user)
        if user is None or user.disabled:
            return None
        return Session(user, row.csrf, digest, row.expires_at, row.created_at + LONGEST)

    found = ledger.transact(work)
    if found is None or not active:
        return found
    ends = min(now() + LIFETIME, found.longest)
    if ends - found.ends < _SLIDE:
        return found
    slide = (
        update(sessions)
        .where(sessions.c.digest == digest, sessions.c.expires_at < ends)
        .values(expires_at=ends)
    )
    ledger.transact(lambda connection: connection.execute(slide), writes=True)
    return replace(found, ends=ends)


def log_out(ledger: Ledger, session: Session) -> str | None:
    """Delete a session; returns the ID token by which it was opened, if it was kept."""

    def work(connection: Connection) -> str | None:
        query = select(sessions.c.id_token).where(sessions.c.digest == session.digest)
        id_token: str | None = connection.execute(query).scalar_one_or_none()
        connection.execute(delete(sessions).where(sessions.c.digest == session.digest))
        audit.append(connection, session.user.name, "logout", session.user.name)
        return id_token

    return ledger.transact(work, writes=True)


def _digest(cookie: str) -> str:
    return hashlib.sha256(cookie.encode()).hexdigest()


def tokens_equal(given: str, wanted: str) -> bool:
    """Compare two secrets in constant time."""
    return hmac.compare_digest(given.encode(), wanted.encode())

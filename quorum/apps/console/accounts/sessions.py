"""Sessions: log-in with rate limiting, session cookies, CSRF tokens."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection, delete, insert, select, update

from quorum.apps.console.accounts import audit
from quorum.apps.console.accounts.access import User, authenticate, find_user
from quorum.core.messages import now
from quorum.store.ledger import Ledger
from quorum.store.ledger.console_schema import login_failures, sessions

__all__ = [
    "Session",
    "TooManyAttempts",
    "find_session",
    "log_in",
    "log_out",
    "open_session",
    "tokens_equal",
]

#: One shift.
LIFETIME: Final = timedelta(hours=10)
#: Failed attempts without a delay; each further failure doubles the delay.
FREE_ATTEMPTS: Final = 5
#: Many people may share one address behind a router.
FREE_ATTEMPTS_PER_ADDRESS: Final = 50
MAX_DELAY: Final = timedelta(minutes=15)
#: Failures expire after this time without another one.
FAILURE_EXPIRY: Final = timedelta(hours=1)


class TooManyAttempts(Exception):
    """Too many failed log-ins for a name or an address.

    Attributes:
        seconds: The delay until the next attempt is accepted.
    """

    def __init__(self, seconds: int) -> None:
        super().__init__(f"Too many failed attempts. Try again in {seconds} s.")
        self.seconds = seconds


@dataclass(frozen=True, slots=True)
class Session:
    """The session of a user who is logged in.

    Attributes:
        user: The user.
        csrf: The token that each of their forms must contain.
        digest: SHA-256 of the cookie's value.
    """

    user: User
    csrf: str
    digest: str


def log_in(ledger: Ledger, name: str, password: str, address: str) -> str | None:
    """Check name and password and open a session.

    Returns:
        The session cookie; None if the name or the password is wrong.

    Raises:
        TooManyAttempts: If the name or the address is rate-limited; the password is not checked.
    """
    keys = (
        (f"name:{name[:64].casefold()}", FREE_ATTEMPTS),
        (f"from:{address}", FREE_ATTEMPTS_PER_ADDRESS),
    )
    at = now()
    # Counted before the password is checked, so that concurrent attempts count too.
    ledger.transact(lambda connection: _count_attempt(connection, keys, at), writes=True)
    user = authenticate(ledger, name, password)

    def work(connection: Connection) -> str | None:
        if user is None:
            audit.append(connection, "-", "login.failed", name[:64], address=address)
            return None
        connection.execute(
            delete(login_failures).where(login_failures.c.key.in_([key for key, _ in keys]))
        )
        audit.append(connection, user.name, "login", user.name, address=address)
        return open_session(connection, user)

    return ledger.transact(work, writes=True)


def open_session(connection: Connection, user: User) -> str:
    """Open a session and return its cookie."""
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
        )
    )
    return cookie


def find_session(ledger: Ledger, cookie: str) -> Session | None:
    """Return the session of a cookie; None if it expired or its user is disabled."""
    digest = _digest(cookie)

    def work(connection: Connection) -> Session | None:
        row = connection.execute(select(sessions).where(sessions.c.digest == digest)).first()
        if row is None or row.expires_at <= now():
            return None
        user = find_user(connection, row.user)
        return None if user is None or user.disabled else Session(user, row.csrf, digest)

    return ledger.transact(work)


def log_out(ledger: Ledger, session: Session) -> None:
    """Delete a session."""

    def work(connection: Connection) -> None:
        connection.execute(delete(sessions).where(sessions.c.digest == session.digest))
        audit.append(connection, session.user.name, "logout", session.user.name)

    ledger.transact(work, writes=True)


def _digest(cookie: str) -> str:
    return hashlib.sha256(cookie.encode()).hexdigest()


def _count_attempt(connection: Connection, keys: Sequence[tuple[str, int]], at: datetime) -> None:
    table = login_failures.c
    for key, free in keys:
        row = connection.execute(select(login_failures).where(table.key == key)).first()
        if row is None:
            values = {"failures": 1, "last_at": at, "blocked_until": None}
            connection.execute(insert(login_failures).values(key=key, **values))
            continue
        if row.blocked_until is not None and row.blocked_until > at:
            raise TooManyAttempts(int((row.blocked_until - at).total_seconds()) + 1)
        failures = 1 if row.last_at < at - FAILURE_EXPIRY else row.failures + 1
        delay = min(timedelta(seconds=2 ** min(failures - free, 12)), MAX_DELAY)
        blocked = at + delay if failures > free else None
        connection.execute(
            update(login_failures)
            .where(table.key == key)
            .values(failures=failures, last_at=at, blocked_until=blocked)
        )


def tokens_equal(given: str, wanted: str) -> bool:
    """Compare two secrets in constant time."""
    return hmac.compare_digest(given.encode(), wanted.encode())

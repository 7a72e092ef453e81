"""Sessions and log-ins: a random cookie, a token against forged requests, and slow guessing."""

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
from quorum.apps.console.accounts.access import User, find_user, password_matches
from quorum.core.messages import now
from quorum.store.ledger import Ledger
from quorum.store.ledger.console_schema import login_failures, sessions

__all__ = ["Session", "TooManyTries", "find_session", "log_in", "log_out", "open_session", "same"]

#: A shift; after it one logs in again.
LIFETIME: Final = timedelta(hours=10)
#: Tries that are free; from then on each failure doubles the wait.
FREE_TRIES: Final = 5
#: Many people share an address behind one office's router: it has more free tries than a name.
FREE_TRIES_OF_ADDRESS: Final = 50
LONGEST_WAIT: Final = timedelta(minutes=15)
#: Failures are forgotten after a time without one.
FORGET: Final = timedelta(hours=1)


class TooManyTries(Exception):
    """A name or an address failed too often.

    Attributes:
        seconds: When to try again.
    """

    def __init__(self, seconds: int) -> None:
        super().__init__(f"Too many failed tries. Try again in {seconds} s.")
        self.seconds = seconds


@dataclass(frozen=True, slots=True)
class Session:
    """Someone who is logged in.

    Attributes:
        user: Who.
        csrf: What each of their forms must bring.
        digest: Of the cookie's value.
    """

    user: User
    csrf: str
    digest: str


def log_in(ledger: Ledger, name: str, password: str, address: str) -> str | None:
    """The cookie of a new session, or None where the name or the password is wrong.

    Raises:
        TooManyTries: If the name or the address failed too often; nothing was tried.
    """
    keys = (
        (f"name:{name[:64].casefold()}", FREE_TRIES),
        (f"from:{address}", FREE_TRIES_OF_ADDRESS),
    )
    at = now()
    # The try is counted before the password is checked, so that tries at once are counted too.
    ledger.transact(lambda connection: _count_try(connection, keys, at), writes=True)
    user = password_matches(ledger, name, password)

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
    """The cookie of a new session."""
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
    """The session of a cookie, unless it ended or its user was shut out."""
    digest = _digest(cookie)

    def work(connection: Connection) -> Session | None:
        row = connection.execute(select(sessions).where(sessions.c.digest == digest)).first()
        if row is None or row.expires_at <= now():
            return None
        user = find_user(connection, row.user)
        return None if user is None or user.disabled else Session(user, row.csrf, digest)

    return ledger.transact(work)


def log_out(ledger: Ledger, session: Session) -> None:
    """End a session."""

    def work(connection: Connection) -> None:
        connection.execute(delete(sessions).where(sessions.c.digest == session.digest))
        audit.append(connection, session.user.name, "logout", session.user.name)

    ledger.transact(work, writes=True)


def _digest(cookie: str) -> str:
    return hashlib.sha256(cookie.encode()).hexdigest()


def _count_try(connection: Connection, keys: Sequence[tuple[str, int]], at: datetime) -> None:
    table = login_failures.c
    for key, free in keys:
        row = connection.execute(select(login_failures).where(table.key == key)).first()
        if row is None:
            values = {"failures": 1, "last_at": at, "blocked_until": None}
            connection.execute(insert(login_failures).values(key=key, **values))
            continue
        if row.blocked_until is not None and row.blocked_until > at:
            raise TooManyTries(int((row.blocked_until - at).total_seconds()) + 1)
        failures = 1 if row.last_at < at - FORGET else row.failures + 1
        wait = min(timedelta(seconds=2 ** min(failures - free, 12)), LONGEST_WAIT)
        blocked = at + wait if failures > free else None
        connection.execute(
            update(login_failures)
            .where(table.key == key)
            .values(failures=failures, last_at=at, blocked_until=blocked)
        )


def same(given: str, wanted: str) -> bool:
    """Whether two secrets are the same; it tells nothing by how long it takes."""
    return hmac.compare_digest(given.encode(), wanted.encode())

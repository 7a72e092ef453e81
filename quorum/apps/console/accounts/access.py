"""Who may do what: users, roles, passwords."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import Connection, Row, insert, select, update

from quorum.apps.console.accounts import audit
from quorum.core.errors import ConfigurationError
from quorum.core.messages import now
from quorum.store.ledger import Ledger
from quorum.store.ledger.console_schema import sessions, users

__all__ = [
    "MIN_PASSWORD",
    "PERMISSIONS",
    "Permission",
    "Role",
    "User",
    "create_user",
    "find_user",
    "list_users",
    "password_matches",
    "set_disabled",
]

#: NIST SP 800-63B asks for eight at least where a second factor is absent; longer is safer.
MIN_PASSWORD: Final = 10
#: Argon2 takes any length; this bounds the work that one log-in can cause.
MAX_PASSWORD: Final = 1024

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,63}")


class Role(StrEnum):
    """What a person is here for."""

    REVIEWER = "reviewer"
    LEAD = "lead"
    ADMIN = "admin"
    AUDITOR = "auditor"
    READ_ONLY = "read-only"


class Permission(StrEnum):
    """What a role allows."""

    READ = "read"
    DECIDE = "decide"
    #: Appeals, golden cases, policies, exports.
    LEAD = "lead"
    AUDIT = "audit"
    ADMIN = "admin"


PERMISSIONS: Final[Mapping[Role, frozenset[Permission]]] = {
    Role.REVIEWER: frozenset({Permission.READ, Permission.DECIDE}),
    Role.LEAD: frozenset({Permission.READ, Permission.DECIDE, Permission.LEAD}),
    Role.ADMIN: frozenset(Permission),
    Role.AUDITOR: frozenset({Permission.READ, Permission.AUDIT}),
    Role.READ_ONLY: frozenset({Permission.READ}),
}


@dataclass(frozen=True, slots=True)
class User:
    """A person who may use the console."""

    name: str
    role: Role
    disabled: bool = False

    def may(self, permission: Permission) -> bool:
        """Whether the role allows it."""
        return not self.disabled and permission in PERMISSIONS[self.role]


@cache
def _hasher() -> PasswordHasher:
    return PasswordHasher()


@cache
def _nobodys() -> str:
    return _hasher().hash("the password of nobody")


def create_user(ledger: Ledger, name: str, role: Role, password: str | None, by: str) -> None:
    """Make a user, or give one that is there another role or password.

    Args:
        ledger: Where users are kept.
        name: Letters, digits and ``_.@-``.
        role: What they may do.
        password: None for one whom a reverse proxy signs in.
        by: Who does it.

    Raises:
        ConfigurationError: If the name or the password cannot be used.
    """
    if not _NAME.fullmatch(name):
        msg = "a user's name is 1 to 64 letters, digits and _ . @ -, and begins with one of these"
        raise ConfigurationError(msg)
    if password is not None and not MIN_PASSWORD <= len(password) <= MAX_PASSWORD:
        msg = f"a password has {MIN_PASSWORD} to {MAX_PASSWORD:,} characters"
        raise ConfigurationError(msg)
    hashed = None if password is None else _hasher().hash(password)
    given = {"role": role.value, "password": hashed, "disabled": False}

    def work(connection: Connection) -> None:
        done = connection.execute(update(users).where(users.c.name == name).values(**given))
        if done.rowcount == 0:
            connection.execute(insert(users).values(name=name, created_at=now(), **given))
        connection.execute(sessions.delete().where(sessions.c.user == name))
        event = "user.changed" if done.rowcount else "user.created"
        audit.append(connection, by, event, name, role=role.value, password=password is not None)

    ledger.transact(work, writes=True)


def set_disabled(ledger: Ledger, name: str, *, disabled: bool, by: str) -> bool:
    """Shut a user out, or let them in again; False if there is none of this name."""

    def work(connection: Connection) -> bool:
        done = connection.execute(
            update(users).where(users.c.name == name).values(disabled=disabled)
        )
        if not done.rowcount:
            return False
        connection.execute(sessions.delete().where(sessions.c.user == name))
        audit.append(connection, by, "user.disabled" if disabled else "user.enabled", name)
        return True

    return ledger.transact(work, writes=True)


def find_user(connection: Connection, name: str) -> User | None:
    """The user of this name."""
    row = connection.execute(select(users).where(users.c.name == name)).first()
    return None if row is None else _user(row)


def list_users(ledger: Ledger) -> list[User]:
    """All users by name."""
    query = select(users).order_by(users.c.name)
    return ledger.transact(lambda connection: [_user(row) for row in connection.execute(query)])


def password_matches(ledger: Ledger, name: str, password: str) -> User | None:
    """The user, if the password is theirs; it takes as long for a name that is unknown."""
    row = ledger.transact(
        lambda connection: connection.execute(select(users).where(users.c.name == name)).first()
    )
    kept = row.password if row is not None and row.password else None
    try:
        _hasher().verify(kept or _nobodys(), password[:MAX_PASSWORD])
    except (VerificationError, InvalidHashError):
        return None
    if kept is None or row is None or row.disabled:
        return None
    return _user(row)


def _user(row: Row[tuple[object, ...]]) -> User:
    return User(str(row.name), Role(row.role), bool(row.disabled))

"""Users, roles, permissions and passwords."""

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
    "authenticate",
    "create_user",
    "find_user",
    "list_users",
    "set_disabled",
]

#: NIST SP 800-63B requires at least eight without a second factor.
MIN_PASSWORD: Final = 10
#: Argon2 accepts any length; this bounds the work of one log-in.
MAX_PASSWORD: Final = 1024

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,63}")


class Role(StrEnum):
    """A user's role."""

    REVIEWER = "reviewer"
    LEAD = "lead"
    ADMIN = "admin"
    AUDITOR = "auditor"
    READ_ONLY = "read-only"


class Permission(StrEnum):
    """A permission that roles grant."""

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
    """A user of the console."""

    name: str
    role: Role
    disabled: bool = False

    def may(self, permission: Permission) -> bool:
        """Whether the user is enabled and has this permission."""
        return not self.disabled and permission in PERMISSIONS[self.role]


@cache
def _hasher() -> PasswordHasher:
    return PasswordHasher()


@cache
def _dummy_hash() -> str:
    return _hasher().hash("a password that no user has")


def create_user(ledger: Ledger, name: str, role: Role, password: str | None, by: str) -> None:
    """Create a user, or change an existing user's role and password.

    Args:
        ledger: The ledger.
        name: Letters, digits and ``_.@-``.
        role: The user's role.
        password: The password; None for users who sign in through a reverse proxy.
        by: Who makes the change, for the audit log.

    Raises:
        ConfigurationError: If the name or the password is invalid.
    """
    if not _NAME.fullmatch(name):
        msg = (
            "a user's name has 1 to 64 letters, digits and _ . @ -, "
            "and starts with a letter or a digit"
        )
        raise ConfigurationError(msg)
    if password is not None and not MIN_PASSWORD <= len(password) <= MAX_PASSWORD:
        msg = f"a password must have {MIN_PASSWORD} to {MAX_PASSWORD:,} characters"
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
    """Disable or enable a user and end their sessions; False if the user does not exist."""

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
    """Return the user of this name, or None."""
    row = connection.execute(select(users).where(users.c.name == name)).first()
    return None if row is None else _user(row)


def list_users(ledger: Ledger) -> list[User]:
    """Return all users, sorted by name."""
    query = select(users).order_by(users.c.name)
    return ledger.transact(lambda connection: [_user(row) for row in connection.execute(query)])


def authenticate(ledger: Ledger, name: str, password: str) -> User | None:
    """Return the enabled user with this name and password, or None.

    Verification takes the same time for unknown names.
    """
    row = ledger.transact(
        lambda connection: connection.execute(select(users).where(users.c.name == name)).first()
    )
    stored = row.password if row is not None and row.password else None
    try:
        _hasher().verify(stored or _dummy_hash(), password[:MAX_PASSWORD])
    except (VerificationError, InvalidHashError):
        return None
    if stored is None or row is None or row.disabled:
        return None
    return _user(row)


def _user(row: Row[tuple[object, ...]]) -> User:
    return User(str(row.name), Role(row.role), bool(row.disabled))

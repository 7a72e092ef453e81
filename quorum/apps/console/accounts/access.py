"""Users, roles, permissions and passwords."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Any, Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import Connection, Row, func, insert, select, update

from quorum.apps.console.accounts import audit
from quorum.apps.console.accounts.audited import user_digest
from quorum.apps.console.accounts.names import folded
from quorum.core.errors import ConfigurationError
from quorum.core.messages import now
from quorum.store.ledger import Ledger
from quorum.store.ledger.console_schema import identities, known_devices, sessions, users

__all__ = [
    "MIN_PASSWORD",
    "PERMISSIONS",
    "Permission",
    "Role",
    "User",
    "authenticate",
    "change_password",
    "create_user",
    "end_sessions",
    "find_user",
    "list_identities",
    "list_users",
    "row_digest",
    "set_disabled",
    "set_skills",
    "skills_of",
]

#: NIST SP 800-63B requires at least eight without a second factor.
MIN_PASSWORD: Final = 10
#: Argon2 accepts any length; this bounds the work of one log-in.
MAX_PASSWORD: Final = 1024

MAX_SKILLS: Final = 50
_SKILL = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,63}")


class Role(StrEnum):
    """A user's role."""

    REVIEWER = "reviewer"
    LEAD = "lead"
    ADMIN = "admin"
    AUDITOR = "auditor"
    READ_ONLY = "read-only"
    #: Child safety: the only role that sees sealed cases.
    SPECIALIST = "specialist"


class Permission(StrEnum):
    """A permission that roles grant."""

    READ = "read"
    DECIDE = "decide"
    #: Appeals, golden cases, policies, exports.
    LEAD = "lead"
    #: Who sent a legal notice.
    IDENTITY = "identity"
    AUDIT = "audit"
    ADMIN = "admin"
    #: Sealed cases: child-abuse material.
    SEALED = "sealed"


PERMISSIONS: Final[Mapping[Role, frozenset[Permission]]] = {
    Role.REVIEWER: frozenset({Permission.READ, Permission.DECIDE}),
    Role.LEAD: frozenset(
        {Permission.READ, Permission.DECIDE, Permission.LEAD, Permission.IDENTITY}
    ),
    #: An admin may give themselves the role of a specialist, which the audit log tells.
    Role.ADMIN: frozenset(Permission) - {Permission.SEALED},
    Role.AUDITOR: frozenset({Permission.READ, Permission.AUDIT}),
    Role.READ_ONLY: frozenset({Permission.READ}),
    Role.SPECIALIST: frozenset({Permission.READ, Permission.DECIDE, Permission.SEALED}),
}


@dataclass(frozen=True, slots=True)
class User:
    """A user of the console.

    Attributes:
        name: The account's name, which never changes.
        role: The role.
        disabled: Whether they may not log in.
        has_password: Whether they log in with a password of the console.
    """

    name: str
    role: Role
    disabled: bool = False
    has_password: bool = False

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
    if password is not None:
        _check_password(password)
    hashed = None if password is None else _hasher().hash(password)
    given = {"role": role.value, "password": hashed, "disabled": False}

    def work(connection: Connection) -> None:
        if (other := _spelled_otherwise(connection, name)) is not None:
            msg = f"there is a user {other}: names must differ in more than upper and lower case"
            raise ConfigurationError(msg)
        if _comes_from_provider(connection, name):
            msg = (
                f"{name} logs in through the identity provider, whose groups give the role; for a "
                f"password instead: quorum console unlink-user {name}"
            )
            raise ConfigurationError(msg)
        done = connection.execute(update(users).where(users.c.name == name).values(**given))
        if done.rowcount == 0:
            connection.execute(insert(users).values(name=name, created_at=now(), **given))
        end_sessions(connection, name)
        event = "user.changed" if done.rowcount else "user.created"
        details = {"role": role.value, "password": password is not None}
        audit.append(connection, by, event, name, **details, row=row_digest(connection, name))

    ledger.transact(work, writes=True)


def change_password(ledger: Ledger, user: User, old: str, new: str) -> bool:
    """Change a user's password at their own wish, and end their sessions.

    Returns:
        Whether the old password was right; nothing is changed otherwise.

    Raises:
        ConfigurationError: If the new password is too short or too long.
    """
    _check_password(new)
    if authenticate(ledger, user.name, old) is None:
        return False
    hashed = _hasher().hash(new)

    def work(connection: Connection) -> None:
        connection.execute(update(users).where(users.c.name == user.name).values(password=hashed))
        end_sessions(connection, user.name)
        row = row_digest(connection, user.name)
        audit.append(connection, user.name, "user.password", user.name, row=row)

    ledger.transact(work, writes=True)
    return True


def row_digest(connection: Connection, name: str) -> str:
    """The digest of a user's row, for the line of the audit log that changes it."""
    row = connection.execute(select(users).where(users.c.name == name)).one()
    return user_digest(row._mapping)


def _check_password(password: str) -> None:
    if not MIN_PASSWORD <= len(password) <= MAX_PASSWORD:
        msg = f"a password must have {MIN_PASSWORD} to {MAX_PASSWORD:,} characters"
        raise ConfigurationError(msg)


def end_sessions(connection: Connection, name: str) -> None:
    """End the sessions of a user, and forget the browsers and addresses that they came from."""
    connection.execute(sessions.delete().where(sessions.c.user == name))
    connection.execute(known_devices.delete().where(known_devices.c.account == folded(name)))


def set_disabled(ledger: Ledger, name: str, *, disabled: bool, by: str) -> bool:
    """Disable or enable a user and end their sessions; False if the user does not exist."""

    def work(connection: Connection) -> bool:
        done = connection.execute(
            update(users).where(users.c.name == name).values(disabled=disabled)
        )
        if not done.rowcount:
            return False
        end_sessions(connection, name)
        event = "user.disabled" if disabled else "user.enabled"
        audit.append(connection, by, event, name, row=row_digest(connection, name))
        return True

    return ledger.transact(work, writes=True)


def set_skills(ledger: Ledger, name: str, skills: Sequence[str], by: str) -> bool:
    """Set what queues may ask of a user; False if the user does not exist.

    Raises:
        ConfigurationError: If a skill's name is invalid, or they are too many.
    """
    given = sorted(set(skills))
    if len(given) > MAX_SKILLS or not all(_SKILL.fullmatch(one) for one in given):
        msg = f"a skill has a-z, 0-9 and -, such as german or minors; at most {MAX_SKILLS} of them"
        raise ConfigurationError(msg)

    def work(connection: Connection) -> bool:
        values = {"skills": ",".join(given) or None}
        done = connection.execute(update(users).where(users.c.name == name).values(**values))
        if not done.rowcount:
            return False
        row = row_digest(connection, name)
        audit.append(connection, by, "user.skills", name, skills=given, row=row)
        return True

    return ledger.transact(work, writes=True)


def skills_of(ledger: Ledger) -> dict[str, tuple[str, ...]]:
    """The skills of each user that has some."""
    query = select(users.c.name, users.c.skills).where(users.c.skills.is_not(None))
    return ledger.transact(
        lambda c: {row.name: tuple(row.skills.split(",")) for row in c.execute(query)}
    )


def find_user(connection: Connection, name: str) -> User | None:
    """Return the user of this name, whatever its case, or None."""
    row = _row(connection, name)
    return None if row is None else _user(row)


def _row(connection: Connection, name: str) -> Row[Any] | None:
    """The row of the user of this name; of two that differ in case, only the exact one."""
    # Users' names are ASCII, which the databases' own ``lower`` folds.
    alike = select(users).where(func.lower(users.c.name) == folded(name)).limit(2)
    found = list(connection.execute(alike))
    exact = [row for row in found if row.name == name]
    return next(iter(exact), found[0] if len(found) == 1 else None)


def _spelled_otherwise(connection: Connection, name: str) -> str | None:
    """A user whose name differs in case alone, if there is none of exactly this name."""
    names = connection.execute(
        select(users.c.name).where(func.lower(users.c.name) == folded(name))
    ).scalars()
    found = sorted(names)
    return None if name in found or not found else found[0]


def _comes_from_provider(connection: Connection, name: str) -> bool:
    query = select(identities.c.account).where(identities.c.account == name).limit(1)
    return connection.execute(query).first() is not None


def list_identities(ledger: Ledger) -> dict[str, list[tuple[str, str]]]:
    """Return issuer and subject of those who come from an identity provider, by account."""

    def work(connection: Connection) -> dict[str, list[tuple[str, str]]]:
        found: dict[str, list[tuple[str, str]]] = {}
        for row in connection.execute(select(identities).order_by(identities.c.linked_at)):
            found.setdefault(row.account, []).append((row.issuer, row.subject))
        return found

    return ledger.transact(work)


def list_users(ledger: Ledger) -> list[User]:
    """Return all users, sorted by name."""
    query = select(users).order_by(users.c.name)
    return ledger.transact(lambda connection: [_user(row) for row in connection.execute(query)])


def authenticate(ledger: Ledger, name: str, password: str) -> User | None:
    """Return the enabled user with this name and password, or None.

    Verification takes the same time for unknown names.
    """
    row = ledger.transact(lambda connection: _row(connection, name))
    stored = row.password if row is not None and row.password else None
    try:
        _hasher().verify(stored or _dummy_hash(), password[:MAX_PASSWORD])
    except (VerificationError, InvalidHashError):
        return None
    if stored is None or row is None or row.disabled:
        return None
    return _user(row)


def _user(row: Row[tuple[object, ...]]) -> User:
    return User(str(row.name), Role(row.role), bool(row.disabled), bool(row.password))

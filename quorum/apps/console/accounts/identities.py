"""Accounts of people who come from an identity provider.

A person is the provider's issuer and subject. Their account is made at their first log-in, named
after what they are called then, and stays theirs whatever they are called later; who is called so
afterwards gets another one. An account that had a password before is never taken by a name alone:
an admin links it.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Row, delete, func, insert, select, update

from quorum.apps.console.accounts import audit
from quorum.apps.console.accounts.access import (
    Role,
    User,
    end_sessions,
    find_user,
    row_digest,
)
from quorum.apps.console.accounts.audited import identity_digest
from quorum.apps.console.accounts.names import folded
from quorum.apps.console.accounts.sessions import open_session
from quorum.core.errors import ConfigurationError
from quorum.core.messages import now
from quorum.store.ledger import Ledger
from quorum.store.ledger.console_schema import identities, users

__all__ = [
    "ACTOR",
    "Identity",
    "NotAdmitted",
    "account_name",
    "admit",
    "link",
    "refuse",
    "unlink",
]

#: Who makes accounts and gives roles, in the audit log; no account can have this name.
ACTOR: Final = "identity provider"

_LONGEST: Final = 64
_NOT_IN_NAMES: Final = re.compile(r"[^A-Za-z0-9_.@-]+")


@dataclass(frozen=True, slots=True)
class Identity:
    """A person at an identity provider.

    Attributes:
        issuer: The provider.
        subject: The person; never given to another.
    """

    issuer: str
    subject: str


class NotAdmitted(Exception):
    """A person whom the provider knows, and who has no access here; the text says why."""


def account_name(wanted: str, identity: Identity) -> str:
    """The name of a new account, after what a person is called: ASCII without accents or spaces."""
    plain = unicodedata.normalize("NFKD", wanted).encode("ascii", "ignore").decode()
    name = _NOT_IN_NAMES.sub("-", plain.strip())[: _LONGEST - 4].strip("_.@-")
    return name or f"user-{identity_digest_of(identity)[:8]}"


def identity_digest_of(identity: Identity) -> str:
    """A digest of issuer and subject."""
    return identity_digest({"issuer": identity.issuer, "subject": identity.subject, "account": ""})


def admit(
    ledger: Ledger,
    identity: Identity,
    role: Role,
    wanted: str,
    address: str,
    id_token: str | None = None,
) -> str:
    """Open a session for a person whom the identity provider vouches for.

    Account, role, session and the lines of the audit log are written in one transaction.

    Args:
        ledger: The ledger.
        identity: The person.
        role: The role that their groups give now.
        wanted: What they are called, for the name of a new account.
        address: The client's IP address.
        id_token: What logging out at the provider needs; None to keep none.

    Returns:
        The value of the session's cookie.

    Raises:
        NotAdmitted: If their account is disabled, or a new one would have the name of an account
            that has a password or comes from a reverse proxy.
    """

    def work(connection: Connection) -> str:
        row = _of(connection, identity)
        if row is None:
            name = _free_name(connection, account_name(wanted, identity), identity)
            given = {"role": role.value, "password": None, "disabled": False}
            connection.execute(insert(users).values(name=name, created_at=now(), **given))
            _tell(connection, ACTOR, "user.created", name, role=role.value, password=False)
            _link(connection, identity, name, ACTOR)
        else:
            name = row.account
        user = find_user(connection, name)
        if user is None or user.disabled:
            msg = f"Your account {name} is disabled; ask an admin to enable it."
            raise NotAdmitted(msg)
        if user.role is not role:
            connection.execute(update(users).where(users.c.name == name).values(role=role.value))
            _tell(connection, ACTOR, "user.changed", name, role=role.value, password=False)
        audit.append(
            connection,
            name,
            "login",
            name,
            address=address,
            issuer=identity.issuer,
            person=identity.subject,
        )
        return open_session(connection, User(name, role), id_token)

    return ledger.transact(work, writes=True)


def refuse(ledger: Ledger, identity: Identity | None, why: str, address: str) -> None:
    """Record a log-in by the provider that failed; ends the sessions of one without a role.

    Args:
        ledger: The ledger.
        identity: The person; None if it was not proven who it was.
        why: A few words, without text of others.
        address: The client's IP address.
    """

    def work(connection: Connection) -> None:
        details = {"why": why, "address": address}
        row = None
        if identity is not None:
            details |= {"issuer": identity.issuer, "person": identity.subject}
            row = _of(connection, identity)
        if row is not None:
            end_sessions(connection, row.account)
        subject = "-" if row is None else row.account
        audit.append(connection, "-", "login.failed", subject, **details)

    ledger.transact(work, writes=True)


def link(ledger: Ledger, identity: Identity, account: str, by: str) -> None:
    """Give a person an account that is there; its password, if it has one, no longer holds.

    Raises:
        ConfigurationError: If there is no such account, or the person has another one.
    """

    def work(connection: Connection) -> None:
        user = find_user(connection, account)
        if user is None:
            msg = f"there is no user {account}; the first log-in makes an account by itself"
            raise ConfigurationError(msg)
        row = _of(connection, identity)
        if row is not None and row.account != user.name:
            msg = f"this person has the account {row.account}: quorum console unlink-user it first"
            raise ConfigurationError(msg)
        if row is not None:
            return
        connection.execute(update(users).where(users.c.name == user.name).values(password=None))
        end_sessions(connection, user.name)
        _tell(connection, by, "user.changed", user.name, role=user.role.value, password=False)
        _link(connection, identity, user.name, by)

    ledger.transact(work, writes=True)


def unlink(ledger: Ledger, account: str, by: str) -> int:
    """Take an account from whoever has it at identity providers, and end its sessions.

    Returns:
        How many identities it had.
    """

    def work(connection: Connection) -> int:
        user = find_user(connection, account)
        if user is None:
            msg = f"there is no user {account}"
            raise ConfigurationError(msg)
        found = connection.execute(
            select(identities).where(identities.c.account == user.name)
        ).all()
        for row in found:
            audit.append(
                connection,
                by,
                "identity.unlinked",
                user.name,
                issuer=row.issuer,
                person=row.subject,
            )
        connection.execute(delete(identities).where(identities.c.account == user.name))
        end_sessions(connection, user.name)
        return len(found)

    return ledger.transact(work, writes=True)


def _of(connection: Connection, identity: Identity) -> Row[Any] | None:
    table = identities.c
    query = select(identities).where(
        table.issuer == identity.issuer, table.subject == identity.subject
    )
    return connection.execute(query).first()


def _link(connection: Connection, identity: Identity, account: str, by: str) -> None:
    row = {"issuer": identity.issuer, "subject": identity.subject, "account": account}
    connection.execute(insert(identities).values(**row, linked_at=now()))
    audit.append(
        connection,
        by,
        "identity.linked",
        account,
        issuer=identity.issuer,
        person=identity.subject,
        row=identity_digest(row),
    )


def _free_name(connection: Connection, name: str, identity: Identity) -> str:
    """The name, or one with a number where another person from the provider has it."""
    for number in range(1, 1000):
        tried = name if number == 1 else f"{name}-{number}"
        alike = select(users.c.name).where(func.lower(users.c.name) == folded(tried)).limit(1)
        other = connection.execute(alike).scalar()
        if other is None:
            return tried
        linked = select(identities.c.account).where(identities.c.account == other).limit(1)
        if connection.execute(linked).first() is None:
            msg = (
                f"There is an account {other} here already, which is not linked to you. An admin "
                f"can link it: quorum console link-user {other} --subject {identity.subject}"
            )
            raise NotAdmitted(msg)
    msg = f"There are too many accounts called {name}; ask an admin to link one to you."
    raise NotAdmitted(msg)


def _tell(connection: Connection, by: str, event: str, name: str, **details: Any) -> None:
    row = row_digest(connection, name)
    audit.append(connection, by, event, name, **details, row=row)

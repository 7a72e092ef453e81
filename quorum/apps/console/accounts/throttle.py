"""Slows guessing of passwords, without letting a stranger lock a user out.

An attempt counts for the pair of account and address, for the address, and for the account. After
the free attempts of one of them, each further failure doubles its delay. Nothing but time takes
failures back: an attempt that succeeds merely does not count. A device or an address from which a
user logged in before does not wait for what strangers fail at.
"""

from __future__ import annotations

import hashlib
import ipaddress
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection, delete, insert, select, update

from quorum.apps.console.accounts.names import folded
from quorum.store.ledger.console_schema import known_devices, login_failures

__all__ = [
    "DEVICE_LIFETIME",
    "TooManyAttempts",
    "count_attempt",
    "counters",
    "network_of",
    "remember",
    "take_back",
]

#: Failures expire after this time without another one.
FAILURE_EXPIRY: Final = timedelta(hours=1)
#: A browser stays known to an account for this long after a log-in.
DEVICE_LIFETIME: Final = timedelta(days=180)
#: So does an address, which may come to belong to somebody else.
ADDRESS_LIFETIME: Final = timedelta(days=30)


class TooManyAttempts(Exception):
    """Too many failed log-ins.

    Attributes:
        seconds: The delay until the next attempt is accepted.
    """

    def __init__(self, seconds: int) -> None:
        super().__init__(f"Too many failed attempts. Try again in {seconds} s.")
        self.seconds = seconds


@dataclass(frozen=True, slots=True)
class Counter:
    """What attempts are counted by.

    Attributes:
        key: Its name in the table.
        free: Failed attempts without a delay.
        most: The longest delay.
    """

    key: str
    free: int
    most: timedelta = timedelta(minutes=15)


def counters(
    connection: Connection, name: str, address: str, device: str, at: datetime
) -> tuple[Counter, ...]:
    """Return the counters of an attempt.

    Args:
        connection: A transaction.
        name: The account, as typed.
        address: The client's IP address.
        device: The value of the browser's cookie; empty if it has none.
        at: The time.
    """
    account = folded(name)[:64]
    if device and _known(connection, account, _digest(device), at):
        # Whoever took the cookie may not guess without end, either.
        return (Counter(f"device:{_digest(device)[:32]}", 10),)
    found = [
        Counter(f"pair:{account}|{network_of(address)}", 5),
        # Many people may share one address behind a router.
        Counter(f"from:{network_of(address)}", 50),
    ]
    if not _known(connection, account, _digest(f"{account}|{network_of(address)}"), at):
        # Short, as strangers at many addresses may cause it.
        found.append(Counter(f"name:{account}", 100, timedelta(seconds=30)))
    return tuple(found)


def count_attempt(connection: Connection, counted: Sequence[Counter], at: datetime) -> None:
    """Count an attempt before its password is checked, so that concurrent ones count too.

    Raises:
        TooManyAttempts: If one of the counters is in its delay; nothing is counted.
    """
    table = login_failures.c
    rows = {
        row.key: row
        for row in connection.execute(
            select(login_failures).where(table.key.in_([one.key for one in counted]))
        )
    }
    ends = [row.blocked_until for row in rows.values() if row.blocked_until is not None]
    if ends and max(ends) > at:
        raise TooManyAttempts(int((max(ends) - at).total_seconds()) + 1)
    for one in counted:
        row = rows.get(one.key)
        failures = 1 if row is None or row.last_at < at - FAILURE_EXPIRY else row.failures + 1
        values = {"failures": failures, "last_at": at, "blocked_until": _end(one, failures, at)}
        if row is None:
            connection.execute(insert(login_failures).values(key=one.key, **values))
        else:
            connection.execute(update(login_failures).where(table.key == one.key).values(**values))


def _end(counter: Counter, failures: int, at: datetime) -> datetime | None:
    if failures <= counter.free:
        return None
    return at + min(timedelta(seconds=2 ** min(failures - counter.free, 12)), counter.most)


def take_back(connection: Connection, counted: Sequence[Counter]) -> None:
    """Uncount an attempt that succeeded; the failures before it stay."""
    table = login_failures.c
    connection.execute(
        update(login_failures)
        .where(table.key.in_([one.key for one in counted]), table.failures > 0)
        .values(failures=table.failures - 1, blocked_until=None)
    )


def remember(connection: Connection, user: str, address: str, device: str, at: datetime) -> str:
    """Remember the browser and the address of a log-in.

    Returns:
        The value of the browser's cookie.
    """
    account = folded(user)
    if not device or not _known(connection, account, _digest(device), at):
        device = secrets.token_urlsafe(32)
    connection.execute(delete(known_devices).where(known_devices.c.expires_at < at))
    for digest, lifetime in (
        (_digest(device), DEVICE_LIFETIME),
        (_digest(f"{account}|{network_of(address)}"), ADDRESS_LIFETIME),
    ):
        where = (known_devices.c.digest == digest, known_devices.c.account == account)
        connection.execute(delete(known_devices).where(*where))
        connection.execute(
            insert(known_devices).values(digest=digest, account=account, expires_at=at + lifetime)
        )
    return device


def _known(connection: Connection, account: str, digest: str, at: datetime) -> bool:
    table = known_devices.c
    query = select(table.digest).where(
        table.digest == digest, table.account == account, table.expires_at > at
    )
    return connection.execute(query).first() is not None


def _digest(value: str) -> str:
    return hashlib.sha256(value.encode("utf-8", "replace")).hexdigest()


def network_of(address: str) -> str:
    """Return the address, or the network of an IPv6 one: a subscriber has 2^64 of them."""
    try:
        made = ipaddress.ip_address(address)
    except ValueError:
        return address[:64]
    if isinstance(made, ipaddress.IPv6Address) and made.ipv4_mapped is None:
        return str(ipaddress.ip_network((made, 64), strict=False))
    return str(made)

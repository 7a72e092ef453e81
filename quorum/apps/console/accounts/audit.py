"""The audit log: it only grows, and each line holds the digest of the one before.

A line that was changed, taken or slipped in breaks the chain from there on. Triggers of the
database refuse changes too; the chain shows those of someone who took the triggers away. The end
of the chain (``quorum audit verify`` prints it) written down elsewhere shows a log cut short.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, desc, insert, select, text

from quorum.core.messages import now
from quorum.store.ledger import Ledger
from quorum.store.ledger.console_schema import audit_log

__all__ = ["GENESIS", "Checked", "Line", "append", "holds", "newest", "verify"]

#: What the first line names as the digest before it.
GENESIS: Final = "0" * 64
#: One number names the lock of all writers of the log on PostgreSQL.
_LOCK: Final = 0x51_4C_4F_47
_PAGE: Final = 2000


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the log.

    Attributes:
        number: From 1, without gaps.
        at: When, RFC 3339.
        actor: Who.
        event: What, as ``case.decided``.
        subject: Of what: an upload's or a user's id.
        details: More, as JSON with sorted keys; no text of an uploader or a reviewer.
        previous: Digest of the line before.
        digest: SHA-256 of all of this.
    """

    number: int
    at: str
    actor: str
    event: str
    subject: str
    details: str
    previous: str
    digest: str

    def expected(self) -> str:
        """The digest that the line must have."""
        parts = [self.number, self.at, self.actor, self.event, self.subject, self.details]
        body = json.dumps([*parts, self.previous], ensure_ascii=True, separators=(",", ":"))
        return hashlib.sha256(body.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Checked:
    """What a check of the log found.

    Attributes:
        lines: How many lines hold.
        head: The digest of the last of them.
        broken: What is wrong with the line after them; None if all hold.
    """

    lines: int
    head: str
    broken: str | None = None


def append(connection: Connection, actor: str, event: str, subject: str, **details: Any) -> None:
    """Add a line, in the transaction of what it tells of."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
    last = connection.execute(
        select(audit_log.c.number, audit_log.c.digest).order_by(desc(audit_log.c.number)).limit(1)
    ).first()
    line = Line(
        number=1 if last is None else last.number + 1,
        at=now().isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        actor=actor[:256],
        event=event,
        subject=subject.replace("\x00", "�")[:256],
        details=json.dumps(details, sort_keys=True),
        previous=GENESIS if last is None else last.digest,
        digest="",
    )
    row = {name: getattr(line, name) for name in Line.__slots__}
    connection.execute(insert(audit_log), {**row, "digest": line.expected()})


def verify(ledger: Ledger) -> Checked:
    """Check each line and the chain that they make."""
    number, head = 0, GENESIS
    for line in _lines(ledger):
        number += 1
        if line.number != number:
            return Checked(number - 1, head, f"line {number} is absent; {line.number} follows")
        if line.previous != head:
            return Checked(number - 1, head, f"line {number} does not follow line {number - 1}")
        if line.digest != line.expected():
            return Checked(number - 1, head, f"line {number} was changed")
        head = line.digest
    return Checked(number, head)


def newest(ledger: Ledger, *, before: int | None = None, limit: int = 100) -> list[Line]:
    """The newest lines, those before a number where one is given."""
    query = select(audit_log).order_by(desc(audit_log.c.number)).limit(limit)
    if before is not None:
        query = query.where(audit_log.c.number < before)
    return ledger.transact(lambda connection: [Line(*row) for row in connection.execute(query)])


def _lines(ledger: Ledger) -> Iterator[Line]:
    after = None
    while True:
        query = select(audit_log).order_by(audit_log.c.number).limit(_PAGE)
        if after is not None:
            query = query.where(audit_log.c.number > after)
        page = ledger.transact(
            lambda connection, query=query: [Line(*row) for row in connection.execute(query)]  # type: ignore[misc]
        )
        yield from page
        if len(page) < _PAGE:
            return
        after = page[-1].number


def holds(ledger: Ledger, head: str) -> bool:
    """Whether a line of the log has this digest."""
    query = select(audit_log.c.number).where(audit_log.c.digest == head)
    return head == GENESIS or ledger.transact(lambda c: c.execute(query).first()) is not None

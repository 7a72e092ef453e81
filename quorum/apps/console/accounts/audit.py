"""The audit log: append-only, a hash chain in which each entry holds its predecessor's digest.

A changed, deleted or inserted entry breaks the chain. Database triggers reject changes as well;
the chain detects changes by someone who dropped the triggers. The last digest
(``quorum audit verify`` prints it), stored elsewhere, reveals a truncated log.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from sqlalchemy import Connection, Select, desc, insert, select, text

from quorum.core.messages import now
from quorum.store.ledger import Ledger
from quorum.store.ledger.console_schema import audit_log

__all__ = ["GENESIS", "AuditCheck", "AuditEntry", "append", "contains", "newest", "verify"]

#: The predecessor's digest in the first entry.
GENESIS: Final = "0" * 64
#: Key of PostgreSQL's advisory lock that all writers of the log take.
_LOCK: Final = 0x51_4C_4F_47
_PAGE: Final = 2000


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One entry of the log.

    Attributes:
        number: Consecutive, from 1.
        at: The time, RFC 3339.
        actor: Who did it.
        event: What happened, for example ``case.decided``.
        subject: The id of the upload, user or draft.
        details: JSON with sorted keys; never contains text by uploaders or reviewers.
        previous: The digest of the previous entry.
        digest: SHA-256 of all other fields.
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
        """Compute the digest from the other fields."""
        parts = [self.number, self.at, self.actor, self.event, self.subject, self.details]
        body = json.dumps([*parts, self.previous], ensure_ascii=True, separators=(",", ":"))
        return hashlib.sha256(body.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class AuditCheck:
    """The result of verifying the log.

    Attributes:
        lines: The number of valid entries, from the start.
        head: The digest of the last valid entry.
        broken: What is wrong with the next entry; None if all are valid.
    """

    lines: int
    head: str
    broken: str | None = None


def append(connection: Connection, actor: str, event: str, subject: str, **details: Any) -> None:
    """Append an entry in the transaction of the action that it records."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
    last = connection.execute(
        select(audit_log.c.number, audit_log.c.digest).order_by(desc(audit_log.c.number)).limit(1)
    ).first()
    line = AuditEntry(
        number=1 if last is None else last.number + 1,
        at=now().isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        actor=actor[:256],
        event=event,
        subject=subject.replace("\x00", "�")[:256],
        details=json.dumps(details, sort_keys=True),
        previous=GENESIS if last is None else last.digest,
        digest="",
    )
    row = {name: getattr(line, name) for name in AuditEntry.__slots__}
    connection.execute(insert(audit_log), {**row, "digest": line.expected()})


def verify(ledger: Ledger) -> AuditCheck:
    """Verify each entry and the chain."""
    number, head = 0, GENESIS
    for line in _lines(ledger):
        number += 1
        if line.number != number:
            return AuditCheck(number - 1, head, f"line {number} is missing; {line.number} follows")
        if line.previous != head:
            return AuditCheck(number - 1, head, f"line {number} does not follow line {number - 1}")
        if line.digest != line.expected():
            return AuditCheck(number - 1, head, f"line {number} was changed")
        head = line.digest
    return AuditCheck(number, head)


def newest(ledger: Ledger, *, before: int | None = None, limit: int = 100) -> list[AuditEntry]:
    """Return the newest entries, newest first; with ``before``, only older ones."""
    query = select(audit_log).order_by(desc(audit_log.c.number)).limit(limit)
    if before is not None:
        query = query.where(audit_log.c.number < before)
    return ledger.transact(partial(_read, query=query))


def _read(connection: Connection, query: Select[Any]) -> list[AuditEntry]:
    return [AuditEntry(*row) for row in connection.execute(query)]


def _lines(ledger: Ledger) -> Iterator[AuditEntry]:
    after = None
    while True:
        query = select(audit_log).order_by(audit_log.c.number).limit(_PAGE)
        if after is not None:
            query = query.where(audit_log.c.number > after)
        page = ledger.transact(partial(_read, query=query))
        yield from page
        if len(page) < _PAGE:
            return
        after = page[-1].number


def contains(ledger: Ledger, head: str) -> bool:
    """Whether an entry of the log has this digest."""
    query = select(audit_log.c.number).where(audit_log.c.digest == head)
    return head == GENESIS or ledger.transact(lambda c: c.execute(query).first()) is not None

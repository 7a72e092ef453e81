"""The audit log: append-only, a hash chain in which each entry holds its predecessor's digest.

A changed, deleted or inserted entry breaks the chain. Database triggers reject changes as well;
the chain detects changes by someone who dropped the triggers. With a key outside the database
(``audit_key``) each entry has a code besides, so that nobody who has the database alone can write
the chain anew; anchors outside it (``anchors``) reveal a log that was cut short. Entries on users
and decisions hold the digests of their rows, against which the tables are held (``audited``).
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from sqlalchemy import Column, Connection, Row, Select, desc, insert, select, text, update

from quorum.apps.console.accounts.audit_key import (
    ANCHORS,
    ENVIRONMENT,
    Anchor,
    AuditKey,
    audit_key,
)
from quorum.apps.console.accounts.audited import AuditedRows
from quorum.core.errors import ConfigurationError
from quorum.core.messages import now
from quorum.store.ledger import Ledger
from quorum.store.ledger.console_schema import audit_log

__all__ = [
    "GENESIS",
    "AuditCheck",
    "AuditEntry",
    "adopt",
    "append",
    "append_event",
    "begin_keyed",
    "contains",
    "newest",
    "of_words",
    "unlogged",
    "verify",
]

#: The predecessor's digest in the first entry.
GENESIS: Final = "0" * 64
#: Key of PostgreSQL's advisory lock that all writers of the log take.
_LOCK: Final = 0x51_4C_4F_47
_PAGE: Final = 2000
#: Events of another table that one transaction takes in.
_EVENTS: Final = 500


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
        digest: SHA-256 of the fields before it.
        mac: The digest's code by the audit key; None if it was written without a key.
    """

    number: int
    at: str
    actor: str
    event: str
    subject: str
    details: str
    previous: str
    digest: str
    mac: str | None = None

    def expected(self) -> str:
        """Compute the digest from the fields before it."""
        parts = [self.number, self.at, self.actor, self.event, self.subject, self.details]
        body = json.dumps([*parts, self.previous], ensure_ascii=True, separators=(",", ":"))
        return hashlib.sha256(body.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class AuditCheck:
    """The result of verifying the log.

    Attributes:
        lines: The number of valid entries, from the start.
        head: The digest of the last valid entry.
        broken: What is wrong with the next entry, or with a row of a table; None if all are valid.
        open: What was not checked, and how to have it checked; empty if everything was.
    """

    lines: int
    head: str
    broken: str | None = None
    open: tuple[str, ...] = ()


def append(connection: Connection, actor: str, event: str, subject: str, **details: Any) -> None:
    """Append an entry in the transaction of the action that it records.

    Raises:
        ConfigurationError: If the log is keyed, and this process has no key.
    """
    key = audit_key()
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
    last = connection.execute(
        select(audit_log.c.number, audit_log.c.digest, audit_log.c.mac)
        .order_by(desc(audit_log.c.number))
        .limit(1)
    ).first()
    if key is None and last is not None and last.mac is not None:
        msg = f"the audit log of this ledger is keyed: give its key in {ENVIRONMENT}"
        raise ConfigurationError(msg)
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
    digest = line.expected()
    mac = None if key is None else key.mac("line", digest)
    connection.execute(insert(audit_log), {**row, "digest": digest, "mac": mac})


def of_words(words: str) -> str:
    """What the log has of a person's words: a digest, by which a later change shows."""
    return hashlib.sha256(words.encode("utf-8", "replace")).hexdigest()[:32]


def unlogged(key: Column[str]) -> Select[Any]:
    """The next events that the log does not have, of the table whose subjects a column names."""
    e = key.table.c
    return select(key.table).where(e.logged.is_(False)).order_by(e.at, key, e.number).limit(_EVENTS)


def append_event(
    connection: Connection,
    kind: str,
    key: Column[str],
    event: Row[Any],
    words: Sequence[str],
    **digests: str,
) -> None:
    """Append an event of another table, and mark it there as logged.

    Args:
        connection: A transaction that writes.
        kind: ``notice`` or ``sealed``.
        key: The column that names the subjects of that table.
        event: Its row.
        words: The details that are a person's words.
        digests: Of the row, and of what else the log is to vouch for.
    """
    told = json.loads(event.details)
    told |= {name: of_words(told[name]) for name in words if name in told}
    told |= {"number": event.number, "happened": event.at.isoformat(), **digests}
    subject = event._mapping[key]
    append(connection, event.actor, f"{kind}.{event.event}", subject, **told)
    its = (key == subject) & (key.table.c.number == event.number)
    connection.execute(update(key.table).where(its).values(logged=True))


def verify(ledger: Ledger, anchors: Sequence[Anchor] = ()) -> AuditCheck:
    """Verify each entry, the chain, the anchors, and the users and decisions that entries made.

    Args:
        ledger: The ledger.
        anchors: The anchors that were written outside the database.
    """
    key, rows = audit_key(), AuditedRows()
    left = {one.number: one for one in anchors}
    number, head, keyed = 0, GENESIS, False
    for line in _lines(ledger):
        number += 1
        if broken := _broken(line, number, head, key, keyed=keyed):
            return AuditCheck(number - 1, head, broken)
        keyed = keyed or line.mac is not None
        head = line.digest
        anchor = left.pop(number, None)
        if anchor is not None and anchor.digest != head:
            return AuditCheck(number - 1, head, f"line {number} is not the one that was anchored")
        rows.read(line.event, line.actor, line.subject, line.details)
    if left:
        last = max(left)
        broken = f"line {last} was anchored at {left[last].at} and is gone: the log was cut short"
        return AuditCheck(number, head, broken)
    for one in anchors:
        if key and not hmac.compare_digest(one.mac or "", one.expected(key)):
            return AuditCheck(number, head, f"the anchor of line {one.number} was not made here")
    if key is not None and number and not keyed:
        broken = "no line is keyed: the log was written anew, or never keyed (quorum audit adopt)"
        return AuditCheck(number, head, broken)
    broken_row = rows.problem(ledger)
    return AuditCheck(number, head, broken_row, _unchecked(key, keyed, anchors, rows))


def _broken(
    line: AuditEntry, number: int, head: str, key: AuditKey | None, *, keyed: bool
) -> str | None:
    """What is wrong with an entry that should follow another; None if nothing is."""
    if line.number != number:
        return f"line {number} is missing; {line.number} follows"
    if line.previous != head:
        return f"line {number} does not follow line {number - 1}"
    if line.digest != line.expected():
        return f"line {number} was changed"
    if keyed and line.mac is None:
        return f"line {number} has no code of the key, and those before it have"
    if key is None or line.mac is None:
        return None
    if not hmac.compare_digest(line.mac, key.mac("line", line.digest)):
        return f"line {number} was not written with this key"
    return None


def _unchecked(
    key: AuditKey | None, keyed: bool, anchors: Sequence[Anchor], rows: AuditedRows
) -> tuple[str, ...]:
    found = []
    if key is None:
        told = "its key was not given" if keyed else "it is not keyed"
        found.append(
            f"{told} ({ENVIRONMENT}): who can write the database can write the log anew, unseen"
        )
    if not anchors:
        found.append(f"there is no anchor ({ANCHORS}): a log cut short would not be noticed")
    if rows.uncovered:
        found.append(
            f"{rows.uncovered:,} users and decisions are of versions whose lines do not tell their "
            "content: look at them, then take them in with `quorum audit adopt`"
        )
    return tuple(found)


def adopt(ledger: Ledger, by: str) -> int:
    """Append a line for each user and decision whose content no line tells; returns how many."""
    rows = AuditedRows()
    for line in _lines(ledger):
        rows.read(line.event, line.actor, line.subject, line.details)

    def work(connection: Connection) -> int:
        found = list(rows.uncovered_rows(connection))
        for event, subject, details in found:
            append(connection, by, event, subject, **details)
        append(connection, by, "audit.adopted", "audit", rows=len(found))
        return len(found)

    return ledger.transact(work, writes=True)


def begin_keyed(ledger: Ledger, by: str) -> None:
    """Append the first keyed line, if there is a key and the log has no such line yet."""
    if audit_key() is None:
        return

    def work(connection: Connection) -> None:
        query = select(audit_log.c.number).where(audit_log.c.mac.is_not(None)).limit(1)
        if connection.execute(query).first() is None:
            append(connection, by, "audit.keyed", "audit")

    ledger.transact(work, writes=True)


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

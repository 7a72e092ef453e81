"""What people and the clock do to sealed cases: each change is one state and one event."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, select, update

from quorum.core.errors import InputError
from quorum.store.ledger import schema
from quorum.store.ledger.sealed_schema import sealed_cases, sealed_matches
from quorum.store.ledger.sealing import note, seal
from quorum.store.reports.intake import stated_reason
from quorum.store.sealed.reading import find_sealed
from quorum.store.sealed.values import SealedRules, a_year_after, moved

__all__ = [
    "CLOCK",
    "confirm",
    "deny",
    "end_preservation",
    "fill_content",
    "found",
    "noted_package",
    "reported",
    "seal_by_person",
    "set_flooded",
]

#: Who does what no person does.
CLOCK: Final = "clock"

_NUMBER: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_BATCH: Final = 500


def _move(connection: Connection, row: Any, event: str, by: str, at: datetime, **more: Any) -> None:
    values = more.pop("values", {})
    state = moved(row.state, event)
    c = sealed_cases.c
    done = connection.execute(
        update(sealed_cases)
        .where(c.upload_id == row.upload_id, c.state == row.state)
        .values(state=state, **values)
    )
    if done.rowcount != 1:
        msg = "this case changed meanwhile; load it again"
        raise InputError(msg)
    note(connection, row.id, event, by, at, **more)


def found(connection: Connection, case_id: str) -> Any:
    """The row of a case.

    Raises:
        InputError: If there is none.
    """
    row = find_sealed(connection, case_id)
    if row is None:
        msg = f"there is no sealed case {case_id!r}; list them with: quorum sealed list --all"
        raise InputError(msg)
    return row


def seal_by_person(
    connection: Connection, upload_id: str, rules: SealedRules, *, by: str, at: datetime
) -> str:
    """Seal an upload that a person suspects; returns the case's id.

    Raises:
        InputError: If the ledger does not know it, or it is sealed already.
    """
    query = select(schema.cases.c.upload_id).where(schema.cases.c.upload_id == upload_id)
    if connection.execute(query).first() is None:
        msg = "the ledger has no upload with this id"
        raise InputError(msg)
    made = seal(connection, upload_id, how="person", by=by, at=at, hours=rules.report_hours)
    if made is None:
        msg = "this upload is sealed already"
        raise InputError(msg)
    return made


def confirm(connection: Connection, case_id: str, *, viewed: bool, by: str, at: datetime) -> Any:
    """Confirm that it is apparent child-abuse material; returns the case's row as it was.

    Args:
        connection: A transaction that writes.
        case_id: The case.
        viewed: Whether a person looked at the whole file; the report says so.
        by: Who confirms.
        at: When.

    Raises:
        InputError: If there is none, or it does not wait for this.
    """
    row = found(connection, case_id)
    values = {"decided_at": at, "decided_by": by, "viewed": viewed, "flooded": False}
    _move(connection, row, "confirmed", by, at, values=values, viewed=viewed)
    return row


def deny(connection: Connection, case_id: str, *, why: str, by: str, at: datetime) -> Any:
    """Deny that it is child-abuse material: the seal ends; returns the case's row as it was.

    Raises:
        InputError: If there is none, it was reported, or no reason is given.
    """
    row = found(connection, case_id)
    values = {"decided_at": at, "decided_by": by, "due_at": None, "flooded": False}
    _move(connection, row, "denied", by, at, values=values, why=stated_reason(why))
    return row


def reported(
    connection: Connection,
    case_id: str,
    rules: SealedRules,
    *,
    number: str,
    by: str,
    at: datetime,
) -> datetime:
    """Note the number that the report got; returns until when the case is preserved.

    Raises:
        InputError: If there is none, it was not confirmed, or the number is none.
    """
    row = found(connection, case_id)
    if not _NUMBER.fullmatch(number):
        msg = "the number of a report has 1 to 64 letters, digits and _ . -"
        raise InputError(msg)
    until = a_year_after(at, rules.years)
    values = {"reported_at": at, "reported_by": by, "report_number": number}
    values |= {"preserved_until": until, "due_at": None}
    kept = row.due_at is None or at <= row.due_at
    told = {"report": number, "preserved_until": until.isoformat(), "in_time": kept}
    if row.due_at is not None:
        told["due"] = row.due_at.isoformat()
    _move(connection, row, "reported", by, at, values=values, **told)
    return until


def noted_package(
    connection: Connection, case_id: str, *, digest: str, by: str, at: datetime
) -> None:
    """Note that the package of a report was written, with its digest.

    Raises:
        InputError: If there is no such case.
    """
    row = found(connection, case_id)
    connection.execute(
        update(sealed_cases)
        .where(sealed_cases.c.upload_id == row.upload_id)
        .values(packaged_at=at, package=digest)
    )
    note(connection, row.id, "packaged", by, at, sha256=digest)


def set_flooded(connection: Connection, hashed: str, at: datetime) -> int:
    """Mark the open cases of a hash that matched too much; returns how many there are."""
    c, m = sealed_cases.c, sealed_matches.c
    query = (
        select(sealed_cases)
        .join(sealed_matches, m.upload_id == c.upload_id)
        .where(m.hash == hashed, c.state == "open", c.flooded.is_(False))
        .limit(_BATCH)
    )
    rows = connection.execute(query).all()
    for row in rows:
        connection.execute(
            update(sealed_cases).where(c.upload_id == row.upload_id).values(flooded=True)
        )
        note(connection, row.id, "flooded", CLOCK, at, hash=hashed)
    return len(rows)


def fill_content(connection: Connection) -> int:
    """Keep what the uploads of sealed cases are, which came after their match."""
    c, u = sealed_cases.c, schema.uploads.c
    query = (
        select(c.upload_id, u.body)
        .join(schema.uploads, u.id == c.upload_id)
        .where(c.content.is_(None))
        .limit(_BATCH)
    )
    rows = connection.execute(query).all()
    for row in rows:
        connection.execute(
            update(sealed_cases).where(c.upload_id == row.upload_id).values(content=row.body)
        )
    return len(rows)


def end_preservation(connection: Connection, at: datetime) -> int:
    """Tell in the logs of cases that the time of their preservation is over; nothing is deleted.

    Returns:
        For how many it ended.
    """
    c = sealed_cases.c
    query = (
        select(sealed_cases)
        .where(c.preserved_until <= at, c.ended_at.is_(None), c.state == "reported")
        .order_by(c.preserved_until)
        .limit(_BATCH)
    )
    rows = connection.execute(query).all()
    for row in rows:
        connection.execute(
            update(sealed_cases).where(c.upload_id == row.upload_id).values(ended_at=at)
        )
        until = row.preserved_until.isoformat()
        note(connection, row.id, "preservation-ended", CLOCK, at, preserved_until=until)
    return len(rows)

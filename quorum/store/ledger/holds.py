"""Legal holds: what erasure and retention must keep until a hold ends.

Sealed cases (child-abuse material) are kept as if a hold were on them, for as long as the law says.

A hold is on one upload, or on an uploader with all of their uploads, those to come too. It keeps
rows; an edit still replaces an upload's content.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal, get_args

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    and_,
    exists,
    insert,
    or_,
    select,
    text,
    tuple_,
    update,
)

from quorum.core.errors import InputError
from quorum.store.ledger import schema
from quorum.store.ledger.holds_schema import holds
from quorum.store.ledger.sealed_schema import sealed_cases
from quorum.store.ledger.sealing import in_preservation, preserved

__all__ = [
    "Hold",
    "HoldKind",
    "active_holds",
    "covers",
    "end_hold",
    "find_hold",
    "held_among",
    "holds_on",
    "insert_hold",
    "lock_holds",
    "newest_holds",
]

HoldKind = Literal["upload", "uploader"]

#: The most characters of a reason.
MAX_WHY: Final = 1000

#: Key of PostgreSQL's advisory lock between whoever places a hold and whoever deletes rows.
_LOCK: Final = 0x51_48_4F_4C


@dataclass(frozen=True, slots=True)
class Hold:
    """A legal hold.

    Attributes:
        id: Its id.
        kind: Whether it is on one upload, or on all of an uploader's.
        subject: The upload's id, or the uploader.
        placed_by: Who placed it.
        placed_at: When.
        why: The reason.
        until: When it ends by itself; None for never.
        released_by: Who ended it; None while nobody did.
        released_at: When.
        released_why: The reason.
    """

    id: str
    kind: HoldKind
    subject: str
    placed_by: str
    placed_at: datetime
    why: str
    until: datetime | None = None
    released_by: str | None = None
    released_at: datetime | None = None
    released_why: str | None = None

    def holds(self, at: datetime) -> bool:
        """Whether it is in force at a time."""
        return self.released_at is None and (self.until is None or self.until > at)


def lock_holds(connection: Connection) -> None:
    """Serialise deletions and new holds; SQLite has a single writer anyway."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})


def insert_hold(
    connection: Connection,
    kind: str,
    subject: str,
    *,
    why: str,
    by: str,
    at: datetime,
    until: datetime | None = None,
) -> Hold:
    """Place a hold; it is in force when the transaction ends.

    Args:
        connection: A transaction that writes.
        kind: ``upload`` or ``uploader``.
        subject: The upload's id, or the uploader; the ledger need not know it yet.
        why: The reason, such as a court's file number.
        by: Who places it.
        at: The time.
        until: When it ends by itself; None for never.

    Raises:
        InputError: If one of them cannot be taken; the text states the mend.
    """
    if kind not in get_args(HoldKind):
        msg = f"a hold is on an upload or on an uploader, not on a {kind!r}"
        raise InputError(msg)
    if not subject or len(subject) > 256 or "\x00" in subject:
        msg = f"the {kind} of a hold has 1 to 256 characters"
        raise InputError(msg)
    why = _reason(why)
    if until is not None and until <= at:
        msg = f"the hold would end at {until.isoformat()}, which is past: give a later time"
        raise InputError(msg)
    lock_holds(connection)
    made = Hold(secrets.token_hex(8), kind, subject, by[:256], at, why, until)  # type: ignore[arg-type]
    row = {name: getattr(made, name) for name in Hold.__slots__}
    connection.execute(insert(holds), row)
    return made


def _reason(why: str) -> str:
    why = why.replace("\x00", "\ufffd").strip()
    if not why or len(why) > MAX_WHY:
        msg = f"state why, in 1 to {MAX_WHY:,} characters, such as a court's file number"
        raise InputError(msg)
    return why


def end_hold(connection: Connection, hold_id: str, *, why: str, by: str, at: datetime) -> Hold:
    """Release a hold that is in force.

    Raises:
        InputError: If there is none of this id, or it has ended.
    """
    why = _reason(why)
    found = find_hold(connection, hold_id)
    if found is None:
        msg = f"there is no hold {hold_id!r}; list them with: quorum ledger holds"
        raise InputError(msg)
    if not found.holds(at):
        msg = f"the hold {hold_id} has ended already"
        raise InputError(msg)
    done = connection.execute(
        update(holds)
        .where(holds.c.id == hold_id, holds.c.released_at.is_(None))
        .values(released_by=by[:256], released_at=at, released_why=why)
    )
    if done.rowcount != 1:
        msg = f"the hold {hold_id} has ended already"
        raise InputError(msg)
    ended = find_hold(connection, hold_id)
    assert ended is not None
    return ended


def find_hold(connection: Connection, hold_id: str) -> Hold | None:
    """The hold of this id; None if there is none."""
    row = connection.execute(select(holds).where(holds.c.id == hold_id)).first()
    return None if row is None else _hold(row)


def active_holds(connection: Connection, at: datetime) -> list[Hold]:
    """All holds in force, oldest first."""
    query = select(holds).where(_in_force(at)).order_by(holds.c.placed_at, holds.c.id)
    return [_hold(row) for row in connection.execute(query)]


def newest_holds(
    connection: Connection, limit: int, before: tuple[datetime, str] | None = None
) -> list[Hold]:
    """One page of all holds, those that ended too, newest first.

    Args:
        connection: A connection.
        limit: The most rows.
        before: Time and id of the last row of the page before.
    """
    h = holds.c
    query = select(holds).order_by(h.placed_at.desc(), h.id.desc()).limit(limit)
    if before is not None:
        there = tuple_(*before, types=[h.placed_at.type, h.id.type])
        query = query.where(tuple_(h.placed_at, h.id) < there)
    return [_hold(row) for row in connection.execute(query)]


def holds_on(
    connection: Connection, upload_id: str, uploader: str | None, at: datetime
) -> list[Hold]:
    """The holds in force that cover an upload, oldest first."""
    h = holds.c
    on = and_(h.kind == "upload", h.subject == upload_id)
    if uploader is not None:
        on = or_(on, and_(h.kind == "uploader", h.subject == uploader))
    query = select(holds).where(on, _in_force(at)).order_by(h.placed_at, h.id)
    return [_hold(row) for row in connection.execute(query)]


def covers(
    upload_id: ColumnElement[Any], at: datetime, uploader: ColumnElement[Any] | None = None
) -> ColumnElement[bool]:
    """The condition that a hold in force covers the upload of a row, or that it is preserved.

    Args:
        upload_id: The column with the upload's id.
        at: The time.
        uploader: The column with the uploader; None to look the uploader of the upload up.
    """
    h, owner = holds.c, schema.cases.alias("owner")
    on_upload = exists().where(h.kind == "upload", h.subject == upload_id, _in_force(at))
    on_uploader = exists().where(h.kind == "uploader", _in_force(at))
    if uploader is None:
        # Joined, as a query below this one would not be correlated with the rows outside.
        on_uploader = on_uploader.where(
            h.subject == owner.c.uploader, owner.c.upload_id == upload_id
        )
    else:
        on_uploader = on_uploader.where(h.subject == uploader)
    return or_(on_upload, on_uploader, preserved(upload_id, at))


def held_among(connection: Connection, upload_ids: Sequence[str], at: datetime) -> set[str]:
    """Those of these uploads, of one chunk, that a hold in force covers, or that are preserved."""
    h, c = holds.c, schema.cases.c
    by_id = select(h.subject).where(h.kind == "upload", h.subject.in_(upload_ids), _in_force(at))
    by_uploader = (
        select(c.upload_id)
        .join(holds, and_(h.kind == "uploader", h.subject == c.uploader))
        .where(c.upload_id.in_(upload_ids), _in_force(at))
    )
    s = sealed_cases.c
    sealed = select(s.upload_id).where(s.upload_id.in_(upload_ids), in_preservation(at))
    queries = (by_id, by_uploader, sealed)
    return {one for query in queries for one in connection.execute(query).scalars()}


def _in_force(at: datetime) -> ColumnElement[bool]:
    h = holds.c
    return and_(h.released_at.is_(None), or_(h.until.is_(None), h.until > at))


def _hold(row: Row[Any]) -> Hold:
    return Hold(**row._mapping)

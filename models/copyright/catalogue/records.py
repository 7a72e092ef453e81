"""Queries on the catalogue's tables; each runs in the caller's transaction."""

from __future__ import annotations

import hashlib
import uuid
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, delete, func, insert, select, update

from quorum.core.errors import InputError
from quorum.core.messages import digest
from quorum.models.copyright.catalogue import tables
from quorum.models.copyright.catalogue.distinctive import entries_of
from quorum.models.copyright.catalogue.state import count_change, read_state, write_state
from quorum.models.copyright.catalogue.works import Work, WorkPrint
from quorum.models.copyright.index.segments import Entries

__all__ = [
    "add_work",
    "change_work",
    "count_works",
    "entries_from",
    "find_pair",
    "find_work",
    "find_works",
    "last_serial",
    "permit",
    "remove_work",
    "removed_serials",
    "renew_work",
    "serials_of",
    "waiting_entries",
]

_W = tables.works.c
_P = tables.prints.c
_REGISTERED = ~_W.removed
_BOTH = tables.works.join(tables.prints, _W.serial == _P.serial)


def add_work(connection: Connection, work: Work, found: WorkPrint) -> None:
    """Register a work.

    Raises:
        InputError: If the identifier is taken.
    """
    if connection.execute(select(_W.serial).where(_W.id == work.id, _REGISTERED)).first():
        msg = f"there is already a work {work.id}; remove it first"
        raise InputError(msg)
    facts, data = work.model_dump_json(), found.to_bytes()
    content = _content(facts, data)
    made = connection.execute(
        insert(tables.works).values(
            id=work.id,
            title=work.title,
            owner=work.owner,
            facts=facts,
            content=content,
            entries=len(entries_of(0, found)),
            seconds=found.duration,
            removed=False,
        )
    )
    (serial,) = made.inserted_primary_key or (0,)
    connection.execute(insert(tables.prints).values(serial=serial, data=data))
    rows = [{"digest": each, "serial": serial} for each in sorted(set(found.digests))]
    if rows:
        connection.execute(insert(tables.digests), rows)
    if not read_state(connection, "name"):
        # Distinguishes the index files of this catalogue from those of another.
        write_state(connection, "name", uuid.uuid4().hex)
    count_change(connection, content)


def change_work(connection: Connection, work: Work) -> None:
    """Replace the metadata of a work.

    Raises:
        InputError: If there is no work with this identifier.
    """
    query = select(_W.serial, _W.content, _P.data).select_from(_BOTH)
    row = connection.execute(query.where(_W.id == work.id, _REGISTERED)).first()
    if row is None:
        raise InputError(_absent(work.id))
    facts = work.model_dump_json()
    content = _content(facts, row.data)
    connection.execute(
        update(tables.works)
        .where(_W.serial == row.serial)
        .values(title=work.title, owner=work.owner, facts=facts, content=content)
    )
    count_change(connection, row.content, content)


def permit(connection: Connection, id: str, uploader: str) -> bool:  # noqa: A002
    """Add an exception: the uploader may use the work.

    Returns:
        Whether the exception is new.

    Raises:
        InputError: If there is no work with this identifier.
    """
    work = find_work(connection, id)
    if work is None:
        raise InputError(_absent(id))
    if uploader in work.exceptions:
        return False
    allowed = tuple(sorted({*work.exceptions, uploader}))
    change_work(connection, work.model_copy(update={"exceptions": allowed}))
    return True


def remove_work(connection: Connection, id: str) -> None:  # noqa: A002
    """Remove a work; its row remains as a tombstone for readers.

    Raises:
        InputError: If there is no work with this identifier.
    """
    query = select(_W.serial, _W.content).where(_W.id == id, _REGISTERED)
    row = connection.execute(query).first()
    if row is None:
        raise InputError(_absent(id))
    connection.execute(update(tables.works).where(_W.serial == row.serial).values(removed=True))
    for table in (tables.prints, tables.digests):
        connection.execute(delete(table).where(table.c.serial == row.serial))
    count_change(connection, row.content)


def renew_work(connection: Connection, id: str, found: WorkPrint) -> None:  # noqa: A002
    """Replace the fingerprint of a work. It gets a new serial number, as the index needs.

    Raises:
        InputError: If there is no work with this identifier.
    """
    work = find_work(connection, id)
    if work is None:
        raise InputError(_absent(id))
    remove_work(connection, id)
    add_work(connection, work, found)


def find_pair(
    connection: Connection,
    *,
    serial: int | None = None,
    id: str | None = None,  # noqa: A002
) -> tuple[Work, WorkPrint] | None:
    """A work and its fingerprint, by serial number or identifier; None if there is none."""
    query = select(_W.facts, _P.data).select_from(_BOTH).where(_REGISTERED)
    query = query.where(_W.id == id if serial is None else _W.serial == serial)
    row = connection.execute(query).first()
    if row is None:
        return None
    return Work.model_validate_json(row.facts), WorkPrint.from_bytes(row.data)


def find_work(connection: Connection, id: str) -> Work | None:  # noqa: A002
    """A work by identifier; None if there is none."""
    query = select(_W.facts).where(_W.id == id, _REGISTERED)
    facts = connection.execute(query).scalar_one_or_none()
    return None if facts is None else Work.model_validate_json(facts)


def find_works(connection: Connection, words: str = "", limit: int | None = None) -> list[Work]:
    """Works whose identifier, title or owner contains a text, ordered by identifier."""
    query = select(_W.facts).where(_REGISTERED).order_by(_W.id).limit(limit)
    if words:
        plain = words.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
        like = [each.ilike(f"%{plain}%", escape="\\") for each in (_W.id, _W.title, _W.owner)]
        query = query.where(like[0] | like[1] | like[2])
    return [Work.model_validate_json(facts) for facts in connection.execute(query).scalars()]


def serials_of(connection: Connection, digests: tuple[str, ...]) -> tuple[int, ...]:
    """Serial numbers of the works that share an exact digest."""
    d = tables.digests.c
    query = select(d.serial).where(d.digest.in_(digests)).distinct().order_by(d.serial)
    return tuple(connection.execute(query).scalars())


def count_works(connection: Connection) -> tuple[int, float, int]:
    """Number of works, their total seconds, and their number of index entries."""
    query: Any = select(
        func.count(),
        func.coalesce(func.sum(_W.seconds), 0.0),
        func.coalesce(func.sum(_W.entries), 0),
    )
    works, seconds, entries = connection.execute(query.where(_REGISTERED)).one()
    return int(works), float(seconds), int(entries)


def waiting_entries(connection: Connection, covered: int) -> int:
    """Number of index entries of the works after a serial number."""
    query = select(func.coalesce(func.sum(_W.entries), 0))
    return int(connection.execute(query.where(_REGISTERED, _W.serial > covered)).scalar_one())


def last_serial(connection: Connection) -> int:
    """The greatest serial number ever assigned; 0 without works."""
    return int(connection.execute(select(func.max(_W.serial))).scalar_one() or 0)


def removed_serials(connection: Connection, last: int) -> NDArray[np.uint32]:
    """Serial numbers of removed works, up to ``last``."""
    query = select(_W.serial).where(_W.removed, _W.serial <= last)
    return np.array(list(connection.execute(query).scalars()), np.uint32)


def entries_from(connection: Connection, first: int) -> Entries:
    """Index entries of the works from a serial number on."""
    query = select(_P.serial, _P.data).select_from(_BOTH)
    rows = connection.execute(query.where(_REGISTERED, _W.serial >= first).order_by(_W.serial))
    return Entries.join([entries_of(n, WorkPrint.from_bytes(data)) for n, data in rows])


def _content(facts: str, data: bytes) -> str:
    return digest(facts, hashlib.sha256(data).hexdigest())


def _absent(id: str) -> str:  # noqa: A002
    return f"there is no work {id}"

"""Listed hashes in the database: entries by source, standings, where exchanges were left off.

Each function works within a transaction of its caller, so that the console and the exchanges change
them together with what follows from it. Each change gives a new version, at which detectors load
the entries again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any, Final, Literal

from sqlalchemy import Connection, delete, func, insert, select, update

from quorum.core.messages import digest
from quorum.models.known.hashes import Listed
from quorum.models.known.tables import entries, opinions, standings, state

__all__ = [
    "Opinion",
    "Standing",
    "add_entries",
    "add_opinion",
    "counts",
    "every_entry",
    "exchange_states",
    "failed_opinion",
    "get_state",
    "listed_by",
    "remove_standing",
    "sent_opinion",
    "set_standing",
    "set_state",
    "standing_of",
    "standings_of",
    "version_of",
    "waiting_opinions",
    "withdraw",
    "withdraw_hashes",
    "withdraw_references",
]

#: ``denied``: never matches. ``flooded``: matches, and people are asked. ``trusted``: is never
#: flooded.
Standing = Literal["denied", "flooded", "trusted"]

#: ``confirm`` and ``deny`` an entry of the exchange; ``share`` a hash that it does not list.
Opinion = Literal["confirm", "deny", "share"]

_VERSION: Final = "version"
_CHUNK: Final = 500


def version_of(connection: Connection) -> str:
    """The version of all entries and standings; empty before the first."""
    return get_state(connection, _VERSION) or ""


def _renew(connection: Connection) -> None:
    set_state(connection, _VERSION, str(int(version_of(connection) or 0) + 1))


def get_state(connection: Connection, name: str) -> str | None:
    """A named value; None if there is none."""
    query = select(state.c.value).where(state.c.name == name)
    found: str | None = connection.execute(query).scalar_one_or_none()
    return found


def set_state(connection: Connection, name: str, value: str) -> None:
    """Set a named value."""
    done = connection.execute(update(state).where(state.c.name == name).values(value=value))
    if done.rowcount == 0:
        connection.execute(insert(state).values(name=name, value=value))


def add_entries(connection: Connection, given: Iterable[Listed], at: datetime) -> int:
    """Add entries, or renew what is known of them; returns how many were new."""
    fresh = 0
    for one in given:
        c = entries.c
        here = (c.source == one.source, c.kind == one.kind, c.value == one.value)
        values = {"category": one.category, "reference": one.reference[:256]}
        if connection.execute(update(entries).where(*here).values(**values)).rowcount == 0:
            key = {"source": one.source, "kind": one.kind, "value": one.value}
            connection.execute(insert(entries).values(**key, **values, at=at.isoformat()))
            fresh += 1
    _renew(connection)
    return fresh


def withdraw(
    connection: Connection, source: str, keep: Collection[tuple[str, str]] | None = None
) -> int:
    """Delete the entries of a source, but those to keep; returns how many there were."""
    c = entries.c
    rows = connection.execute(select(c.kind, c.value).where(c.source == source)).all()
    gone = [row for row in rows if keep is None or (row.kind, row.value) not in keep]
    for row in gone:
        connection.execute(
            delete(entries).where(c.source == source, c.kind == row.kind, c.value == row.value)
        )
    if gone:
        _renew(connection)
    return len(gone)


def withdraw_references(connection: Connection, source: str, references: Sequence[str]) -> int:
    """Delete what a source no longer lists, by its own names of the entries."""
    c, count = entries.c, 0
    for start in range(0, len(references), _CHUNK):
        chunk = references[start : start + _CHUNK]
        gone = delete(entries).where(c.source == source, c.reference.in_(chunk))
        count += connection.execute(gone).rowcount
    if count:
        _renew(connection)
    return count


def withdraw_hashes(connection: Connection, source: str, hashes: Sequence[tuple[str, str]]) -> int:
    """Delete what a source no longer lists, by kind and value."""
    c, count = entries.c, 0
    for kind, value in hashes:
        gone = delete(entries).where(c.source == source, c.kind == kind, c.value == value)
        count += connection.execute(gone).rowcount
    if count:
        _renew(connection)
    return count


def every_entry(connection: Connection) -> Iterator[Listed]:
    """All entries."""
    c = entries.c
    query = select(c.kind, c.value, c.category, c.source, c.reference)
    for row in connection.execute(query.order_by(c.kind, c.value, c.source)):
        yield Listed(*row)


def listed_by(connection: Connection, kind: str, value: str) -> Sequence[Any]:
    """The entries of a hash, one of each source that lists it."""
    c = entries.c
    query = select(entries).where(c.kind == kind, c.value == value).order_by(c.source)
    return connection.execute(query).all()


def counts(connection: Connection) -> Sequence[Any]:
    """Source, kind, category and number of entries."""
    c = entries.c
    query = select(c.source, c.kind, c.category, func.count()).group_by(
        c.source, c.kind, c.category
    )
    return connection.execute(query.order_by(c.source, c.kind)).all()


def standings_of(connection: Connection) -> Sequence[Any]:
    """All standings, newest first."""
    return connection.execute(select(standings).order_by(standings.c.at.desc())).all()


def standing_of(connection: Connection, kind: str, value: str) -> str | None:
    """What is said of a hash; None for nothing."""
    s = standings.c
    query = select(s.standing).where(s.kind == kind, s.value == value)
    found: str | None = connection.execute(query).scalar_one_or_none()
    return found


def set_standing(
    connection: Connection,
    kind: str,
    value: str,
    standing: Standing,
    *,
    by: str,
    at: datetime,
    why: str,
) -> None:
    """Say that a hash is denied, flooded or trusted, instead of what was said before."""
    s = standings.c
    connection.execute(delete(standings).where(s.kind == kind, s.value == value))
    connection.execute(
        insert(standings).values(
            kind=kind, value=value, standing=standing, by=by[:256], at=at.isoformat(), why=why
        )
    )
    _renew(connection)


def remove_standing(connection: Connection, kind: str, value: str) -> bool:
    """Say nothing of a hash; returns whether something was said."""
    s = standings.c
    gone = connection.execute(delete(standings).where(s.kind == kind, s.value == value))
    if gone.rowcount:
        _renew(connection)
    return bool(gone.rowcount)


def exchange_states(connection: Connection) -> list[tuple[str, str, str, int]]:
    """Of each exchange its name, when it was pulled, why not since, and what it is to be told."""
    o = opinions.c
    query = select(o.source, func.count()).where(o.sent_at.is_(None)).group_by(o.source)
    waiting = {source: int(count) for source, count in connection.execute(query)}
    rows = connection.execute(select(state.c.name, state.c.value))
    known = {str(name): str(value) for name, value in rows}
    names = {name.partition(":")[2] for name in known if ":" in name} | waiting.keys()
    return [
        (
            name,
            known.get(f"pulled:{name}", ""),
            known.get(f"error:{name}", ""),
            waiting.get(name, 0),
        )
        for name in sorted(names)
    ]


def add_opinion(
    connection: Connection,
    opinion: Opinion,
    entry: Listed,
    *,
    of: str,
    by: str,
    at: datetime,
) -> bool:
    """Queue what an exchange is told of a hash; returns whether it was not queued before.

    Args:
        connection: A transaction that writes.
        opinion: What is told.
        entry: The hash, with the exchange as its source.
        of: The case that it is of: two cases are two opinions.
        by: Who has it; the exchange is not told.
        at: When.
    """
    name = digest("opinion", entry.source, entry.name, opinion, of)
    if connection.execute(select(opinions.c.id).where(opinions.c.id == name)).first() is not None:
        return False
    connection.execute(
        insert(opinions).values(
            id=name,
            source=entry.source,
            kind=entry.kind,
            value=entry.value,
            reference=entry.reference,
            opinion=opinion,
            at=at.isoformat(),
            by=by[:256],
            tries=0,
        )
    )
    return True


def waiting_opinions(connection: Connection, source: str, limit: int) -> Sequence[Any]:
    """What an exchange is still to be told, oldest first; what was refused comes last."""
    o = opinions.c
    query = select(opinions).where(o.source == source, o.sent_at.is_(None))
    return connection.execute(query.order_by(o.tries, o.at, o.id).limit(limit)).all()


def sent_opinion(connection: Connection, name: str, at: datetime) -> None:
    """Note that an exchange was told."""
    given = {"sent_at": at.isoformat(), "error": None}
    connection.execute(update(opinions).where(opinions.c.id == name).values(**given))


def failed_opinion(connection: Connection, name: str, error: str) -> None:
    """Note that an exchange could not be told, and why; it is told at the next push."""
    o = opinions.c
    connection.execute(
        update(opinions).where(o.id == name).values(tries=o.tries + 1, error=error[:500])
    )

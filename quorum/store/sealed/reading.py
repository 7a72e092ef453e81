"""Queries of sealed cases: the queue, one case with its matches and its log, exports."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final, Literal

from sqlalchemy import ColumnElement, Connection, Select, case, func, select

from quorum.core.messages import Upload
from quorum.store.ledger import Ledger
from quorum.store.ledger.event_log import find_by_id
from quorum.store.ledger.sealed_schema import sealed_cases, sealed_events, sealed_matches
from quorum.store.sealed.values import OPEN

__all__ = [
    "COLUMNS",
    "SealedEvent",
    "Shown",
    "content_of",
    "counts",
    "events_of",
    "every_sealed",
    "find_sealed",
    "floods",
    "matches_of",
    "sealed_page",
    "sealed_rows",
    "with_logs",
]

Shown = Literal["open", "flooded", "reported", "ending", "denied"]

#: Columns of the export: nothing of the upload but its id.
COLUMNS: Final = (
    *("id", "upload_id", "state", "how", "sealed_at", "sealed_by", "due_at", "flooded"),
    *("decided_at", "decided_by", "viewed", "packaged_at", "package", "reported_at"),
    *("reported_by", "report_number", "preserved_until", "ended_at"),
)


@dataclass(frozen=True, slots=True)
class SealedEvent:
    """One event of a sealed case's log; see ``note`` in ``sealing``."""

    number: int
    at: datetime
    event: str
    actor: str
    details: dict[str, Any]


def _shown(what: Shown, at: datetime, tell: timedelta) -> ColumnElement[bool]:
    c = sealed_cases.c
    match what:
        case "open":
            return c.state.in_(OPEN)
        case "flooded":
            return c.state.in_(OPEN) & c.flooded.is_(True)
        case "ending":
            return (c.state == "reported") & (c.preserved_until <= at + tell)
        case _:
            return c.state == what


def sealed_page(
    connection: Connection,
    what: Shown,
    limit: int,
    *,
    at: datetime,
    tell: timedelta,
    offset: int = 0,
) -> Sequence[Any]:
    """One page of the queue: open cases and ends of preservation by their clock, others newest."""
    c = sealed_cases.c
    by = {"open": (c.due_at,), "flooded": (c.due_at,), "ending": (c.preserved_until,)}
    order = by.get(what, (c.sealed_at.desc(),))
    query = select(sealed_cases).where(_shown(what, at, tell)).order_by(*order, c.id)
    return connection.execute(query.limit(limit).offset(offset)).all()


def counts(connection: Connection, at: datetime, tell: timedelta) -> dict[str, int]:
    """The numbers of cases that each part of the queue has, and of those that are overdue."""
    c = sealed_cases.c
    names: tuple[Shown, ...] = ("open", "flooded", "reported", "ending", "denied")
    sums = [func.sum(case((_shown(one, at, tell), 1), else_=0)) for one in names]
    late = func.sum(case((c.state.in_(OPEN) & (c.due_at <= at), 1), else_=0))
    row = connection.execute(select(*sums, late)).one()
    return {name: int(n or 0) for name, n in zip((*names, "overdue"), row, strict=True)}


def find_sealed(connection: Connection, case_id: str) -> Any:
    """The row of a sealed case, by its id or the unique beginning of it; None if there is none."""
    return find_by_id(connection, sealed_cases, case_id)


def content_of(row: Any) -> Upload | None:
    """The upload as it was sealed; None if it did not come yet."""
    return None if row.content is None else Upload.from_bytes(row.content.encode())


def matches_of(connection: Connection, upload_id: str) -> Sequence[Any]:
    """The listed hashes that an upload matched, exact ones first."""
    m = sealed_matches.c
    query = select(sealed_matches).where(m.upload_id == upload_id)
    return connection.execute(query.order_by(m.how, m.hash)).all()


def events_of(connection: Connection, case_id: str) -> list[SealedEvent]:
    """The log of a case, oldest first."""
    e = sealed_events.c
    query = select(sealed_events).where(e.case_id == case_id).order_by(e.number)
    return [
        SealedEvent(row.number, row.at, row.event, row.actor, json.loads(row.details))
        for row in connection.execute(query)
    ]


def floods(connection: Connection, since: datetime, least: int) -> list[tuple[str, int]]:
    """The hashes that matched at least so many uploads since a time, the most first."""
    m = sealed_matches.c
    count = func.count(m.upload_id.distinct())
    query = (
        select(m.hash, count)
        .where(m.at >= since)
        .group_by(m.hash)
        .having(count >= least)
        .order_by(count.desc(), m.hash)
        .limit(1000)
    )
    return [(row[0], int(row[1])) for row in connection.execute(query)]


def sealed_rows(*, open_only: bool = False) -> Select[Any]:
    """The query of all sealed cases, oldest first."""
    c = sealed_cases.c
    query = select(sealed_cases).order_by(c.sealed_at, c.id)
    return query.where(c.state.in_(OPEN)) if open_only else query


def every_sealed(ledger: Ledger, size: int = 200) -> Iterator[dict[str, Any]]:
    """All cases of an export, in one transaction for each page of them."""
    c = sealed_cases.c

    def page(connection: Connection, after: str) -> list[dict[str, Any]]:
        query = select(sealed_cases).where(c.id > after).order_by(c.id).limit(size)
        return list(with_logs(connection, connection.execute(query).all()))

    after = ""
    while True:
        found = ledger.transact(partial(page, after=after))
        yield from found
        if len(found) < size:
            return
        after = found[-1]["id"]


def with_logs(connection: Connection, rows: Sequence[Any]) -> Iterator[dict[str, Any]]:
    """The rows as they are exported, each with its log and its matches."""
    for row in rows:
        made = {name: getattr(row, name) for name in COLUMNS}
        log = [
            {"at": one.at, "event": one.event, "actor": one.actor, **one.details}
            for one in events_of(connection, row.id)
        ]
        matched = [
            {"hash": one.hash, "how": one.how, "what": one.what, "at": one.at}
            for one in matches_of(connection, row.upload_id)
        ]
        yield {**made, "log": log, "matches": matched}

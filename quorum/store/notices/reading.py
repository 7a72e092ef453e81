"""Queries of notices: pages of each queue, one with its log, repeat infringers, exports."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from functools import partial
from typing import Any, Final, Literal

from sqlalchemy import ColumnElement, Connection, Select, case, func, select, tuple_

from quorum.store.ledger import Ledger
from quorum.store.ledger.event_log import find_by_id
from quorum.store.ledger.notices_schema import (
    notice_copies,
    notice_events,
    notice_people,
    notices,
)
from quorum.store.ledger.schema import cases
from quorum.store.ledger.sealing import shown_title
from quorum.store.notices.values import OPEN, Clock, Kind, Person
from quorum.store.reports.intake import token_digest

__all__ = [
    "COLUMNS",
    "Infringer",
    "NoticeEvent",
    "Shown",
    "clock_of",
    "copies_of",
    "counts",
    "event_from_row",
    "events_of",
    "every_notice",
    "exported",
    "find_notice",
    "infringers",
    "notice_at",
    "notice_page",
    "notices_of",
    "on_upload",
    "person_of",
    "standing_against",
    "with_logs",
]

Shown = Literal["open", "invalid", "closed"]

#: Columns of the export: nothing of who sent a notice, and no words of theirs.
COLUMNS: Final = (
    *("id", "kind", "state", "upload_id", "uploader", "answers", "at", "earliest_at", "due_at"),
    *("lacks", "client", "reference", "decided_at", "decided_by", "action"),
)

#: States of a copyright notice that count against its uploader: it stands.
_STANDING: Final = ("removed", "suit")


@dataclass(frozen=True, slots=True)
class NoticeEvent:
    """One event of a notice's log; see ``note`` in ``events``.

    ``letters`` are those that were told: side, event and text of each; None before somebody was.
    """

    number: int
    at: datetime
    event: str
    actor: str
    details: dict[str, Any]
    letters: tuple[tuple[Literal["complainant", "uploader"], str, str], ...] | None = None


@dataclass(frozen=True, slots=True)
class Infringer:
    """An uploader with standing copyright notices.

    Attributes:
        uploader: The uploader.
        standing: The uploads that are down because of a copyright notice.
        last_at: When the newest of these notices came.
    """

    uploader: str
    standing: int
    last_at: datetime


def clock_of(row: Any) -> Clock | None:
    """The clock of a notice's row; None while nothing is due."""
    return None if row.due_at is None else Clock(row.at, row.due_at, row.earliest_at)


def _shown(what: Shown) -> ColumnElement[bool]:
    n = notices.c
    if what == "closed":
        return n.state.not_in((*OPEN, "invalid"))
    return n.state == "invalid" if what == "invalid" else n.state.in_(OPEN)


def notice_page(
    connection: Connection, kind: Kind, what: Shown, limit: int, *, offset: int = 0
) -> Sequence[Any]:
    """One page of a kind's notices: open ones by their clock, others newest first."""
    n = notices.c
    order = (n.due_at, n.id) if what == "open" else (n.at.desc(), n.id.desc())
    narrow = select(n.id).where(n.kind == kind, _shown(what)).order_by(*order)
    # What stands beside a notice is read for those of the page alone, not for those before it.
    query = (
        select(notices, shown_title(), cases.c.action.label("current"))
        .join(cases, cases.c.upload_id == n.upload_id, isouter=True)
        .where(n.id.in_(narrow.limit(limit).offset(offset).scalar_subquery()))
        .order_by(*order)
    )
    return connection.execute(query).all()


def counts(connection: Connection, at: datetime) -> dict[str, dict[str, int]]:
    """By kind the number of notices: open, invalid, closed, and overdue (open ones)."""
    n = notices.c
    late = func.sum(case((n.due_at <= at, 1), else_=0))
    query = select(n.kind, n.state, func.count(), late).group_by(n.kind, n.state)
    found: dict[str, dict[str, int]] = {}
    for kind, state, count, overdue in connection.execute(query):
        one = found.setdefault(kind, dict.fromkeys(("open", "invalid", "closed", "overdue"), 0))
        where = "open" if state in OPEN else "invalid" if state == "invalid" else "closed"
        one[where] += int(count)
        one["overdue"] += int(overdue or 0)
    return found


def find_notice(connection: Connection, notice_id: str) -> Any:
    """The row of a notice, by its id or the unique beginning of it; None if there is none."""
    return find_by_id(connection, notices, notice_id)


def notice_at(connection: Connection, token: str) -> Any:
    """The row of the notice at a secret address; None if there is none."""
    query = select(notices).where(notices.c.token == token_digest(token))
    return connection.execute(query).first()


def on_upload(
    connection: Connection, upload_id: str | None, kinds: Sequence[Kind] = ()
) -> Sequence[Any]:
    """The notices on an upload, oldest first."""
    n = notices.c
    query = select(notices).where(n.upload_id == upload_id)
    if kinds:
        query = query.where(n.kind.in_(kinds))
    return connection.execute(query.order_by(n.at, n.id)).all()


def events_of(connection: Connection, notice_id: str) -> list[NoticeEvent]:
    """The log of a notice, oldest first."""
    e = notice_events.c
    query = select(notice_events).where(e.notice_id == notice_id).order_by(e.number)
    return [event_from_row(row) for row in connection.execute(query)]


def event_from_row(row: Any) -> NoticeEvent:
    """Convert a row of ``notice_events``."""
    told = None if row.letters is None else tuple(map(tuple, json.loads(row.letters)))
    details = json.loads(row.details)
    return NoticeEvent(row.number, row.at, row.event, row.actor, details, told)


def copies_of(connection: Connection, notice_id: str) -> Sequence[Any]:
    """The copies of what a notice had removed, newest first."""
    c = notice_copies.c
    query = select(notice_copies).where(c.notice_id == notice_id)
    return connection.execute(query.order_by(c.found_at.desc(), c.upload_id)).all()


def person_of(connection: Connection, notice_id: str) -> Person | None:
    """Who sent a notice; None if they were erased. For those alone who have the right."""
    query = select(notice_people).where(notice_people.c.notice_id == notice_id)
    row = connection.execute(query).first()
    return None if row is None else Person(**{f.name: getattr(row, f.name) for f in fields(Person)})


def infringers(connection: Connection, least: int, limit: int = 200) -> list[Infringer]:
    """The uploaders with at least so many standing copyright notices, the most first."""
    n = notices.c
    count = func.count(n.upload_id.distinct())
    query = (
        select(n.uploader, count, func.max(n.at))
        .where(n.kind == "copyright", n.state.in_(_STANDING), n.uploader != "")
        .group_by(n.uploader)
        .having(count >= least)
        .order_by(count.desc(), n.uploader)
        .limit(limit)
    )
    return [Infringer(row[0], int(row[1]), row[2]) for row in connection.execute(query)]


def standing_against(connection: Connection, uploader: str) -> int:
    """The uploads of an uploader that are down because of a copyright notice."""
    n = notices.c
    query = select(func.count(n.upload_id.distinct())).where(
        n.kind == "copyright", n.state.in_(_STANDING), n.uploader == uploader
    )
    return int(connection.execute(query).scalar_one())


def notices_of(kind: Kind | None = None, *, open_only: bool = False) -> Select[Any]:
    """The query of all notices, oldest first."""
    n = notices.c
    query = select(notices).order_by(n.at, n.id)
    if kind is not None:
        query = query.where(n.kind == kind)
    return query.where(n.state.in_(OPEN)) if open_only else query


def exported(
    connection: Connection, kind: Kind | None, after: tuple[datetime, str] | None, limit: int
) -> list[dict[str, Any]]:
    """The next notices of an export with their logs, oldest first."""
    n = notices.c
    query = notices_of(kind).limit(limit)
    if after is not None:
        query = query.where(tuple_(n.at, n.id) > tuple_(*after, types=[n.at.type, n.id.type]))
    return list(with_logs(connection, connection.execute(query).all()))


def every_notice(
    ledger: Ledger, kind: Kind | None = None, size: int = 200
) -> Iterator[dict[str, Any]]:
    """All notices of an export, in one transaction for each page of them."""
    after = None
    while True:
        found = ledger.transact(partial(exported, kind=kind, after=after, limit=size))
        yield from found
        if len(found) < size:
            return
        after = (found[-1]["at"], found[-1]["id"])


def with_logs(connection: Connection, rows: Sequence[Any]) -> Iterator[dict[str, Any]]:
    """The rows as they are exported, each with its log and its copies."""
    for row in rows:
        made = {name: getattr(row, name) for name in COLUMNS}
        log = [
            {"at": one.at, "event": one.event, "actor": one.actor, **one.details}
            for one in events_of(connection, row.id)
        ]
        copies = [
            {name: getattr(one, name) for name in _COPY} for one in copies_of(connection, row.id)
        ]
        yield {**made, "log": log, "copies": copies}


_COPY: Final = ("upload_id", "how", "score", "found_at", "due_at", "state", "decided_at")

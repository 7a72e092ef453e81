"""Queries of reports: by their address, of a case, pages of the queue and the log, reporters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal

from sqlalchemy import ColumnElement, Connection, case, func, select, tuple_, update

from quorum.core.errors import InputError
from quorum.store.ledger.reports_schema import report_cases, reporters, reports
from quorum.store.ledger.schema import cases
from quorum.store.ledger.sealing import shown_title
from quorum.store.reports.intake import token_digest
from quorum.store.reports.values import Track

__all__ = [
    "Answer",
    "ReporterRow",
    "answer_of",
    "case_counts",
    "case_page",
    "find_case",
    "reports_on",
    "suspend",
    "worst_reporters",
]

#: A closed case counts as recent for this long.
_MOST_SUSPENDED: Final = timedelta(days=365)

Shown = Literal["open", "trusted", "unknown", "closed"]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a reporter is told of their report.

    Attributes:
        id: The report's id.
        at: When it came.
        state: open, upheld, rejected or moot.
        decided_at: When it was decided.
        action: What happened to the content.
        upload_id: The upload, if it was named.
        lacks: What the notice lacks, see ``Notice.lacks``.
    """

    id: str
    at: datetime
    state: str
    decided_at: datetime | None
    action: str | None
    upload_id: str | None
    lacks: tuple[str, ...]

    @property
    def sentence(self) -> str:
        """The outcome in words."""
        if self.state == "open":
            return "Your report waits for a person to look at it."
        if self.state == "moot":
            return "The content had been removed before your report came."
        if self.state == "upheld":
            done = {"remove": "was removed", "restrict": "was restricted"}.get(
                self.action or "", "was acted on"
            )
            return f"We agreed with your report: the content {done}."
        return "A person looked at the content. It breaks no law or rule that we know, and stays."


def answer_of(connection: Connection, token: str) -> Answer | None:
    """The answer at a report's secret address; None if there is no such report."""
    r = reports.c
    row = connection.execute(select(reports).where(r.token == token_digest(token))).first()
    if row is None:
        return None
    lacks = tuple(row.lacks.split(",")) if row.lacks else ()
    return Answer(row.id, row.at, row.state, row.decided_at, row.action, row.upload_id, lacks)


def _shown(what: Shown) -> list[ColumnElement[bool]]:
    c = report_cases.c
    if what == "closed":
        # Only closed ones have the time, by which they are listed: its index is read, newest first.
        return [c.closed_at.is_not(None)]
    found = [c.state == "open"]
    if what == "trusted":
        found.append(c.trusted.is_(True))
    if what == "unknown":
        found.append(c.known.is_(False))
    return found


def case_page(
    connection: Connection,
    what: Shown,
    limit: int,
    *,
    offset: int = 0,
    before: tuple[datetime, str] | None = None,
) -> Sequence[Any]:
    """One page of reported cases with their titles.

    Open ones come in the order of work: trusted flaggers' first, then by severity times the
    probability that a reporter is right. Closed ones come newest first.

    Args:
        connection: A connection.
        what: Which cases.
        limit: The most rows.
        offset: Rows to skip, of the open ones.
        before: Time of closing and id of the last row of the page before, of the closed ones.
    """
    c = report_cases.c
    query = (
        select(report_cases, shown_title(), cases.c.uploader, cases.c.action.label("current"))
        .join(cases, cases.c.upload_id == c.upload_id, isouter=True)
        .where(*_shown(what))
        .limit(limit)
    )
    if what == "closed":
        if before is not None:
            there = tuple_(*before, types=[c.closed_at.type, c.id.type])
            query = query.where(tuple_(c.closed_at, c.id) < there)
        return connection.execute(query.order_by(c.closed_at.desc(), c.id.desc())).all()
    order = (c.trusted.desc(), (c.severity * (1 - c.doubt)).desc(), c.due_at, c.id)
    return connection.execute(query.order_by(*order).offset(offset)).all()


def case_counts(connection: Connection, at: datetime) -> dict[str, int]:
    """The number of cases: open, trusted, unknown (both open ones), closed, and overdue."""
    c = report_cases.c

    def total(condition: ColumnElement[bool]) -> ColumnElement[Any]:
        return func.sum(case((condition, 1), else_=0))

    row = connection.execute(
        select(
            func.count(),
            total(c.trusted.is_(True)),
            total(c.known.is_(False)),
            total(c.due_at < at),
        ).where(c.state == "open")
    ).one()
    closed = connection.execute(
        select(func.count()).select_from(report_cases).where(c.state == "closed")
    ).scalar_one()
    names = ("open", "trusted", "unknown", "overdue")
    return {**{name: int(row[i] or 0) for i, name in enumerate(names)}, "closed": int(closed)}


def find_case(connection: Connection, case_id: str) -> Any:
    """The row of a reported case; None if there is none."""
    return connection.execute(select(report_cases).where(report_cases.c.id == case_id)).first()


def reports_on(
    connection: Connection,
    *,
    case_id: str | None = None,
    upload_id: str | None = None,
    limit: int = 50,
) -> Sequence[Any]:
    """The newest reports of a case or on an upload, each with its reporter's track record."""
    r = reports.c
    query = (
        select(reports, reporters.c.kind, reporters.c.upheld, reporters.c.rejected)
        .join(reporters, reporters.c.id == r.reporter_id)
        .where(r.case_id == case_id if case_id is not None else r.upload_id == upload_id)
        .order_by(r.trusted.desc(), r.at.desc(), r.id)
        .limit(limit)
    )
    return connection.execute(query).all()


@dataclass(frozen=True, slots=True)
class ReporterRow:
    """A reporter with their track record."""

    id: str
    kind: str
    client: str | None
    name: str
    sent: int
    track: Track
    last_at: datetime
    suspended_until: datetime | None


def worst_reporters(connection: Connection, limit: int = 200) -> list[ReporterRow]:
    """The reporters with most rejected reports, those in bad faith first."""
    query = (
        select(reporters)
        .where(reporters.c.sent > 0)
        .order_by(reporters.c.rejected.desc(), reporters.c.id)
        .limit(limit)
    )
    found = [
        ReporterRow(
            row.id,
            row.kind,
            row.client,
            row.name,
            row.sent,
            Track(row.upheld, row.rejected),
            row.last_at,
            row.suspended_until,
        )
        for row in connection.execute(query)
    ]
    return sorted(found, key=lambda one: (not one.track.bad_faith, one.track.interval[1]))


def suspend(
    connection: Connection, reporter_id: str, *, days: int, by: str, at: datetime
) -> ReporterRow:
    """Do not process a reporter's reports for some days; 0 to process them again.

    Raises:
        InputError: If there is no such reporter, or the days are out of range.
    """
    if not 0 <= days <= _MOST_SUSPENDED.days:
        msg = f"a suspension lasts 1 to {_MOST_SUSPENDED.days} days; 0 ends it"
        raise InputError(msg)
    row = connection.execute(select(reporters).where(reporters.c.id == reporter_id)).first()
    if row is None:
        msg = "there is no such reporter"
        raise InputError(msg)
    until = at + timedelta(days=days) if days else None
    values = {"suspended_until": until}
    if days:
        values |= {"suspended_at": at, "suspended_by": by}  # type: ignore[dict-item]
    connection.execute(update(reporters).where(reporters.c.id == reporter_id).values(**values))
    track = Track(row.upheld, row.rejected)
    return ReporterRow(row.id, row.kind, row.client, row.name, row.sent, track, row.last_at, until)

"""Tasks: what waits for a person, and in which order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    exists,
    func,
    insert,
    or_,
    select,
    update,
)

from quorum.apps.console.desk.harm import expected_harm, service_level, severity
from quorum.core.messages import Action, Upload, Verdict, digest, now
from quorum.store.ledger import Ledger
from quorum.store.ledger.console_schema import tasks
from quorum.store.ledger.reading import load_cases
from quorum.store.ledger.schema import cases

__all__ = [
    "Queue",
    "Task",
    "get_task",
    "held_by",
    "matching",
    "open_counts",
    "open_task",
    "order_of",
    "queue_page",
    "sync",
]

_SYNC_BATCH: Final = 500

Kind = Literal["review", "second", "double", "golden", "appeal"]


@dataclass(frozen=True, slots=True)
class Task:
    """A case that waits for a person."""

    id: str
    upload_id: str
    verdict_id: str
    kind: str
    state: str
    category: str | None
    territories: str
    severity: int
    harm: float
    title: str
    uploader: str | None
    score: float | None
    opened_at: datetime
    due_at: datetime
    not_for: str | None
    only_for: str | None
    claimed_by: str | None
    claimed_until: datetime | None
    closed_at: datetime | None
    outcome: str | None

    def held(self, at: datetime) -> str | None:
        """Who holds it now."""
        alive = self.claimed_until is not None and self.claimed_until > at
        return self.claimed_by if alive else None


@dataclass(frozen=True, slots=True)
class Queue:
    """Which tasks a reviewer wants to see.

    Attributes:
        category: Of this category alone.
        territory: Shown there (or everywhere).
        severity: At least this severe.
        older_than: Open for longer than this.
        kind: Of this kind alone.
        order: ``harm`` for the greatest expected harm first, ``age`` for the oldest.
    """

    category: str | None = None
    territory: str | None = None
    severity: int | None = None
    older_than: timedelta | None = None
    kind: str | None = None
    order: Literal["harm", "age"] = "harm"


def open_task(
    connection: Connection,
    kind: Kind,
    upload: Upload | None,
    verdict: Verdict,
    *,
    key: str = "",
    not_for: str | None = None,
    only_for: str | None = None,
) -> str:
    """Make a task, unless it is there; its id."""
    task_id = digest("task", kind, verdict.upload_id, verdict.id, key)
    if connection.execute(select(tasks.c.id).where(tasks.c.id == task_id)).first() is None:
        at = now()
        shown = ",".join(upload.territories) if upload is not None else ""
        scores = [one.score for one in verdict.predictions if one.score is not None]
        connection.execute(
            insert(tasks).values(
                id=task_id,
                upload_id=verdict.upload_id,
                verdict_id=verdict.id,
                kind=kind,
                state="open",
                category=None if verdict.category is None else verdict.category[:256],
                territories=f",{shown}," if shown else "",
                severity=severity(verdict.category),
                harm=expected_harm(upload, verdict),
                title="" if upload is None else upload.title.replace("\x00", "�")[:300],
                uploader=None if upload is None else upload.uploader,
                score=max(scores, default=None),
                opened_at=verdict.at if kind == "review" else at,
                due_at=(verdict.at if kind == "review" else at) + service_level(verdict.category),
                not_for=not_for,
                only_for=only_for,
            )
        )
    return task_id


def sync(ledger: Ledger) -> tuple[int, int]:
    """Open a task for each case that a verdict holds for review; close those it no longer holds.

    Returns:
        How many were opened and closed.
    """
    opened = 0
    while True:
        found = ledger.transact(_lacking)
        if found:
            ledger.transact(lambda connection, ids=found: _open(connection, ids), writes=True)  # type: ignore[misc]
            opened += len(found)
        if len(found) < _SYNC_BATCH:
            break
    stale = ledger.transact(_stale)
    for start in range(0, len(stale), _SYNC_BATCH):
        chunk = stale[start : start + _SYNC_BATCH]
        ledger.transact(lambda connection, ids=chunk: _close(connection, ids), writes=True)  # type: ignore[misc]
    return opened, len(stale)


def _lacking(connection: Connection) -> list[str]:
    c = cases.c
    known = exists().where(tasks.c.verdict_id == c.verdict_id, tasks.c.kind == "review")
    query = select(c.upload_id).where(c.action == Action.REVIEW.value, ~known).limit(_SYNC_BATCH)
    return list(connection.execute(query).scalars())


def _open(connection: Connection, upload_ids: Sequence[str]) -> None:
    for case in load_cases(connection, upload_ids, ("upload", "verdicts")):
        if case.verdict is not None:
            open_task(connection, "review", case.upload, case.verdict)


def _stale(connection: Connection) -> list[str]:
    t, c = tasks.c, cases.c
    query = (
        select(t.id)
        .join(cases, c.upload_id == t.upload_id, isouter=True)
        .where(
            t.state == "open",
            t.kind.in_(("review", "second")),
            or_(c.upload_id.is_(None), c.verdict_id != t.verdict_id),
        )
    )
    return list(connection.execute(query).scalars())


def _close(connection: Connection, ids: Sequence[str]) -> None:
    connection.execute(
        update(tasks)
        .where(tasks.c.id.in_(ids), tasks.c.state == "open")
        .values(state="closed", outcome="decided elsewhere", closed_at=now())
    )


def matching(queue: Queue, reviewer: str | None, at: datetime) -> list[ColumnElement[bool]]:
    """The conditions of a queue, for a reviewer who may take it."""
    t = tasks.c
    found: list[ColumnElement[bool]] = [t.state == "open"]
    if queue.category is not None:
        found.append(t.category == queue.category)
    if queue.territory:
        found.append(
            or_(
                t.territories == "", t.territories.contains(f",{queue.territory},", autoescape=True)
            )
        )
    if queue.severity is not None:
        found.append(t.severity >= queue.severity)
    if queue.older_than is not None:
        found.append(t.opened_at < at - queue.older_than)
    if queue.kind is not None:
        found.append(t.kind == queue.kind)
    if reviewer is not None:
        found.append(or_(t.not_for.is_(None), t.not_for != reviewer))
        found.append(or_(t.only_for.is_(None), t.only_for == reviewer))
    return found


def order_of(queue: Queue) -> tuple[ColumnElement[Any], ColumnElement[Any]]:
    """What comes first in a queue."""
    t = tasks.c
    return (t.harm.desc(), t.id.desc()) if queue.order == "harm" else (t.opened_at, t.id)


def queue_page(
    ledger: Ledger, queue: Queue, reviewer: str | None, *, offset: int = 0, limit: int = 50
) -> list[Task]:
    """One page of a queue, in its order."""
    return ledger.transact(lambda connection: _page(connection, queue, reviewer, offset, limit))


def _page(
    connection: Connection, queue: Queue, reviewer: str | None, offset: int, limit: int
) -> list[Task]:
    t = tasks.c
    query = select(tasks).where(*matching(queue, reviewer, now()), t.kind != "golden")
    found = connection.execute(query.order_by(*order_of(queue)).limit(limit).offset(offset))
    return [_task(row) for row in found]


def open_counts(ledger: Ledger) -> dict[tuple[str | None, str], tuple[int, int]]:
    """By category and kind: how many tasks are open, and how many of them are overdue."""
    t = tasks.c
    late = func.sum(func.coalesce(_as_number(t.due_at < now()), 0))
    query = (
        select(t.category, t.kind, func.count(), late)
        .where(t.state == "open", t.kind != "golden")
        .group_by(t.category, t.kind)
    )
    return ledger.transact(
        lambda connection: {
            (row[0], row[1]): (int(row[2]), int(row[3] or 0)) for row in connection.execute(query)
        }
    )


def _as_number(condition: ColumnElement[bool]) -> Any:
    from sqlalchemy import case

    return case((condition, 1), else_=0)


def get_task(connection: Connection, task_id: str) -> Task | None:
    """The task of this id."""
    row = connection.execute(select(tasks).where(tasks.c.id == task_id)).first()
    return None if row is None else _task(row)


def held_by(connection: Connection, reviewer: str, upload_id: str) -> Task | None:
    """The open task of a case that a reviewer holds now."""
    t = tasks.c
    row = connection.execute(
        select(tasks).where(
            t.upload_id == upload_id,
            t.state == "open",
            t.claimed_by == reviewer,
            t.claimed_until > now(),
        )
    ).first()
    return None if row is None else _task(row)


def _task(row: Row[Any]) -> Task:
    return Task(**row._mapping)

"""Queues: open tasks, filtered and in order."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, case, func, or_, select, union_all

from quorum.apps.console.accounts.names import folded
from quorum.apps.console.desk.routing import Desk
from quorum.apps.console.desk.shift import Shift
from quorum.apps.console.desk.tasks import ReviewTask, task_from_row
from quorum.core.messages import now
from quorum.store.ledger import Ledger
from quorum.store.ledger.console_schema import tasks

__all__ = ["Queue", "matching", "open_counts", "order_of", "queue_page"]


@dataclass(frozen=True, slots=True)
class Queue:
    """A filter and an order of open tasks.

    Attributes:
        category: Tasks of this category only.
        territory: Tasks of uploads shown in this territory, or everywhere.
        severity: Tasks of at least this severity.
        older_than: Tasks that are open for longer than this.
        kind: Tasks of this kind only.
        name: Tasks of this queue of the desk only.
        order: ``harm`` for the greatest expected harm first, ``age`` for the oldest first.
    """

    category: str | None = None
    territory: str | None = None
    severity: int | None = None
    older_than: timedelta | None = None
    kind: str | None = None
    name: str | None = None
    order: Literal["harm", "age"] = "harm"


def matching(
    queue: Queue, reviewer: str | None, at: datetime, shift: Shift | None = None
) -> list[ColumnElement[bool]]:
    """Build the SQL conditions of a queue; with a reviewer, only tasks that they may take.

    Args:
        queue: The filter.
        reviewer: Who asks; None for somebody who takes none.
        at: The time.
        shift: What the reviewer may be given; None without a desk's file.
    """
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
    if queue.name is not None:
        desk = Desk() if shift is None else shift.desk
        found.append(or_(*desk.in_queue(queue.name, at)))
    if reviewer is not None:
        if shift is not None:
            found += shift.conditions()
        free = t.assigned_to.is_(None) | (t.assigned_until <= at)
        found.append(or_(free, t.assigned_to == reviewer))
        found.append(or_(t.not_for.is_(None), t.not_for != folded(reviewer)))
        found.append(or_(t.only_for.is_(None), t.only_for == reviewer))
    return found


def order_of(queue: Queue) -> tuple[ColumnElement[Any], ColumnElement[Any]]:
    """Build the SQL order of a queue."""
    t = tasks.c
    return (t.harm.desc(), t.id.desc()) if queue.order == "harm" else (t.opened_at, t.id)


def queue_page(
    ledger: Ledger,
    queue: Queue,
    reviewer: str | None,
    *,
    offset: int = 0,
    limit: int = 50,
    shift: Shift | None = None,
) -> list[ReviewTask]:
    """Return one page of a queue, in its order."""
    return ledger.transact(
        lambda connection: _page(connection, queue, reviewer, offset, limit, shift)
    )


def _page(
    connection: Connection,
    queue: Queue,
    reviewer: str | None,
    offset: int,
    limit: int,
    shift: Shift | None,
) -> list[ReviewTask]:
    t, at, order = tasks.c, now(), order_of(queue)
    conditions = [*matching(replace(queue, name=None), reviewer, at, shift), t.kind != "golden"]
    query = select(tasks)
    if queue.name is None:
        query = query.where(*conditions)
    else:
        # The best of what is filed there and of what will be: each in the order of an index.
        desk = Desk() if shift is None else shift.desk
        tops = (
            select(t.id).where(*conditions, part).order_by(*order).limit(offset + limit).subquery()
            for part in desk.in_queue(queue.name, at)
        )
        query = query.where(t.id.in_(union_all(*(select(top.c.id) for top in tops))))
    found = connection.execute(query.order_by(*order).limit(limit).offset(offset))
    return [task_from_row(row) for row in found]


def open_counts(ledger: Ledger) -> dict[tuple[str | None, str], tuple[int, int]]:
    """Count open tasks and overdue tasks by category and kind."""
    t = tasks.c
    late = func.sum(case((t.due_at < now(), 1), else_=0))
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

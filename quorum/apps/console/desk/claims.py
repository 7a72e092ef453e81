"""Claims: exclusive leases of reviewers on tasks."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import ColumnElement, Connection, and_, exists, insert, or_, select, update

from quorum.apps.console.accounts import audit
from quorum.apps.console.accounts.names import folded
from quorum.apps.console.accounts.separation import one_person
from quorum.apps.console.desk.queues import Queue, matching, order_of
from quorum.apps.console.desk.routing import Desk
from quorum.apps.console.desk.shift import shift_of
from quorum.apps.console.desk.tasks import ReviewTask, get_task
from quorum.core.messages import now
from quorum.store.ledger import Ledger
from quorum.store.ledger.console_schema import skips, tasks
from quorum.store.ledger.statements import lock_name

__all__ = ["LEASE", "claim", "claim_next", "lock_case", "release", "skip", "why_not"]

#: A reviewer's exclusive hold on a case; work on the page renews it.
LEASE: Final = timedelta(minutes=10)

_OPEN: Final = Desk()


def claim(ledger: Ledger, task_id: str, reviewer: str, desk: Desk = _OPEN) -> ReviewTask | None:
    """Lease a task to a reviewer; None if they may not have it, or it is closed.

    Args:
        ledger: The ledger.
        task_id: The task.
        reviewer: The reviewer.
        desk: Whose queues, limits and breaks hold; what the reviewer holds already stays theirs.
    """
    return ledger.transact(lambda c: _claim(c, task_id, reviewer, desk), writes=True)


def why_not(ledger: Ledger, task_id: str, reviewer: str, desk: Desk) -> str | None:
    """Why the desk's rules do not give a task to a reviewer; None if they do."""
    return ledger.transact(lambda c: shift_of(c, desk, reviewer, now()).refusal(c, task_id))


def claim_next(
    ledger: Ledger, queue: Queue, reviewer: str, desk: Desk = _OPEN
) -> ReviewTask | None:
    """Lease the first free task of a queue that the reviewer has not skipped.

    What was assigned to them comes first.

    Args:
        ledger: The ledger.
        queue: The filter and the order.
        reviewer: The reviewer.
        desk: Whose queues, limits and breaks hold.
    """

    def work(connection: Connection) -> ReviewTask | None:
        at, t = now(), tasks.c
        shift = shift_of(connection, desk, reviewer, at)
        if shift.rest_until is not None:
            return None
        skipped = exists().where(skips.c.task_id == t.id, skips.c.reviewer == reviewer)
        query = (
            select(t.id)
            .where(*matching(queue, reviewer, at, shift), ~skipped, _free(reviewer, at))
            .order_by(*order_of(queue))
            .limit(20)
        )
        mine = query.where(t.assigned_to == reviewer, t.assigned_until > at)
        for task_id in (*connection.execute(mine).scalars(), *connection.execute(query).scalars()):
            found = _claim(connection, task_id, reviewer, desk)
            if found is not None:
                return found
        return None

    return ledger.transact(work, writes=True)


def _free(reviewer: str, at: datetime) -> ColumnElement[bool]:
    t = tasks.c
    return or_(t.claimed_by.is_(None), t.claimed_by == reviewer, t.claimed_until <= at)


def _claim(connection: Connection, task_id: str, reviewer: str, desk: Desk) -> ReviewTask | None:
    at, t = now(), tasks.c
    known = get_task(connection, task_id)
    if known is None:
        return None
    lock_case(connection, known.upload_id)
    other = connection.execute(
        select(t.id).where(
            t.upload_id == known.upload_id,
            t.state == "open",
            t.claimed_by != reviewer,
            t.claimed_until > at,
        )
    ).first()
    if other is not None:
        return None
    if known.not_for is not None and one_person(connection, known.not_for, reviewer):
        return None
    if known.held(at) != reviewer and known.kind != "again":
        shift = shift_of(connection, desk, reviewer, at)
        if shift.refusal(connection, task_id) is not None:
            return None
    done = connection.execute(
        update(tasks)
        .where(
            and_(t.id == task_id, t.state == "open"),
            or_(t.assigned_to.is_(None), t.assigned_to == reviewer, t.assigned_until <= at),
            _free(reviewer, at),
            or_(t.not_for.is_(None), t.not_for != folded(reviewer)),
            or_(t.only_for.is_(None), t.only_for == reviewer),
        )
        .values(claimed_by=reviewer, claimed_until=at + LEASE)
    )
    if done.rowcount != 1:
        return None
    if known.held(at) != reviewer:
        audit.append(connection, reviewer, "case.claimed", known.upload_id, kind=known.kind)
    return get_task(connection, task_id)


def lock_case(connection: Connection, upload_id: str) -> None:
    """Serialise transactions on this case; SQLite has a single writer anyway."""
    lock_name(connection, upload_id)


def release(connection: Connection, task_id: str, reviewer: str) -> None:
    """End a reviewer's lease on a task; a correction that its author gives up is closed."""
    t = tasks.c
    connection.execute(
        update(tasks)
        .where(t.id == task_id, t.claimed_by == reviewer, t.kind == "again", t.state == "open")
        .values(state="closed", outcome="given up", closed_at=now())
    )
    connection.execute(
        update(tasks)
        .where(t.id == task_id, t.claimed_by == reviewer)
        .values(claimed_by=None, claimed_until=None)
    )


def skip(ledger: Ledger, task_id: str, reviewer: str, reason: str) -> bool:
    """Skip a task with a reason, leaving it to others; False if the task does not exist."""

    def work(connection: Connection) -> bool:
        task = get_task(connection, task_id)
        if task is None:
            return False
        known = select(skips).where(skips.c.task_id == task_id, skips.c.reviewer == reviewer)
        if connection.execute(known).first() is None:
            connection.execute(
                insert(skips).values(
                    task_id=task_id,
                    reviewer=reviewer,
                    upload_id=task.upload_id,
                    reason=reason,
                    at=now(),
                )
            )
        release(connection, task_id, reviewer)
        audit.append(connection, reviewer, "case.skipped", task.upload_id, kind=task.kind)
        return True

    return ledger.transact(work, writes=True)

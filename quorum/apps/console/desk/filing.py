"""Files open tasks in their queues, sets their clocks, and counts what waits in each queue."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Update, and_, bindparam, func, or_, select, update
from sqlalchemy import case as when

from quorum.apps.console.accounts import audit
from quorum.apps.console.accounts.access import PERMISSIONS, Permission, Role
from quorum.apps.console.desk.decisions import Conflict
from quorum.apps.console.desk.harm import audience, service_level
from quorum.apps.console.desk.routing import DEFAULT, Desk
from quorum.apps.console.desk.tasks import get_task
from quorum.core.messages import now
from quorum.store.ledger import Ledger
from quorum.store.ledger.console_schema import tasks, users
from quorum.store.ledger.reading import load_cases
from quorum.store.ledger.statements import in_chunks

__all__ = ["AT_ONCE", "QueueState", "assign_to", "file_tasks", "queue_states", "takers"]

#: Tasks that are filed at once. The console's worker publishes decisions between two times: where
#: other rules move 100,000, reviewers' work must not wait for that.
AT_ONCE: Final = 2000
#: Tasks whose clock another law keeps: a queue makes it shorter, and never longer.
_OWN_CLOCK: Final = ("report", "notice")


@dataclass(frozen=True, slots=True)
class QueueState:
    """What waits in a queue.

    Attributes:
        name: The queue.
        open: How many tasks.
        late: How many of them are overdue.
        oldest: When the oldest was opened.
        due: When the next one is due.
    """

    name: str
    open: int = 0
    late: int = 0
    oldest: datetime | None = None
    due: datetime | None = None


def file_tasks(ledger: Ledger, desk: Desk, *, all_of_them: bool) -> int:
    """File tasks in the queues that the rules give them now, ``AT_ONCE`` at most.

    Args:
        ledger: The ledger.
        desk: The rules.
        all_of_them: Also those that are filed already: age, or other rules, may move them. Else
            only new ones.

    Returns:
        How many were filed or moved.
    """
    _fill(ledger)
    rows = ledger.transact(partial(_misfiled, desk=desk, all_of_them=all_of_them))
    for some in in_chunks(rows):
        ledger.transact(partial(_file, desk=desk, rows=some), writes=True)
    return len(rows)


def _misfiled(connection: Connection, desk: Desk, *, all_of_them: bool) -> Sequence[Any]:
    t, target = tasks.c, desk.routed(now())
    wrong: ColumnElement[bool] = and_(t.queue.is_(None), t.reach.is_not(None))
    if all_of_them:
        wrong = or_(wrong, t.queue != target)
    query = (
        select(t.id, t.kind, t.category, t.opened_at, t.due_at, t.queue, target.label("target"))
        .where(t.state == "open", wrong)
        .limit(AT_ONCE)
    )
    return connection.execute(query).all()


def _file(connection: Connection, desk: Desk, rows: Sequence[Any]) -> None:
    t = tasks.c
    connection.execute(
        update(tasks)
        .where(t.id == bindparam("key"), t.state == "open")
        .values(queue=bindparam("to"), due_at=bindparam("due")),
        [{"key": row.id, "to": row.target, "due": _due(row, desk)} for row in rows],
    )


def _due(row: Any, desk: Desk) -> datetime:
    within = desk.within(row.target)
    due: datetime = row.due_at
    if row.kind in _OWN_CLOCK:
        return due if within is None else min(due, row.opened_at + within)
    if within is None and row.queue is None:
        return due
    opened: datetime = row.opened_at
    return opened + (service_level(row.category) if within is None else within)


def _fill(ledger: Ledger) -> None:
    """Set language and reach of open tasks from before there were queues."""
    t = tasks.c
    query = (
        select(t.id, t.upload_id)
        .where(t.state == "open", t.queue.is_(None), t.reach.is_(None))
        .limit(AT_ONCE)
    )
    for rows in in_chunks(ledger.transact(lambda c: c.execute(query).all())):
        ids = [row.upload_id for row in rows]
        found = ledger.transact(partial(load_cases, upload_ids=ids, parts=("upload",)))
        values = [
            {
                "key": row.id,
                "spoken": None if one.upload is None else one.upload.language,
                "seen": audience(one.upload),
            }
            for row, one in zip(rows, found, strict=True)
        ]
        filled = (
            update(tasks)
            .where(t.id == bindparam("key"))
            .values(language=bindparam("spoken"), reach=bindparam("seen"))
        )
        ledger.transact(partial(_write, query=filled, values=values), writes=True)


def _write(connection: Connection, query: Update, values: Sequence[dict[str, Any]]) -> None:
    connection.execute(query, values)


def queue_states(connection: Connection, desk: Desk) -> list[QueueState]:
    """What waits in each queue, in the order of the rules; what is not filed yet is in none."""
    t = tasks.c
    late = func.sum(when((t.due_at < now(), 1), else_=0))
    query = (
        select(
            t.queue,
            func.count().label("open"),
            late.label("late"),
            func.min(t.opened_at, type_=t.opened_at.type).label("oldest"),
            func.min(t.due_at, type_=t.due_at.type).label("due"),
        )
        .where(t.state == "open", t.kind.not_in(("golden", "again")))
        .group_by(t.queue)
    )
    found = {
        row.queue: QueueState(
            row.queue or "", int(row.open), int(row.late or 0), row.oldest, row.due
        )
        for row in connection.execute(query)
    }
    known = [found.pop(name, QueueState(name)) for name in desk.names]
    return known + [one for _, one in sorted(found.items(), key=lambda item: item[0] or "")]


def takers(connection: Connection, desk: Desk) -> dict[str, list[str]]:
    """Who may take from each queue."""
    rows = connection.execute(
        select(users.c.name, users.c.role, users.c.skills)
        .where(users.c.disabled.is_(False))
        .order_by(users.c.name)
    ).all()
    found: dict[str, list[str]] = {name: [] for name in desk.names}
    for row in rows:
        if Permission.DECIDE not in PERMISSIONS[Role(row.role)]:
            continue
        forbidden = desk.forbidden(row.role, (row.skills or "").split(","))
        for name in desk.names:
            if name not in forbidden:
                found[name].append(row.name)
    return found


def assign_to(
    ledger: Ledger, desk: Desk, task_id: str, reviewer: str | None, lasts: timedelta, by: str
) -> str:
    """Give a task to a reviewer, for a time; with None, to everyone again. Returns the upload.

    Raises:
        Conflict: If it does not wait, or they may not take it.
    """

    def work(connection: Connection) -> str:
        task, at = get_task(connection, task_id), now()
        if task is None or task.state != "open" or task.only_for is not None:
            msg = "This case does not wait for a reviewer any more."
            raise Conflict(msg)
        if reviewer is not None:
            who = takers(connection, desk)
            if reviewer not in who.get(task.queue or DEFAULT, who[DEFAULT]):
                msg = f"{reviewer} may not take from the queue {task.queue}; see the page Queues."
                raise Conflict(msg)
        until = None if reviewer is None else at + lasts
        connection.execute(
            update(tasks)
            .where(tasks.c.id == task_id)
            .values(assigned_to=reviewer, assigned_until=until)
        )
        audit.append(connection, by, "case.assigned", task.upload_id, to=reviewer, kind=task.kind)
        return task.upload_id

    return ledger.transact(work, writes=True)

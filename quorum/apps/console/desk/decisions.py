"""Decisions of reviewers: made, and undone as long as they wait to be published."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, Row, insert, select, update

from quorum.apps.console.accounts import audit
from quorum.apps.console.desk.claims import LEASE, lock_case
from quorum.apps.console.desk.tasks import Task, get_task
from quorum.core.errors import QuorumError
from quorum.core.messages import Action, Review, digest, now
from quorum.store.ledger import Ledger
from quorum.store.ledger.console_schema import decisions, tasks
from quorum.store.ledger.schema import cases

__all__ = [
    "MAX_NOTE",
    "Conflict",
    "Decision",
    "decide",
    "of_case",
    "to_decision",
    "undo",
    "waiting_of",
]

#: A note is read by the next person on a screen; Pub/Sub would take 10 MB.
MAX_NOTE: Final = 4000


class Conflict(QuorumError):
    """Someone or something was faster; nothing was decided, and the text says what to do."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What a reviewer decided of a case."""

    id: str
    task_id: str
    upload_id: str
    verdict_id: str
    kind: str
    reviewer: str
    action: Action
    category: str | None
    note: str
    at: datetime
    due_at: datetime
    state: str
    seconds: float | None
    error: str | None

    def review(self) -> Review:
        """The message that tells it."""
        return Review(
            upload_id=self.upload_id,
            verdict_id=self.verdict_id,
            action=self.action,
            reviewer=self.reviewer,
            labels=() if self.category is None else (self.category,),
            note=self.note,
            at=self.at,
        )


def decide(
    ledger: Ledger,
    task_id: str,
    reviewer: str,
    action: Action,
    category: str | None,
    note: str,
    undo: timedelta,
) -> Decision:
    """Decide a case that the reviewer holds.

    Args:
        ledger: Where.
        task_id: The task.
        reviewer: Who.
        action: ``review`` asks for a second person.
        category: The harm, as the policy names it.
        note: For other reviewers.
        undo: For how long it can be undone.

    Raises:
        Conflict: If the task is not theirs any more, or the verdict changed meanwhile.
    """
    if len(note) > MAX_NOTE:
        msg = f"The note has {len(note):,} characters; up to {MAX_NOTE:,} are kept. Shorten it."
        raise Conflict(msg)

    def work(connection: Connection) -> Decision:
        at = now()
        task = get_task(connection, task_id)
        if task is None:
            msg = "This case is in no queue any more."
            raise Conflict(msg)
        lock_case(connection, task.upload_id)
        task = get_task(connection, task_id) or task
        _check(connection, task, reviewer, action, at)
        held = None
        if task.claimed_until is not None:
            held = max(0.0, (at - (task.claimed_until - LEASE)).total_seconds())
        asks = action is Action.REVIEW
        measures = task.kind in ("double", "golden")
        made = Decision(
            id=digest("decision", task.id, reviewer, str(at)),
            task_id=task.id,
            upload_id=task.upload_id,
            verdict_id=task.verdict_id,
            kind=task.kind,
            reviewer=reviewer,
            action=action,
            category=None if action is Action.ALLOW else category,
            note=note.replace("\x00", "�"),
            at=at,
            due_at=at + undo,
            state="waiting",
            seconds=held,
            error=None,
        )
        row = {name: getattr(made, name) for name in Decision.__slots__}
        connection.execute(insert(decisions), {**row, "action": action.value})
        connection.execute(
            update(tasks)
            .where(tasks.c.id == task.id)
            .values(state="closed", outcome=action.value, closed_at=at)
        )
        details = {"action": action.value, "kind": task.kind, "category": made.category}
        event = "case.passed-on" if asks else "case.measured" if measures else "case.decided"
        audit.append(connection, reviewer, event, task.upload_id, **details)
        return made

    return ledger.transact(work, writes=True)


def _check(connection: Connection, task: Task, reviewer: str, action: Action, at: datetime) -> None:
    if task.state != "open":
        msg = f"This case was decided meanwhile ({task.outcome}). Nothing was changed by you."
        raise Conflict(msg)
    holder = task.held(at)
    if holder != reviewer:
        msg = (
            f"{holder} holds this case now."
            if holder
            else "Your hold on this case ran out. Claim it again, and then decide."
        )
        raise Conflict(msg)
    current = connection.execute(
        select(cases.c.verdict_id).where(cases.c.upload_id == task.upload_id)
    ).scalar_one_or_none()
    if current is None:
        msg = "The ledger no longer knows this upload: retention or erasure took it."
        raise Conflict(msg)
    if current != task.verdict_id and task.kind in ("review", "second"):
        msg = "A newer verdict came meanwhile. Read it first: the page shows it now."
        raise Conflict(msg)
    if action is Action.REVIEW and task.kind != "review":
        msg = "You are the second person here: decide allow, restrict or remove."
        raise Conflict(msg)


def undo(ledger: Ledger, decision_id: str, reviewer: str) -> Decision:
    """Take back a decision that still waits; the reviewer holds the case again.

    Raises:
        Conflict: If it is theirs no more to undo.
    """

    def work(connection: Connection) -> Decision:
        at = now()
        done = connection.execute(
            update(decisions)
            .where(
                decisions.c.id == decision_id,
                decisions.c.reviewer == reviewer,
                decisions.c.state == "waiting",
                decisions.c.due_at > at,
            )
            .values(state="undone")
        )
        found = _get(connection, decision_id)
        if done.rowcount != 1 or found is None:
            msg = "It is too late to undo this: the decision is on its way. Decide again instead."
            raise Conflict(msg)
        connection.execute(
            update(tasks)
            .where(tasks.c.id == found.task_id)
            .values(
                state="open",
                outcome=None,
                closed_at=None,
                claimed_by=reviewer,
                claimed_until=at + LEASE,
            )
        )
        audit.append(connection, reviewer, "case.undone", found.upload_id, kind=found.kind)
        return found

    return ledger.transact(work, writes=True)


def of_case(connection: Connection, upload_id: str) -> list[Decision]:
    """What was decided of a case in the console, oldest first."""
    query = select(decisions).where(decisions.c.upload_id == upload_id).order_by(decisions.c.at)
    return [to_decision(row) for row in connection.execute(query)]


def waiting_of(connection: Connection, reviewer: str) -> Decision | None:
    """The reviewer's last decision, if it can still be undone."""
    query = (
        select(decisions)
        .where(
            decisions.c.reviewer == reviewer,
            decisions.c.state == "waiting",
            decisions.c.due_at > now(),
        )
        .order_by(decisions.c.at.desc())
        .limit(1)
    )
    row = connection.execute(query).first()
    return None if row is None else to_decision(row)


def _get(connection: Connection, decision_id: str) -> Decision | None:
    row = connection.execute(select(decisions).where(decisions.c.id == decision_id)).first()
    return None if row is None else to_decision(row)


def to_decision(row: Row[Any]) -> Decision:
    """From the row of ``decisions``."""
    return Decision(**{**row._mapping, "action": Action(row.action)})

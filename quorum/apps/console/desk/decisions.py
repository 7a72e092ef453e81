"""Reviewers' decisions, which can be undone until they are published."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, Row, insert, select, update

from quorum.apps.console.accounts import audit
from quorum.apps.console.accounts.audited import decision_digest
from quorum.apps.console.accounts.separation import one_person
from quorum.apps.console.desk.claims import LEASE, lock_case
from quorum.apps.console.desk.replies import MAX_REPLY, Replying, no_reply
from quorum.apps.console.desk.tasks import ReviewTask, get_task
from quorum.core.errors import QuorumError
from quorum.core.messages import Action, Review, digest, now
from quorum.store.ledger import Ledger
from quorum.store.ledger.console_schema import audit_log, decisions, tasks
from quorum.store.ledger.schema import cases, verdicts

__all__ = [
    "MAX_NOTE",
    "Conflict",
    "ReviewDecision",
    "check_note",
    "decide",
    "decision_from_row",
    "new_decision",
    "of_case",
    "undo",
    "undoable",
]

#: Characters; the next reviewer reads the note on a screen.
MAX_NOTE: Final = 4000


class Conflict(QuorumError):
    """The state changed meanwhile; nothing was changed, and the text states what to do."""


@dataclass(frozen=True, slots=True)
class ReviewDecision:
    """A reviewer's decision on a case."""

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
    bulk: str | None = None
    reply: str | None = None

    def review(self) -> Review:
        """Convert the decision to a review message."""
        return Review(
            upload_id=self.upload_id,
            verdict_id=self.verdict_id,
            action=self.action,
            reviewer=self.reviewer,
            labels=() if self.category is None else (self.category,),
            note=self.note,
            reply=self.reply,
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
    *,
    categories: Container[str] | None = None,
    reply: Replying = no_reply,
) -> ReviewDecision:
    """Decide a case that the reviewer holds.

    Args:
        ledger: The ledger.
        task_id: The task.
        reviewer: The reviewer.
        action: The action; ``review`` requests a second reviewer.
        category: The category of harm, as named by the policy; None for that of the verdict.
        note: A note for other reviewers.
        undo: How long the decision can be undone.
        categories: The categories of the policy in force; None to accept any, and none at all.
        reply: What the uploader is told in the reviewer's words.

    Raises:
        Conflict: If the reviewer no longer holds the task, a newer verdict exists, or what is
            restricted or removed has no category of the policy.
    """
    check_note(note)

    def work(connection: Connection) -> ReviewDecision:
        at = now()
        task = get_task(connection, task_id)
        if task is None:
            msg = "This case is no longer in any queue."
            raise Conflict(msg)
        lock_case(connection, task.upload_id)
        task = get_task(connection, task_id) or task
        _check(connection, task, reviewer, action, at)
        _check_correction(connection, task, action, note)
        harm = _category(connection, task, action, category, categories)
        asks = action is Action.REVIEW
        measures = task.kind in ("double", "golden")
        made = new_decision(
            task,
            reviewer,
            action,
            harm,
            note,
            at,
            undo,
            reply,
            seconds=_seconds(connection, task, reviewer, at),
        )
        row = row_of(made)
        connection.execute(insert(decisions), row)
        connection.execute(
            update(tasks)
            .where(tasks.c.id == task.id)
            .values(state="closed", outcome=action.value, closed_at=at)
        )
        details = {
            "action": action.value,
            "kind": task.kind,
            "category": made.category,
            "decision": made.id,
            "row": decision_digest(row),
        }
        event = "case.passed-on" if asks else "case.measured" if measures else "case.decided"
        audit.append(connection, reviewer, event, task.upload_id, **details)
        return made

    return ledger.transact(work, writes=True)


def check_note(note: str) -> None:
    """Refuse a note that is too long.

    Raises:
        Conflict: If it is.
    """
    if len(note) > MAX_NOTE:
        msg = f"The note has {len(note):,} characters; the limit is {MAX_NOTE:,}. Shorten it."
        raise Conflict(msg)


def new_decision(
    task: ReviewTask,
    reviewer: str,
    action: Action,
    category: str | None,
    note: str,
    at: datetime,
    undo: timedelta,
    reply: Replying,
    *,
    seconds: float | None = None,
    bulk: str | None = None,
) -> ReviewDecision:
    """A decision of a task, which waits until it can no longer be undone.

    Args:
        task: The task.
        reviewer: The reviewer.
        action: The action; an upload that is allowed has no category.
        category: The category of harm.
        note: A note for other reviewers.
        at: The time.
        undo: How long the decision can be undone.
        reply: What the uploader is told in the reviewer's words.
        seconds: How long the reviewer looked at the case; None if that is not known.
        bulk: The decision on many cases that it is a part of.

    Raises:
        Conflict: If the reply is too long.
    """
    told = None if action is Action.REVIEW else _checked_reply(reply(task, category))
    return ReviewDecision(
        id=digest("decision", task.id, reviewer, str(at)),
        task_id=task.id,
        upload_id=task.upload_id,
        verdict_id=task.verdict_id,
        kind=task.kind,
        reviewer=reviewer,
        action=action,
        category=None if action is Action.ALLOW else category,
        note=note.replace("\x00", "\ufffd"),
        at=at,
        due_at=at + undo,
        state="waiting",
        seconds=seconds,
        error=None,
        bulk=bulk,
        reply=told,
    )


def row_of(decision: ReviewDecision) -> dict[str, Any]:
    """The row of a decision."""
    row = {name: getattr(decision, name) for name in ReviewDecision.__slots__}
    return {**row, "action": decision.action.value}


def _checked_reply(text: str | None) -> str | None:
    """The reply, unless it is too long.

    Raises:
        Conflict: If it is.
    """
    if text is not None and len(text) > MAX_REPLY:
        msg = f"The reply has {len(text):,} characters; the limit is {MAX_REPLY:,}. Shorten it."
        raise Conflict(msg)
    return text


def _check_correction(connection: Connection, task: ReviewTask, action: Action, note: str) -> None:
    """Who decides a case again changes it, and says why."""
    if task.kind != "again":
        return
    query = select(verdicts.c.action).where(verdicts.c.id == task.verdict_id)
    if connection.execute(query).scalar_one_or_none() == action.value:
        msg = f"The verdict in force is {action.value} already: choose another action."
        raise Conflict(msg)
    if not note.strip():
        msg = "State in the note why the decision changes; nothing was saved."
        raise Conflict(msg)


def _category(
    connection: Connection,
    task: ReviewTask,
    action: Action,
    chosen: str | None,
    known: Container[str] | None,
) -> str | None:
    """The category of a decision: what an uploader is told is never a guess."""
    if action is Action.ALLOW:
        return None
    if known is None:
        return chosen
    if chosen is None:
        query = select(verdicts.c.category).where(verdicts.c.id == task.verdict_id)
        chosen = connection.execute(query).scalar_one_or_none()
    if chosen is not None and chosen not in known:
        chosen = None
    if chosen is None and action is not Action.REVIEW:
        msg = (
            "Choose a category: the uploader is told which rule was broken. Nothing was saved yet."
        )
        raise Conflict(msg)
    return chosen


def _seconds(connection: Connection, task: ReviewTask, reviewer: str, at: datetime) -> float | None:
    """Seconds since the reviewer opened the case: a claim opens it, and renewals do not."""
    log = audit_log.c
    query = (
        select(log.at)
        .where(log.subject == task.upload_id, log.event == "case.claimed", log.actor == reviewer)
        .order_by(log.number.desc())
        .limit(1)
    )
    opened = connection.execute(query).scalar_one_or_none()
    return (
        None if opened is None else max(0.0, (at - datetime.fromisoformat(opened)).total_seconds())
    )


def _check(
    connection: Connection, task: ReviewTask, reviewer: str, action: Action, at: datetime
) -> None:
    if task.state != "open":
        msg = f"This case was decided meanwhile ({task.outcome}). Your decision was not saved."
        raise Conflict(msg)
    holder = task.held(at)
    if holder != reviewer:
        msg = (
            f"{holder} holds this case now."
            if holder
            else "Your claim on this case expired. Claim it again, then decide."
        )
        raise Conflict(msg)
    current = connection.execute(
        select(cases.c.verdict_id).where(cases.c.upload_id == task.upload_id)
    ).scalar_one_or_none()
    if current is None:
        msg = "This upload is no longer in the ledger: retention or an erasure deleted it."
        raise Conflict(msg)
    if current != task.verdict_id and task.kind in ("review", "second", "again"):
        msg = "A newer verdict arrived meanwhile. The page shows it now; read it first."
        raise Conflict(msg)
    if task.not_for is not None and (why := one_person(connection, task.not_for, reviewer)):
        msg = f"A second person must decide this case: {why}."
        raise Conflict(msg)
    if action is Action.REVIEW and task.kind != "review":
        whose = {
            "report": "A report is answered",
            "notice": "A notice is answered",
            "again": "A case is decided again",
        }
        msg = (
            f"{whose.get(task.kind, 'You are the second reviewer')}: choose allow, restrict or "
            "remove."
        )
        raise Conflict(msg)


def undo(ledger: Ledger, decision_id: str, reviewer: str) -> ReviewDecision:
    """Undo a decision that is not published yet, and lease the case to the reviewer again.

    Raises:
        Conflict: If the decision cannot be undone any more.
    """

    def work(connection: Connection) -> ReviewDecision:
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
            msg = "It is too late to undo this decision: it is being published."
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
        details = {"kind": found.kind, "decision": found.id}
        audit.append(connection, reviewer, "case.undone", found.upload_id, **details)
        return found

    return ledger.transact(work, writes=True)


def of_case(connection: Connection, upload_id: str) -> list[ReviewDecision]:
    """Return all decisions on a case, oldest first."""
    query = select(decisions).where(decisions.c.upload_id == upload_id).order_by(decisions.c.at)
    return [decision_from_row(row) for row in connection.execute(query)]


def undoable(connection: Connection, reviewer: str) -> ReviewDecision | None:
    """Return the reviewer's last decision if it can still be undone."""
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
    return None if row is None else decision_from_row(row)


def _get(connection: Connection, decision_id: str) -> ReviewDecision | None:
    row = connection.execute(select(decisions).where(decisions.c.id == decision_id)).first()
    return None if row is None else decision_from_row(row)


def decision_from_row(row: Row[Any]) -> ReviewDecision:
    """Convert a row of the table ``decisions``."""
    return ReviewDecision(**{**row._mapping, "action": Action(row.action)})

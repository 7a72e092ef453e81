"""Decisions that follow from an earlier one of the same person, without a task of their own."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, insert, update

from quorum.apps.console.accounts import audit
from quorum.apps.console.accounts.audited import decision_digest
from quorum.apps.console.desk.decisions import new_decision, row_of
from quorum.apps.console.desk.replies import no_reply
from quorum.apps.console.desk.tasks import get_task, open_task
from quorum.core.messages import Action
from quorum.store.ledger import LedgerCase
from quorum.store.ledger.console_schema import decisions, tasks

__all__ = ["decide_after"]


def decide_after(
    connection: Connection,
    case: LedgerCase,
    by: str,
    action: Action,
    category: str | None,
    text: str,
    *,
    key: str,
    at: datetime,
    **details: Any,
) -> str:
    """Decide a case in the name of who decided so before, on a condition that has come.

    The decision leaves the outbox as all others do; its line in the audit log names the condition.

    Args:
        connection: A transaction that writes.
        case: The case, with its verdict.
        by: Who decided.
        action: The action.
        category: The category of harm.
        text: The note for other reviewers.
        key: Distinguishes the decisions of one verdict.
        at: The time.
        details: More of the line in the audit log.

    Returns:
        The id of the task that the decision closes.
    """
    assert case.verdict is not None
    task_id = open_task(connection, "notice", case.upload, case.verdict, key=key)
    task = get_task(connection, task_id)
    assert task is not None
    made = new_decision(task, by, action, category, text, at, timedelta(0), no_reply)
    values = row_of(made)
    connection.execute(insert(decisions), values)
    connection.execute(
        update(tasks)
        .where(tasks.c.id == task_id)
        .values(state="closed", outcome=action.value, closed_at=at)
    )
    told = {"kind": "notice", "category": category, "decision": made.id}
    told |= {"action": action.value, "row": decision_digest(values)}
    audit.append(connection, by, "case.decided", case.upload_id, **told, **details)
    return task_id

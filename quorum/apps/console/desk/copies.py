"""Copies of what a legal notice had removed, at the desk.

An identical copy is removed by the decision on the notice: a person saw this content. One that is
only similar becomes a task, with the clock of the notice.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, select, update

from quorum.apps.console.desk.decisions import decision_from_row
from quorum.apps.console.desk.follow_up import decide_after
from quorum.apps.console.desk.reported import FIRST
from quorum.apps.console.desk.tasks import open_task
from quorum.core.messages import Action
from quorum.store.ledger import LedgerCase
from quorum.store.ledger.console_schema import decisions
from quorum.store.ledger.notices_schema import notice_copies
from quorum.store.ledger.reading import load_cases
from quorum.store.notices.copies import decide_copy, found_copies

__all__ = ["CATEGORY", "sync_copies"]

_BATCH: Final = 500
#: The categories of the DSA to which each kind of notice belongs.
CATEGORY: Final = {"intimate": "cyber-violence", "copyright": "intellectual-property"}


def sync_copies(connection: Connection, at: datetime) -> None:
    """Decide identical copies, open a task for similar ones, and note what was decided."""
    rows = found_copies(connection, _BATCH)
    read = load_cases(connection, [row.upload_id for row in rows], ("upload", "verdicts"))
    for row, case in zip(rows, read, strict=True):
        if row.task_id is None and case.verdict is not None and not case.awaits_decision:
            _begin(connection, row, case, at)
    _settle(connection, at)


def _begin(connection: Connection, row: Any, case: LedgerCase, at: datetime) -> None:
    assert case.verdict is not None
    if case.verdict.action is Action.REMOVE:
        decide_copy(connection, row, action="remove", by=row.notice_by, at=at)
        return
    if row.how == "identical":
        query = (
            select(decisions)
            .where(decisions.c.task_id == row.notice_task, decisions.c.state == "published")
            .limit(1)
        )
        found = connection.execute(query).first()
        if found is None:
            return
        first = decision_from_row(found)
        task_id = decide_after(
            connection,
            case,
            first.reviewer,
            first.action,
            first.category,
            "The same content as what a legal notice had removed.",
            key=f"copy {row.notice_id}",
            at=at,
            notice=row.notice_id,
        )
    else:
        task_id = open_task(
            connection,
            "notice",
            case.upload,
            case.verdict,
            key=f"copy {row.notice_id}",
            category=CATEGORY["intimate"],
            due_at=row.due_at,
            first=2 * FIRST,
        )
    c = notice_copies.c
    connection.execute(
        update(notice_copies)
        .where(c.notice_id == row.notice_id, c.upload_id == row.upload_id)
        .values(task_id=task_id)
    )


def _settle(connection: Connection, at: datetime) -> None:
    c, d = notice_copies.c, decisions.c
    query = (
        select(notice_copies, d.id.label("decision"))
        .join(decisions, d.task_id == c.task_id)
        .where(c.state == "found", d.state == "published")
        .limit(_BATCH)
    )
    for row in connection.execute(query).all():
        made = decision_from_row(
            connection.execute(select(decisions).where(d.id == row.decision)).one()
        )
        review = made.review().event_id()
        action = made.action.value
        decide_copy(connection, row, action=action, by=made.reviewer, at=at, review=review)

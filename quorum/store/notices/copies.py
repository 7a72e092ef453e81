"""Copies of what a notice had removed, in the ledger: found, due, decided."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, insert, or_, select, update

from quorum.store.ledger.notices_schema import notice_copies, notices
from quorum.store.notices.events import THE_CLOCK, note
from quorum.store.notices.values import NoticeRules

__all__ = ["add_copy", "decide_copy", "found_copies", "originals", "swept", "work_id"]


def work_id(notice_id: str) -> str:
    """The name by which the catalogue knows what a notice had removed; it names nobody."""
    return f"notice-{notice_id[:32]}"


def originals(connection: Connection) -> Sequence[Any]:
    """The notices of intimate images whose content was removed, oldest first."""
    n = notices.c
    query = (
        select(notices)
        .where(n.kind == "intimate", n.state == "removed", n.upload_id.is_not(None))
        .order_by(n.at, n.id)
    )
    return connection.execute(query).all()


def add_copy(
    connection: Connection,
    notice: Any,
    upload_id: str,
    how: str,
    score: float,
    rules: NoticeRules,
    at: datetime,
) -> bool:
    """Note an upload that shows what a notice had removed.

    It is due with the notice or, if it was found later, as long after it was found.

    Returns:
        Whether it was not known.
    """
    c = notice_copies.c
    known = select(c.upload_id).where(c.notice_id == notice.id, c.upload_id == upload_id)
    if connection.execute(known).first() is not None:
        return False
    span = timedelta(hours=rules.intimate_hours)
    due = notice.at + span if at < notice.at + span else at + span
    connection.execute(
        insert(notice_copies).values(
            notice_id=notice.id,
            upload_id=upload_id,
            how=how,
            score=score,
            found_at=at,
            due_at=due,
            state="found",
        )
    )
    told = {"upload": upload_id, "how": how, "score": round(score, 4), "due": due.isoformat()}
    note(connection, notice.id, "copy-found", THE_CLOCK, at, **told)
    return True


def swept(connection: Connection, notice_id: str, to: str) -> None:
    """Note up to which upload copies of a notice's content were looked for; never an earlier."""
    n = notices.c
    connection.execute(
        update(notices)
        .where(n.id == notice_id, or_(n.swept_to.is_(None), n.swept_to < to))
        .values(swept_to=to)
    )


def found_copies(connection: Connection, limit: int) -> Sequence[Any]:
    """The copies that are to be decided, with what was decided on their notice."""
    n, c = notices.c, notice_copies.c
    query = (
        select(
            notice_copies,
            n.action.label("notice_action"),
            n.decided_by.label("notice_by"),
            n.task_id.label("notice_task"),
        )
        .join(notices, n.id == c.notice_id)
        .where(c.state == "found")
        .order_by(c.due_at, c.upload_id)
        .limit(limit)
    )
    return connection.execute(query).all()


def decide_copy(
    connection: Connection, copy: Any, *, action: str, by: str, at: datetime, review: str = ""
) -> None:
    """Note what was decided on a copy.

    Args:
        connection: A transaction that writes.
        copy: The copy.
        action: The action; ``allow`` keeps it.
        by: Who decided.
        at: When.
        review: The id of the published review.
    """
    c = notice_copies.c
    state = "kept" if action == "allow" else "removed"
    connection.execute(
        update(notice_copies)
        .where(c.notice_id == copy.notice_id, c.upload_id == copy.upload_id)
        .values(state=state, decided_at=at, decided_by=by)
    )
    told = {"upload": copy.upload_id, "action": action, "how": copy.how, "review": review}
    told |= {"due": copy.due_at.isoformat(), "in_time": at <= copy.due_at}
    note(connection, copy.notice_id, f"copy-{state}", by, at, **told)

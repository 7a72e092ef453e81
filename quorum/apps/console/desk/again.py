"""Deciding a case again: whoever may decide corrects what they find, with a new revision."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, select

from quorum.apps.console.accounts.access import Permission, User
from quorum.apps.console.accounts.names import folded
from quorum.apps.console.desk.claims import claim
from quorum.apps.console.desk.decisions import Conflict
from quorum.apps.console.desk.tasks import ReviewTask, open_task
from quorum.core.messages import now
from quorum.store.ledger import Ledger, LedgerCase
from quorum.store.ledger.console_schema import decisions, tasks
from quorum.store.ledger.reading import load_cases

__all__ = ["begin", "refusal"]

#: What a reviewer waits for, or another one is asked: such a case is decided there.
_WAITS: Final = ("review", "second", "appeal", "report", "notice")


def refusal(case: LedgerCase, user: User) -> str | None:
    """Why a user may not decide a case again; None if they may.

    What the policy decided, or they themselves, every reviewer may correct; what another reviewer
    decided, a lead.
    """
    verdict = case.verdict
    if verdict is None:
        return "There is no verdict on this upload yet."
    if not user.may(Permission.DECIDE):
        return "Your role reads cases and does not decide them."
    if verdict.decided_by != "reviewer" or user.may(Permission.LEAD):
        return None
    reviews = case.counted_reviews
    last = max(reviews, key=lambda one: one.at).reviewer if reviews else None
    if last is not None and folded(last) == folded(user.name):
        return None
    return f"{last or 'Another reviewer'} decided this case; a lead can decide it again."


def begin(ledger: Ledger, upload_id: str, user: User) -> ReviewTask:
    """Open a task on the verdict in force for this user alone, and lease it to them.

    Raises:
        Conflict: If they may not decide it, or it waits for a reviewer already.
    """

    def work(connection: Connection) -> str:
        (case,) = load_cases(connection, [upload_id], ("upload", "verdicts", "reviews"))
        if (why := refusal(case, user)) is not None:
            raise Conflict(why)
        assert case.verdict is not None
        t, d = tasks.c, decisions.c
        open_tasks = connection.execute(
            select(t.id, t.kind, t.only_for).where(
                t.upload_id == upload_id, t.state == "open", t.verdict_id == case.verdict.id
            )
        ).all()
        if any(one.kind in _WAITS for one in open_tasks):
            msg = "This case waits for a reviewer: take it, and decide it as usual."
            raise Conflict(msg)
        waits = select(d.reviewer).where(d.upload_id == upload_id, d.state == "waiting")
        if (who := connection.execute(waits).scalars().first()) is not None:
            msg = f"A decision by {who} is about to be published; undo it, or wait for its verdict."
            raise Conflict(msg)
        for one in open_tasks:
            if one.kind == "again" and one.only_for == user.name:
                return str(one.id)
        key = f"{user.name} {now().isoformat()}"
        return open_task(
            connection, "again", case.upload, case.verdict, key=key, only_for=user.name
        )

    task = claim(ledger, ledger.transact(work, writes=True), user.name)
    if task is None:
        msg = "Another reviewer holds this case now; try again when they are done."
        raise Conflict(msg)
    return task

"""Golden cases: cases with a known answer, which reviewers cannot recognise."""

from __future__ import annotations

import random

from sqlalchemy import Connection, exists, insert, select

from quorum.apps.console.accounts import audit
from quorum.apps.console.desk.claims import claim
from quorum.apps.console.desk.routing import Desk
from quorum.apps.console.desk.tasks import ReviewTask, open_task
from quorum.core.messages import Action, now
from quorum.store.ledger import Ledger
from quorum.store.ledger.console_schema import golden_answers, tasks
from quorum.store.ledger.reading import load_cases

__all__ = ["assign", "set_answer"]


def set_answer(
    ledger: Ledger, upload_id: str, action: Action, category: str | None, by: str
) -> bool:
    """Make a case golden by setting its correct action; False if it has no verdict."""
    case = ledger.get_case(upload_id)
    if case is None or case.verdict is None:
        return False

    def work(connection: Connection) -> None:
        table = golden_answers
        connection.execute(table.delete().where(table.c.upload_id == upload_id))
        values = {"action": action.value, "category": category, "author": by, "at": now()}
        connection.execute(insert(table).values(upload_id=upload_id, **values))
        audit.append(connection, by, "golden.set", upload_id, action=action.value)

    ledger.transact(work, writes=True)
    return True


def assign(ledger: Ledger, reviewer: str, desk: Desk | None = None) -> ReviewTask | None:
    """Lease a random unseen golden case to the reviewer; None if there is none."""
    g, t = golden_answers.c, tasks.c
    seen = exists().where(
        t.upload_id == g.upload_id, t.kind == "golden", t.only_for == reviewer, t.state == "closed"
    )
    query = select(g.upload_id).where(~seen, g.author != reviewer).order_by(g.at).limit(50)
    found = ledger.transact(lambda connection: list(connection.execute(query).scalars()))
    if not found:
        return None
    upload_id = random.choice(found)  # noqa: S311

    def make(connection: Connection) -> str | None:
        case = load_cases(connection, [upload_id], ("upload", "verdicts"))[0]
        if case.verdict is None:
            return None
        return open_task(
            connection, "golden", case.upload, case.verdict, key=reviewer, only_for=reviewer
        )

    task_id = ledger.transact(make, writes=True)
    return None if task_id is None else claim(ledger, task_id, reviewer, desk or Desk())

"""Reports, notices and appeals about sealed uploads: who may see the case answers them, no other.

They keep their clocks. A confirmed case answers them all, since its upload is removed; a denied one
gives them back to reviewers. Until then a specialist may answer each by itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, select, update

from quorum.apps.console.accounts import audit
from quorum.core.errors import InputError
from quorum.core.messages import Action, now
from quorum.store.ledger import Ledger
from quorum.store.ledger.console_schema import appeals, tasks
from quorum.store.ledger.reading import load_cases
from quorum.store.ledger.reports_schema import report_cases
from quorum.store.notices.changing import decide_notice, reject
from quorum.store.notices.reading import find_notice, on_upload
from quorum.store.notices.values import OPEN
from quorum.store.reports.intake import stated_reason
from quorum.store.reports.reading import reports_on
from quorum.store.reports.settling import close_case
from quorum.store.sealed.reading import find_sealed

__all__ = ["Matter", "answer", "answer_all", "give_back", "matters_on"]

#: Reports of one case that are shown.
_WORDS: Final = 10


@dataclass(frozen=True, slots=True)
class Matter:
    """What somebody sent about a sealed upload, and waits.

    Attributes:
        id: Of the reported case, the notice, or the appeal.
        kind: ``report``, ``appeal``, or the kind of the notice.
        about: The category of harm, or the work.
        at: When it came.
        due_at: When it must be answered; None for an appeal.
        words: What was said.
    """

    id: str
    kind: str
    about: str
    at: datetime
    due_at: datetime | None
    words: tuple[str, ...]


def matters_on(connection: Connection, upload_id: str) -> list[Matter]:
    """What waits about an upload, the first due first."""
    c, a = report_cases.c, appeals.c
    reported = select(report_cases).where(c.upload_id == upload_id, c.state == "open")
    found = [
        Matter(row.id, "report", row.category, row.opened_at, row.due_at, _said(connection, row.id))
        for row in connection.execute(reported).all()
    ]
    found += [
        Matter(
            row.id, row.kind, row.work or "", row.at, row.due_at, tuple(filter(None, [row.text]))
        )
        for row in on_upload(connection, upload_id)
        if row.state in OPEN
    ]
    appealed = select(appeals).where(a.upload_id == upload_id, a.state == "open")
    found += [
        Matter(row.id, "appeal", "", row.at, None, (row.text,))
        for row in connection.execute(appealed)
    ]
    return sorted(found, key=lambda one: (one.due_at is None, one.due_at or one.at, one.id))


def _said(connection: Connection, case_id: str) -> tuple[str, ...]:
    rows = reports_on(connection, case_id=case_id, limit=_WORDS)
    return tuple(row.text for row in rows if row.text)


def answer(ledger: Ledger, case_id: str, matter_id: str, by: str, *, agree: bool, why: str) -> None:
    """Answer one of them while the case is sealed.

    Args:
        ledger: The ledger.
        case_id: The sealed case.
        matter_id: What is answered.
        by: Who answers it.
        agree: Whether its sender was right: only where the upload is not allowed.
        why: The reason of a refusal.

    Raises:
        InputError: If there is none, no reason is given, or it would be agreed with although the
            upload is up.
    """

    def work(connection: Connection) -> None:
        row = find_sealed(connection, case_id)
        waiting = [] if row is None else matters_on(connection, row.upload_id)
        matter = next((one for one in waiting if one.id == matter_id), None)
        if row is None or row.state == "denied" or matter is None:
            msg = "this was answered already, or the case is not sealed any more"
            raise InputError(msg)
        action = _action_on(connection, row.upload_id)
        if agree and action not in (Action.REMOVE, Action.RESTRICT):
            msg = "the upload is up: confirm the case, which removes it and answers all"
            raise InputError(msg)
        if not agree:
            why_not = stated_reason(why)
            _refuse(connection, matter, action, why_not, by, now())
        else:
            _agree(connection, matter, action, by, now())

    ledger.transact(work, writes=True)


def _action_on(connection: Connection, upload_id: str) -> Action | None:
    (case,) = load_cases(connection, [upload_id], ("verdicts",))
    return None if case.verdict is None else case.verdict.action


def _refuse(
    connection: Connection, matter: Matter, action: Action | None, why: str, by: str, at: datetime
) -> None:
    if matter.kind == "report":
        done = None if action is None else action.value
        close_case(connection, matter.id, upheld=False, action=done, at=at, by=by)
    elif matter.kind == "appeal":
        _close_appeal(connection, matter.id, why, by, at)
    else:
        reject(connection, matter.id, why=why, by=by, at=at)
    _log(connection, matter, "rejected", by)


def _agree(
    connection: Connection, matter: Matter, action: Action | None, by: str, at: datetime
) -> None:
    """Answer that the content is down, as its sender asked; what asks for its return is refused."""
    down = Action.REMOVE.value if action is None else action.value
    if matter.kind == "report":
        close_case(connection, matter.id, upheld=True, action=down, at=at, by=by)
    elif matter.kind in ("appeal", "counter"):
        msg = "it asks for the return of what is sealed: deny the case, or refuse this"
        raise InputError(msg)
    else:
        notice = find_notice(connection, matter.id)
        decide_notice(connection, notice, action=down, by=by, at=at)
    _log(connection, matter, "upheld", by)


def _close_appeal(connection: Connection, appeal_id: str, why: str, by: str, at: datetime) -> None:
    connection.execute(
        update(appeals)
        .where(appeals.c.id == appeal_id, appeals.c.state == "open")
        .values(state="upheld", reviewer=by, decided_at=at, statement=why)
    )


def _log(connection: Connection, matter: Matter, outcome: str, by: str) -> None:
    """A line of the audit log that names no upload; notices have their own events there."""
    if matter.kind in ("report", "appeal"):
        audit.append(connection, by, f"{matter.kind}.{outcome}", matter.id)


def answer_all(connection: Connection, upload_id: str, by: str, at: datetime) -> None:
    """Answer all that waits about an upload that is confirmed, and so is removed.

    Args:
        connection: The transaction that confirms it.
        upload_id: The upload.
        by: Who confirms.
        at: When.
    """
    for matter in matters_on(connection, upload_id):
        if matter.kind in ("appeal", "counter"):
            _refuse(connection, matter, Action.REMOVE, "The upload breaks the law.", by, at)
        else:
            _agree(connection, matter, Action.REMOVE, by, at)


def give_back(connection: Connection, upload_id: str) -> None:
    """Let reviewers have what waited about an upload before it was sealed, with its clock.

    What came while it was sealed gets its task once the seal is gone, as all others do.
    """
    t = tasks.c
    kinds = {one.kind for one in matters_on(connection, upload_id)}
    kinds = {kind if kind in ("report", "appeal") else "notice" for kind in kinds}
    connection.execute(
        update(tasks)
        .where(t.upload_id == upload_id, t.kind.in_(kinds), t.outcome == "sealed")
        .values(state="open", outcome=None, closed_at=None)
    )

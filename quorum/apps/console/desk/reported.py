"""Reported cases become reviewers' tasks, and are decided without one where no upload is known."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, insert, select, update

from quorum.apps.console.accounts import audit
from quorum.apps.console.desk.harm import reach
from quorum.apps.console.desk.tasks import close_tasks
from quorum.core.errors import InputError
from quorum.core.messages import digest, now
from quorum.store.ledger import Ledger
from quorum.store.ledger.console_schema import tasks
from quorum.store.ledger.reading import load_cases
from quorum.store.ledger.reports_schema import report_cases
from quorum.store.ledger.sealing import unsealed
from quorum.store.reports import reading
from quorum.store.reports.reading import ReporterRow
from quorum.store.reports.settling import close_case, link_uploads, settle

__all__ = ["FIRST", "dismiss", "link", "suspend", "sync"]

_BATCH: Final = 500
#: Added to the order of a trusted flagger's case: before all others of any queue.
FIRST: Final = 1000.0


def sync(ledger: Ledger) -> tuple[int, int]:
    """Open a task for each reported case with a verdict; close those that were decided.

    A sealed upload has none: see ``sealed_matters``.

    Returns:
        The numbers of opened tasks and of closed cases.
    """

    def work(connection: Connection) -> tuple[int, int]:
        link_uploads(connection)
        closed = settle(connection)
        _close_tasks(connection)
        return _open(connection), len(closed)

    if not ledger.transact(_any_open):
        return 0, 0
    return ledger.transact(work, writes=True)


def _any_open(connection: Connection) -> bool:
    query = select(report_cases.c.id).where(report_cases.c.state == "open").limit(1)
    return connection.execute(query).first() is not None


def _open(connection: Connection) -> int:
    c = report_cases.c
    found = connection.execute(
        select(report_cases)
        .where(c.state == "open", c.known.is_(True), c.task_id.is_(None), unsealed(c.upload_id))
        .limit(_BATCH)
    ).all()
    opened = 0
    read = load_cases(connection, [row.upload_id for row in found], ("upload", "verdicts"))
    for row, case in zip(found, read, strict=True):
        verdict = case.verdict
        if verdict is None:
            continue  # it has one soon, by its deadline
        task_id = digest("task", "report", row.id)
        upload = case.upload
        shown = ",".join(upload.territories) if upload is not None else ""
        connection.execute(
            insert(tasks).values(
                id=task_id,
                upload_id=row.upload_id,
                verdict_id=verdict.id,
                kind="report",
                state="open",
                category=row.category,
                territories=f",{shown}," if shown else "",
                severity=row.severity,
                harm=_order(row, reach(upload)),
                title="" if upload is None else upload.title.replace("\x00", "\ufffd")[:300],
                uploader=None if upload is None else upload.uploader,
                score=None,
                opened_at=row.opened_at,
                due_at=row.due_at,
            )
        )
        connection.execute(update(report_cases).where(c.id == row.id).values(task_id=task_id))
        opened += 1
    _reorder(connection)
    return opened


def _order(row: Any, reached: float) -> float:
    """Severity x reach x the probability that a reporter is right; trusted flaggers' first."""
    harm: float = row.severity * reached * (1 - row.doubt)
    return harm + FIRST if row.trusted else harm


def _reorder(connection: Connection) -> None:
    """Move open tasks whose case more people reported since, or a trusted flagger."""
    c, t = report_cases.c, tasks.c
    query = (
        select(report_cases, t.harm, t.id.label("task"))
        .join(tasks, t.id == c.task_id)
        .where(c.state == "open", t.state == "open", t.due_at != c.due_at)
        .limit(_BATCH)
    )
    for row in connection.execute(query).all():
        connection.execute(
            update(tasks)
            .where(t.id == row.task)
            .values(due_at=row.due_at, severity=row.severity, category=row.category)
        )
    weighed = (
        select(report_cases, t.harm, t.id.label("task"))
        .join(tasks, t.id == c.task_id)
        .where(c.state == "open", t.state == "open", c.reports > 0)
        .order_by(c.trusted.desc(), c.due_at)
        .limit(_BATCH)
    )
    read = connection.execute(weighed).all()
    found = load_cases(connection, [row.upload_id for row in read], ("upload",))
    for row, case in zip(read, found, strict=True):
        wanted = _order(row, reach(case.upload))
        if abs(wanted - row.harm) > 1e-9:
            connection.execute(update(tasks).where(t.id == row.task).values(harm=wanted))


def _close_tasks(connection: Connection) -> None:
    c, t = report_cases.c, tasks.c
    query = (
        select(t.id)
        .join(report_cases, c.task_id == t.id)
        .where(t.kind == "report", t.state == "open", c.state == "closed")
        .limit(_BATCH)
    )
    close_tasks(connection, list(connection.execute(query).scalars()))


def dismiss(ledger: Ledger, case_id: str, *, upheld: bool, by: str) -> None:
    """Answer the reports of a case whose upload the ledger does not know.

    Args:
        ledger: The ledger.
        case_id: The case.
        upheld: Whether the content was acted on outside of Quorum.
        by: Who decides.

    Raises:
        InputError: If the case is closed, or its upload is known and has a task.
    """

    def work(connection: Connection) -> None:
        row = _unknown(connection, case_id)
        action = "remove" if upheld else None
        close_case(connection, row.id, upheld=upheld, action=action, at=now(), by=by)
        event = "report.upheld" if upheld else "report.rejected"
        audit.append(connection, by, event, row.upload_id or row.id, case=row.id)

    ledger.transact(work, writes=True)


def link(ledger: Ledger, case_id: str, upload_id: str, by: str) -> None:
    """Name the upload at a reported address, so that it is decided as all others are.

    Raises:
        InputError: If the case is closed, or the ledger does not know the upload.
    """

    def work(connection: Connection) -> None:
        row = _unknown(connection, case_id)
        (case,) = load_cases(connection, [upload_id], ("upload",))
        if case.upload is None:
            msg = "the ledger knows no upload with this id"
            raise InputError(msg)
        connection.execute(
            update(report_cases)
            .where(report_cases.c.id == row.id)
            .values(upload_id=upload_id, content=case.upload.digest, known=True)
        )
        audit.append(connection, by, "report.linked", upload_id, case=row.id)

    ledger.transact(work, writes=True)


def _unknown(connection: Connection, case_id: str) -> Any:
    row = reading.find_case(connection, case_id)
    if row is None or row.state != "open":
        msg = "this case is closed, or there is none"
        raise InputError(msg)
    if row.known:
        msg = "the upload of this case is known: decide it on its page"
        raise InputError(msg)
    return row


def suspend(ledger: Ledger, reporter_id: str, *, days: int, by: str) -> ReporterRow:
    """Do not process a reporter's reports for some days (DSA Article 23); 0 ends it.

    Raises:
        InputError: See ``reading.suspend``.
    """
    at: datetime = now()

    def work(connection: Connection) -> ReporterRow:
        found = reading.suspend(connection, reporter_id, days=days, by=by, at=at)
        event = "reporter.suspended" if days else "reporter.admitted"
        audit.append(connection, by, event, reporter_id, days=days)
        return found

    return ledger.transact(work, writes=True)

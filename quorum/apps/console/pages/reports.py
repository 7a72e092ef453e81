"""Users' reports: their queue and its clock, the log and its export, and reporters' records."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import partial
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request
from sqlalchemy import Connection, Select, select, tuple_
from starlette.responses import Response, StreamingResponse

from quorum.apps.console.accounts import audit
from quorum.apps.console.desk import reported
from quorum.apps.console.pages.base import (
    CurrentSession,
    FormFields,
    Lead,
    PageError,
    console_of,
    refuse_sealed,
)
from quorum.apps.console.pages.rendering import redirect, render
from quorum.core.errors import InputError
from quorum.core.messages import now
from quorum.core.spreadsheet import UTF8_MARK, csv_line
from quorum.store.ledger import Ledger
from quorum.store.ledger.reports_schema import report_cases, reports
from quorum.store.reports.reading import (
    Shown,
    case_counts,
    case_page,
    find_case,
    reports_on,
    worst_reporters,
)
from quorum.store.reports.values import Track

__all__ = ["router"]

router = APIRouter()
_PAGE: Final = 50
_SHOWN: Final[tuple[Shown, ...]] = ("open", "trusted", "unknown", "closed")
#: Columns of the export: no names, addresses or words of reporters.
_COLUMNS: Final = (
    *("id", "case_id", "upload_id", "at", "category", "law", "trusted", "client", "reference"),
    *("lacks", "state", "repeat", "decided_at", "action"),
)


@router.get("/reports")
def reports_page(
    request: Request,
    session: CurrentSession,
    show: str = "open",
    page: Annotated[int, Query(ge=0, le=10_000)] = 0,
    before: Annotated[str, Query(max_length=400)] = "",
) -> Response:
    """Show one page of the reported cases."""
    what: Shown = next((one for one in _SHOWN if one == show), "open")

    def work(connection: Connection) -> tuple[Any, dict[str, int]]:
        rows = case_page(connection, what, _PAGE + 1, offset=page * _PAGE, before=_mark(before))
        return rows, case_counts(connection, now())

    rows, counts = console_of(request).ledger.transact(work)
    more = len(rows) > _PAGE
    last = rows[_PAGE - 1] if more and what == "closed" else None
    return render(
        request,
        "reports.html",
        rows=rows[:_PAGE],
        counts=counts,
        show=what,
        shown=_SHOWN,
        page=page,
        more=more,
        before="" if last is None else f"{last.closed_at.isoformat()},{last.id}",
    )


def _mark(text: str) -> tuple[datetime, str] | None:
    at, _, case_id = text.partition(",")
    try:
        found = datetime.fromisoformat(at)
    except ValueError:
        return None
    return (found, case_id) if found.tzinfo else None


@router.get("/reports/case")
def report_case(
    request: Request, session: CurrentSession, case: Annotated[str, Query(max_length=64)]
) -> Response:
    """Show the reports of one case."""
    return _case(request, case)


def _case(request: Request, case_id: str, status: int = 200, message: str = "") -> Response:
    def work(connection: Connection) -> tuple[Any, Any]:
        return find_case(connection, case_id), reports_on(connection, case_id=case_id)

    row, found = console_of(request).ledger.transact(work)
    if row is None:
        raise PageError(404, "There is no such report.")
    refuse_sealed(console_of(request), request.state.session.user, row.upload_id)
    return render(
        request,
        "report_case.html",
        status,
        case=row,
        reports=found,
        tracks=[Track(one.upheld, one.rejected) for one in found],
        message=message,
    )


@router.get("/case/reports")
def of_case(
    request: Request, session: CurrentSession, upload: Annotated[str, Query(max_length=256)]
) -> Response:
    """Render the reports on an upload; a case's page loads this."""
    found = console_of(request).ledger.transact(lambda c: reports_on(c, upload_id=upload, limit=10))
    tracks = [Track(one.upheld, one.rejected) for one in found]
    return render(request, "_reports.html", reports=found, tracks=tracks)


@router.post("/reports/case")
def answer_case(request: Request, given: FormFields, user: Lead) -> Response:
    """Answer reports on an upload that the ledger does not know, or name the upload."""
    ledger, case_id = console_of(request).ledger, given.get("case", "")
    try:
        if given.get("what") == "link":
            reported.link(ledger, case_id, given.get("named", "").strip(), user.name)
        else:
            upheld = given.get("what") == "uphold"
            reported.dismiss(ledger, case_id, upheld=upheld, by=user.name)
    except InputError as error:
        return _case(request, case_id, 422, f"{str(error).capitalize()}.")
    return redirect(request, "/reports")


@router.get("/reports/reporters")
def reporters_page(request: Request, session: CurrentSession) -> Response:
    """Show the reporters with most rejected reports, those in bad faith first."""
    found = console_of(request).ledger.transact(worst_reporters)
    return render(request, "reporters.html", reporters=found, at=now())


@router.post("/reports/reporters")
def suspend(request: Request, given: FormFields, user: Lead) -> Response:
    """Suspend a reporter for some days, or end that."""
    days = given.get("days", "")
    if not (days.isascii() and days.isdigit() and len(days) < 6):
        raise PageError(422, "Give the days of the suspension as a whole number; 0 ends it.")
    try:
        reported.suspend(
            console_of(request).ledger, given.get("reporter", ""), days=int(days), by=user.name
        )
    except InputError as error:
        raise PageError(422, f"{str(error).capitalize()}.") from None
    return redirect(request, "/reports/reporters")


@router.get("/reports.csv")
def export(request: Request, user: Lead) -> Response:
    """Stream all reports as CSV, oldest first; the export is a line of the audit log."""
    ledger = console_of(request).ledger
    ledger.transact(
        lambda c: audit.append(c, user.name, "reports.exported", "reports"), writes=True
    )
    return StreamingResponse(
        _lines(ledger),
        media_type="text/csv; charset=utf-8",
        headers={"content-disposition": 'attachment; filename="reports.csv"'},
    )


def _lines(ledger: Ledger) -> Iterator[str]:
    r, after = reports.c, None
    yield UTF8_MARK + csv_line([*_COLUMNS, "case_outcome", "decided_by"])
    while True:
        query = (
            select(reports, report_cases.c.outcome, report_cases.c.decided_by)
            .join(report_cases, report_cases.c.id == r.case_id)
            .order_by(r.at, r.id)
            .limit(500)
        )
        if after is not None:
            query = query.where(tuple_(r.at, r.id) > tuple_(*after, types=[r.at.type, r.id.type]))
        rows = ledger.transact(partial(_rows, query=query))
        yield "".join(
            csv_line([*(getattr(row, name) for name in _COLUMNS), row.outcome, row.decided_by])
            for row in rows
        )
        if len(rows) < 500:
            return
        after = (rows[-1].at, rows[-1].id)


def _rows(connection: Connection, query: Select[Any]) -> Sequence[Any]:
    return connection.execute(query).all()

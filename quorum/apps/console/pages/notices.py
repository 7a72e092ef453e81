"""Legal notices: a queue for each kind with its clock, one notice with its log, exports."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request
from sqlalchemy import Connection
from starlette.responses import Response, StreamingResponse

from quorum.apps.console.accounts import audit
from quorum.apps.console.accounts.access import User
from quorum.apps.console.desk import noticed
from quorum.apps.console.desk.kept import Kept
from quorum.apps.console.pages.base import (
    Console,
    CurrentSession,
    FormFields,
    IdentityReader,
    Lead,
    PageError,
    UploadId,
    console_of,
    refuse_sealed,
)
from quorum.apps.console.pages.rendering import redirect, render
from quorum.core.errors import InputError
from quorum.core.messages import now
from quorum.core.spreadsheet import UTF8_MARK, csv_line
from quorum.store.ledger import Ledger
from quorum.store.notices.letters import asks, examples, letters
from quorum.store.notices.reading import (
    COLUMNS,
    Shown,
    clock_of,
    copies_of,
    events_of,
    every_notice,
    find_notice,
    infringers,
    notice_page,
    on_upload,
    standing_against,
)
from quorum.store.notices.values import KINDS, Kind

__all__ = ["router"]

router = APIRouter()
_PAGE: Final = 50
_SHOWN: Final[tuple[Shown, ...]] = ("open", "invalid", "closed")

NoticeId = Annotated[str, Query(max_length=64)]


@router.get("/notices")
def notices_page(
    request: Request,
    session: CurrentSession,
    kind: str = "intimate",
    show: str = "open",
    page: Annotated[int, Query(ge=0, le=10_000)] = 0,
) -> Response:
    """Show one page of the queue of a kind."""
    chosen = _kind(kind) or "intimate"
    what: Shown = next((one for one in _SHOWN if one == show), "open")
    console = console_of(request)

    rows = console.ledger.transact(
        lambda c: notice_page(c, chosen, what, _PAGE + 1, offset=page * _PAGE)
    )
    kept: Kept[noticed.NoticeCounts] = request.app.state.notice_counts
    counted = kept.current()
    nothing = dict.fromkeys(("open", "invalid", "closed", "overdue"), 0)
    return render(
        request,
        "notices.html",
        rows=rows[:_PAGE],
        clocks=[clock_of(one) for one in rows[:_PAGE]],
        counts={name: counted.by_kind.get(name, nothing) for name in KINDS},
        kind=chosen,
        kinds=KINDS,
        show=what,
        shown=_SHOWN,
        page=page,
        more=len(rows) > _PAGE,
        repeat=counted.infringers,
    )


def _kind(text: str) -> Kind | None:
    return next((one for one in KINDS if one == text), None)


@router.get("/notices/one")
def one_notice(request: Request, session: CurrentSession, notice: NoticeId) -> Response:
    """Show one notice with its clock, its letters and its log."""
    return _one(request, notice)


def _one(request: Request, notice_id: str, status: int = 200, **more: Any) -> Response:
    console = console_of(request)
    rules = console.settings.notices

    def work(connection: Connection) -> dict[str, Any] | None:
        row = find_notice(connection, notice_id)
        if row is None:
            return None
        waits = row.kind == "counter" and row.state == "waiting" and row.task_id is None
        about = on_upload(connection, row.upload_id) if row.upload_id else []
        events = events_of(connection, row.id)
        return {
            "one": row,
            "events": events,
            "letters": letters(connection, row, events, rules),
            "copies": copies_of(connection, row.id),
            "others": [other for other in about if other.id != row.id],
            "standing": standing_against(connection, row.uploader) if row.uploader else 0,
            "problem": noticed.put_back_problem(connection, row) if waits else None,
        }

    found = console.ledger.transact(work)
    if found is None:
        raise PageError(404, "There is no such notice.")
    row = found["one"]
    refuse_sealed(console, request.state.session.user, row.upload_id)
    lacks = tuple(row.lacks.split(",")) if row.lacks else ()
    given: dict[str, Any] = {"message": "", "person": None, "opened": False, **more}
    return render(
        request,
        "notice_one.html",
        status,
        **found,
        clock_of_it=clock_of(row),
        term=rules.put_back(row.at) if row.kind == "counter" else None,
        asks=asks(row.kind, lacks),
        most=rules.repeat,
        **given,
    )


@router.post("/notices/one")
def change(request: Request, given: FormFields, user: Lead) -> Response:
    """Admit, reject or link a notice, accept a counter-notice, or record a suit."""
    console, notice_id = console_of(request), given.get("notice", "")
    _open_to(console, user, notice_id)
    ledger, rules = console.ledger, console.settings.notices
    try:
        match given.get("what"):
            case "admit":
                noticed.admit(ledger, notice_id, rules, user.name)
            case "reject":
                noticed.reject(ledger, notice_id, given.get("why", ""), rules, user.name)
            case "accept":
                noticed.accept(ledger, notice_id, rules, user.name)
            case "suit":
                noticed.sued(ledger, notice_id, given.get("why", ""), rules, user.name)
            case "link":
                noticed.link(ledger, notice_id, given.get("named", "").strip(), user.name)
            case _:
                raise PageError(422, "Choose what to do with the notice.")
    except InputError as error:
        return _one(request, notice_id, 422, message=f"{_capital(str(error))}.")
    return redirect(request, "/notices/one", notice=notice_id)


def _open_to(console: Console, user: User, notice_id: str) -> None:
    """Refuse a notice on a sealed upload: who sees the case answers it there."""
    row = console.ledger.transact(lambda c: find_notice(c, notice_id))
    refuse_sealed(console, user, None if row is None else row.upload_id)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


@router.post("/notices/identity")
def identity(request: Request, given: FormFields, user: IdentityReader) -> Response:
    """Show who sent a notice, which is a line of the audit log."""
    notice_id = given.get("notice", "")
    _open_to(console_of(request), user, notice_id)
    try:
        person = noticed.open_identity(console_of(request).ledger, notice_id, user.name)
    except InputError:
        raise PageError(404, "There is no such notice.") from None
    return _one(request, notice_id, person=person, opened=True)


@router.get("/notices/infringers")
def infringers_page(request: Request, session: CurrentSession) -> Response:
    """Show the uploaders with standing copyright notices, the most first."""
    console = console_of(request)
    found = console.ledger.transact(lambda c: infringers(c, 1))
    return render(request, "infringers.html", found=found, most=console.settings.notices.repeat)


@router.get("/notices/letters")
def letters_page(request: Request, session: CurrentSession) -> Response:
    """Show each letter as it would be sent about an example."""
    rules = console_of(request).settings.notices
    found = list(examples(rules, now()))
    return render(request, "letters.html", found=found, kinds=KINDS)


@router.get("/case/notices")
def of_case(request: Request, session: CurrentSession, upload: UploadId) -> Response:
    """Render the legal notices on an upload; a case's page loads this."""
    console = console_of(request)

    def work(connection: Connection) -> tuple[Any, int]:
        rows = on_upload(connection, upload)
        uploader = next((one.uploader for one in rows if one.uploader), None)
        return rows, 0 if uploader is None else standing_against(connection, uploader)

    rows, standing = console.ledger.transact(work)
    most = console.settings.notices.repeat
    clocks = [clock_of(one) for one in rows]
    return render(
        request, "_notices.html", notices=rows, clocks=clocks, standing=standing, most=most
    )


@router.get("/notices.csv")
def export_csv(request: Request, user: Lead, kind: str = "") -> Response:
    """Stream notices as CSV, oldest first; the export is a line of the audit log."""
    ledger = _exports(request, user.name, kind, "csv")
    return _download(_csv(ledger, _kind(kind)), "text/csv; charset=utf-8", "csv")


@router.get("/notices.json")
def export_json(request: Request, user: Lead, kind: str = "") -> Response:
    """Stream notices with their logs as JSON lines, oldest first."""
    ledger = _exports(request, user.name, kind, "json")
    return _download(_json(ledger, _kind(kind)), "application/x-ndjson", "jsonl")


def _exports(request: Request, who: str, kind: str, form: str) -> Ledger:
    ledger = console_of(request).ledger
    ledger.transact(
        lambda c: audit.append(c, who, "notices.exported", _kind(kind) or "notices", form=form),
        writes=True,
    )
    return ledger


def _download(lines: Iterator[str], media_type: str, ending: str) -> Response:
    name = f'attachment; filename="notices.{ending}"'
    return StreamingResponse(lines, media_type=media_type, headers={"content-disposition": name})


def _csv(ledger: Ledger, kind: Kind | None) -> Iterator[str]:
    yield UTF8_MARK + csv_line(COLUMNS)
    for one in every_notice(ledger, kind):
        yield csv_line([one[name] for name in COLUMNS])


def _json(ledger: Ledger, kind: Kind | None) -> Iterator[str]:
    for one in every_notice(ledger, kind):
        yield json.dumps(one, default=_plain) + "\n"


def _plain(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)

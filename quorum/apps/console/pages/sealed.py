"""Sealed cases: their queue, one with its clock and log, what people decide; never any media."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request
from sqlalchemy import Connection
from starlette.responses import Response, StreamingResponse

from quorum.apps.console.accounts import audit
from quorum.apps.console.desk import sealed as desk
from quorum.apps.console.desk.sealed_matters import answer, matters_on
from quorum.apps.console.pages.base import (
    Console,
    FormFields,
    PageError,
    Reviewer,
    Specialist,
    console_of,
)
from quorum.apps.console.pages.rendering import redirect, render
from quorum.core.errors import InputError, QuorumError
from quorum.core.messages import now
from quorum.core.spreadsheet import UTF8_MARK, csv_line
from quorum.models.known import records
from quorum.store.ledger import Ledger
from quorum.store.ledger.reading import load_cases
from quorum.store.sealed.reading import (
    COLUMNS,
    Shown,
    content_of,
    counts,
    events_of,
    every_sealed,
    find_sealed,
    matches_of,
    sealed_page,
)
from quorum.store.sealed.values import SealedRules

__all__ = ["router"]

router = APIRouter()
_PAGE: Final = 50
_SHOWN: Final[tuple[Shown, ...]] = ("open", "flooded", "reported", "ending", "denied")

CaseId = Annotated[str, Query(max_length=64)]


def _rules(console: Console) -> SealedRules:
    return SealedRules.of(console.settings.child_safety)


@router.get("/sealed")
def sealed_queue(
    request: Request,
    user: Specialist,
    show: str = "open",
    page: Annotated[int, Query(ge=0, le=10_000)] = 0,
) -> Response:
    """Show one page of the queue of sealed cases."""
    what: Shown = next((one for one in _SHOWN if one == show), "open")
    console, at = console_of(request), now()
    tell = _rules(console).tell

    def work(connection: Connection) -> dict[str, Any]:
        rows = sealed_page(connection, what, _PAGE + 1, at=at, tell=tell, offset=page * _PAGE)
        said = records.standings_of(connection)
        return {
            "rows": rows[:_PAGE],
            "more": len(rows) > _PAGE,
            "counts": counts(connection, at, tell),
            "quarantined": [one for one in said if one.standing == "flooded"],
        }

    found = console.ledger.transact(work)
    return render(request, "sealed.html", show=what, shown=_SHOWN, page=page, **found)


@router.get("/sealed/one")
def one_case(request: Request, user: Specialist, case: CaseId) -> Response:
    """Show one sealed case with its clock, its matches and its log; that is a line of the log."""
    return _one(request, case, user.name)


def _one(request: Request, case_id: str, reader: str, status: int = 200, **more: Any) -> Response:
    console = console_of(request)

    def work(connection: Connection) -> dict[str, Any] | None:
        row = find_sealed(connection, case_id)
        if row is None:
            return None
        (case,) = load_cases(connection, [row.upload_id], ("upload", "verdicts"))
        matches = matches_of(connection, row.upload_id)
        audit.append(connection, reader, "sealed-case.read", row.id)
        return {
            "one": row,
            "upload": content_of(row) or case.upload,
            "verdict": case.verdict,
            "matches": matches,
            "said": {
                one.hash: records.standing_of(connection, *one.hash.partition(":")[::2])
                for one in matches
            },
            "events": events_of(connection, row.id),
            "digests": desk.file_digests(connection, row.upload_id),
            "matters": [] if row.state == "denied" else matters_on(connection, row.upload_id),
        }

    found = console.ledger.transact(work, writes=True)
    if found is None:
        raise PageError(404, "There is no such case.")
    folder = console.settings.child_safety.reports
    return render(
        request, "sealed_one.html", status, **found, folder=folder, **{"message": "", **more}
    )


@router.post("/sealed/one")
def change(request: Request, given: FormFields, user: Specialist) -> Response:
    """Confirm or deny a case, report it, or answer what others sent about it."""
    console, case_id = console_of(request), given.get("case", "")
    ledger, rules = console.ledger, _rules(console)
    try:
        match given.get("what"):
            case "confirm":
                viewed = given.get("viewed") == "yes"
                desk.confirm(ledger, case_id, user.name, viewed=viewed)
            case "deny":
                then: desk.Then = "allow" if given.get("then") == "allow" else "queue"
                desk.deny(ledger, case_id, given.get("why", ""), user.name, then=then)
            case "package":
                desk.write_package(
                    ledger, case_id, console.settings.child_safety, _folder(console), user.name
                )
            case "reported":
                desk.reported(ledger, case_id, given.get("number", ""), rules, user.name)
            case "agree" | "refuse" as said:
                answer(
                    ledger,
                    case_id,
                    given.get("matter", ""),
                    user.name,
                    agree=said == "agree",
                    why=given.get("why", ""),
                )
            case _:
                raise PageError(422, "Choose what to do with the case.")
    except QuorumError as error:
        if isinstance(error, InputError) or given.get("what") == "package":
            return _one(request, case_id, user.name, 422, message=f"{_capital(str(error))}.")
        raise
    return redirect(request, "/sealed/one", case=case_id)


def _folder(console: Console) -> Path:
    folder = console.settings.child_safety.reports
    if folder is None:
        msg = (
            "the settings name no folder for reports: set child_safety.reports, or write it with "
            "quorum sealed report CASE --out FOLDER"
        )
        raise InputError(msg)
    return Path(folder)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


@router.post("/sealed/hash")
def stand(request: Request, given: FormFields, user: Specialist) -> Response:
    """End the quarantine of a hash, or say that it never matches again."""
    standing: records.Standing | None = {"trust": "trusted", "deny": "denied"}.get(  # type: ignore[assignment]
        given.get("what", "")
    )
    if standing is None:
        raise PageError(422, "Choose what to say of the hash.")
    try:
        desk.stand(
            console_of(request).ledger,
            given.get("hash", ""),
            standing,
            given.get("why", ""),
            user.name,
        )
    except InputError as error:
        raise PageError(422, f"{_capital(str(error))}.") from None
    return redirect(request, "/sealed", show="flooded")


@router.post("/sealed/seal")
def seal(request: Request, given: FormFields, user: Reviewer) -> Response:
    """Seal a case that a reviewer suspects: it leaves all queues, its media is hidden."""
    console = console_of(request)
    try:
        desk.seal(console.ledger, given.get("upload", ""), _rules(console), user.name)
    except InputError as error:
        raise PageError(422, f"{_capital(str(error))}.") from None
    return redirect(request, "/queue")


@router.get("/sealed.csv")
def export_csv(request: Request, user: Specialist) -> Response:
    """Stream sealed cases as CSV; the export is a line of the audit log."""
    ledger = _exports(request, user.name, "csv")
    return _download(_csv(ledger), "text/csv; charset=utf-8", "csv")


@router.get("/sealed.json")
def export_json(request: Request, user: Specialist) -> Response:
    """Stream sealed cases with their logs and matches as JSON lines."""
    ledger = _exports(request, user.name, "json")
    return _download(_json(ledger), "application/x-ndjson", "jsonl")


def _exports(request: Request, who: str, form: str) -> Ledger:
    ledger = console_of(request).ledger
    ledger.transact(
        lambda c: audit.append(c, who, "sealed-cases.exported", "sealed", form=form), writes=True
    )
    return ledger


def _download(lines: Iterator[str], media_type: str, ending: str) -> Response:
    headers = {"content-disposition": f'attachment; filename="sealed.{ending}"'}
    return StreamingResponse(lines, media_type=media_type, headers=headers)


def _csv(ledger: Ledger) -> Iterator[str]:
    yield UTF8_MARK + csv_line(COLUMNS)
    for one in every_sealed(ledger):
        yield csv_line([one[name] for name in COLUMNS])


def _json(ledger: Ledger) -> Iterator[str]:
    for one in every_sealed(ledger):
        yield json.dumps(one, default=_plain) + "\n"


def _plain(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)

"""Legal holds: their page, the forms to place and release them, and what a case's page shows."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from sqlalchemy import Connection, select
from starlette.responses import Response

from quorum.apps.console.desk import holding
from quorum.apps.console.pages.base import (
    CurrentSession,
    FormFields,
    Lead,
    PageError,
    UploadId,
    console_of,
)
from quorum.apps.console.pages.rendering import redirect, render
from quorum.core.errors import InputError
from quorum.core.messages import now
from quorum.store.ledger.holds import Hold, holds_on, newest_holds
from quorum.store.ledger.schema import cases

__all__ = ["router"]

router = APIRouter()
_PAGE = 50


@router.get("/holds")
def holds_page(
    request: Request, session: CurrentSession, before: Annotated[str, Query(max_length=400)] = ""
) -> Response:
    """Show the legal holds, newest first."""
    return _page(request, before)


def _page(request: Request, before: str = "", status: int = 200, **more: Any) -> Response:
    ledger = console_of(request).ledger
    found = ledger.transact(lambda c: newest_holds(c, _PAGE + 1, _mark(before)))
    last = found[_PAGE - 1] if len(found) > _PAGE else None
    after = "" if last is None else f"{last.placed_at.isoformat()},{last.id}"
    given = {"message": "", "typed": {}, "erasure": ""}
    return render(
        request,
        "holds.html",
        status,
        holds=found[:_PAGE],
        at=now(),
        next=after,
        **{**given, "upload": request.query_params.get("upload", "")[:256], **more},
    )


def _mark(text: str) -> tuple[datetime, str] | None:
    at, _, hold_id = text.partition(",")
    try:
        found = datetime.fromisoformat(at)
    except ValueError:
        return None
    return (found, hold_id) if found.tzinfo else None


@router.post("/holds")
def place(request: Request, given: FormFields, user: Lead) -> Response:
    """Place a hold."""
    typed = {name: given.get(name, "").strip() for name in ("kind", "subject", "why", "until")}
    try:
        holding.place(
            console_of(request).ledger,
            typed["kind"],
            typed["subject"],
            why=typed["why"],
            by=user.name,
            until=_day(typed["until"]),
        )
    except InputError as error:
        return _page(request, status=422, message=f"{error}.", typed=typed)
    return redirect(request, "/holds")


def _day(text: str) -> datetime | None:
    if not text:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        msg = "write the day on which the hold ends as 2027-01-31"
        raise InputError(msg) from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


@router.post("/holds/release")
def release(request: Request, given: FormFields, user: Lead) -> Response:
    """Release a hold."""
    ledger = console_of(request).ledger
    try:
        ended = holding.release(
            ledger, given.get("hold", ""), why=given.get("why", ""), by=user.name
        )
    except InputError as error:
        raise PageError(422, f"{str(error).capitalize()}.") from None
    uploader = holding.waiting_erasure(ledger, ended)
    return _page(request, erasure=uploader) if uploader else redirect(request, "/holds")


@router.get("/case/law")
def law(request: Request, session: CurrentSession, upload: UploadId) -> Response:
    """Render the legal holds on a case; its page loads this."""

    def work(connection: Connection) -> list[Hold]:
        query = select(cases.c.uploader).where(cases.c.upload_id == upload)
        uploader = connection.execute(query).scalar_one_or_none()
        return holds_on(connection, upload, uploader, now())

    found = console_of(request).ledger.transact(work)
    return render(request, "_law.html", holds=found, upload_id=upload)

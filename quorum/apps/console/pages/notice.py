"""The public form for reports without an account, and the page of a report's outcome."""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from quorum.aggregator.policy.categories import DSA_CATEGORIES
from quorum.apps.console.pages.base import PageError, client_address, console_of, form_fields
from quorum.apps.console.pages.rendering import render
from quorum.core.errors import InputError
from quorum.store.reports.intake import Intake, ReporterRefused
from quorum.store.reports.reading import answer_of
from quorum.store.reports.values import Notice, Reporter

__all__ = ["network_of", "router"]

router = APIRouter()

_TYPED = ("upload", "location", "category", "text", "name", "email", "law", "good_faith")


def public(request: Request) -> Intake:
    """The intake of the public form.

    Raises:
        PageError: If this console has no public form.
    """
    found: Intake | None = request.app.state.public_intake
    if found is None:
        raise PageError(404, "There is no such page.")
    return found


Public = Annotated[Intake, Depends(public)]


@router.get("/report")
def form(request: Request, intake: Public) -> Response:
    """Show the form; ``upload`` and ``location`` of the address fill it in."""
    typed = {name: request.query_params.get(name, "")[:2048] for name in ("upload", "location")}
    return _form(request, typed)


def _form(
    request: Request, typed: Mapping[str, str], status: int = 200, message: str = ""
) -> Response:
    given: dict[str, Any] = {name: typed.get(name, "") for name in _TYPED}
    return render(
        request,
        "report_form.html",
        status,
        typed=given,
        categories=sorted(DSA_CATEGORIES),
        message=message,
    )


@router.post("/report")
def send(
    request: Request,
    given: Annotated[Mapping[str, str], Depends(form_fields)],
    intake: Public,
) -> Response:
    """Take a report, and show its own secret address."""
    category = given.get("category", "")
    notice = Notice(
        reporter=Reporter("public", network_of(client_address(request))),
        upload_id=given.get("upload", "").strip() or None,
        location=given.get("location", ""),
        category=category if category in DSA_CATEGORIES else "not-specified-notice",
        law=given.get("law") == "yes",
        text=given.get("text", ""),
        name=given.get("name", ""),
        email=given.get("email", ""),
        good_faith=given.get("good_faith") == "yes",
    )
    try:
        taken = intake.take(notice)
    except InputError as error:
        return _form(request, given, 422, f"{str(error).capitalize()}.")
    except ReporterRefused as refused:
        minutes = max(1, round(refused.seconds / 60))
        text = f"Too many reports came from your network. Send it again in {minutes} min."
        answer = _form(request, given, 429, text)
        answer.headers["retry-after"] = str(refused.seconds)
        return answer
    return render(request, "report_taken.html", 201, taken=taken)


@router.get("/report/status/{token}")
def status(request: Request, token: str, intake: Public) -> Response:
    """Show the outcome of a report to whoever has its address."""
    ledger = console_of(request).ledger
    found = ledger.transact(lambda connection: answer_of(connection, token[:256]))
    if found is None:
        raise PageError(404, "There is no report at this address.")
    return render(request, "report_status.html", answer=found)


def network_of(address: str) -> str:
    """A digest of the client's network: limits need it, and nobody needs the address."""
    try:
        made = ipaddress.ip_address(address)
    except ValueError:
        name = address
    else:
        bits = 64 if made.version == 6 else 32
        name = str(ipaddress.ip_network((made, bits), strict=False))
    return hashlib.sha256(f"reporter\0{name}".encode()).hexdigest()[:32]

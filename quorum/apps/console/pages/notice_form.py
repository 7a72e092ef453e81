"""The public form for legal notices, and the page at a notice's secret address."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from sqlalchemy import Connection
from starlette.responses import Response

from quorum.apps.console.desk import noticed
from quorum.apps.console.pages.base import PageError, client_address, console_of, form_fields
from quorum.apps.console.pages.notice import network_of
from quorum.apps.console.pages.rendering import redirect, render
from quorum.core.errors import InputError
from quorum.core.messages import now
from quorum.store.notices import changing
from quorum.store.notices.intake import NoticeIntake
from quorum.store.notices.letters import asks, letters
from quorum.store.notices.reading import events_of, notice_at, on_upload, person_of
from quorum.store.notices.values import Person, Submission
from quorum.store.reports.throttle import ReporterRefused
from quorum.store.reports.values import Reporter

__all__ = ["router"]

router = APIRouter()

_PERSON = ("name", "email", "phone", "address", "on_behalf", "signature")
_TYPED = (
    "kind",
    "language",
    "upload",
    "location",
    "work",
    "text",
    "good_faith",
    "accurate",
    *_PERSON,
)


def public(request: Request) -> NoticeIntake:
    """The intake of the public form.

    Raises:
        PageError: If this console has no public form.
    """
    found: NoticeIntake | None = request.app.state.public_notices
    if found is None:
        raise PageError(404, "There is no such page.")
    return found


Public = Annotated[NoticeIntake, Depends(public)]
Given = Annotated[Mapping[str, str], Depends(form_fields)]


@router.get("/notice")
def form(request: Request, intake: Public) -> Response:
    """Show the form of a kind; ``upload`` and ``location`` of the address fill it in."""
    names = ("kind", "upload", "location")
    return _form(request, {name: request.query_params.get(name, "")[:2048] for name in names})


def _form(
    request: Request, typed: Mapping[str, str], status: int = 200, message: str = ""
) -> Response:
    given: dict[str, Any] = {name: typed.get(name, "") for name in _TYPED}
    given["kind"] = "copyright" if given["kind"] == "copyright" else "intimate"
    languages = ("en", *console_of(request).settings.notices.letters.languages)
    chosen = given["language"] or _accepted(request, languages)
    given["language"] = chosen if chosen in languages else "en"
    return render(
        request,
        "notice_form.html",
        status,
        typed=given,
        message=message,
        languages=sorted(set(languages)),
    )


def _accepted(request: Request, languages: Sequence[str]) -> str:
    """The language of the letters that the browser asks for first; English without one."""
    wanted = request.headers.get("accept-language", "")[:256].split(",")
    short = (one.split(";")[0].strip().split("-")[0].lower() for one in wanted)
    return next((one for one in short if one in languages), "en")


@router.post("/notice")
def send(request: Request, given: Given, intake: Public) -> Response:
    """Take a notice, and show its own secret address."""
    kind = "copyright" if given.get("kind") == "copyright" else "intimate"
    submission = Submission(
        kind=kind,  # type: ignore[arg-type]
        reporter=Reporter("notice", network_of(client_address(request))),
        person=Person(**{name: given.get(name, "") for name in _PERSON}),
        upload_id=given.get("upload", "").strip() or None,
        location=given.get("location", ""),
        work=given.get("work", ""),
        text=given.get("text", ""),
        good_faith=given.get("good_faith") == "yes",
        accurate=given.get("accurate") == "yes",
        language=given.get("language") or None,
    )
    try:
        taken = intake.take(submission)
    except InputError as error:
        return _form(request, given, 422, f"{str(error).capitalize()}.")
    except ReporterRefused as refused:
        minutes = max(1, round(refused.seconds / 60))
        text = f"Too many notices came from your network. Send it again in {minutes} min."
        answer = _form(request, given, 429, text)
        answer.headers["retry-after"] = str(refused.seconds)
        return answer
    told = asks(kind, taken.lacks)
    return render(request, "notice_taken.html", 201, taken=taken, asks=told, kind=kind)


@router.get("/notice/status/{token}")
def status(request: Request, token: str, intake: Public) -> Response:
    """Show what became of a notice to whoever has its address."""
    return _status(request, token)


def _status(request: Request, token: str, code: int = 200, message: str = "") -> Response:
    console = console_of(request)

    def work(connection: Connection) -> dict[str, Any] | None:
        row = notice_at(connection, token[:256])
        if row is None:
            return None
        events = events_of(connection, row.id)
        counter = None
        if row.kind == "copyright" and row.state in ("countered", "suit", "restored"):
            # 17 U.S.C. 512(g)(2)(B): the complainant gets a copy of the counter-notice.
            sent = on_upload(connection, row.upload_id, kinds=("counter",))
            counter = next((one for one in sent if one.state in ("waiting", row.state)), None)
        return {
            "one": row,
            "letters": letters(connection, row, events, console.settings.notices),
            "counter": counter,
            "counter_by": None if counter is None else person_of(connection, counter.id),
        }

    found = console.ledger.transact(work)
    if found is None:
        raise PageError(404, "There is no notice at this address.")
    return render(request, "notice_status.html", code, token=token[:256], message=message, **found)


@router.post("/notice/status/{token}")
def suit(request: Request, token: str, given: Given, intake: Public) -> Response:
    """Take the word of a complainant that they sue: the content stays down."""
    console = console_of(request)
    ledger, rules = console.ledger, console.settings.notices

    def work(connection: Connection) -> None:
        case = given.get("case", "")
        changing.sued_by_token(connection, token[:256], case=case, at=now())
        noticed.log_events(connection, rules)

    try:
        ledger.transact(work, writes=True)
    except InputError as error:
        return _status(request, token, 422, f"{str(error).capitalize()}.")
    return redirect(request, f"/notice/status/{token[:256]}")

"""The page of the DSA's transparency report, and its CSV parts as one file."""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from quorum.apps.console.accounts import audit
from quorum.apps.console.pages.base import CurrentSession, Lead, PageError, console_of
from quorum.apps.console.pages.rendering import render
from quorum.core.intervals import wilson
from quorum.core.messages import now
from quorum.core.territories import TERRITORIES
from quorum.store.ledger import TimeRange
from quorum.store.transparency.figures import count
from quorum.store.transparency.parts import build
from quorum.store.transparency.report import Service
from quorum.store.transparency.values import Asked, Figures

__all__ = ["router"]

router = APIRouter()

Text = Annotated[str, Query(max_length=64)]


@dataclass(frozen=True, slots=True)
class Typed:
    """The form as it was typed, and what it asks for."""

    first: date
    last: date
    language: str
    territory: str
    message: str = ""

    @property
    def asked(self) -> Asked:
        """The question."""
        start = datetime(self.first.year, self.first.month, self.first.day, tzinfo=UTC)
        end = datetime(self.last.year, self.last.month, self.last.day, tzinfo=UTC)
        period = TimeRange(start, end + timedelta(days=1))
        return Asked(period, self.language, self.territory)


def typed(first: Text = "", last: Text = "", language: Text = "", territory: Text = "") -> Typed:
    """Read the form; what cannot be read is said, and replaced by the half-year until today."""
    message = ""
    today = now().date()
    begin, end = today - timedelta(days=182), today
    try:
        begin = date.fromisoformat(first) if first else begin
        end = date.fromisoformat(last) if last else end
    except ValueError:
        message = "Write the days as 2026-01-31."
    if end < begin:
        begin, message = end, "The last day was before the first: one day is shown."
    code = territory.strip().upper()
    if code and code not in TERRITORIES:
        code, message = "", "Write the country as a code of two letters, such as DE."
    return Typed(begin, end, language.strip(), code, message)


TypedForm = Annotated[Typed, Depends(typed)]


def _count(request: Request, form: Typed) -> Figures:
    console = console_of(request)
    categories = console.policy.categories
    return console.ledger.transact(lambda c: count(c, form.asked, categories))


@router.get("/transparency")
def page(request: Request, session: CurrentSession, form: TypedForm) -> Response:
    """Show the figures of a period; until one is asked for, the form alone: counting takes time."""
    if "first" not in request.query_params:
        return render(request, "transparency.html", form=form, figures=None)
    figures = _count(request, form)
    report = build(figures, Service("", ""))
    precision = figures.precision
    hits = round((precision.value or 0) * precision.looked_at)
    return render(
        request,
        "transparency.html",
        form=form,
        figures=figures,
        gaps=len(report.gaps),
        interval=wilson(hits, precision.looked_at),
    )


@router.get("/transparency.zip")
def export(
    request: Request, user: Lead, form: TypedForm, provider: Text = "", service: Text = ""
) -> Response:
    """Return all CSV parts of the template in one file; a line of the audit log."""
    if form.message:
        raise PageError(422, form.message)
    figures = _count(request, form)
    files = build(figures, Service(provider, service)).files()
    period = f"{form.first.isoformat()}/{form.last.isoformat()}"
    console_of(request).ledger.transact(
        lambda c: audit.append(c, user.name, "transparency.exported", period), writes=True
    )
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    name = f"transparency-{form.first.isoformat()}-{form.last.isoformat()}.zip"
    headers = {"content-disposition": f'attachment; filename="{name}"'}
    return Response(out.getvalue(), media_type="application/zip", headers=headers)

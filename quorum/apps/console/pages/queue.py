"""The queue page, and the forms to claim and skip cases."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from sqlalchemy import select
from starlette.responses import Response

from quorum.apps.console.accounts.access import Permission, User
from quorum.apps.console.desk import claims, golden, queues
from quorum.apps.console.desk.kept import Kept
from quorum.apps.console.desk.queues import Queue
from quorum.apps.console.desk.shift import Shift, shift_of
from quorum.apps.console.pages.base import (
    CurrentSession,
    FormFields,
    PageError,
    Reviewer,
    console_of,
)
from quorum.apps.console.pages.rendering import redirect, render
from quorum.core.messages import now
from quorum.store.ledger.schema import cases

__all__ = ["QueueFilter", "queue_filter", "redirect_to_next", "router", "shift_for"]

router = APIRouter()
_PAGE = 50
PageNumber = Annotated[int, Query(ge=0, le=10_000)]


def _small(text: str, limit: int) -> bool:
    """Whether a text is a whole number from 0 to below a limit, in the digits of ASCII."""
    return re.fullmatch("[0-9]{1,9}", text) is not None and int(text) < limit


def queue_filter(
    category: str = "",
    territory: str = "",
    severity: str = "",
    hours: str = "",
    kind: str = "",
    order: str = "harm",
    queue: str = "",
) -> Queue:
    """Read the queue from the query string; invalid values do not filter."""
    age = timedelta(hours=int(hours)) if _small(hours, 100_000) else None
    return Queue(
        category=category[:256] or None,
        territory=territory.strip().upper()[:8] or None,
        severity=int(severity) if _small(severity, 10) else None,
        older_than=age,
        kind=kind[:16] or None,
        name=queue[:64] or None,
        order="age" if order == "age" else "harm",
    )


def shift_for(request: Request, name: str) -> Shift:
    """What a user may be given now."""
    console = console_of(request)
    desk = console.settings.desk
    return console.ledger.transact(lambda c: shift_of(c, desk, name, now()))


QueueFilter = Annotated[Queue, Depends(queue_filter)]


@router.get("/")
def home(request: Request, session: CurrentSession) -> Response:
    """Redirect reviewers to the queue and others to the overview."""
    return redirect(request, "/queue" if session.user.may(Permission.DECIDE) else "/overview")


@router.get("/queue")
def queue(
    request: Request,
    session: CurrentSession,
    queue: QueueFilter,
    page: PageNumber = 0,
) -> Response:
    """Show one page of a queue, with the counts of all queues."""
    ledger = console_of(request).ledger
    reviewer = session.user.name if session.user.may(Permission.DECIDE) else None
    shift = shift_for(request, session.user.name)
    found = queues.queue_page(
        ledger, queue, reviewer, offset=page * _PAGE, limit=_PAGE + 1, shift=shift
    )
    return render(
        request,
        "queue.html",
        tasks=found[:_PAGE],
        more=len(found) > _PAGE,
        page=page,
        queue=queue,
        counts=_counts(request),
        nothing=_is_empty(request),
        query=request.url.query,
        hours=request.query_params.get("hours", ""),
        names=console_of(request).settings.desk.names,
        shift=shift if reviewer else None,
    )


@router.get("/queue/rows")
def rows(
    request: Request,
    session: CurrentSession,
    queue: QueueFilter,
    page: PageNumber = 0,
) -> Response:
    """Render rows and counts only; the page polls this."""
    reviewer = session.user.name if session.user.may(Permission.DECIDE) else None
    found = queues.queue_page(
        console_of(request).ledger,
        queue,
        reviewer,
        offset=page * _PAGE,
        limit=_PAGE,
        shift=shift_for(request, session.user.name),
    )
    return render(
        request,
        "_rows.html",
        tasks=found,
        counts=_counts(request),
        queue=queue,
        nothing=_is_empty(request),
    )


def _is_empty(request: Request) -> bool:
    """Whether the ledger holds no case at all."""
    query = select(cases.c.upload_id).limit(1)
    found = console_of(request).ledger.transact(lambda c: c.execute(query).first())
    return found is None


def _counts(request: Request) -> dict[str, dict[str, tuple[int, int]]]:
    kept: Kept[dict[tuple[str | None, str], tuple[int, int]]] = request.app.state.open_counts
    by_category: dict[str, tuple[int, int]] = {}
    by_kind: dict[str, tuple[int, int]] = {}
    for (category, kind), (count, late) in kept.current().items():
        name = category or "none"
        known = by_category.get(name, (0, 0))
        by_category[name] = (known[0] + count, known[1] + late)
        known = by_kind.get(kind, (0, 0))
        by_kind[kind] = (known[0] + count, known[1] + late)
    total = (sum(c for c, _ in by_kind.values()), sum(late for _, late in by_kind.values()))
    ordered = dict(sorted(by_category.items(), key=lambda item: -item[1][0]))
    return {"category": ordered, "kind": by_kind, "all": {"": total}}


@router.post("/next")
def take_next(request: Request, given: FormFields, user: Reviewer) -> Response:
    """Claim the first free case of the queue in the form."""
    return redirect_to_next(request, user, given)


def redirect_to_next(request: Request, user: User, given: Mapping[str, str]) -> Response:
    """Claim the next case of the reviewer's queue and redirect to it."""
    console = console_of(request)
    wanted = {
        name: given.get(f"queue_{name}", "")
        for name in ("category", "territory", "severity", "hours", "kind", "order", "queue")
    }
    queue = queue_filter(**wanted)
    found = None
    if random.random() < console.settings.golden_rate:  # noqa: S311
        found = golden.assign(console.ledger, user.name, console.settings.desk)
    found = found or claims.claim_next(console.ledger, queue, user.name, console.settings.desk)
    kept = {name: value for name, value in wanted.items() if value}
    if found is None:
        return redirect(request, "/queue", **kept)
    return redirect(
        request, "/case", upload=found.upload_id, **{f"queue_{k}": v for k, v in kept.items()}
    )


@router.post("/claim")
def claim(request: Request, given: FormFields, user: Reviewer) -> Response:
    """Claim one case."""
    console, task_id = console_of(request), given.get("task", "")
    desk = console.settings.desk
    found = claims.claim(console.ledger, task_id, user.name, desk)
    if found is None:
        if (why := claims.why_not(console.ledger, task_id, user.name, desk)) is not None:
            raise PageError(409, why)
        message = (
            "Another reviewer holds this case, it was decided meanwhile, or you decided it before. "
            "Take another case."
        )
        raise PageError(409, message)
    return redirect(request, "/case", upload=found.upload_id)


@router.post("/skip")
def skip(request: Request, given: FormFields, user: Reviewer) -> Response:
    """Skip a case, and claim the next."""
    reason = given.get("reason", "").strip()
    if not reason:
        raise PageError(422, "State briefly why you skip this case; it helps the next reviewer.")
    if not claims.skip(console_of(request).ledger, given.get("task", ""), user.name, reason[:500]):
        raise PageError(404, "This case is no longer in any queue.")
    return redirect_to_next(request, user, given)

"""Queues: what waits, in which order, and who takes it."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from quorum.apps.console.accounts.access import Permission, User
from quorum.apps.console.desk import claims, golden, tasks
from quorum.apps.console.desk.tasks import Queue
from quorum.apps.console.pages.base import Fields, Refused, Visitor, console_of, go, needs, render

__all__ = ["router"]

router = APIRouter()
_PAGE = 50

Reviewer = Annotated[User, Depends(needs(Permission.DECIDE))]


def chosen(
    category: str = "",
    territory: str = "",
    severity: str = "",
    hours: str = "",
    kind: str = "",
    order: str = "harm",
) -> Queue:
    """The queue that a page's address names; what cannot be read admits all."""
    age = timedelta(hours=int(hours)) if hours.isdigit() and int(hours) < 100_000 else None
    return Queue(
        category=category[:256] or None,
        territory=territory.strip().upper()[:8] or None,
        severity=int(severity) if severity.isdigit() and int(severity) < 10 else None,
        older_than=age,
        kind=kind[:16] or None,
        order="age" if order == "age" else "harm",
    )


Chosen = Annotated[Queue, Depends(chosen)]


@router.get("/")
def first(request: Request, session: Visitor) -> Response:
    """Reviewers begin with their queue, others with the overview."""
    return go(request, "/queue" if session.user.may(Permission.DECIDE) else "/overview")


@router.get("/queue")
def queue(
    request: Request,
    session: Visitor,
    queue: Chosen,
    page: Annotated[int, Query(ge=0, le=10_000)] = 0,
) -> Response:
    """One queue, with the counts of all."""
    ledger = console_of(request).ledger
    reviewer = session.user.name if session.user.may(Permission.DECIDE) else None
    found = tasks.queue_page(ledger, queue, reviewer, offset=page * _PAGE, limit=_PAGE + 1)
    return render(
        request,
        "queue.html",
        tasks=found[:_PAGE],
        more=len(found) > _PAGE,
        page=page,
        queue=queue,
        counts=_counts(request),
        query=request.url.query,
        hours=request.query_params.get("hours", ""),
    )


@router.get("/queue/rows")
def rows(
    request: Request,
    session: Visitor,
    queue: Chosen,
    page: Annotated[int, Query(ge=0, le=10_000)] = 0,
) -> Response:
    """The rows and the counts alone, for a page that updates itself."""
    reviewer = session.user.name if session.user.may(Permission.DECIDE) else None
    found = tasks.queue_page(
        console_of(request).ledger, queue, reviewer, offset=page * _PAGE, limit=_PAGE
    )
    return render(
        request, "_rows.html", tasks=found, counts=_counts(request), queue=queue, swap=True
    )


def _counts(request: Request) -> dict[str, dict[str, tuple[int, int]]]:
    by_category: dict[str, tuple[int, int]] = {}
    by_kind: dict[str, tuple[int, int]] = {}
    for (category, kind), (count, late) in tasks.open_counts(console_of(request).ledger).items():
        name = category or "none"
        known = by_category.get(name, (0, 0))
        by_category[name] = (known[0] + count, known[1] + late)
        known = by_kind.get(kind, (0, 0))
        by_kind[kind] = (known[0] + count, known[1] + late)
    total = (sum(c for c, _ in by_kind.values()), sum(late for _, late in by_kind.values()))
    ordered = dict(sorted(by_category.items(), key=lambda item: -item[1][0]))
    return {"category": ordered, "kind": by_kind, "all": {"": total}}


@router.post("/next")
def take_next(request: Request, given: Fields, user: Reviewer) -> Response:
    """Take the first case of the queue that the form names."""
    return to_next(request, user, given)


def to_next(request: Request, user: User, given: dict[str, str] | Fields) -> Response:
    """Send a reviewer to the next case of their queue."""
    console = console_of(request)
    wanted = {
        name: given.get(f"queue_{name}", "")
        for name in ("category", "territory", "severity", "hours", "kind", "order")
    }
    queue = chosen(**wanted)
    found = None
    if random.random() < console.settings.golden_rate:  # noqa: S311
        found = golden.hand_out(console.ledger, user.name)
    found = found or claims.claim_next(console.ledger, queue, user.name)
    kept = {name: value for name, value in wanted.items() if value}
    if found is None:
        return go(request, "/queue", **kept, told="empty")
    return go(
        request, "/case", upload=found.upload_id, **{f"queue_{k}": v for k, v in kept.items()}
    )


@router.post("/claim")
def claim(request: Request, given: Fields, user: Reviewer) -> Response:
    """Take one case."""
    found = claims.claim(console_of(request).ledger, given.get("task", ""), user.name)
    if found is None:
        told = (
            "Another reviewer holds this case, it was decided meanwhile, or you decided it before. "
            "Take another one."
        )
        raise Refused(409, told)
    return go(request, "/case", upload=found.upload_id)


@router.post("/skip")
def skip(request: Request, given: Fields, user: Reviewer) -> Response:
    """Leave a case to others, and take the next."""
    reason = given.get("reason", "").strip()
    if not reason:
        raise Refused(422, "Say in a few words why you skip this case; it helps who takes it.")
    if not claims.skip(console_of(request).ledger, given.get("task", ""), user.name, reason[:500]):
        raise Refused(404, "This case is in no queue any more.")
    return to_next(request, user, given)

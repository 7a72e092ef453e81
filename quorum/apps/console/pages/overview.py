"""The overview page, and the live stream of verdicts."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from sqlalchemy import select, tuple_
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response, StreamingResponse

from quorum.apps.console.desk.trends import DEFAULT_WINDOW, WINDOWS
from quorum.apps.console.pages.base import Console, CurrentSession, PageError, console_of
from quorum.apps.console.pages.rendering import render
from quorum.core.messages import now
from quorum.core.report.plots import bars, line
from quorum.store.ledger import CaseFilter
from quorum.store.ledger.schema import cases, verdicts
from quorum.store.ledger.sealing import unsealed

__all__ = ["router"]

router = APIRouter()

#: Each open stream queries the ledger once a second.
_MAX_STREAMS = 40
#: After this the stream ends; the browser reconnects and is authenticated again.
_SECONDS = 600.0
_open = 0


@router.get("/overview")
def overview(
    request: Request,
    session: CurrentSession,
    window: str = DEFAULT_WINDOW,
    category: Annotated[str, Query(max_length=256)] = "",
) -> Response:
    """Show the overview, with the verdicts of a window and of all categories or one."""
    cache = request.app.state.overview_cache
    found = cache.current()
    if window not in WINDOWS:
        window = DEFAULT_WINDOW
    trend = cache.trends.trend(window, category or None)
    return render(
        request,
        "overview.html",
        found=found,
        recent=console_of(request).ledger.find(CaseFilter(unsealed=True), limit=8),
        trend=trend,
        window=window,
        windows=list(WINDOWS),
        category=category,
        counts=[(name, sum(values)) for name, values in trend.by_action.items()],
        actions=bars(trend.times, trend.by_action),
        latency=line(trend.times, trend.median),
    )


@router.get("/live")
async def live(request: Request, session: CurrentSession) -> Response:
    """Stream verdicts as they are recorded, as server-sent events."""
    if _open >= _MAX_STREAMS:
        raise PageError(503, "Too many live streams are open; the rest of the page works.")
    return StreamingResponse(_events(request, console_of(request)), media_type="text/event-stream")


async def _events(request: Request, console: Console) -> AsyncIterator[str]:
    global _open
    _open += 1
    try:
        mark = (now(), "")
        end = time.monotonic() + _SECONDS
        yield "retry: 3000\n\n"
        while time.monotonic() < end and not await request.is_disconnected():
            for row in await run_in_threadpool(_newer, console, mark):
                mark = (row.at, row.id)
                event = {
                    name: getattr(row, name)
                    for name in ("upload_id", "action", "rule", "decided_by", "title")
                }
                event["title"] = (event["title"] or "")[:120]
                yield f"event: verdict\ndata: {json.dumps(event)}\n\n"
            await asyncio.sleep(1.0)
    finally:
        _open -= 1


def _newer(console: Console, mark: tuple[Any, str]) -> Sequence[Any]:
    v = verdicts.c
    here, there = tuple_(v.at, v.id), tuple_(*mark, types=[v.at.type, v.id.type])
    query = (
        select(v.at, v.id, v.upload_id, v.action, v.rule, v.decided_by, cases.c.title)
        .join(cases, cases.c.upload_id == v.upload_id, isouter=True)
        .where(here > there, unsealed(v.upload_id))
        .order_by(v.at, v.id)
        .limit(20)
    )
    return console.ledger.transact(lambda connection: connection.execute(query).all())

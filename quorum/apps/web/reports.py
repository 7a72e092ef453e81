"""The routes of users' reports: one to send a report, and one to ask for its outcome."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from quorum.apps.http.problems import Problem
from quorum.apps.web.bodies import parsed
from quorum.apps.web.problem_answers import PROBLEMS
from quorum.apps.web.report_desk import ReportAnswer, ReportBody, ReportDesk, ReportState
from quorum.apps.web.state import State, allow
from quorum.store.reports.intake import ReporterRefused

__all__ = ["router"]

router = APIRouter()

_EXAMPLE = {
    "upload_id": "video-4711",
    "reporter": "user-12",
    "category": "scams-and-fraud",
    "law": True,
    "text": "It asks for money for a phone that nobody ever got.",
    "name": "A. Person",
    "email": "a.person@example.org",
    "good_faith": True,
}

_REFUSED: dict[int | str, dict[str, Any]] = {
    code: PROBLEMS[code] for code in (400, 401, 403, 408, 413, 415)
}


@router.post(
    "/v1/reports",
    operation_id="send_report",
    tags=["reports"],
    summary="A user's report, or a notice of illegal content",
    status_code=201,
    response_model=ReportAnswer,
    responses={
        200: {"model": ReportAnswer, "description": "This reporter's report of it was known."},
        201: {"model": ReportAnswer, "description": "The report was taken."},
        **_REFUSED,
        422: {**PROBLEMS[422], "description": "The report names nothing, or is not valid."},
        429: {**PROBLEMS[429], "description": "The reporter is over their limit, or suspended."},
        503: PROBLEMS[503],
    },
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {"$ref": "#/components/schemas/ReportBody"},
                    "example": _EXAMPLE,
                }
            },
        }
    },
)
async def send(request: Request) -> Response:
    """Take a report; many reports of one content are one case of the console's queue.

    A report on an upload that is not known here is kept, and the answer says so. The address in
    the answer is the report's own: whoever has it can ask for the outcome.
    """
    client = allow(request, "report")
    state: State = request.app.state.quorum
    desk = _desk(state)
    state.take(client, 1)
    body = parsed(ReportBody, await request.body(), request.headers.get("content-type", ""))
    categories = tuple(state.service.policy.categories)
    try:
        taken = await asyncio.to_thread(desk.take, body, client, categories)
    except ReporterRefused as refused:
        detail = f"{refused}; retry in {refused.seconds} s"
        raise Problem(429, detail, {"retry-after": str(refused.seconds)}) from None
    answer = ReportAnswer.of(taken).model_dump_json()
    return Response(answer, 201 if taken.new else 200, media_type="application/json")


@router.get(
    "/v1/reports/{token}",
    operation_id="get_report",
    tags=["reports"],
    summary="The outcome of a report",
    response_model=ReportState,
    responses={
        404: {**PROBLEMS[404], "description": "There is no report at this address."},
        503: PROBLEMS[503],
    },
)
async def outcome(request: Request, token: str) -> Response:
    """Return the outcome of a report to whoever has its secret address; no key is needed."""
    state: State = request.app.state.quorum
    found = await asyncio.to_thread(_desk(state).answer, token[:256])
    if found is None:
        raise Problem(404, "there is no report at this address")
    return Response(ReportState.of(found).model_dump_json(), media_type="application/json")


def _desk(state: State) -> ReportDesk:
    if state.reports is None:
        detail = "this service records nothing, so that it takes no reports: see --database"
        raise Problem(503, detail, {"retry-after": "3600"})
    return state.reports

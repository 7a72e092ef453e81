"""The routes of legal notices: to send one, to ask for its outcome, to tell of a suit."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from quorum.apps.http.problems import Problem
from quorum.apps.web.bodies import parsed
from quorum.apps.web.notice_desk import (
    NoticeAnswer,
    NoticeBody,
    NoticeDesk,
    NoticeState,
    SuitBody,
)
from quorum.apps.web.problem_answers import PROBLEMS
from quorum.apps.web.state import State, allow
from quorum.store.reports.throttle import ReporterRefused

__all__ = ["router"]

router = APIRouter()

_EXAMPLE = {
    "kind": "copyright",
    "reporter": "user-12",
    "upload_id": "video-4711",
    "work": "The film Example (2020)",
    "text": "It shows the whole film.",
    "name": "Ada Example",
    "email": "ada@example.org",
    "signature": "Ada Example",
    "good_faith": True,
    "accurate": True,
}
_NO_NOTICE = {**PROBLEMS[404], "description": "There is no notice at this address."}
_REFUSED: dict[int | str, dict[str, Any]] = {
    code: PROBLEMS[code] for code in (400, 401, 403, 408, 413, 415)
}


def _json(name: str, example: dict[str, Any]) -> dict[str, Any]:
    schema = {"$ref": f"#/components/schemas/{name}"}
    content = {"application/json": {"schema": schema, "example": example}}
    return {"requestBody": {"required": True, "content": content}}


@router.post(
    "/v1/notices",
    operation_id="send_notice",
    tags=["notices"],
    summary="A legal notice: intimate images, copyright, counter-notice",
    status_code=201,
    response_model=NoticeAnswer,
    responses={
        200: {"model": NoticeAnswer, "description": "This sender's notice of it was known."},
        201: {"model": NoticeAnswer, "description": "The notice was taken, valid or not."},
        **_REFUSED,
        422: {**PROBLEMS[422], "description": "The notice names nothing, or is not well formed."},
        429: {**PROBLEMS[429], "description": "The sender is over their limit, or suspended."},
        503: PROBLEMS[503],
    },
    openapi_extra=_json("NoticeBody", _EXAMPLE),
)
async def send(request: Request) -> Response:
    """Take a notice, which needs the scope `report`.

    One that lacks an element of the law, or whose signature does not hold, is kept as `invalid`,
    removes nothing, and `asks` says what to add. The address in the answer is the notice's own.
    """
    client = allow(request, "report")
    state: State = request.app.state.quorum
    desk = _desk(state)
    state.take(client, 1)
    data = await request.body()
    body = parsed(NoticeBody, data, request.headers.get("content-type", ""))
    try:
        taken = await asyncio.to_thread(desk.take, body, data, request.headers, client)
    except ReporterRefused as refused:
        detail = f"{refused}; retry in {refused.seconds} s"
        raise Problem(429, detail, {"retry-after": str(refused.seconds)}) from None
    answer = NoticeAnswer.of(taken, body.kind).model_dump_json()
    return Response(answer, 201 if taken.new else 200, media_type="application/json")


@router.get(
    "/v1/notices/{token}",
    operation_id="get_notice",
    tags=["notices"],
    summary="The outcome of a legal notice",
    response_model=NoticeState,
    responses={404: _NO_NOTICE, 503: PROBLEMS[503]},
)
async def outcome(request: Request, token: str) -> Response:
    """Return what became of a notice to whoever has its secret address; no key is needed."""
    return await _state_at(request, token)


@router.post(
    "/v1/notices/{token}/suit",
    operation_id="tell_suit",
    tags=["notices"],
    summary="The complainant sues: the content stays down",
    response_model=NoticeState,
    responses={
        **{code: PROBLEMS[code] for code in (400, 408, 413, 415)},
        404: _NO_NOTICE,
        422: {**PROBLEMS[422], "description": "No counter-notice waits, or no case is named."},
        503: PROBLEMS[503],
    },
    openapi_extra=_json("SuitBody", {"case": "S.D.N.Y. 1:26-cv-4711"}),
)
async def suit(request: Request, token: str) -> Response:
    """Keep content down after a counter-notice; no key is needed but the secret address."""
    state: State = request.app.state.quorum
    desk = _desk(state)
    body = parsed(SuitBody, await request.body(), request.headers.get("content-type", ""))
    if await asyncio.to_thread(desk.state, token[:256]) is None:
        raise Problem(404, "there is no notice at this address")
    await asyncio.to_thread(desk.sued, token[:256], body.case)
    return await _state_at(request, token)


async def _state_at(request: Request, token: str) -> Response:
    state: State = request.app.state.quorum
    found = await asyncio.to_thread(_desk(state).state, token[:256])
    if found is None:
        raise Problem(404, "there is no notice at this address")
    return Response(found.model_dump_json(), media_type="application/json")


def _desk(state: State) -> NoticeDesk:
    if state.notices is None:
        detail = "this service records nothing, so that it takes no notices: see --database"
        raise Problem(503, detail, {"retry-after": "3600"})
    return state.notices

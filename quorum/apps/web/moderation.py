"""The routes that moderate: one upload, an upload with its media file, a batch."""

from __future__ import annotations

import asyncio
import json
from http import HTTPStatus
from typing import Annotated, Any, Final

from fastapi import APIRouter, Header, Request, Response

from quorum.apps.http.problems import Problem
from quorum.apps.web.answers import (
    BatchAnswer,
    ModeratedAnswer,
    as_bytes,
    problem_bytes,
)
from quorum.apps.web.description import BATCH_EXAMPLE, MODERATED_EXAMPLE, UPLOAD_EXAMPLE, example
from quorum.apps.web.media import MediaUpload, read_multipart, refuse_inside
from quorum.apps.web.problem_answers import PROBLEMS
from quorum.apps.web.service import Busy
from quorum.apps.web.state import State, allow, busy_problem
from quorum.core.errors import MalformedMessage
from quorum.core.messages import Upload
from quorum.core.tracing import context_of

__all__ = ["router"]

router = APIRouter(prefix="/v1", tags=["moderate"])


IdempotencyKey = Annotated[
    str | None,
    Header(description="A request repeated with the same key gets the same response."),
]

_HEADERS: dict[str, Any] = {
    "quorum-recorded": {
        "description": "`pending` while the ledger is unreachable; absent once it has the verdict.",
        "schema": {"type": "string"},
    },
    "idempotent-replayed": {
        "description": "`true` for the stored response of an idempotency-key.",
        "schema": {"type": "string"},
    },
}


_MODERATED: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "model": ModeratedAnswer,
        "description": "The verdict.",
        "headers": _HEADERS,
        **example(MODERATED_EXAMPLE),
    },
    **PROBLEMS,
}


@router.post(
    "/moderate",
    operation_id="moderate",
    summary="One upload in, one verdict out",
    responses=_MODERATED,
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {"$ref": "#/components/schemas/Upload"},
                    "example": UPLOAD_EXAMPLE,
                }
            },
        }
    },
)
async def moderate(request: Request, idempotency_key: IdempotencyKey = None) -> Response:
    """Decide an upload by the policy's deadline; a detector that is late is reported missing.

    A multipart form is taken, too, as by `/v1/moderate:media`.
    """
    client = allow(request, "moderate")
    state: State = request.app.state.quorum
    state.take(client, 1)
    sent = await _read(request, state)

    accepted = False

    async def make() -> Response:
        nonlocal accepted
        accepted = True
        made, durable = await state.moderate(
            sent.upload,
            client,
            scored=sent.scored,
            cleanup=sent.cleanup,
            trace=context_of(request.headers),
        )
        return _answer(as_bytes(made), durable=durable)

    try:
        return await state.answers.once(client, idempotency_key, sent.digest, make)
    finally:
        # An accepted file is deleted once it has been scored, which may be after the response.
        if not accepted:
            sent.cleanup()


def _kind(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def _read(request: Request, state: State) -> MediaUpload:
    kind = _kind(request)
    if kind == "multipart/form-data":
        if state.media_folder is None:
            raise Problem(415, "media files are not accepted here; give the media's URI")
        sent = await read_multipart(request, state.media_folder, state.limits.body_bytes)
    elif kind in ("application/json", "application/cloudevents+json"):
        data = await request.body()
        sent = MediaUpload(Upload.accept(data), None, data)
    else:
        raise Problem(415, "send application/json, or multipart/form-data with a media file")
    try:
        refuse_inside(sent.upload, state.media_folder)
    except Problem:
        sent.cleanup()
        raise
    return sent


@router.post(
    "/moderate:media",
    operation_id="moderate_media",
    summary="One upload and its media as a file in, one verdict out",
    responses=_MODERATED,
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "multipart/form-data": {
                    "schema": {"$ref": "#/components/schemas/UploadForm"},
                    "example": {"upload": json.dumps(UPLOAD_EXAMPLE), "media": "(the file)"},
                },
            },
        }
    },
)
async def moderate_media(request: Request, idempotency_key: IdempotencyKey = None) -> Response:
    """Decide an upload whose media file is sent with it; the file is deleted once it is scored.

    A route of its own, since generated clients give an operation one type of body.
    """
    if _kind(request) != "multipart/form-data":
        raise Problem(415, "send multipart/form-data: the upload as JSON, and its media as a file")
    return await moderate(request, idempotency_key)


@router.post(
    "/moderate:batch",
    operation_id="moderate_batch",
    summary="Many uploads in, as many verdicts out",
    responses={
        200: {
            "model": BatchAnswer,
            "description": "A result for each upload, in their order.",
            "headers": _HEADERS,
            **example(BATCH_EXAMPLE),
        },
        **PROBLEMS,
    },
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {"$ref": "#/components/schemas/UploadBatch"},
                    "example": {"uploads": [UPLOAD_EXAMPLE]},
                }
            },
        }
    },
)
async def moderate_batch(request: Request, idempotency_key: IdempotencyKey = None) -> Response:
    """Decide a batch; an invalid upload gets a problem, and the others their verdicts."""
    client = allow(request, "moderate")
    state: State = request.app.state.quorum
    if _kind(request) != "application/json":
        raise Problem(415, "send application/json")
    data = await request.body()
    items = _items(data, state.limits.batch)
    state.take(client, len(items))

    trace = context_of(request.headers)

    async def make() -> Response:
        try:
            state.service.check(len(items))
        except Busy as busy:
            raise busy_problem(busy) from None
        results = await asyncio.gather(*(_one(state, client, item, trace) for item in items))
        body = b'{"results":[' + b",".join(content for content, _ in results) + b"]}"
        return _answer(body, durable=all(durable for _, durable in results))

    return await state.answers.once(client, idempotency_key, data, make)


def _items(data: bytes, limit: int) -> list[Any]:
    try:
        read = json.loads(data)
    except (ValueError, RecursionError):
        raise Problem(422, "the body is not JSON") from None
    items = read.get("uploads") if isinstance(read, dict) else None
    if not isinstance(items, list):
        raise Problem(422, "uploads: must be a list of uploads")
    if len(items) > limit:
        raise Problem(422, f"uploads: {len(items)} are more than the {limit} of one batch")
    return items


async def _one(state: State, client: str, item: Any, trace: str) -> tuple[bytes, bool]:
    try:
        try:
            upload = Upload.accept(json.dumps(item).encode())
        except MalformedMessage as error:
            raise Problem(422, str(error)) from None
        refuse_inside(upload, state.media_folder)
        made, durable = await state.moderate(upload, client, trace=trace)
    except Problem as problem:
        title = HTTPStatus(problem.status).phrase
        return problem_bytes(problem.status, title, problem.detail), True
    return as_bytes(made), durable


def _answer(body: bytes, *, durable: bool) -> Response:
    headers = {} if durable else {"quorum-recorded": "pending"}
    return Response(body, headers=headers, media_type="application/json")

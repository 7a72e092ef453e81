"""The routes of Perspective: ``comments:analyze``, ``comments:suggestscore``, discovery.

A comment is scored as an upload that has this one comment. It is decided nowhere and kept nowhere.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any
from uuid import uuid4

from fastapi import APIRouter, Request, Response

from quorum.apps.http.problems import Problem
from quorum.apps.web.description import COMMENT_ANSWER_EXAMPLE, COMMENT_EXAMPLE, example
from quorum.apps.web.perspective.attributes import score_of
from quorum.apps.web.perspective.discovery import discovery_document
from quorum.apps.web.perspective.errors import key_invalid
from quorum.apps.web.perspective.languages import checked, chosen
from quorum.apps.web.perspective.messages import (
    AnalyzeAnswer,
    AttributeScores,
    ErrorAnswer,
    Score,
    SpanScore,
)
from quorum.apps.web.perspective.reading import parsed, sources_for
from quorum.apps.web.service import Busy
from quorum.apps.web.state import State, busy_problem
from quorum.core.messages import Prediction, Upload, now
from quorum.models.features.text import language_of
from quorum.models.scoring.segments import sentences

__all__ = ["router"]

router = APIRouter(tags=["perspective"])

#: The most sentences that are scored of one comment.
MAX_SPANS = 100


def _error(description: str) -> dict[str, Any]:
    return {"description": description, "model": ErrorAnswer}


_ERRORS: dict[int | str, dict[str, Any]] = {
    400: _error("The request, an attribute, the language or the key is not valid."),
    403: _error("The API key is missing, or lacks the scope `moderate`."),
    408: _error("The body arrived too slowly."),
    413: _error("The body is too large."),
    429: _error("Too many requests; `retry-after` is when to retry."),
}
_KEY = {
    "name": "key",
    "in": "query",
    "description": "The API key, as Perspective's clients send it; better is a header.",
    "schema": {"type": "string"},
}


@router.post(
    "/v1alpha1/comments:analyze",
    operation_id="analyze_comment",
    summary="Score a comment, as Perspective does",
    responses={
        200: {
            "model": AnalyzeAnswer,
            "description": "The scores.",
            **example(COMMENT_ANSWER_EXAMPLE),
        },
        **_ERRORS,
        503: _error("A detector failed, or the service shuts down; retry."),
        504: _error("A detector did not answer by the deadline."),
    },
    openapi_extra={
        "parameters": [_KEY],
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {"$ref": "#/components/schemas/AnalyzeRequest"},
                    "example": COMMENT_EXAMPLE,
                }
            },
        },
    },
)
async def analyze(request: Request) -> Response:
    """Score a comment by each requested attribute; nothing is stored, and nothing decided."""
    state: State = request.app.state.quorum
    client = _client(request, state)
    state.take(client, 1)
    asked = parsed(await request.body(), request.headers.get("content-type", ""))
    sources = sources_for(asked, state.attributes)
    text = asked.comment.text
    requested = checked(asked.languages)
    found = await asyncio.to_thread(language_of, text)
    detected = (found or "und",)
    language = chosen(requested, found)
    spans = sentences(text, MAX_SPANS) if asked.span_annotations else []
    if spans:
        state.take(client, len(spans))
    detectors = frozenset(source.detector for source in sources.values())
    try:
        state.service.check(1 + len(spans))
        whole, *parts = await asyncio.gather(
            state.service.score(_upload(text, language), detectors),
            *(
                state.service.score(_upload(text[start:end], language), detectors)
                for start, end in spans
            ),
        )
    except Busy as busy:
        raise busy_problem(busy) from None

    def value(name: str, predictions: Sequence[Prediction]) -> float:
        return score_of(name, sources[name], predictions, requested=requested, detected=detected)

    scores: dict[str, AttributeScores] = {}
    for name, parameters in asked.requested_attributes.items():
        summary = value(name, whole)
        if asked.span_annotations:
            scored = [
                (span, one)
                for span, predictions in zip(spans, parts, strict=True)
                if (one := _or_none(value, name, predictions)) is not None
            ]
        else:
            scored = [((0, len(text)), summary)]
        made = _scores(text, summary, scored, parameters.score_threshold)
        if made is not None:
            scores[name] = made
    answer = AnalyzeAnswer(
        attribute_scores=scores or None,
        languages=requested or detected,
        client_token=asked.client_token,
        detected_languages=detected,
    )
    # In ASCII: a token goes back as it came, though half a surrogate pair is no text.
    told = json.dumps(answer.model_dump(by_alias=True, exclude_none=True))
    return Response(told, media_type="application/json")


@router.post(
    "/v1alpha1/comments:suggestscore",
    operation_id="suggest_comment_score",
    summary="Refused: suggestions are not kept",
    status_code=400,
    responses={**_ERRORS, 400: _error("Suggestions are not kept here.")},
    openapi_extra={"parameters": [_KEY]},
)
async def suggest_score(request: Request) -> Response:
    """Always refused: what people say of a verdict is a review, and belongs to an upload."""
    state: State = request.app.state.quorum
    state.take(_client(request, state), 1)
    raise Problem(
        400,
        "Suggested scores are not kept here: moderate uploads, publish reviews of them, and "
        "train on what these say (quorum models export-labels)",
        code="FAILED_PRECONDITION",
    )


@router.get(
    "/$discovery/rest",
    summary="The discovery document of Perspective's interface",
    include_in_schema=False,
)
async def discovery(request: Request) -> Response:
    """Describe the interface to Google's clients."""
    if request.query_params.get("version", "v1alpha1") != "v1alpha1":
        raise Problem(404, "there is the version v1alpha1 alone")
    document = discovery_document(str(request.base_url))
    return Response(json.dumps(document), media_type="application/json")


def _client(request: Request, state: State) -> str:
    """The client of a request, by its key as Google's clients send it, or as ours do.

    Raises:
        Problem: If the key is missing or unknown, or may not moderate.
    """
    if state.keyring is None:
        return "anyone"
    secret = request.query_params.get("key") or request.headers.get("x-goog-api-key", "")
    key = state.keyring.find_secret(secret) if secret else state.keyring.find(request.headers)
    if key is None:
        if secret or {"authorization", "x-api-key"} & set(request.headers):
            raise key_invalid()
        detail = "give an API key: key=KEY, x-goog-api-key: KEY or authorization: Bearer KEY"
        raise Problem(403, detail)
    if not key.allows("moderate"):
        raise Problem(403, "this API key lacks the scope moderate")
    return key.name


def _upload(text: str, language: str | None) -> Upload:
    made = text.encode(errors="replace").decode()  # a lone surrogate is no text
    return Upload(
        id=f"comment-{uuid4().hex}",
        uploader="perspective",
        comments=(made,),
        language=language,
        published_at=now(),
    )


def _or_none(value: Any, name: str, predictions: Sequence[Prediction]) -> float | None:
    """The score of a sentence; None where it is too short to be judged by itself."""
    try:
        made: float = value(name, predictions)
    except Problem as problem:
        if problem.status == 400:
            return None
        raise
    return made


def _scores(
    text: str,
    summary: float,
    scored: Sequence[tuple[tuple[int, int], float]],
    threshold: float | None,
) -> AttributeScores | None:
    """The scores that reach the threshold; None if none does."""
    least = -1.0 if threshold is None else threshold
    spans = tuple(
        SpanScore(begin=_utf16(text[:start]), end=_utf16(text[:end]), score=Score(value=one))
        for (start, end), one in scored
        if one >= least
    )
    if summary < least and not spans:
        return None
    return AttributeScores(
        span_scores=spans or None,
        summary_score=Score(value=summary) if summary >= least else None,
    )


def _utf16(text: str) -> int:
    """The length of a text in UTF-16 code units."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2

"""The routes that read: verdicts, the policy, the models, health and metrics."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import APIRouter, Request, Response

from quorum.aggregator.policy.policy import shipped_policies
from quorum.apps.http.problems import Problem
from quorum.apps.web.answers import (
    CaseAnswer,
    ModelsAnswer,
    PoliciesAnswer,
    StatusAnswer,
    case_bytes,
)
from quorum.apps.web.description import CASE_EXAMPLE, MODELS_EXAMPLE, example
from quorum.apps.web.problem_answers import PROBLEMS
from quorum.apps.web.state import State, allow, may, may_read
from quorum.core import metrics as metrics_of
from quorum.core.health import problems

__all__ = ["router"]

_NOT_FOUND = (
    "no verdict of this upload is known here; a key with the scope read knows those of its own "
    "client's uploads, and one with read-all knows all"
)

router = APIRouter()

_REFUSED: dict[int | str, dict[str, Any]] = {code: PROBLEMS[code] for code in (401, 403, 503)}


@router.get(
    "/v1/verdicts/{upload_id:path}",
    operation_id="get_verdict",
    tags=["read"],
    summary="The verdict of an upload",
    responses={
        200: {
            "model": CaseAnswer,
            "description": "The current verdict, and the predictions of its content.",
            **example(CASE_EXAMPLE),
        },
        404: {**PROBLEMS[404], "description": "No verdict of this upload is known."},
        **_REFUSED,
    },
)
async def verdict(request: Request, upload_id: str) -> Response:
    """Return an upload's current verdict, the superseded ones, and the current predictions.

    A key with the scope `read` reads the uploads of its own client.
    """
    allow(request, "read")
    state: State = request.app.state.quorum
    # An id that no upload may have needs no query.
    if 0 < len(upload_id) <= 256 and "\x00" not in upload_id:
        client, body = await _known_case(state, upload_id)
        if body is not None and may_read(request, client):
            return Response(body, media_type="application/json")
    raise Problem(404, _NOT_FOUND)


async def _known_case(state: State, upload_id: str) -> tuple[str | None, bytes | None]:
    """The client that made an upload, and the ``CaseAnswer`` if it has a verdict."""
    known = state.recent.get(upload_id)
    ledger = state.ledger
    if ledger is None:
        if known is None or not known.verdicts:
            return None, None
        return known.client, case_bytes(known.verdicts, known.current_predictions)

    def look_up() -> tuple[str | None, bytes | None]:
        case = ledger.get_case(upload_id)
        if case is None or not case.verdicts:
            return None, None
        client = ledger.owners([upload_id]).get(upload_id)
        return client, case_bytes(case.verdicts, case.current_predictions)

    return await asyncio.to_thread(look_up)


@router.get(
    "/v1/policies",
    operation_id="get_policies",
    tags=["read"],
    summary="The active policy",
    response_model=PoliciesAnswer,
    responses={**_REFUSED},
)
async def policies(request: Request) -> dict[str, Any]:
    """Return the active policy with its text, and the names of the shipped ones."""
    allow(request, "read")
    service = request.app.state.quorum.service
    policy = service.policy
    return {
        "active": {
            "name": policy.name,
            "version": policy.version,
            "deadline": policy.deadline,
            "detectors": list(policy.detectors),
            "rules": [rule.name for rule in policy.rules],
            "text": policy.text,
            "stale": service.policy_problem(),
        },
        "shipped": list(shipped_policies()),
    }


@router.get(
    "/v1/models",
    operation_id="get_models",
    tags=["read"],
    summary="The detectors in use",
    response_model=ModelsAnswer,
    responses={200: example(MODELS_EXAMPLE), **_REFUSED},
)
async def models(request: Request) -> dict[str, Any]:
    """Return each detector; ``stale`` is why a model may differ from the registry's."""
    allow(request, "read")
    state: State = request.app.state.quorum
    detectors = state.service.detectors
    stale = {} if state.watcher is None else state.watcher.stale
    return {
        "models": [
            {
                "name": name,
                "version": detector.version,
                "needs": sorted(detector.needs),
                "model": detector.settings.model,
                "follows": None if state.watcher is None else state.watcher.followed(name),
                "stale": stale.get(name),
                "shadow": detector.shadow,
                "max_batch": detector.settings.max_batch,
                "timeout": detector.settings.timeout,
            }
            for name, detector in detectors.items()
        ]
    }


@router.get(
    "/health",
    operation_id="health",
    tags=["operate"],
    summary="Liveness",
    response_model=StatusAnswer,
    response_model_exclude_none=True,
    responses={200: example({"status": "ok"}), 503: PROBLEMS[503]},
)
async def health() -> dict[str, str]:
    """Return ok while the process can answer, and a restart would not help."""
    found = problems(only_restart_helps=True)
    if found:
        raise Problem(503, f"restart the service: {', '.join(found)}")
    return {"status": "ok"}


@router.get(
    "/ready",
    operation_id="ready",
    tags=["operate"],
    summary="Readiness",
    response_model=StatusAnswer,
    response_model_exclude_none=True,
    responses={200: example({"status": "ready"}), 503: PROBLEMS[503]},
)
async def ready(request: Request) -> dict[str, str]:
    """Return 503 while the service shuts down, or a check of its health finds a problem.

    The member `problems` names the checks that do: `ledger`, `uploads`, detectors by name. The
    reasons are only for keys with the scope `metrics`. Models that may differ from the registry's
    are named; the service stays ready with them.
    """
    state: State = request.app.state.quorum
    if state.closing:
        raise Problem(503, "the service is shutting down")
    found = problems()
    if found:
        # This route is open to everyone, and a reason may name hosts.
        told = found if may(request, "metrics") else dict.fromkeys(found, "see the log")
        raise Problem(503, f"not ready: {', '.join(found)}", problems=told)
    if state.watcher is not None and state.watcher.stale:
        # Without the reason: this route is open to everyone, and the reason names the registry.
        names = ", ".join(sorted(state.watcher.stale))
        return {"status": "ready", "models": f"the last good one of {names}; see /v1/models"}
    if state.service.policy_problem() is not None:
        version = state.service.policy.version
        return {"status": "ready", "policy": f"the last good one, {version}; see /v1/policies"}
    return {"status": "ready"}


@router.get(
    "/metrics",
    operation_id="metrics",
    tags=["operate"],
    summary="Metrics for Prometheus",
    responses={
        200: {
            "content": {
                "text/plain": {"schema": {"type": "string"}},
                "application/openmetrics-text": {"schema": {"type": "string"}},
            },
            "description": "The metrics.",
        },
        401: PROBLEMS[401],
        403: PROBLEMS[403],
    },
    response_class=Response,
)
async def metrics(request: Request) -> Response:
    """Return all metrics, as the header `accept` asks: Prometheus' text format or OpenMetrics."""
    allow(request, "metrics")
    state: State = request.app.state.quorum
    metrics_of.READY.set(float(not state.closing and not problems()))
    metrics_of.PENDING_UPLOADS.set(state.service.pending)
    metrics_of.MODEL.clear()
    for name, detector in state.service.detectors.items():
        metrics_of.MODEL.labels(name, detector.version).set(1)
    metrics_of.MODELS_STALE.set(bool(state.watcher is not None and state.watcher.stale))
    body, kind = metrics_of.page("serve", request.headers)
    return Response(body, media_type=kind)

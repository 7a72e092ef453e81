"""Errors in the form of Google's services: ``{"error": {"code", "message", "status", "details"}}``.

See https://google.aip.dev/193 for the form, and Perspective's page "Limits and errors" for the
messages and the error types.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NoReturn

from starlette.responses import Response

from quorum.apps.http.problems import Problem, problem_response

__all__ = ["PREFIX", "error", "key_invalid", "refuse", "render"]

#: Errors below this path have the form of Google's services.
PREFIX = "/v1alpha1/"

_TYPE = "type.googleapis.com/google.commentanalyzer.v1alpha1.Error"

#: google.rpc.Code by HTTP status.
_STATUS = {
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    408: "DEADLINE_EXCEEDED",
    409: "ABORTED",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


def error(message: str, kind: str = "INVALID_REQUEST", **more: Any) -> Problem:
    """An error of the request, as Perspective names it.

    Args:
        message: What is wrong; quotes nothing of the comment.
        kind: Perspective's ``errorType``.
        more: Further members of the detail.
    """
    return Problem(400, message, details=[{"@type": _TYPE, "errorType": kind, **more}])


def refuse(message: str, kind: str = "INVALID_REQUEST", **more: Any) -> NoReturn:
    """Refuse a request; see ``error``.

    Raises:
        Problem: Always.
    """
    raise error(message, kind, **more)


def key_invalid() -> Problem:
    """The error of a key that is unknown."""
    info = {
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": "API_KEY_INVALID",
        "domain": "googleapis.com",
    }
    return Problem(400, "API key not valid. Please pass a valid API key.", details=[info])


def render(path: str, problem: Problem) -> Response:
    """The response that describes a problem: in Google's form below ``PREFIX``."""
    if not path.startswith(PREFIX):
        return problem_response(problem)
    body: dict[str, Any] = {
        "code": problem.status,
        "message": problem.detail,
        "status": problem.more.get("code", _STATUS.get(problem.status, "INVALID_ARGUMENT")),
    }
    details = [*problem.more.get("details", ()), *_retry(problem.headers)]
    if details:
        body["details"] = details
    return Response(
        json.dumps({"error": body}),
        problem.status,
        headers=problem.headers,
        media_type="application/json",
    )


def _retry(headers: Mapping[str, str]) -> list[dict[str, Any]]:
    """The detail that tells when to retry, as ``retry-after`` does."""
    seconds = headers.get("retry-after")
    if seconds is None:
        return []
    return [
        {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": f"{seconds}s"},
    ]

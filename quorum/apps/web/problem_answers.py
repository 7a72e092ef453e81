"""The problems that routes answer with, as their OpenAPI description has them."""

from __future__ import annotations

from typing import Any

__all__ = ["PROBLEMS"]

_RETRY = {
    "retry-after": {
        "description": "Seconds after which to send the request again.",
        "schema": {"type": "string"},
    }
}


def _problem(description: str, headers: dict[str, Any] | None = None) -> dict[str, Any]:
    content = {
        "application/problem+json": {"schema": {"$ref": "#/components/schemas/ProblemAnswer"}}
    }
    told: dict[str, Any] = {"description": description, "content": content}
    return told if headers is None else {**told, "headers": headers}


#: The errors that a route may answer with, by HTTP status.
PROBLEMS: dict[int | str, dict[str, Any]] = {
    400: _problem("The request cannot be read."),
    401: _problem("The API key is missing or unknown."),
    403: _problem("The API key lacks the scope."),
    404: _problem("Nothing of this name is known."),
    408: _problem("The body arrived too slowly."),
    409: _problem("The id is of another client's upload, or a later content of it is known."),
    413: _problem("The body is too large."),
    415: _problem("The content type is not supported."),
    422: _problem("The body is not a valid upload; the detail names the field."),
    429: _problem("Too many uploads; `retry-after` is when to retry.", _RETRY),
    503: _problem("The ledger is unreachable, or the service shuts down; retry.", _RETRY),
}

"""The OpenAPI description, from which clients are generated: what FastAPI does not tell itself.

It adds the schemas of request bodies, which the routes read themselves, so that each is one named
component; problems; the webhook; and which routes need an API key.
"""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from quorum.apps.web.answers import ProblemAnswer, UploadBatch, UploadForm, WebhookBody
from quorum.apps.web.description import UPLOAD_EXAMPLE, WEBHOOK_EXAMPLE
from quorum.apps.web.notice_desk import NoticeBody, NoticeWebhookBody, SuitBody
from quorum.apps.web.perspective.messages import AnalyzeRequest
from quorum.apps.web.report_desk import ReportBody, ReportWebhookBody
from quorum.core.messages import Upload

__all__ = ["describe"]

#: Models that routes name by reference alone.
_NAMED: tuple[type[BaseModel], ...] = (
    AnalyzeRequest,
    ProblemAnswer,
    NoticeBody,
    NoticeWebhookBody,
    ReportBody,
    ReportWebhookBody,
    SuitBody,
    Upload,
    UploadBatch,
    UploadForm,
    WebhookBody,
)

#: Two ways to present the same key.
_KEYS: dict[str, Any] = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "Made by `quorum serve --new-key`; a service on loopback may need none.",
    },
    "x-api-key": {
        "type": "apiKey",
        "in": "header",
        "name": "x-api-key",
        "description": "The same key.",
    },
}

#: Further ways to present it, which Google's clients have, to the routes of Perspective.
_GOOGLE_KEYS: dict[str, Any] = {
    "key": {"type": "apiKey", "in": "query", "name": "key", "description": "The same key."},
    "x-goog-api-key": {
        "type": "apiKey",
        "in": "header",
        "name": "x-goog-api-key",
        "description": "The same key.",
    },
}

#: Routes that are open to everyone.
_OPEN = frozenset(
    {
        *("/health", "/ready", "/v1/reports/{token}"),
        *("/v1/notices/{token}", "/v1/notices/{token}/suit"),
    }
)

_SIGNATURE_HEADERS = {
    "webhook-id": "The same for each attempt to deliver this verdict.",
    "webhook-timestamp": "When this attempt was made, in seconds since 1970.",
    "webhook-signature": "`v1,` and the HMAC-SHA256 of `id.timestamp.body`, in Base64.",
}

_WEBHOOKS: dict[str, Any] = {
    "verdict": {
        "post": {
            "operationId": "verdict_webhook",
            "tags": ["webhooks"],
            "summary": "A verdict was made",
            "description": "Sent to the endpoints of `--webhooks`, signed as Standard Webhooks "
            "defines it, until the response is 2xx. Verify the signature, drop an id that is "
            "known, and keep the verdict with the greatest `published_at`, `revision`, `at`.",
            "parameters": [
                {
                    "name": name,
                    "in": "header",
                    "required": True,
                    "description": description,
                    "schema": {"type": "string"},
                }
                for name, description in _SIGNATURE_HEADERS.items()
            ],
            "requestBody": {
                "required": True,
                "content": {
                    "application/json": {
                        "schema": {"$ref": "#/components/schemas/WebhookBody"},
                        "example": WEBHOOK_EXAMPLE,
                    }
                },
            },
            "responses": {
                "2XX": {"description": "It was received."},
                "default": {"description": "It is sent again, for about 28 hours."},
            },
            "security": [],
        }
    }
}
_WEBHOOKS["report"] = {
    "post": {
        **_WEBHOOKS["verdict"]["post"],
        "operationId": "report_webhook",
        "summary": "A user's report was decided",
        "description": "Sent as verdicts are, to the endpoints whose `events` name `report`.",
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {"$ref": "#/components/schemas/ReportWebhookBody"},
                }
            },
        },
    }
}
_WEBHOOKS["notice"] = {
    "post": {
        **_WEBHOOKS["verdict"]["post"],
        "operationId": "notice_webhook",
        "summary": "Something happened to a legal notice",
        "description": "Sent as verdicts are, to the endpoints whose `events` name `notice`.",
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {"$ref": "#/components/schemas/NoticeWebhookBody"},
                }
            },
        },
    }
}


def describe(app: FastAPI) -> None:
    """Complete the description that the app gives at ``/openapi.json``."""
    made = app.openapi

    def described() -> dict[str, Any]:
        if app.openapi_schema is not None:
            return app.openapi_schema
        schema = made()
        components = schema.setdefault("components", {})
        _name_schemas(components.setdefault("schemas", {}))
        components["securitySchemes"] = {**_KEYS, **_GOOGLE_KEYS}
        for path, operations in schema["paths"].items():
            for operation in operations.values():
                operation["security"] = (
                    [] if path in _OPEN else [{name: []} for name in _ways(path)]
                )
                _drop_validation_errors(operation["responses"])
        schema["webhooks"] = _WEBHOOKS
        return schema

    app.openapi = described  # type: ignore[method-assign]


def _name_schemas(schemas: dict[str, Any]) -> None:
    """Add the models that routes name by reference; drop FastAPI's own errors, never given."""
    _, more = models_json_schema(
        [(model, "validation") for model in _NAMED],
        ref_template="#/components/schemas/{model}",
    )
    for name, one in more["$defs"].items():
        schemas.setdefault(name, one)
    schemas["Upload"]["example"] = UPLOAD_EXAMPLE
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)


def _drop_validation_errors(responses: dict[str, Any]) -> None:
    told = responses.get("422", {}).get("content", {}).get("application/json", {})
    if told.get("schema", {}).get("$ref", "").endswith("/HTTPValidationError"):
        del responses["422"]


def _ways(path: str) -> list[str]:
    """The names of the ways to present a key to a route."""
    return [*_KEYS, *(_GOOGLE_KEYS if path.startswith("/v1alpha1/") else ())]

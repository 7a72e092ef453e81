"""Examples of requests and answers, as ``/openapi.json`` shows them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = [
    "BATCH_EXAMPLE",
    "CASE_EXAMPLE",
    "COMMENT_ANSWER_EXAMPLE",
    "COMMENT_EXAMPLE",
    "MODELS_EXAMPLE",
    "MODERATED_EXAMPLE",
    "PROBLEM_EXAMPLE",
    "UPLOAD_EXAMPLE",
    "WEBHOOK_EXAMPLE",
    "example",
]

UPLOAD_EXAMPLE: dict[str, Any] = {
    "id": "video-4711",
    "uploader": "channel-12",
    "title": "Win a phone NOW, click the link",
    "description": "Subscribe and you get one too",
    "tags": ["phone", "free"],
    "published_at": "2026-01-31T12:00:00Z",
}

_PREDICTION: dict[str, Any] = {
    "id": "9a873708224326c7c1f213bd020b6eb3",
    "detector": "spam",
    "version": "bdd24316cd2fc200",
    "status": "scored",
    "score": 0.968,
    "labels": {"spam/promotion": 0.968},
    "shadow": False,
}

_VERDICT: dict[str, Any] = {
    "id": "7d06faf7ea68edf9d56480bda25fbe71",
    "upload_id": "video-4711",
    "action": "review",
    "revision": 1,
    "policy_version": "balanced@5ee401f38f237d92",
    "rule": "spam-likely",
    "category": "spam",
    "reasons": ["The upload is likely spam (probability 0.97)."],
    "predictions": [_PREDICTION],
    "missing": [{"detector": "copyright", "why": "no answer by its deadline"}],
    "decided_by": "deadline",
    "at": "2026-01-31T12:00:02.046451Z",
    "latency": 0.632,
}

MODERATED_EXAMPLE: dict[str, Any] = {
    "verdict": _VERDICT,
    "predictions": [
        {
            **_PREDICTION,
            "upload_id": "video-4711",
            "evidence": [
                {
                    "kind": "text",
                    "what": "Subscribe",
                    "field": "description",
                    "start": 0.0,
                    "end": 9.0,
                    "weight": 0.4411,
                }
            ],
            "elapsed": 0.0179,
            "at": "2026-01-31T12:00:00.146310Z",
        }
    ],
}

PROBLEM_EXAMPLE: dict[str, Any] = {
    "type": "about:blank",
    "title": "Unprocessable Entity",
    "status": 422,
    "detail": "not a valid upload: published_at: Field required",
}

BATCH_EXAMPLE: dict[str, Any] = {"results": [MODERATED_EXAMPLE, {"problem": PROBLEM_EXAMPLE}]}

WEBHOOK_EXAMPLE: dict[str, Any] = {
    "type": "verdict",
    "timestamp": "2026-01-31T12:00:02.046451Z",
    "data": _VERDICT,
}

CASE_EXAMPLE: dict[str, Any] = {
    "verdict": _VERDICT,
    "earlier": [],
    "predictions": MODERATED_EXAMPLE["predictions"],
}

MODELS_EXAMPLE: dict[str, Any] = {
    "models": [
        {
            "name": "spam",
            "version": "bdd24316cd2fc200",
            "needs": ["embedding", "text"],
            "model": "mlflow:models:/spam/3#bdd24316cd2fc200",
            "follows": "mlflow:models:/spam@champion",
            "stale": None,
            "shadow": False,
            "max_batch": 32,
            "timeout": 30.0,
        }
    ]
}

COMMENT_EXAMPLE: dict[str, Any] = {
    "comment": {"text": "Subscribe to my channel and win a phone!"},
    "languages": ["en"],
    "requestedAttributes": {"SPAM": {}},
    "doNotStore": True,
}

COMMENT_ANSWER_EXAMPLE: dict[str, Any] = {
    "attributeScores": {
        "SPAM": {
            "spanScores": [
                {"begin": 0, "end": 40, "score": {"value": 0.968, "type": "PROBABILITY"}}
            ],
            "summaryScore": {"value": 0.968, "type": "PROBABILITY"},
        }
    },
    "languages": ["en"],
    "detectedLanguages": ["en"],
}


def example(of: Mapping[str, Any], kind: str = "application/json") -> dict[str, Any]:
    """Describe a response's content by an example."""
    return {"content": {kind: {"example": dict(of)}}}

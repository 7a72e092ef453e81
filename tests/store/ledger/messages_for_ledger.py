"""Messages in the shapes that the ledger's tests need."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from quorum.core.messages import (
    Action,
    Prediction,
    Review,
    Status,
    Upload,
    UsedPrediction,
    Verdict,
    digest,
    prediction_id,
)

START = datetime(2026, 1, 1, tzinfo=UTC)


def at(minutes: float) -> datetime:
    return START + timedelta(minutes=minutes)


def upload(number: int, **more: Any) -> Upload:
    given: dict[str, Any] = {
        "id": f"up-{number}",
        "uploader": f"by-{number % 3}",
        "title": f"Title {number}",
        "published_at": at(number),
    }
    return Upload(**given | more)


def prediction(number: int, detector: str = "spam", **more: Any) -> Prediction:
    given: dict[str, Any] = {
        "id": prediction_id(f"up-{number}", detector, "v1"),
        "upload_id": f"up-{number}",
        "detector": detector,
        "version": "v1",
        "status": Status.SCORED,
        "score": 0.25,
        "at": at(number + 0.1),
    }
    return Prediction(**given | more)


def verdict(number: int, revision: int = 1, minutes: float = 0.5, **more: Any) -> Verdict:
    given: dict[str, Any] = {
        "upload_id": f"up-{number}",
        "action": Action.ALLOW,
        "revision": revision,
        "policy_version": "p1",
        "rule": "nothing-found",
        "reasons": ("Nothing was found.",),
        "predictions": (
            UsedPrediction(id="p", detector="spam", version="v1", status=Status.SCORED, score=0.25),
        ),
        "decided_by": "policy",
        "at": at(number + minutes),
        "latency": 0.5,
    } | more
    said = (given["upload_id"], str(revision), given["action"], str(given["at"]))
    return Verdict(**{"id": digest("verdict", *said)} | given)


def review(number: int, of: Verdict, **more: Any) -> Review:
    given: dict[str, Any] = {
        "upload_id": f"up-{number}",
        "verdict_id": of.id,
        "action": Action.ALLOW,
        "reviewer": "ana",
        "at": at(number + 5),
    }
    return Review(**given | more)

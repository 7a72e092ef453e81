"""Cases as a stream would have left them in the ledger."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from quorum.ledger import Ledger
from quorum.messages import (
    Action,
    Evidence,
    Prediction,
    Status,
    Upload,
    UsedPrediction,
    Verdict,
    digest,
    now,
    prediction_id,
)


def record_case(
    ledger: Ledger,
    number: int,
    *,
    action: Action = Action.REVIEW,
    category: str | None = "violence",
    score: float = 0.6,
    revision: int = 1,
    rule: str = "violence-unclear",
    evidence: tuple[Evidence, ...] = (),
    missing: tuple[Any, ...] = (),
    **upload: Any,
) -> Verdict:
    at = now() - timedelta(minutes=100 - number)
    given = {
        "id": f"up-{number}",
        "uploader": f"by-{number % 3}",
        "title": f"Title {number}",
        "published_at": at,
    }
    made = Upload(**{**given, **upload})
    said = Prediction(
        id=prediction_id(made.id, "violence", "v1"),
        upload_id=made.id,
        detector="violence",
        version="v1",
        status=Status.SCORED,
        score=score,
        at=at,
        evidence=evidence,
    )
    verdict = Verdict(
        id=digest("verdict", made.id, str(revision)),
        upload_id=made.id,
        action=action,
        revision=revision,
        policy_version="test@1",
        rule=rule,
        category=category,
        reasons=("It may show violence (0.60).",),
        predictions=(
            UsedPrediction(
                id=said.id, detector="violence", version="v1", status=Status.SCORED, score=score
            ),
        ),
        missing=missing,
        decided_by="policy",
        at=at + timedelta(seconds=1) if revision == 1 else now(),
        latency=1.0,
    )
    ledger.record([made, said, verdict])
    return verdict

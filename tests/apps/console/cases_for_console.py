"""Cases as a stream would have left them in the ledger."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

from sqlalchemy import select

from quorum.apps.console.desk import claims, decisions
from quorum.core.messages import (
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
from quorum.store.ledger import Ledger
from quorum.store.ledger.console_schema import decisions as decision_table
from quorum.store.ledger.console_schema import tasks as task_table


def upload_of(url: str) -> str | None:
    """The upload that the page of a case is about; None on another page."""
    return parse_qs(urlsplit(url).query).get("upload", [None])[0]


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
    decided_by: str = "policy",
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
    prediction = Prediction(
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
                id=prediction.id,
                detector="violence",
                version="v1",
                status=Status.SCORED,
                score=score,
            ),
        ),
        missing=missing,
        decided_by=decided_by,
        at=at + timedelta(seconds=1) if revision == 1 else now(),
        latency=1.0,
    )
    ledger.record([made, prediction, verdict])
    return verdict


XSS = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "{{ 7*7 }}{% for x in y %}",
    "javascript:alert(1)",
    "</textarea><svg/onload=alert(1)>",
    "\u202eevil\u0000",
)


def take(ledger: Ledger, number: int, reviewer: str) -> str:
    with_id = select(task_table.c.id).where(
        task_table.c.upload_id == f"up-{number}", task_table.c.state == "open"
    )
    task_id = ledger.transact(lambda c: c.execute(with_id).scalars().first())
    assert claims.claim(ledger, task_id, reviewer) is not None
    return task_id


def choose(ledger: Ledger, task_id: str, who: str, action: Action, undo: int = 0, note: str = ""):
    return decisions.decide(ledger, task_id, who, action, "violence", note, timedelta(seconds=undo))


def gone(ledger: Ledger) -> bool:
    rows = ledger.transact(lambda c: c.execute(select(decision_table.c.state)).scalars().all())
    return "published" in rows

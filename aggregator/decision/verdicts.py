"""Makes the verdict of a decision, or of the review that overrules it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from quorum.aggregator.decision.compact import CompactPrediction
from quorum.aggregator.decision.evaluate import Decision, PredictionLike
from quorum.aggregator.policy.policy import Policy
from quorum.aggregator.statements.statement import statement_text
from quorum.core.messages import Action, Missing, Upload, UsedPrediction, Verdict, digest

__all__ = ["Overruling", "local_actions", "make_verdict"]


@dataclass(frozen=True, slots=True)
class Overruling:
    """A review that overrules whatever the policy says.

    Attributes:
        id: Of the review.
        action: What the reviewer decided.
        category: The harm that the reviewer named, if one.
    """

    id: str
    action: Action
    category: str | None


def make_verdict(
    policy: Policy,
    upload: Upload,
    decision: Decision,
    *,
    past: tuple[int, str] | None,
    review: Overruling | None,
    late: bool,
    now: datetime,
    latency: float,
    shadow_outcomes: Sequence[Mapping[str, str]] = (),
) -> Verdict:
    """The next verdict on an upload.

    Its id is a digest of the upload, the revision, the policy's version, the rule and what that
    rule rests on: the same inputs give the same id, in whatever order they came. Scores are not
    in it, for they differ a little with the batch that they were made in.

    Args:
        policy: Decided.
        upload: What is decided on.
        decision: What the policy makes of it.
        past: Revision and id of the verdict that this one supersedes.
        review: Overrules the decision.
        late: Whether a detector's time had run out.
        now: The time.
        latency: Seconds from the upload's arrival.
        shadow_outcomes: What policies in shadow would decide.
    """
    action, rule, category = decision.action, decision.rule, decision.category
    reasons, inputs = decision.reasons, decision.inputs
    decided_by: Literal["policy", "deadline", "reviewer"] = "deadline" if late else "policy"
    extras: dict[str, Any] = {}
    if review is not None:
        action, rule, decided_by = review.action, "review", "reviewer"
        category = None if action is Action.ALLOW else review.category or category
        reasons, inputs = ("A reviewer decided.",), (review.id,)
    elif decision.territories:
        extras["territories"] = {code: act.value for code, act in decision.territories}
    if decision.shadow_matched:
        extras["shadow_rules"] = list(decision.shadow_matched)
    if shadow_outcomes:
        extras["shadow_policies"] = [dict(one) for one in shadow_outcomes]
    revision = 1 if past is None else past[0] + 1
    verdict = Verdict(
        id=digest("verdict", upload.id, str(revision), policy.version, rule, *inputs),
        upload_id=upload.id,
        action=action,
        revision=revision,
        supersedes=None if past is None else past[1],
        policy_version=policy.version,
        rule=rule,
        category=category,
        reasons=reasons,
        predictions=tuple(_used(one) for one in decision.used),
        missing=tuple(Missing(detector=name, why=why) for name, why in decision.missing),
        decided_by=decided_by,
        at=now,
        latency=latency,
        **extras,
    )
    text = statement_text(policy, verdict, upload.language)
    return verdict if text is None else verdict.model_copy(update={"statement": text})


def local_actions(verdict: Verdict) -> Mapping[str, str]:
    """The territories with another action than the verdict's own."""
    return (verdict.model_extra or {}).get("territories") or {}


def _used(one: PredictionLike) -> UsedPrediction:
    if isinstance(one, CompactPrediction):
        return one.used()
    return UsedPrediction.model_validate(one, from_attributes=True)

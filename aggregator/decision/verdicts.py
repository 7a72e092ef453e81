"""The verdict of a decision, or of the review that overrules it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from quorum.aggregator.decision.accounts import AccountChoice, Said, account_values
from quorum.aggregator.decision.evaluate import Decision, PredictionLike
from quorum.aggregator.decision.steps import Plan
from quorum.aggregator.policy.policy import Policy
from quorum.aggregator.statements.statement import account_statement, statement_text
from quorum.core.messages import AccountState, Action, Campaign, Upload, Verdict, digest

__all__ = ["Overruling", "local_actions", "make_verdict"]


@dataclass(frozen=True, slots=True)
class Overruling:
    """A review that overrules the policy.

    Attributes:
        id: Of the review.
        action: What the reviewer decided.
        category: The harm that the reviewer named, if one.
        account: What the reviewer said of the uploader's account; None if nothing.
    """

    id: str
    action: Action
    category: str | None
    account: Said | None = None


def make_verdict(
    policy: Policy,
    upload: Upload,
    decision: Decision,
    *,
    content: str,
    published: datetime,
    past: tuple[int, str] | None,
    review: Overruling | None,
    late: bool,
    now: datetime,
    latency: float,
    shadow_outcomes: Sequence[Mapping[str, str]] = (),
    account: AccountChoice | None = None,
    strikes: float = 0.0,
    later: Plan | None = None,
    since: Mapping[str, int] | None = None,
    features: Mapping[str, float] | None = None,
    campaigns: Sequence[Campaign] = (),
) -> Verdict:
    """The next verdict on an upload.

    Its id is a digest of the upload, its content, the revision, the policy's version, the rule and
    what that rule rests on: the same inputs give the same id, in whatever order they came. Scores
    are not in it, for they differ a little with the batch that they were made in.

    Args:
        policy: Made the decision.
        upload: The upload; of a decided one perhaps only what the policy reads.
        decision: What the policy decides.
        content: The digest of the upload's content.
        published: When that content was published.
        past: Revision and id of the verdict that this one supersedes.
        review: Overrules the decision.
        late: Whether the deadline of a detector without a prediction has passed.
        now: The time.
        latency: Seconds since the upload arrived.
        shadow_outcomes: What each policy in shadow would decide.
        account: What happens to the uploader's account.
        strikes: The uploader's strikes, without this upload's.
        later: What time alone will bring.
        since: Since when each rule with ``then`` applies, in microseconds since 1970.
        features: Values of features over time, by ``Feature.key``.
        campaigns: The waves that the upload is part of.
    """
    revision = 1 if past is None else past[0] + 1
    rule, inputs = decision.rule, decision.inputs
    values: dict[str, Any] = {
        "upload_id": upload.id,
        "digest": content,
        "published_at": published,
        "action": decision.action,
        "revision": revision,
        "supersedes": None if past is None else past[1],
        "policy_version": policy.version,
        "rule": rule,
        "category": decision.category,
        "reasons": decision.reasons,
        "predictions": [_used(one) for one in decision.used],
        "missing": [{"detector": name, "why": why} for name, why in decision.missing],
        "decided_by": "deadline" if late else "policy",
        "at": now,
        "latency": latency,
    }
    if review is not None:
        rule, inputs = "review", (review.id,)
        values |= {
            "action": review.action,
            "rule": rule,
            "category": None
            if review.action is Action.ALLOW
            else review.category or decision.category,
            "reasons": ("A reviewer decided.",),
            "decided_by": "reviewer",
        }
    elif decision.territories:
        values["territories"] = {code: action.value for code, action in decision.territories}
    if later is not None:
        values["plan"] = {
            "action": later.action,
            "at": _time(later.at),
            "rule": later.rule,
            "reason": later.reason,
        }
    if since:
        values["since"] = {rule: _time(when) for rule, when in since.items()}
    if features:
        values["features"] = features
    if campaigns:
        values["campaigns"] = tuple(campaigns)
    if decision.rollout:
        values["rollout"] = {name: "in" if taken else "out" for name, taken in decision.rollout}
    if decision.shadow_matched:
        values["shadow_rules"] = list(decision.shadow_matched)
    if shadow_outcomes:
        values["shadow_policies"] = [dict(one) for one in shadow_outcomes]
    values["id"] = digest(
        "verdict", upload.id, content, str(revision), policy.version, rule, *inputs
    )
    if account is not None:
        values["account"] = account_values(
            account,
            uploader=upload.uploader,
            upload_id=upload.id,
            revision=revision,
            policy=policy,
            strikes=strikes,
            now=now,
        )
    verdict = Verdict.model_validate(values)
    told: dict[str, Any] = {}
    if (statement := statement_text(policy, verdict, upload.language)) is not None:
        told["statement"] = statement
    if verdict.account is not None and verdict.account.state is AccountState.HOLDS:
        text = account_statement(verdict, upload.language)
        told["account"] = verdict.account.model_copy(update={"statement": text})
    return verdict.model_copy(update=told) if told else verdict


def _time(microseconds: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)


def local_actions(verdict: Verdict) -> Mapping[str, str]:
    """The territories with another action than the verdict's own."""
    return (verdict.model_extra or {}).get("territories") or {}


def _used(one: PredictionLike) -> dict[str, Any]:
    """The values of a ``UsedPrediction``, which the verdict validates."""
    return {
        "id": one.id,
        "detector": one.detector,
        "version": one.version,
        "status": one.status,
        "score": one.score,
        "labels": one.labels,
        "reason": one.reason,
        "shadow": one.shadow,
        "seen": one.seen,
        "works": tuple(one.works or ()) or None,
    }

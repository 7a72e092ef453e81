"""Whether the action of an upload is settled before all of its detectors were run.

Asked by a cascade after its first detectors. The answer is the same wherever it is asked, for it
depends on the policies, the upload and what was said, and not on who uploaded: the stream learns
the uploader's history only later.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from quorum.aggregator.decision.evaluate import Decision, evaluate
from quorum.aggregator.decision.facts import PredictionLike
from quorum.aggregator.policy.policy import Policy
from quorum.aggregator.policy.values import Rule
from quorum.core.messages import NOT_ASKED, Action, Upload

__all__ = ["settled"]


def settled(
    policies: Sequence[Policy], upload: Upload, said: Iterable[PredictionLike]
) -> str | None:
    """Why nothing that is not yet said can change the action; None if it can.

    Another rule of the same severity might still be named as the one that decides.

    Args:
        policies: The one that decides, first, and those that watch in shadow: none of them may
            come to another action.
        upload: The facts.
        said: What was said so far; it is taken to be final.

    Returns:
        The reason for the predictions of those that are not asked.
    """
    heard = tuple(said)
    spoken = {one.detector for one in heard if not one.shadow}
    decisions = []
    for policy in policies:
        outstanding = frozenset(policy.detectors.keys() - spoken)
        weighed = evaluate(policy, lambda: upload, heard, {}, outstanding)
        if not weighed.fixed or not _whoever(policy, weighed.decision):
            return None
        decisions.append(weighed.decision)
    if not decisions:
        return None
    action, rule = decisions[0].action, decisions[0].rule
    return f"{NOT_ASKED}{rule} had settled the action ({action})"


def _whoever(policy: Policy, decision: Decision) -> bool:
    """Whether the action is the same whatever is known of the uploader."""
    if not policy.reads_history:
        return True
    by_history = {rule.name for rule in policy.rules if _reads_history(rule)}
    for rule in policy.rules:
        # One that cannot be evaluated asks for a review.
        gravest = max(rule.action.severity, Action.REVIEW.severity)
        if rule.name in by_history and gravest > decision.action.severity:
            return False
    return any(
        rule.action is decision.action
        and rule.name in decision.matched
        and rule.name not in by_history
        and not rule.territories
        for rule in policy.rules
    )


def _reads_history(rule: Rule) -> bool:
    return any("uploader" in condition.variables for condition in rule.conditions)

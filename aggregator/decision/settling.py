"""Whether the action of an upload is settled before all of its detectors have run.

A cascade calls this after its first detectors. The result is the same in every mode, because it
depends on the policies, the upload and the predictions, and not on the uploader's history, which
the stream reads only later.
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
    policies: Sequence[Policy], upload: Upload, predictions: Iterable[PredictionLike]
) -> str | None:
    """Why no further prediction can change the action; None if one can.

    A further prediction may still change which rule of the same severity decides.

    Args:
        policies: The one that decides, then those in shadow. The action of each must be settled.
        upload: The upload.
        predictions: Those made so far, taken as final.

    Returns:
        The reason for the predictions of the detectors that are skipped.
    """
    made = tuple(predictions)
    done = {one.detector for one in made if not one.shadow}
    decisions = []
    for given in policies:
        policy = given.decides(upload.uploader, upload.id)
        asks = policy.asks(lambda: upload)
        outstanding = frozenset(n for n in policy.detectors if asks.get(n, n) not in done)
        evaluation = evaluate(policy, lambda: upload, made, {}, outstanding)
        if not evaluation.fixed or not _holds_for_any_uploader(policy, evaluation.decision):
            return None
        decisions.append(evaluation.decision)
    if not decisions:
        return None
    action, rule = decisions[0].action, decisions[0].rule
    return f"{NOT_ASKED}{rule} had settled the action ({action})"


def _holds_for_any_uploader(policy: Policy, decision: Decision) -> bool:
    """Whether the action is the same for every history of the uploader."""
    if not policy.reads_history and not policy.features:
        return True
    by_history = {rule.name for rule in policy.rules if _reads_history(rule)}
    for rule in policy.rules:
        # A rule that cannot be evaluated gives a review.
        most_severe = max(rule.action.severity, Action.REVIEW.severity)
        if rule.name in by_history and most_severe > decision.action.severity:
            return False
    return any(
        rule.action is decision.action
        and rule.name in decision.matched
        and rule.name not in by_history
        and not rule.territories
        for rule in policy.rules
    )


def _reads_history(rule: Rule) -> bool:
    """Whether it reads what is not known yet: the history, or features over time."""
    return any(
        "uploader" in condition.variables or any(read.what == "feature" for read in condition.reads)
        for condition in rule.conditions
    )

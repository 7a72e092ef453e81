"""Shadow: what detectors, rules and policies that only watch would have done."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Final

from quorum.aggregator.policy.policy import Policy
from quorum.aggregator.study.record import PastCase

__all__ = ["UNSETTLED", "ShadowDetector", "ShadowReport", "compare_shadow"]

#: What a policy in shadow is counted as where the verdict was made before it would have decided.
UNSETTLED: Final = "undecided yet"


@dataclass
class ShadowDetector:
    """A detector in shadow beside the live one of the same name.

    Attributes:
        seen: Cases in which both or only the shadow one spoke.
        paired: Of them, those that both scored.
        difference: Sum of the absolute differences of their scores.
        changes: By action as decided, and as it would be with the shadow one in its place.
    """

    seen: int = 0
    paired: int = 0
    difference: float = 0.0
    changes: Counter[tuple[str, str]] = field(default_factory=Counter)


@dataclass
class ShadowReport:
    """What would have been done.

    Attributes:
        cases: How many were compared.
        detectors: By detector and version in shadow.
        rules: For each shadow rule: the actions that were decided where it would have applied.
        policies: By version of a policy in shadow: the action as decided, and as it would be.
    """

    cases: int = 0
    detectors: dict[tuple[str, str], ShadowDetector] = field(default_factory=dict)
    rules: dict[str, Counter[str]] = field(default_factory=dict)
    policies: dict[str, Counter[tuple[str, str]]] = field(default_factory=dict)


def compare_shadow(policy: Policy, cases: Iterable[PastCase]) -> ShadowReport:
    """Compare what watches with what acts, over past cases."""
    report = ShadowReport(rules={rule.name: Counter() for rule in policy.rules if rule.shadow})
    for case in cases:
        report.cases += 1
        decision = case.decide(policy)
        for name in decision.shadow_matched:
            report.rules[name][decision.action.value] += 1
        for told in case.shadow_policies:
            made = UNSETTLED if told.get("waiting_for") else str(told.get("action", "an error"))
            acted = "undecided" if case.action is None else case.action.value
            report.policies.setdefault(told["policy_version"], Counter())[acted, made] += 1
        live = {one.detector: one for one in case.answers if not one.shadow}
        for one in case.answers:
            if not one.shadow:
                continue
            entry = report.detectors.setdefault((one.detector, one.version), ShadowDetector())
            entry.seen += 1
            other = live.get(one.detector)
            if other is not None and other.score is not None and one.score is not None:
                entry.paired += 1
                entry.difference += abs(one.score - other.score)
            answers = [answer for answer in live.values() if answer.detector != one.detector]
            swapped = replace(case, answers=(*answers, one._replace(shadow=False)))
            entry.changes[decision.action.value, swapped.decide(policy).action.value] += 1
    return report

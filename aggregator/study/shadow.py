"""Shadow mode: what detectors, rules and policies in shadow would have decided."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Final

from quorum.aggregator.policy.policy import Policy
from quorum.aggregator.study.record import PastCase

__all__ = ["UNSETTLED", "ShadowDetector", "ShadowReport", "compare_shadow"]

#: The action of a shadow policy that was still waiting for a detector at the live verdict.
UNSETTLED: Final = "undecided yet"


@dataclass
class ShadowDetector:
    """A detector in shadow beside the live one of the same name.

    Attributes:
        seen: Cases with a prediction of the shadow detector.
        paired: Those of them that both scored.
        difference: The sum of the absolute differences of their scores.
        changes: Cases by live action, and the action with the shadow detector in its place.
    """

    seen: int = 0
    paired: int = 0
    difference: float = 0.0
    changes: Counter[tuple[str, str]] = field(default_factory=Counter)


@dataclass
class ShadowReport:
    """The decisions of all that is in shadow.

    Attributes:
        cases: Cases that were compared.
        detectors: By shadow detector and version.
        rules: For each shadow rule: the live actions of the cases to which it applies.
        policies: For each shadow policy's version: cases by live and shadow action.
    """

    cases: int = 0
    detectors: dict[tuple[str, str], ShadowDetector] = field(default_factory=dict)
    rules: dict[str, Counter[str]] = field(default_factory=dict)
    policies: dict[str, Counter[tuple[str, str]]] = field(default_factory=dict)


def compare_shadow(policy: Policy, cases: Iterable[PastCase]) -> ShadowReport:
    """Compare shadow with live decisions over past cases."""
    report = ShadowReport(rules={rule.name: Counter() for rule in policy.rules if rule.shadow})
    for case in cases:
        report.cases += 1
        decision = case.decide(policy)
        for name in decision.shadow_matched:
            report.rules[name][decision.action.value] += 1
        for verdict in case.shadow_policies:
            made = (
                UNSETTLED if verdict.get("waiting_for") else str(verdict.get("action", "an error"))
            )
            acted = "undecided" if case.action is None else case.action.value
            report.policies.setdefault(verdict["policy_version"], Counter())[acted, made] += 1
        live = {one.detector: one for one in case.predictions if not one.shadow}
        for one in case.predictions:
            if not one.shadow:
                continue
            entry = report.detectors.setdefault((one.detector, one.version), ShadowDetector())
            entry.seen += 1
            acting = live.get(one.detector)
            if acting is not None and acting.score is not None and one.score is not None:
                entry.paired += 1
                entry.difference += abs(one.score - acting.score)
            others = [other for other in live.values() if other.detector != one.detector]
            swapped = replace(case, predictions=(*others, one._replace(shadow=False)))
            entry.changes[decision.action.value, swapped.decide(policy).action.value] += 1
    return report

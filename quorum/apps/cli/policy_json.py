"""The JSON of ``quorum policy VERB --json``: one object for each verb.

With ``--json`` standard output has this object and nothing else; notes go to standard error.
``docs/policy.md`` documents the objects.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from quorum.aggregator.decision.accounts import account_choice
from quorum.aggregator.decision.evaluate import Decision
from quorum.aggregator.policy.policy import Policy
from quorum.aggregator.study.backtest import Backtest
from quorum.aggregator.study.check import PolicyProblem
from quorum.aggregator.study.explain import Explanation
from quorum.aggregator.study.golden import Result
from quorum.aggregator.study.record import PastCase
from quorum.core.errors import PolicyError

if TYPE_CHECKING:
    from quorum.aggregator.study.drift import Drift
    from quorum.aggregator.study.fit import Fitted
    from quorum.aggregator.study.shadow import ShadowReport
    from quorum.aggregator.study.tune import Tuned

__all__ = [
    "AsJson",
    "backtest_json",
    "check_json",
    "drift_json",
    "explain_json",
    "fit_json",
    "golden_json",
    "policy_json",
    "print_json",
    "refused_json",
    "shadow_json",
    "tune_json",
]

AsJson = Annotated[
    bool,
    typer.Option("--json", help="Print one JSON object, and nothing else, to standard output."),
]


def print_json(value: Mapping[str, Any]) -> None:
    """Print one object to standard output."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))


def policy_json(policy: Policy) -> dict[str, Any]:
    """What ``show`` and ``list`` say of a policy."""
    return {
        "name": policy.name,
        "version": policy.version,
        "description": policy.description,
        "detectors": list(policy.detectors),
        "rules": [
            {
                "name": rule.name,
                "when": rule.when.source,
                "unless": None if rule.unless is None else rule.unless.source,
                "action": rule.action.value,
                "category": rule.category,
                "territories": list(rule.territories),
                "shadow": rule.shadow,
            }
            for rule in policy.rules
        ],
    }


def check_json(policy: Policy, problems: Iterable[PolicyProblem]) -> dict[str, Any]:
    """What ``check`` finds in a valid policy."""
    found = [
        {
            "severity": one.severity,
            "rule": one.rule,
            "message": one.message,
            "file": policy.file,
            "line": one.line,
            "column": one.column,
        }
        for one in problems
    ]
    return {"version": policy.version, "valid": True, "problems": found}


def refused_json(error: PolicyError) -> dict[str, Any]:
    """What ``check`` says of a policy that is not valid."""
    found = [
        {
            "severity": "error",
            "rule": None,
            "message": one.message,
            "file": one.file,
            "line": one.line,
            "column": one.column,
        }
        for one in (error, *error.others)
    ]
    return {"version": None, "valid": False, "problems": found}


def golden_json(policy: Policy, results: Sequence[Result], unseen: Sequence[str]) -> dict[str, Any]:
    """What ``test`` finds."""
    return {
        "version": policy.version,
        "cases": [
            {
                "name": one.golden.name,
                "passed": not one.wrong,
                "action": one.decision.action.value,
                "rule": one.decision.rule,
                "wrong": list(one.wrong),
            }
            for one in results
        ],
        "failed": sum(bool(one.wrong) for one in results),
        "rules_without_a_case": list(unseen),
    }


def _account(policy: Policy, decision: Decision) -> dict[str, Any] | None:
    found = account_choice(policy, decision.rule, decision.action)
    if found is None:
        return None
    return {
        "action": found.action.value,
        "state": found.state.value,
        "reason": found.reason,
        "seconds": found.seconds,
    }


def explain_json(policy: Policy, case: PastCase, found: Explanation) -> dict[str, Any]:
    """What ``explain`` says of one decision."""
    decision = found.decision
    return {
        "version": policy.version,
        "upload_id": case.facts.get("id"),
        "action": decision.action.value,
        "rule": decision.rule,
        "category": decision.category,
        "reasons": list(decision.reasons),
        "territories": {code: action.value for code, action in decision.territories},
        "account": _account(policy, decision),
        "plan": None
        if found.plan is None
        else {
            "action": found.plan.action.value,
            "seconds": found.plan.at / 1e6,
            "rule": found.plan.rule,
            "reason": found.plan.reason,
        },
        "features": dict(found.features),
        "detectors": [{"name": one.name, "text": one.text} for one in found.detectors],
        "rules": [
            {
                "name": one.name,
                "outcome": one.outcome,
                "action": None if one.action is None else one.action.value,
                "text": one.text,
            }
            for one in found.rules
        ],
        "changes": [
            {
                "action": one.action.value,
                "rule": one.rule,
                "scores": [
                    {"name": name, "before": before, "after": after}
                    for name, before, after in one.scores
                ],
            }
            for one in found.changes
        ],
    }


def backtest_json(found: Backtest, candidate: Policy, base: Policy | None) -> dict[str, Any]:
    """What ``backtest`` and ``diff`` count."""
    wrongful = {
        name: {"removals": removed, "not_upheld": wrong}
        for name, (wrong, removed) in (
            ("before", found.wrongful_removals(candidate=False)),
            ("after", found.wrongful_removals(candidate=True)),
        )
    }
    return {
        "version": candidate.version,
        "against": None if base is None else base.version,
        "cases": found.cases,
        "changed": found.changed,
        "unreadable": found.unreadable,
        "with_other_versions": found.retried,
        "changes": [
            {"before": before, "after": after, "cases": count}
            for (before, after), count in sorted(found.changes.items())
        ],
        "reviewed_removals": wrongful,
        "planned": [
            {"rule": rule, "now": now, "then": then, "cases": count}
            for (rule, now, then), count in sorted(found.planned.items())
        ],
    }


def tune_json(made: Tuned, score: str) -> dict[str, Any]:
    """What ``tune`` finds."""
    return {
        "score": score,
        "threshold": made.threshold,
        "bound": made.bound,
        "confidence": made.confidence,
        "labels": made.labels,
        "removals": made.removals,
        "wrongful": made.wrongful,
        "upper": made.upper,
        "caught": made.caught,
        "labels_needed": made.labels_needed,
        "above": made.above,
    }


def fit_json(name: str, made: Fitted) -> dict[str, Any]:
    """What ``fit`` finds; ``combiners`` is as in a policy."""
    single, alone = made.best_single
    return {
        "combiners": {
            name: {
                "bias": made.combiner.bias,
                "weights": dict(made.combiner.weights),
                "absent": dict(made.combiner.absent),
            }
        },
        "labels": made.labels,
        "harmful": made.harmful,
        "roc_auc": made.roc_auc,
        "best_single": {"name": single, "roc_auc": alone},
    }


def drift_json(found: Iterable[Drift], cases: int, saved: str | None) -> dict[str, Any]:
    """What ``drift`` finds."""
    detectors = [
        {
            "detector": one.detector,
            "index": one.index,
            "scores": {"now": one.scores[0], "reference": one.scores[1]},
            "silent": {"now": one.silent[0], "reference": one.silent[1]},
            "versions": {"now": list(one.versions[0]), "reference": list(one.versions[1])},
            "alarm": one.alarm,
        }
        for one in found
    ]
    return {
        "cases": cases,
        "saved": saved,
        "detectors": detectors,
        "alarm": any(one["alarm"] for one in detectors),
    }


def shadow_json(report: ShadowReport) -> dict[str, Any]:
    """What ``compare-shadow`` counts."""
    return {
        "cases": report.cases,
        "detectors": [
            {
                "detector": detector,
                "version": version,
                "cases": one.seen,
                "mean_difference": one.difference / one.paired if one.paired else None,
                "changes": _pairs(one.changes),
            }
            for (detector, version), one in report.detectors.items()
        ],
        "rules": [{"rule": rule, "applied": dict(of)} for rule, of in report.rules.items()],
        "policies": [
            {"version": version, "changes": _pairs(changes)}
            for version, changes in report.policies.items()
        ],
    }


def _pairs(changes: Mapping[tuple[str, str], int]) -> list[dict[str, Any]]:
    return [
        {"live": live, "shadow": shadow, "cases": count}
        for (live, shadow), count in sorted(changes.items())
    ]

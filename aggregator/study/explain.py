"""Explain a decision: what each detector and rule contributed, and counterfactuals."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from quorum.aggregator.decision.compact import CompactPrediction
from quorum.aggregator.decision.evaluate import Decision
from quorum.aggregator.decision.facts import Facts, effective_status, number_of, standing
from quorum.aggregator.decision.rules import compiled
from quorum.aggregator.decision.steps import Plan
from quorum.aggregator.policy.policy import Policy
from quorum.aggregator.policy.program import Outcome
from quorum.aggregator.study.check import turning_points
from quorum.aggregator.study.record import PastCase
from quorum.core.messages import Action

__all__ = ["Change", "ExplainedStep", "Explanation", "explain"]

#: More pairs than this are not tried.
MAX_PAIRS: Final = 20_000


@dataclass(frozen=True, slots=True)
class ExplainedStep:
    """The contribution of one detector or one rule.

    Attributes:
        name: The detector or the rule.
        text: A phrase that describes it.
        outcome: For a rule: true, false, unknown or error.
        action: For a rule: its action.
    """

    name: str
    text: str
    outcome: Outcome | None = None
    action: Action | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """A change of scores that leads to another action.

    Attributes:
        action: The other action.
        rule: The rule that would decide.
        scores: For each score or label: its name, its value (None if absent), and the other value.
        size: The sum of the absolute changes.
    """

    action: Action
    rule: str
    scores: tuple[tuple[str, float | None, float], ...]
    size: float


@dataclass(frozen=True, slots=True)
class Explanation:
    """A decision with its explanation.

    Attributes:
        decision: The decision.
        detectors: The contribution of each detector.
        rules: The outcome of each rule.
        changes: The smallest change that leads to each other action that can be reached.
        plan: What time alone brings; its ``at`` counts from the decision.
        features: The value of each feature over time, None where it is unknown.
    """

    decision: Decision
    detectors: tuple[ExplainedStep, ...]
    rules: tuple[ExplainedStep, ...]
    changes: tuple[Change, ...]
    plan: Plan | None = None
    features: tuple[tuple[str, float | None], ...] = ()


def explain(policy: Policy, case: PastCase) -> Explanation:
    """Explain how a policy decides a case, with a rollout by the side that it is on."""
    policy = case.side(policy)
    decision = case.decide(policy)
    case = _by_names(policy, case)
    live = {one.detector: one for one in case.predictions if not one.shadow}
    rules = compiled(policy)
    facts = Facts(
        live,
        frozenset(),
        case.missing,
        lambda: case.upload,
        case.uploader,
        features=case.features,
    )
    return Explanation(
        decision=decision,
        detectors=tuple(_detectors(policy, case, live)),
        rules=tuple(
            ExplainedStep(rule.name, _outcome_text(outcome, message), outcome, rule.action)
            for rule, outcome, message in rules.outcomes(facts)
        ),
        changes=tuple(_changes(policy, case, decision.action, live)),
        plan=case.plan(policy),
        features=tuple((name, case.features.get(one.key)) for name, one in policy.features.items()),
    )


def _by_names(policy: Policy, case: PastCase) -> PastCase:
    """The case with the versions of detectors that count, by the policy's names of these."""
    live = {one.detector: one for one in case.predictions if not one.shadow}
    counted = standing(policy, policy.asks(lambda: case.upload), live)
    named = (one._replace(detector=name) for name, one in counted.items())
    return replace(case, predictions=(*named, *(one for one in case.predictions if one.shadow)))


def _outcome_text(outcome: Outcome, message: str) -> str:
    return {
        "true": "applies",
        "false": "does not apply",
        "unknown": "does not apply: a score or a feature that it needs is absent",
        "error": f"could not be evaluated: {message}",
    }[outcome]


def _detectors(
    policy: Policy, case: PastCase, live: Mapping[str, CompactPrediction]
) -> Iterator[ExplainedStep]:
    for name, declared in policy.detectors.items():
        prediction = live.get(name)
        if prediction is not None and prediction.score is not None:
            labels = ", ".join(f"{path} {value:.2f}" for path, value in prediction.labels.items())
            yield ExplainedStep(
                name, f"scored {prediction.score:.3f}{f' ({labels})' if labels else ''}"
            )
            continue
        meaning = declared.meaning(effective_status(prediction))
        if prediction is None:
            text = f"missing ({case.missing.get(name, 'no answer')})"
        else:
            text = f"{prediction.code} ({prediction.reason or 'no reason given'})"
        if isinstance(meaning, Action):
            text += f", which means {meaning}"
        elif isinstance(meaning, float):
            text += f", which counts as {meaning:g}"
        else:
            text += ", which means nothing"
        yield ExplainedStep(name, f"{text}{' [shadow]' if declared.shadow else ''}")
    for one in case.predictions:
        if one.shadow or one.detector not in policy.detectors:
            score = "no score" if one.score is None else f"scored {one.score:.3f}"
            kind = "shadow" if one.shadow else "not in the policy"
            yield ExplainedStep(one.detector, f"{score} [{kind}]")


def _changes(
    policy: Policy, case: PastCase, action: Action, live: Mapping[str, CompactPrediction]
) -> Iterator[Change]:
    points = turning_points(policy)
    found: dict[Action, Change] = {}

    def consider(names: tuple[str, ...]) -> None:
        for values in itertools.product(*(points[name] for name in names)):
            now = [
                (name, number_of(name, live), value)
                for name, value in zip(names, values, strict=True)
            ]
            size = sum(1.0 if old is None else abs(old - new) for _, old, new in now)
            moved = tuple(one for one in now if one[1] is None or abs(one[1] - one[2]) > 1e-9)
            if len(moved) < len(names):
                continue
            decision = _with(case, moved).decide(policy)
            best = found.get(decision.action)
            if decision.action is not action and (best is None or size < best.size):
                found[decision.action] = Change(decision.action, decision.rule, moved, size)

    for name in points:
        consider((name,))
    for pair in itertools.combinations(points, 2):
        if len(found) < len(Action) - 1 and len(points[pair[0]]) * len(points[pair[1]]) <= (
            MAX_PAIRS // 4
        ):
            consider(pair)
    yield from sorted(found.values(), key=lambda change: (change.size, change.action))


def _with(case: PastCase, scores: tuple[tuple[str, float | None, float], ...]) -> PastCase:
    """The case with changed scores."""
    predictions = {(one.detector, one.shadow): one for one in case.predictions}
    for name, _, value in scores:
        detector = name.split("/", 1)[0]
        old = predictions.get((detector, False))
        labels = dict(old.labels) if old is not None else {}
        score = old.score if old is not None and old.score is not None else value
        if "/" in name:
            labels = {path: p for path, p in labels.items() if not path.startswith(f"{name}/")}
            labels[name] = value
        else:
            score = value
        predictions[detector, False] = CompactPrediction(
            detector, detector, "changed", 0, "scored", score, labels
        )
    return replace(case, predictions=tuple(predictions.values()))

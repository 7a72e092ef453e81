"""Find likely mistakes in a valid policy.

Each rule is evaluated at every point that can make a difference: for each score that it reads: 0,
1, absent, and both sides of each number in a condition. For conditions that compare scores with
numbers, as nearly all do, this settles whether the rule can apply, and whether it can ever decide.
Rules that read the upload or its uploader are evaluated for sample uploads (``check_fields``).
"""

from __future__ import annotations

import itertools
import math
import random
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from quorum.aggregator.decision.rules import SEVERITY
from quorum.aggregator.policy.expression import Expression, Read
from quorum.aggregator.policy.policy import Policy
from quorum.aggregator.policy.program import Context, Outcome, Program, evaluate
from quorum.aggregator.policy.tree import place, read_tree
from quorum.aggregator.policy.values import Rule
from quorum.aggregator.study.check_fields import unequal, unevaluable
from quorum.core.messages import Action

__all__ = ["PolicyProblem", "check_policy", "turning_points"]

#: With more combinations, a random sample of this size is evaluated (with a fixed seed).
MAX_POINTS: Final = 4096
_SMALL: Final = 1e-6
_NUMBER = re.compile(r"(?<![\w.\"'])(\d+(?:\.\d+)?|\.\d+)(?![\w\"'])")


@dataclass(frozen=True, slots=True)
class PolicyProblem:
    """A likely mistake in a policy.

    Attributes:
        severity: ``error`` for a certain mistake, ``note`` for a possible one.
        rule: The rule that it concerns; None if it is no rule.
        message: The problem, and often its fix.
        line: Line of the rule in the policy's text, from 1; None if it is no rule.
        column: Column of the rule, from 1.
    """

    severity: Literal["error", "note"]
    rule: str | None
    message: str
    line: int | None = None
    column: int | None = None


def check_policy(policy: Policy, seconds: float | None = None) -> tuple[PolicyProblem, ...]:
    """Check a policy; errors come first.

    Args:
        policy: The policy.
        seconds: After this time the search for rules that never apply or decide ends, and a note
            says so; None for no end.
    """
    end = math.inf if seconds is None else time.monotonic() + seconds
    whole = read_tree(policy.text, policy.file)
    nowhere = (None, None)
    placed = []
    for side in policy.sides:
        tree = whole if side is policy else whole["rollout"]["policy"]
        places = {
            rule.name: place(tree, ("rules", index, "name"))
            for index, rule in enumerate(side.rules)
        }
        for one in (*_rules(side, end), *_detectors(side), *_unused(side), *_removals(side)):
            line, column = places.get(one.rule or "", nowhere)
            placed.append(replace(one, line=line, column=column))
    return tuple(sorted(placed, key=lambda problem: problem.severity))


def turning_points(policy: Policy) -> Mapping[str, tuple[float, ...]]:
    """For each score or label that rules read: the values at which a condition may change.

    These are 0, 1, and both sides of each number in its conditions.
    """
    found: dict[str, set[float]] = {}
    for rule in policy.rules:
        for condition in rule.conditions:
            numbers = _numbers(condition)
            names = {read.name for read in condition.reads if read.what in ("score", "label")}
            for read in condition.reads:
                if read.what == "combined":
                    names |= set(policy.combiners[read.name].weights)
            for name in names:
                found.setdefault(name, set()).update(_sides(numbers))
    return {name: tuple(sorted(values)) for name, values in found.items()}


def _numbers(condition: Expression) -> set[float]:
    return {float(text) for text in _NUMBER.findall(condition.source)}


def _sides(numbers: set[float]) -> set[float]:
    """0, 1, and each number with a point on both sides, within 0 and 1."""
    near = {side for one in numbers for side in (one - _SMALL, one, one + _SMALL)}
    return {0.0, 1.0} | {side for side in near if 0.0 <= side <= 1.0}


class _Tried:
    """A rule with its compiled conditions."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self._when = Program(rule.when.compiled)
        self._unless = None if rule.unless is None else Program(rule.unless.compiled)
        self.variables = frozenset().union(*(one.variables for one in rule.conditions))

    def outcome(self, context: Any) -> Outcome:
        outcome, _ = evaluate(self._when, context)
        if outcome == "true" and self._unless is not None:
            exempt, _ = evaluate(self._unless, context)
            return "false" if exempt == "true" else "true"
        return outcome


def _rules(policy: Policy, end: float) -> Iterator[PolicyProblem]:
    live = [_Tried(rule) for rule in policy.rules if not rule.shadow]
    for index, tried in enumerate(live):
        rule = tried.rule
        if rule.action is Action.ALLOW:
            message = (
                "asks for `allow`, which changes nothing: the most severe action wins; use "
                "`unless` in the rules that it should soften"
            )
            yield PolicyProblem("note", rule.name, message)
            continue
        if rule.category is None and {rule.action, rule.most_severe} & {
            Action.RESTRICT,
            Action.REMOVE,
        }:
            message = "restricts without a category, which a statement of reasons needs"
            yield PolicyProblem("note", rule.name, message)
        if tried.variables:
            yield from _unevaluable(policy, rule)
            continue
        others = [other for at, other in enumerate(live) if at != index]
        try:
            yield from _reach(tried, others, policy, end)
        except TimeoutError:
            message = "the search for rules that never decide took too long and ended at this one"
            yield PolicyProblem("note", rule.name, message)
            return


def _unevaluable(policy: Policy, rule: Rule) -> Iterator[PolicyProblem]:
    """Uploads for which the rule cannot be evaluated, and comparisons that are never equal."""
    for condition in rule.conditions:
        for wrong in unequal(policy, condition):
            yield PolicyProblem("error", rule.name, wrong)
    for which, wrong in unevaluable(policy, rule.when):
        message = f"cannot be evaluated for {which} upload, which then goes to review: {wrong}"
        if which == "every":
            yield PolicyProblem("error", rule.name, message)
        else:
            message = f"cannot be evaluated for {which}, which then goes to review: {wrong}"
            if "without" in which:
                field = which.split("`")[1]
                message += f"; ask has({field}) first"
                if field.startswith("predictions."):
                    message += ", or use score(), label() or status()"
            yield PolicyProblem("note", rule.name, message)
    if rule.unless is not None:
        for which, wrong in unevaluable(policy, rule.unless):
            if which == "every":
                message = f"`unless` cannot be evaluated, so it exempts no upload: {wrong}"
                yield PolicyProblem("error", rule.name, message)


def _reach(
    tried: _Tried, others: list[_Tried], policy: Policy, end: float
) -> Iterator[PolicyProblem]:
    """Whether a rule can apply, and whether it can decide.

    Raises:
        TimeoutError: If it is later than ``end``.
    """
    rule = tried.rule
    place = policy.rules.index(rule)
    over = [
        other
        for other in others
        if not other.variables
        and not other.rule.territories
        and not _ends(other.rule)
        and (-SEVERITY[other.rule.action], policy.rules.index(other.rule))
        < (-SEVERITY[rule.most_severe], place)
    ]
    fires = False
    blockers: dict[str, int] = {}
    fired = 0
    for point in _points(rule, policy):
        if time.monotonic() > end:
            raise TimeoutError
        context = Context(point)
        if tried.outcome(context) != "true":
            continue
        fires = True
        fired += 1
        blocked = [other.rule.name for other in over if other.outcome(context) == "true"]
        if not blocked:
            return
        for name in blocked:
            blockers[name] = blockers.get(name, 0) + 1
    if not fires:
        yield PolicyProblem("error", rule.name, "can never apply: its condition is never true")
        return
    always = [name for name, count in blockers.items() if count == fired]
    names = " or ".join(f"`{name}`" for name in (always[:1] or sorted(blockers)))
    message = f"never decides: wherever it applies, {names} applies too and comes first"
    yield PolicyProblem("error", rule.name, message)


def _ends(rule: Rule) -> bool:
    """Whether others decide too: after it, as time makes it milder, or for other uploaders."""
    if rule.rollout is not None and rule.rollout.percent < 100.0:
        return True
    return rule.then is not None and rule.then.action.severity < rule.action.severity


def _points(rule: Rule, policy: Policy) -> Iterator[dict[str, Any]]:
    reads = {read.variable: read for one in rule.conditions for read in one.reads}
    numbers = {number for one in rule.conditions for number in _numbers(one)}
    for other in policy.rules:
        if not other.shadow and other.detectors & rule.detectors:
            for one in other.conditions:
                numbers |= _numbers(one)
    axis = sorted(_sides(numbers))
    axes: list[list[Any]] = []
    for read in reads.values():
        if read.what == "status":
            axes.append(["scored", "abstained", "failed", "missing"])
        elif read.what == "feature":
            near = {side for one in numbers for side in (one - _SMALL, one, one + _SMALL)}
            axes.append([*sorted({0.0, *near}), None])
        else:
            axes.append([*axis, None])
    total = 1
    for values in axes:
        total *= len(values)
    names = list(reads)
    combinations: Iterator[tuple[Any, ...]]
    if total <= MAX_POINTS:
        combinations = itertools.product(*axes)
    else:
        draw = random.Random(0)  # noqa: S311 - the same sample each time
        combinations = (tuple(draw.choice(one) for one in axes) for _ in range(MAX_POINTS))
    for chosen in combinations:
        point = dict(zip(names, chosen, strict=True))
        if _consistent(point, reads):
            yield {name: value for name, value in point.items() if value is not None}


def _consistent(point: Mapping[str, Any], reads: Mapping[str, Read]) -> bool:
    """Whether the scores and the status of each detector agree."""
    for name, read in reads.items():
        if read.what != "status":
            continue
        for other, score in reads.items():
            if score.what in ("score", "label") and score.detector == read.detector:
                known = point[other] is not None
                if known and point[name] != "scored" and score.default is None:
                    return False
                if not known and point[name] == "scored":
                    return False
    return True


def _detectors(policy: Policy) -> Iterator[PolicyProblem]:
    read: set[str] = set()
    opaque = False
    for rule in policy.rules:
        read |= rule.detectors
        opaque = opaque or any(one.opaque for one in rule.conditions)
    for name, detector in policy.detectors.items():
        if name not in read and not detector.shadow and not opaque:
            message = f"no rule asks the detector `{name}`"
            if detector.silences:
                message += "; only its silence has a meaning"
            yield PolicyProblem("note", None, message)
    if policy.quorum == 0:
        message = "a quorum of 0 allows an upload that no detector could judge"
        yield PolicyProblem("note", None, message)


def _unused(policy: Policy) -> Iterator[PolicyProblem]:
    conditions: list[Expression] = [one for rule in policy.rules for one in rule.conditions]
    combined = {read.name for one in conditions for read in one.reads if read.what == "combined"}
    for name in policy.combiners:
        if name not in combined:
            yield PolicyProblem("note", None, f"no rule asks the combiner `{name}`")
    counted = {read.name for one in conditions for read in one.reads if read.what == "feature"}
    for name in policy.features:
        if name not in counted:
            yield PolicyProblem("note", None, f"no rule reads the feature `{name}`")
    listed = {name for one in conditions for name in one.listed}
    for name in policy.lists:
        if name not in listed:
            yield PolicyProblem("note", None, f"no rule reads the list `{name}`")


def _removals(policy: Policy) -> Iterator[PolicyProblem]:
    caps = policy.caps
    for rule in policy.rules:
        if rule.most_severe is Action.REMOVE and not rule.shadow:
            waves = sorted(
                read.name
                for read in rule.when.reads
                if read.what == "feature" and policy.features[read.name].kind == "wave"
            )
            if waves and not rule.detectors:
                message = (
                    f"removes by the wave `{waves[0]}` and no detector: anyone may send the same "
                    "as others; ask for review, or for a score beside"
                )
                yield PolicyProblem("note", rule.name, message)
            own = caps.rules.get(rule.name) or caps.each_rule or caps.total
            if own is None:
                message = "removes without a cap; a faulty detector could remove every upload"
                yield PolicyProblem("note", rule.name, message)

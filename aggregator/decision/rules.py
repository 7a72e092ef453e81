"""The rules of a policy, compiled once in a process, and their evaluation for one upload."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import product
from typing import Any, Final

from quorum.aggregator.decision.facts import Facts, PredictionLike, RuleInputs, number_of
from quorum.aggregator.policy.fields import has_type
from quorum.aggregator.policy.policy import Policy
from quorum.aggregator.policy.program import (
    UNKNOWN_HISTORY,
    Context,
    Outcome,
    Program,
    evaluate,
)
from quorum.aggregator.policy.values import Rule
from quorum.core.messages import Action

__all__ = [
    "DEFAULT",
    "DEFAULT_RULE",
    "ERRORS",
    "QUORUM",
    "SEVERITY",
    "SILENCES",
    "Match",
    "Rank",
    "Rules",
    "compiled",
]

SEVERITY: Final[Mapping[Action, int]] = {action: action.severity for action in Action}

#: The order of failed rules, missing scores, the quorum and the default among the matches of one
#: severity: after all rules.
ERRORS, SILENCES, QUORUM, DEFAULT = (1_000_000 * step for step in (1, 2, 3, 4))

#: The rule of a verdict for which nothing matched.
DEFAULT_RULE: Final = "default"

#: Histories that are tried for an uploader whose own is unknown: each number at both extremes.
_HISTORIES: Final = tuple(
    {"strikes": strikes, "removals": removals, "verdicts": verdicts}
    for strikes, removals, verdicts in product((0.0, 1e6), (0, 1_000_000), (0, 1_000_000))
)

#: A condition that compares one score, label or feature with one number.
_COMPARISON: Final = re.compile(
    r"""\s*(?:(?:score|label)\("[^"\\]+"\)|feature\("[^"\\]+",\s*\d+(?:\.\d+)?\))"""
    r"""\s*>(=?)\s*(\d+(?:\.\d+)?(?:[eE]\d+)?)\s*"""
)

#: Negative severity, then place: the least one decides.
Rank = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Match:
    """A rule, a missing prediction, the quorum or the default, with its action.

    Attributes:
        action: For the upload as a whole.
        order: Its place among those of one severity.
        name: In the form of ``Verdict.rule``.
        category: The harm.
        reason: A sentence.
        reads: The detectors that it rests on.
        territories: Where its own action applies, if not everywhere.
        local: Its own action there.
        later: Whether its action is that of ``then``, whose time has come.
    """

    action: Action
    order: int
    name: str
    category: str | None
    reason: str
    reads: frozenset[str]
    territories: tuple[str, ...] = ()
    local: Action | None = None
    later: bool = False

    @property
    def rank(self) -> Rank:
        """The least rank decides."""
        return (-SEVERITY[self.action], self.order)


@dataclass(frozen=True, slots=True)
class _Compiled:
    order: int
    rule: Rule
    when: Any
    unless: Any
    opaque: bool
    safe: bool
    #: Whether it is unknown where none of its reads has a value.
    unknown_alone: bool
    #: The read and its least value that is true, if the condition compares one read with a number.
    threshold: tuple[str, float] | None


@dataclass(frozen=True, slots=True)
class _Plan:
    """How to evaluate the rules if certain of their reads have a value.

    Attributes:
        compared: Rules that only compare one read with one number, each with both: CEL is not
            called while the number is not reached.
        joined: Other rules all of whose reads have a value.
        partly: Rules that are evaluated one by one.
        silent: Rules whose outcome is unknown.
        any: A program that is false if none of ``joined`` matches or fails.
        reads: What ``any`` reads of detectors.
    """

    compared: tuple[tuple[_Compiled, str, float], ...]
    joined: tuple[_Compiled, ...]
    partly: tuple[_Compiled, ...]
    silent: tuple[_Compiled, ...]
    any: Any = None
    reads: frozenset[str] = frozenset()


class Rules:
    """The rules of one policy.

    Attributes:
        live: The detectors that count, by name.
        silences: For each of them, the ranks of the matches that a missing score may give.
        default: Decides if nothing else matches; it rests on all detectors that could have
            given another match.
        upload_fields: The fields of ``upload`` that any rule reads.
    """

    def __init__(self, policy: Policy) -> None:
        self.live = {name: one for name, one in policy.detectors.items() if not one.shadow}
        self._policy = policy
        self.silences = {
            name: tuple((-SEVERITY[action], SILENCES + order) for action in one.silences)
            for order, (name, one) in enumerate(self.live.items())
        }
        everything = [_compile(order, rule) for order, rule in enumerate(policy.rules)]
        self._rules = [one for one in everything if not one.rule.shadow]
        self._shadow = [one for one in everything if one.rule.shadow]
        self._everything = RuleInputs(policy, [one.rule for one in self._rules])
        #: Rules that only compare a feature over time with a number: each with the feature's key,
        #: what stands for an unknown value, and the least value that is true.
        self._counted = [
            (one, policy.features[asked.name].key, asked.default, one.threshold[1])
            for one in self._rules
            if one.threshold is not None
            and one.unless is None
            and (asked := one.rule.when.reads[0]).what == "feature"
            and asked.default is not None
        ]
        self._last_reached: tuple[Mapping[str, float] | None, Sequence[_Compiled]] = (None, ())
        counted = {one.order for one, *_ in self._counted}
        self._others = [one for one in self._rules if one.order not in counted]
        self._inputs = RuleInputs(policy, [one.rule for one in self._others])
        self._shadow_inputs = RuleInputs(policy, [one.rule for one in self._shadow])
        self.upload_fields = RuleInputs(policy, policy.rules).fields
        self._plans: dict[int, _Plan] = {}
        self._all = _Plan((), (), tuple(self._others), ())
        self._opaque = any(one.opaque for one in self._rules)
        self._rolled = [one.rule for one in self._rules if one.rule.rollout is not None]
        silent = frozenset(name for name, one in self.live.items() if one.silences)
        read = frozenset().union(*(one.rule.detectors for one in self._rules), silent)
        self.default = Match(
            action=Action.ALLOW,
            order=DEFAULT,
            name=DEFAULT_RULE,
            category=None,
            reason="No rule asks for more than to allow it.",
            reads=frozenset(self.live) if self._opaque else read,
        )

    def sides(self, facts: Facts) -> tuple[tuple[str, bool], ...]:
        """The rules with a rollout, and whether it takes the uploader."""
        if not self._rolled:
            return ()
        upload = facts.upload()
        return tuple(
            (rule.name, rule.rollout.takes(upload.uploader, upload.id))
            for rule in self._rolled
            if rule.rollout is not None
        )

    def match(self, facts: Facts) -> tuple[list[Match], list[Rank]]:
        """The rules that match, and the ranks that outstanding predictions may still give."""
        matches: list[Match] = []
        unsure: list[Rank] = []
        out = frozenset(name for name, taken in self.sides(facts) if not taken)
        inputs = self._inputs
        values, known = inputs.values(facts)
        plan = self._plans.get(known)
        if plan is None:
            plan = self._plans[known] = self._plan(known)
        if facts.outstanding:
            if self._opaque:
                plan = self._all
            else:
                for one in plan.silent:
                    waits = not facts.outstanding.isdisjoint(one.rule.detectors)
                    if waits and one.rule.name not in out:
                        self._wait(one, facts, unsure)
        candidates = [one for one, read, limit in plan.compared if values[read] >= limit]
        for one in self._reached(facts.features):
            read = one.rule.when.reads[0]
            values[read.variable] = self._everything.feature(read, facts)
            candidates.append(one)
        context: Any = None
        try:
            variables = inputs.facts(facts) if inputs.variables else {}
            if plan.joined:
                few = {read: values[read] for read in plan.reads}
                if evaluate(plan.any, Context(few | variables))[0] != "false":
                    candidates += plan.joined
            if candidates or plan.partly or not facts.uploader.known:
                values |= variables
                context = Context(values)
        except Exception as error:
            why = f"the upload cannot be read by rules ({type(error).__name__})"
            return [_failed(one, why) for one in self._rules if one.rule.name not in out], []
        for one in (*plan.partly, *candidates):
            if one.rule.name not in out:
                self._consider(one, context, facts, matches, unsure)
        if not facts.uploader.known:
            matches += self._without_history(values, context, facts, out)
        return matches, unsure

    def _reached(self, features: Mapping[str, float]) -> Sequence[_Compiled]:
        """The rules whose feature is over their number; asked again for each prediction."""
        last = self._last_reached
        if last[0] is not features:
            get = features.get
            found = [
                one for one, key, default, limit in self._counted if get(key, default) >= limit
            ]
            last = self._last_reached = (features, found)
        return last[1]

    def _without_history(
        self, values: Mapping[str, Any], context: Any, facts: Facts, out: frozenset[str]
    ) -> Iterator[Match]:
        """Rules that lack a score and the uploader's history, and that some history would meet.

        ``uploader.strikes >= 3.0 || score("spam") >= 0.9`` is unknown without either, but may be
        true of this uploader; one that is unknown whatever the history does not apply anyway.
        """
        for one in self._others:
            if (
                one.rule.name not in out
                and any("uploader" in condition.variables for condition in one.rule.conditions)
                and facts.outstanding.isdisjoint(one.rule.detectors)
                and _outcome(one, context)[0] == "unknown"
                and any(
                    _outcome(one, Context({**values, "uploader": history}))[0] == "true"
                    for history in _HISTORIES
                )
            ):
                yield _failed(one, UNKNOWN_HISTORY)

    def _plan(self, known: int) -> _Plan:
        """The plan for these reads with a value, one bit each."""
        variables = {
            read.variable for bit, read in enumerate(self._inputs.reads) if known >> bit & 1
        }
        silent, partly, wholly = [], [], []
        for one in self._others:
            reads = {read.variable for condition in one.rule.conditions for read in condition.reads}
            if reads <= variables:
                wholly.append(one)
            elif one.unknown_alone and not reads & variables:
                silent.append(one)
            else:
                partly.append(one)
        compared = tuple((one, *one.threshold) for one in wholly if one.threshold is not None)
        joined = tuple(one for one in wholly if one.threshold is None)
        program = _any_of(joined) if joined else None
        if program is None:
            return _Plan(compared, (), (*partly, *joined), tuple(silent))
        read = frozenset(
            read.variable
            for one in joined
            for condition in one.rule.conditions
            for read in condition.reads
        )
        return _Plan(compared, joined, tuple(partly), tuple(silent), program, read)

    def _consider(
        self,
        one: _Compiled,
        context: Any,
        facts: Facts,
        matches: list[Match],
        unsure: list[Rank],
    ) -> None:
        outcome, detail = _outcome(one, context)
        outstanding = facts.outstanding
        waits = bool(outstanding) and (one.opaque or not outstanding.isdisjoint(one.rule.detectors))
        if waits and (one.opaque or outcome in ("unknown", "error")):
            self._wait(one, facts, unsure)
        elif outcome == "true":
            matches.append(self._matched(one, facts))
        elif outcome == "error":
            matches.append(_failed(one, self._cause(one.rule, facts) or detail))

    def _cause(self, rule: Rule, facts: Facts) -> str:
        """That a field of the producer's own has another type than declared, if one has."""
        for name in sorted({name for one in rule.conditions for name in one.fields}):
            kind = self._policy.fields.get(name)
            if kind and not has_type((facts.upload().model_extra or {}).get(name), kind):
                return f"the upload's field {name} is no {kind}"
        return ""

    def _wait(self, one: _Compiled, facts: Facts, unsure: list[Rank]) -> None:
        """Add the ranks that a rule may still give."""
        action, _ = self._effect(one.rule, facts)
        unsure.append((-SEVERITY[action], one.order))
        if one.rule.territories:
            unsure.append((-SEVERITY[one.rule.action], one.order))
        if one.rule.then is not None:
            unsure.append((-SEVERITY[one.rule.then.action], one.order))
        if not one.safe:
            unsure.append((-SEVERITY[Action.REVIEW], ERRORS + one.order))

    def shadow(self, facts: Facts, everything: Iterable[PredictionLike]) -> tuple[str, ...]:
        """The names of shadow rules that apply, with shadow predictions taken as live."""
        if not self._shadow:
            return ()
        chosen = {one.detector: one for one in everything}
        chosen |= {one.detector: one for one in everything if one.shadow}
        seen = replace(facts, live=chosen, outstanding=facts.outstanding - chosen.keys())
        try:
            values, _ = self._shadow_inputs.values(seen)
            context = Context(values | self._shadow_inputs.facts(seen))
        except Exception:
            return ()
        return tuple(one.rule.name for one in self._shadow if _outcome(one, context)[0] == "true")

    def outcomes(self, facts: Facts) -> list[tuple[Rule, Outcome, str]]:
        """The outcome of each live rule, for explanations."""
        values, _ = self._everything.values(facts)
        context = Context(values | self._everything.facts(facts))
        out = {name for name, taken in self.sides(facts) if not taken}
        return [
            (one.rule, *(("false", "") if one.rule.name in out else _outcome(one, context)))
            for one in self._rules
        ]

    def _effect(self, rule: Rule, facts: Facts) -> tuple[Action, Action | None]:
        """The action for the upload as a whole, and the rule's own where that is local.

        A rule for some territories restricts the upload (it is blocked there), unless the upload
        is to be shown nowhere else.
        """
        if rule.then is not None and rule.name in facts.passed:
            return rule.then.action, None
        if not rule.territories:
            return rule.action, None
        shown = facts.upload().territories
        if shown and set(shown) <= set(rule.territories):
            return rule.action, None
        if shown and not set(shown) & set(rule.territories):
            return Action.ALLOW, None
        return min(rule.action, Action.RESTRICT, key=SEVERITY.__getitem__), rule.action

    def _matched(self, one: _Compiled, facts: Facts) -> Match:
        rule = one.rule
        action, local = self._effect(rule, facts)
        later = rule.then is not None and rule.name in facts.passed
        reason = rule.then.reason if rule.then is not None and later else rule.reason
        return Match(
            action=action,
            order=one.order,
            name=rule.name,
            category=None if action is Action.ALLOW else rule.category,
            reason=self._fill(reason, facts),
            reads=rule.detectors | frozenset(self.live) if one.opaque else rule.detectors,
            territories=() if local is None else rule.territories,
            local=local,
            later=later,
        )

    def _fill(self, reason: str, facts: Facts) -> str:
        if "{" not in reason:
            return reason
        out = []
        for index, piece in enumerate(reason.replace("}", "{").split("{")):
            if index % 2 == 0:
                out.append(piece)
                continue
            if piece in self._policy.combiners and piece not in self._policy.detectors:
                value = self._everything.combined(piece, facts)
            else:
                value = number_of(piece, facts.live)
            out.append("unknown" if value is None else f"{value:.2f}")
        return "".join(out)


@lru_cache(maxsize=64)
def compiled(policy: Policy) -> Rules:
    """The rules of a policy; compiled once in a process."""
    return Rules(policy)


def _compile(order: int, rule: Rule) -> _Compiled:
    program = Program(rule.when.compiled)
    plain = not any(one.variables for one in rule.conditions)
    return _Compiled(
        order=order,
        rule=rule,
        when=program,
        unless=None if rule.unless is None else Program(rule.unless.compiled),
        opaque=any(one.opaque for one in rule.conditions),
        safe=rule.when.safe,
        threshold=_threshold(rule),
        unknown_alone=plain and evaluate(program, Context({}))[0] == "unknown",
    )


def _threshold(rule: Rule) -> tuple[str, float] | None:
    """The read of a condition that only compares it with a number, and the least that is true."""
    found = _COMPARISON.fullmatch(rule.when.source)
    if found is None or len(rule.when.reads) != 1:
        return None
    limit = float(found[2])
    return rule.when.reads[0].variable, limit if found[1] else math.nextafter(limit, math.inf)


def _any_of(rules: Iterable[_Compiled]) -> Any:
    """A program that is false if no rule matches; None if CEL cannot compile it."""
    try:
        return Program(" || ".join(f"({one.rule.when.compiled}\n)" for one in rules))
    except Exception:
        return None


def _outcome(one: _Compiled, context: Any) -> tuple[Outcome, str]:
    outcome, detail = evaluate(one.when, context)
    if one.unless is None or outcome in ("false", "error"):
        return outcome, detail
    exempt, _ = evaluate(one.unless, context)
    if exempt == "true":
        return "false", ""
    return outcome, detail


def _failed(one: _Compiled, detail: str) -> Match:
    return Match(
        action=Action.REVIEW,
        order=ERRORS + one.order,
        name=f"error:{one.rule.name}",
        category=one.rule.category,
        reason=f"The rule {one.rule.name} could not be evaluated: {detail}.",
        reads=one.rule.detectors,
    )

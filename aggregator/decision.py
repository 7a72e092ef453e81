"""The decision: what a policy makes of the predictions for one upload.

The one function through which stream, batch, web and backtest decide. It depends on nothing but
its arguments, and not on their order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, Protocol

from aggregator.expression import compile_program, evaluate, make_context
from aggregator.policy import DetectorPolicy, Policy, Rule
from quorum.messages import Action, Status, Upload

__all__ = ["DEFAULT_RULE", "QUORUM_RULE", "Decision", "Said", "Weighed", "decide", "weigh"]

#: What the verdict names where no rule, no silence and no quorum asked for more than ``allow``.
DEFAULT_RULE: Final = "default"
#: What it names where too few detectors scored.
QUORUM_RULE: Final = "quorum"

_SEVERITY: Final = {action: action.severity for action in Action}
#: Where rules that could not be evaluated, silences, the quorum and the default stand among the
#: matches of one severity: after all rules, in this order.
_AFTER_RULES: Final = 1_000_000
_ERRORS, _SILENCES, _QUORUM, _DEFAULT = (_AFTER_RULES * step for step in (1, 2, 3, 4))


class Said(Protocol):
    """What a decision reads of a prediction; ``Prediction`` and ``UsedPrediction`` have it."""

    @property
    def id(self) -> str: ...  # noqa: D102
    @property
    def detector(self) -> str: ...  # noqa: D102
    @property
    def version(self) -> str: ...  # noqa: D102
    @property
    def status(self) -> Status: ...  # noqa: D102
    @property
    def score(self) -> float | None: ...  # noqa: D102
    @property
    def labels(self) -> Mapping[str, float]: ...  # noqa: D102
    @property
    def reason(self) -> str | None: ...  # noqa: D102
    @property
    def shadow(self) -> bool: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class Decision:
    """What was decided, and why.

    Attributes:
        action: What happens to the upload.
        rule: What decided: a rule of the policy; ``missing:spam``, ``failed:spam`` or
            ``abstained:spam``; ``error:NAME`` for a rule that could not be evaluated; ``quorum``;
            or ``default``.
        category: The harm, where the deciding rule names one.
        reasons: Sentences; that of the deciding rule first.
        matched: Everything that asked for an action, most severe first, as ``rule`` names it.
        shadow_matched: Shadow rules that would have matched.
        inputs: What decided, in a fixed order: identifier and status of each prediction that the
            deciding rule reads, and the detectors whose silence it depends on.
        used: All predictions, by detector; shadow ones last.
        missing: Detectors of the policy that said nothing, and why.
    """

    action: Action
    rule: str
    category: str | None
    reasons: tuple[str, ...]
    matched: tuple[str, ...]
    shadow_matched: tuple[str, ...]
    inputs: tuple[str, ...]
    used: tuple[Said, ...]
    missing: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Weighed:
    """A decision while answers may be outstanding.

    Attributes:
        decision: What it is now.
        settled: Whether no outstanding answer can change its action or the rule that decides.
    """

    decision: Decision
    settled: bool


@dataclass(frozen=True, slots=True)
class _Match:
    action: Action
    order: int
    name: str
    category: str | None
    reason: str
    reads: frozenset[str]

    @property
    def rank(self) -> tuple[int, int]:
        return (-_SEVERITY[self.action], self.order)


def decide(
    policy: Policy,
    upload: Upload,
    predictions: Mapping[str, Said],
    missing: Mapping[str, str] | None = None,
) -> Decision:
    """Decide with what is there.

    Args:
        policy: The rules.
        upload: The facts.
        predictions: What was said, by detector (only the values count; a shadow prediction may
            stand under any other key).
        missing: Why a detector said nothing, where that is known.
    """
    return weigh(policy, lambda: upload, predictions.values(), missing or {}).decision


def weigh(
    policy: Policy,
    upload: Callable[[], Upload],
    said: Iterable[Said],
    missing: Mapping[str, str],
    outstanding: frozenset[str] = frozenset(),
) -> Weighed:
    """Decide while some detectors may still answer.

    Args:
        policy: The rules.
        upload: Gives the facts; asked only where a rule reads them.
        said: Predictions in any order, at most one live one for each detector.
        missing: Why a detector said nothing, where that is known.
        outstanding: Detectors of the policy that may still answer; their silence means nothing
            yet.
    """
    program = _program(policy)
    everything = sorted(said, key=lambda one: (one.shadow, one.detector, one.id))
    live: dict[str, Said] = {}
    for one in everything:
        declared = policy.detectors.get(one.detector)
        if not one.shadow and not (declared is not None and declared.shadow):
            live[one.detector] = one
    outstanding = frozenset(
        name for name in outstanding if name in program.live and name not in live
    )

    matches, unsure = program.match(live, outstanding, missing, upload)
    scored = 0
    for order, detector in enumerate(program.live.values()):
        answer = live.get(detector.name)
        if answer is not None and answer.status is Status.SCORED:
            scored += 1
        elif answer is not None or detector.name not in outstanding:
            silence = _silence(detector, answer, missing, order)
            if silence is not None:
                matches.append(silence)
        else:
            unsure += [(-_SEVERITY[action], _SILENCES + order) for action in detector.silences]
    if scored < policy.quorum:
        rank = (-_SEVERITY[Action.REVIEW], _QUORUM)
        if scored + len(outstanding) < policy.quorum:
            matches.append(_no_quorum(policy, scored))
        else:
            unsure.append(rank)
    matches.append(program.default)
    matches.sort(key=lambda match: match.rank)
    best = matches[0]

    shadow_matched = program.shadow_match(live, everything, missing, upload, outstanding)
    silent = tuple(
        (name, missing.get(name, _why(name, outstanding)))
        for name in program.live
        if name not in live
    )
    decision = Decision(
        action=best.action,
        rule=best.name,
        category=best.category,
        reasons=tuple(m.reason for m in matches if m.action is best.action and m.reason),
        matched=tuple(match.name for match in matches if match.order != _DEFAULT),
        shadow_matched=shadow_matched,
        inputs=_inputs(best.reads, live, outstanding),
        used=tuple(everything),
        missing=silent,
    )
    return Weighed(decision, all(rank > best.rank for rank in unsure))


def _why(name: str, outstanding: frozenset[str]) -> str:
    if name in outstanding:
        return "not waited for: its answer could not change the decision"
    return "no answer by its deadline"


def _inputs(
    reads: frozenset[str], live: Mapping[str, Said], outstanding: frozenset[str]
) -> tuple[str, ...]:
    found = []
    for name in sorted(reads):
        answer = live.get(name)
        if answer is not None:
            found.append(f"{answer.id}:{answer.status.value}")
        elif name not in outstanding:
            found.append(f"missing:{name}")
    return tuple(found)


def _silence(
    detector: DetectorPolicy, answer: Said | None, missing: Mapping[str, str], order: int
) -> _Match | None:
    status = None if answer is None else answer.status
    meaning = detector.meaning(status)
    if not isinstance(meaning, Action) or meaning is Action.ALLOW:
        return None
    if answer is None:
        kind, told = "missing", missing.get(detector.name, "no answer by its deadline")
    else:
        kind, told = answer.status.value, answer.reason or "no reason given"
    verb = {"missing": "did not answer", "failed": "failed", "abstained": "abstained"}[kind]
    return _Match(
        action=meaning,
        order=_SILENCES + order,
        name=f"{kind}:{detector.name}",
        category=None,
        reason=f"The detector {detector.name} {verb}: {told}.",
        reads=frozenset({detector.name}),
    )


def _no_quorum(policy: Policy, scored: int) -> _Match:
    return _Match(
        action=Action.REVIEW,
        order=_QUORUM,
        name=QUORUM_RULE,
        category=None,
        reason=f"Only {scored} of the {policy.quorum} detectors that are needed could score.",
        reads=frozenset(policy.detectors),
    )


class _Program:
    """A policy's rules, compiled in this process."""

    def __init__(self, policy: Policy) -> None:
        self.live = {name: one for name, one in policy.detectors.items() if not one.shadow}
        self._detectors = policy.detectors
        self._rules = [
            (order, rule, compile_program(rule.when.compiled))
            for order, rule in enumerate(policy.rules)
            if not rule.shadow
        ]
        self._shadow = [
            (order, rule, compile_program(rule.when.compiled))
            for order, rule in enumerate(policy.rules)
            if rule.shadow
        ]
        joined = " || ".join(f"({rule.when.compiled}\n)" for _, rule, _ in self._rules)
        self._any = compile_program(joined or "false")
        self._reads = {read.variable: read for rule in policy.rules for read in rule.when.reads}
        self._live_reads = {
            read.variable: read
            for rule in policy.rules
            if not rule.shadow
            for read in rule.when.reads
        }
        self._variables = frozenset().union(
            *(rule.when.variables for _, rule, _ in self._rules), frozenset()
        )
        named = frozenset().union(
            *(rule.when.detectors for _, rule, _ in self._rules),
            frozenset(name for name, one in self.live.items() if one.silences),
        )
        self._opaque = any(rule.when.opaque for _, rule, _ in self._rules)
        self.default = _Match(
            action=Action.ALLOW,
            order=_DEFAULT,
            name=DEFAULT_RULE,
            category=None,
            reason="No rule asks for more than to allow it.",
            reads=frozenset(self.live) if self._opaque else named,
        )

    def match(
        self,
        live: Mapping[str, Said],
        outstanding: frozenset[str],
        missing: Mapping[str, str],
        upload: Callable[[], Upload],
    ) -> tuple[list[_Match], list[tuple[int, int]]]:
        """The rules that match, and the ranks of what outstanding answers may still bring."""
        values = self._values(self._live_reads, live, outstanding)
        matches: list[_Match] = []
        unsure: list[tuple[int, int]] = []
        try:
            context = make_context(values | self._facts(self._variables, live, missing, upload))
        except Exception as error:
            context = None
            trouble = f"the upload cannot be read by rules ({type(error).__name__})"
        if (
            context is not None
            and not (outstanding and self._opaque)
            and self._none_matches(values, context)
        ):
            return matches, unsure
        for order, rule, program in self._rules:
            when = rule.when
            if context is None:
                outcome, told = "error", trouble
            else:
                outcome, told = evaluate(program, context)
            waits = not outstanding.isdisjoint(when.detectors) or (
                bool(outstanding) and when.opaque
            )
            if waits and (outcome == "unknown" or when.opaque or outcome == "error"):
                unsure.append((-_SEVERITY[rule.action], order))
                if not when.safe:
                    unsure.append((-_SEVERITY[Action.REVIEW], _ERRORS + order))
            elif outcome == "true":
                matches.append(self._matched(rule, order, live))
            elif outcome == "error":
                matches.append(self._failed(rule, order, told))
        return matches, unsure

    def shadow_match(
        self,
        live: Mapping[str, Said],
        everything: Iterable[Said],
        missing: Mapping[str, str],
        upload: Callable[[], Upload],
        outstanding: frozenset[str],
    ) -> tuple[str, ...]:
        """The names of shadow rules that match, with shadow predictions taken as live."""
        if not self._shadow:
            return ()
        heard = {one.detector: one for one in everything if one.shadow} | dict(live)
        for one in everything:
            heard.setdefault(one.detector, one)
        wanted = frozenset().union(*(rule.when.variables for _, rule, _ in self._shadow))
        try:
            context = make_context(
                self._values(self._reads, heard, outstanding - heard.keys())
                | self._facts(wanted, heard, missing, upload)
            )
        except Exception:
            return ()
        return tuple(
            rule.name
            for _, rule, program in self._shadow
            if evaluate(program, context)[0] == "true"
        )

    def _none_matches(self, values: Mapping[str, Any], context: Any) -> bool:
        """Whether one look tells that no rule matches, fails or waits (the common case)."""
        known = values.keys() >= self._live_reads.keys()
        return known and evaluate(self._any, context)[0] == "false"

    def _values(
        self, reads: Mapping[str, Any], live: Mapping[str, Said], outstanding: frozenset[str]
    ) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for variable, read in reads.items():
            detector = read.detector
            if detector in outstanding:
                continue
            answer = live.get(detector)
            if read.what == "status":
                values[variable] = "missing" if answer is None else answer.status.value
                continue
            found = _number(read.what, read.name, detector, answer)
            if found is None:
                found = self._stand_in(detector, answer)
            if found is None:
                found = read.default
            if found is not None:
                values[variable] = found
        return values

    def _stand_in(self, detector: str, answer: Said | None) -> float | None:
        declared = self._detectors.get(detector)
        if declared is None:
            return None
        meaning = declared.meaning(None if answer is None else answer.status)
        return meaning if isinstance(meaning, float) else None

    def _facts(
        self,
        wanted: frozenset[str],
        live: Mapping[str, Said],
        missing: Mapping[str, str],
        upload: Callable[[], Upload],
    ) -> dict[str, Any]:
        facts: dict[str, Any] = {}
        if "upload" in wanted:
            facts["upload"] = upload().model_dump(mode="python")
        if "predictions" in wanted:
            facts["predictions"] = {
                name: {
                    "status": one.status.value,
                    "version": one.version,
                    "labels": dict(one.labels),
                    **({} if one.score is None else {"score": one.score}),
                }
                for name, one in live.items()
            }
        if "missing" in wanted:
            facts["missing"] = {
                name: missing.get(name, "no answer by its deadline")
                for name in self.live
                if name not in live
            }
        return facts

    def _matched(self, rule: Rule, order: int, live: Mapping[str, Said]) -> _Match:
        reads = rule.when.detectors
        return _Match(
            action=rule.action,
            order=order,
            name=rule.name,
            category=rule.category,
            reason=_fill(rule.reason, live),
            reads=reads | frozenset(self.live) if rule.when.opaque else reads,
        )

    def _failed(self, rule: Rule, order: int, told: str) -> _Match:
        return _Match(
            action=Action.REVIEW,
            order=_ERRORS + order,
            name=f"error:{rule.name}",
            category=rule.category,
            reason=f"The rule {rule.name} could not be evaluated: {told}.",
            reads=rule.when.detectors,
        )


@lru_cache(maxsize=64)
def _program(policy: Policy) -> _Program:
    return _Program(policy)


def _number(what: str, name: str, detector: str, answer: Said | None) -> float | None:
    if answer is None or answer.status is not Status.SCORED:
        return None
    if what == "score" or name == detector:
        return answer.labels.get(name, answer.score) if what == "label" else answer.score
    exact = answer.labels.get(name)
    if exact is not None:
        return exact
    below = [value for path, value in answer.labels.items() if path.startswith(f"{name}/")]
    return max(below, default=0.0)


def _fill(reason: str, live: Mapping[str, Said]) -> str:
    if "{" not in reason:
        return reason
    out = []
    for index, piece in enumerate(reason.replace("}", "{").split("{")):
        if index % 2 == 0:
            out.append(piece)
            continue
        detector = piece.split("/", 1)[0]
        what = "label" if "/" in piece else "score"
        value = _number(what, piece, detector, live.get(detector))
        out.append("unknown" if value is None else f"{value:.2f}")
    return "".join(out)

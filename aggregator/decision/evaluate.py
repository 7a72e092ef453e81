"""The decision: the action that a policy gives to the predictions on one upload.

Stream, batch, web and backtest decide through this one function. Its result depends on its
arguments alone, and not on their order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from quorum.aggregator.decision.facts import (
    NO_ANSWER,
    Facts,
    PredictionLike,
    Uploader,
    effective_status,
    standing,
)
from quorum.aggregator.decision.rules import (
    DEFAULT,
    DEFAULT_RULE,
    QUORUM,
    SEVERITY,
    SILENCES,
    Match,
    Rank,
    compiled,
)
from quorum.aggregator.policy.policy import Policy
from quorum.aggregator.policy.values import DetectorPolicy
from quorum.core.messages import Action, Upload

__all__ = [
    "DEFAULT_RULE",
    "QUORUM_RULE",
    "Decision",
    "Evaluation",
    "PredictionLike",
    "Uploader",
    "decide",
    "evaluate",
]

#: The rule of a verdict for which too few detectors scored.
QUORUM_RULE: Final = "quorum"

_REVIEW: Final = -SEVERITY[Action.REVIEW]
_NOBODY: Final = Uploader()
_NO_FEATURES: Final[Mapping[str, float]] = {}


@dataclass(frozen=True, slots=True)
class Decision:
    """An action, and why it was chosen.

    Attributes:
        action: What happens to the upload.
        rule: What decided: a rule of the policy; ``missing:spam``, ``failed:spam`` or
            ``abstained:spam``; ``error:NAME`` for a rule that could not be evaluated; ``quorum``;
            or ``default``.
        category: The harm, if the deciding rule names one.
        reasons: Sentences; that of the deciding rule first.
        matched: All that matched, most severe first, in the form of ``rule``.
        shadow_matched: Shadow rules that would have matched.
        inputs: What decided, in a fixed order: identifier and status of each prediction that the
            deciding rule reads, and the detectors whose silence it depends on.
        used: All predictions, by detector; shadow ones last.
        missing: Detectors of the policy without a prediction, and why.
        territories: Where a more severe action than ``action`` applies, and which.
        rollout: What is rolled out to a share of uploaders (rules, other versions of detectors,
            the candidate by its version), and whether each holds this one.
    """

    action: Action
    rule: str
    category: str | None
    reasons: tuple[str, ...]
    matched: tuple[str, ...]
    shadow_matched: tuple[str, ...]
    inputs: tuple[str, ...]
    used: tuple[PredictionLike, ...]
    missing: tuple[tuple[str, str], ...]
    territories: tuple[tuple[str, Action], ...] = ()
    rollout: tuple[tuple[str, bool], ...] = ()


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A decision while predictions may be outstanding.

    Attributes:
        decision: The decision so far.
        settled: Whether no outstanding prediction can change the action or the deciding rule.
        fixed: Whether no outstanding prediction can change the action; the deciding rule may
            change.
    """

    decision: Decision
    settled: bool
    fixed: bool


def decide(
    policy: Policy,
    upload: Upload,
    predictions: Mapping[str, PredictionLike],
    missing: Mapping[str, str] | None = None,
    uploader: Uploader = _NOBODY,
) -> Decision:
    """Decide with these predictions; no more are expected.

    Args:
        policy: The rules.
        upload: The upload.
        predictions: By detector (only the values count; a shadow prediction may have any other
            key).
        missing: Why a detector has no prediction, where that is known.
        uploader: Past verdicts on the same uploader.
    """
    return evaluate(
        policy, lambda: upload, predictions.values(), missing or {}, uploader=uploader
    ).decision


def evaluate(
    policy: Policy,
    upload: Callable[[], Upload],
    predictions: Iterable[PredictionLike],
    missing: Mapping[str, str],
    outstanding: frozenset[str] = frozenset(),
    uploader: Uploader = _NOBODY,
    passed: frozenset[str] = frozenset(),
    features: Mapping[str, float] = _NO_FEATURES,
) -> Evaluation:
    """Decide while predictions of some detectors are outstanding.

    Args:
        policy: The rules; with a rollout, those of the side that the uploader is on.
        upload: Returns the upload; called only if a rule or a rollout reads it.
        predictions: In any order, at most one live one for each detector.
        missing: Why a detector has no prediction, where that is known.
        outstanding: Detectors of the policy that may still predict; they do not count as missing.
        uploader: Past verdicts on the same uploader.
        passed: Rules whose ``then`` has come, which gives them their other action.
        features: Values of features over time, by ``Feature.key``.
    """
    sides: tuple[tuple[str, bool], ...] = ()
    if policy.candidate is not None:
        whose = upload()
        side = policy.decides(whose.uploader, whose.id)
        sides = ((policy.candidate.version, side is not policy),)
        policy = side
    rules = compiled(policy)
    everything = sorted(predictions, key=_sort_key)
    live: dict[str, PredictionLike] = {}
    for one in everything:
        declared = policy.detectors.get(one.detector)
        if not one.shadow and not (declared is not None and declared.shadow):
            live[one.detector] = one
    if asks := policy.asks(upload):
        sides += tuple((to, asks[name] == to) for to, name in policy.counts_as.items())
        live = standing(policy, asks, live, outstanding)
    if outstanding:
        outstanding = frozenset(n for n in outstanding if n in rules.live and n not in live)
    facts = Facts(live, outstanding, missing, upload, uploader, passed, features)

    matches, unsure = rules.match(facts)
    scored = 0
    for order, (name, detector) in enumerate(rules.live.items()):
        prediction = live.get(name)
        if prediction is not None and prediction.score is not None:
            scored += 1
        elif prediction is None and name in outstanding:
            unsure += rules.silences[name]
        else:
            match = _unscored(detector, prediction, missing, order)
            if match is not None:
                matches.append(match)
    if scored < policy.quorum:
        if scored + len(outstanding) < policy.quorum:
            matches.append(_no_quorum(policy, scored))
        else:
            unsure.append((_REVIEW, QUORUM))
    reasons: tuple[str, ...]
    matched: tuple[str, ...] = ()
    territories: tuple[tuple[str, Action], ...] = ()
    if not matches:
        best, reasons = rules.default, (rules.default.reason,)
    else:
        matches.append(rules.default)
        matches.sort(key=_rank)
        best = matches[0]
        same = [one for one in matches if one.action is best.action and one.order != DEFAULT]
        reasons = tuple(one.reason for one in (same or [best]))
        matched = tuple(match.name for match in matches[:-1] if match.order != DEFAULT)
        territories = _territories(matches, best.action)
    decision = Decision(
        action=best.action,
        rule=best.name,
        category=best.category,
        reasons=reasons,
        matched=matched,
        shadow_matched=rules.shadow(facts, everything),
        inputs=(*_inputs(best.reads, live, outstanding), *(("then",) if best.later else ())),
        used=tuple(everything),
        missing=tuple(
            [(n, missing.get(n) or _why(n, outstanding)) for n in rules.live if n not in live]
        ),
        territories=territories,
        rollout=(*sides, *rules.sides(facts)),
    )
    rank = best.rank
    return Evaluation(
        decision,
        settled=all(possible > rank for possible in unsure),
        fixed=all(possible[0] >= rank[0] for possible in unsure)
        and not (unsure and _may_end(policy, best)),
    )


def _may_end(policy: Policy, best: Match) -> bool:
    """Whether time makes the deciding rule milder: then what else applies matters."""
    if best.order >= len(policy.rules):
        return False
    then = policy.rules[best.order].then
    return then is not None and SEVERITY[then.action] < SEVERITY[best.action]


def _sort_key(one: PredictionLike) -> tuple[bool, str, str]:
    return (one.shadow, one.detector, one.id)


def _rank(match: Match) -> Rank:
    return (-SEVERITY[match.action], match.order)


def _territories(matches: Iterable[Match], action: Action) -> tuple[tuple[str, Action], ...]:
    found: dict[str, Action] = {}
    for match in matches:
        if match.local is None or SEVERITY[match.local] <= SEVERITY[action]:
            continue
        for code in match.territories:
            if code not in found or SEVERITY[match.local] > SEVERITY[found[code]]:
                found[code] = match.local
    return tuple(sorted(found.items()))


def _why(name: str, outstanding: frozenset[str]) -> str:
    if name in outstanding:
        return "not waited for: its answer could not change the decision"
    return NO_ANSWER


@lru_cache(maxsize=1024)
def _in_order(names: frozenset[str]) -> tuple[str, ...]:
    return tuple(sorted(names))


def _inputs(
    reads: frozenset[str], live: Mapping[str, PredictionLike], outstanding: frozenset[str]
) -> tuple[str, ...]:
    found = []
    for name in _in_order(reads):
        prediction = live.get(name)
        if prediction is not None:
            found.append(f"{prediction.id}:{prediction.status}")
        elif name not in outstanding:
            found.append(f"missing:{name}")
    return tuple(found)


def _unscored(
    detector: DetectorPolicy,
    prediction: PredictionLike | None,
    missing: Mapping[str, str],
    order: int,
) -> Match | None:
    status = effective_status(prediction)
    meaning = detector.meaning(status)
    if not isinstance(meaning, Action) or meaning is Action.ALLOW:
        return None
    kind = "missing" if status is None else status.value
    if prediction is None:
        why = missing.get(detector.name, NO_ANSWER)
    else:
        why = prediction.reason or "no reason given"
    verb = {"missing": "did not answer", "failed": "failed", "abstained": "abstained"}[kind]
    return Match(
        action=meaning,
        order=SILENCES + order,
        name=f"{kind}:{detector.name}",
        category=None,
        reason=f"The detector {detector.name} {verb}: {why}.",
        reads=frozenset({detector.name}),
    )


def _no_quorum(policy: Policy, scored: int) -> Match:
    return Match(
        action=Action.REVIEW,
        order=QUORUM,
        name=QUORUM_RULE,
        category=None,
        reason=f"Only {scored} of the {policy.quorum} detectors that are needed could score.",
        reads=frozenset(policy.detectors),
    )

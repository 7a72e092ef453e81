"""Choose the lowest removal threshold with a guarantee.

From reviewed cases, this finds the lowest threshold for which the share of wrongful removals stays
below a bound, with a given confidence. It is Learn-then-Test (Angelopoulos, Bates, Candès,
Jordan, Lei, 2021) with fixed-sequence testing: thresholds are tried from the highest down, each
by an exact binomial test of "the share of wrongful removals is above the bound", and the first
that cannot be rejected ends the search. The guarantee therefore holds for the chosen threshold, not
only for each by itself.

It assumes that the reviewed cases are a random sample of those that score as high (reviews of
disputed cases alone are not), and that a higher score is not less likely to be harmful.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.special import bdtr, bdtrc, betaincinv

from quorum.aggregator.decision.facts import number_of
from quorum.aggregator.policy.policy import Policy
from quorum.aggregator.study.record import PastCase
from quorum.core.errors import InputError
from quorum.core.messages import Action

__all__ = ["Tuned", "reviewed_scores", "tune"]

#: A bound that needs more labels than this is considered out of reach.
MAX_LABELS: Final = 1_000_000
#: Right labels before the first wrong one are no sign of a better range above it if they are at
#: least so likely by chance. It errs towards asking for labels, which then show it.
BY_CHANCE: Final = 0.3


@dataclass(frozen=True, slots=True)
class Tuned:
    """A threshold with its guarantee, or the labels that it still needs.

    Attributes:
        threshold: Remove at this score and above; None without a guarantee.
        bound: The largest accepted share of wrongful removals.
        confidence: The confidence of the guarantee.
        labels: All reviewed cases.
        removals: Those at the threshold and above.
        wrongful: Those of the removals that the reviewers did not remove.
        upper: The upper bound of the share of wrongful removals at the same confidence
            (Clopper-Pearson); None without a threshold.
        caught: The share of the cases that the reviewers removed which the threshold catches.
        labels_needed: Without a threshold: the fewest further reviewed cases that it takes, with
            scores above the highest wrongful one, if none of them is wrong to remove; None if so
            many of the highest are wrong that none can be expected to do.
        above: Without a threshold: the highest score of a wrongful removal; None without one.
    """

    threshold: float | None
    bound: float
    confidence: float
    labels: int
    removals: int
    wrongful: int
    upper: float | None
    caught: float
    labels_needed: int | None
    above: float | None = None


def tune(
    scores: Sequence[float], wrong: Sequence[bool], bound: float, confidence: float = 0.95
) -> Tuned:
    """Choose the lowest threshold with a guarantee.

    Args:
        scores: The scores of reviewed cases.
        wrong: For each, whether its removal would have been wrong.
        bound: The largest accepted share of wrongful removals, between 0 and 1.
        confidence: The confidence of the guarantee, between 0 and 1.

    Raises:
        InputError: If the arguments are invalid.
    """
    if len(scores) != len(wrong):
        msg = f"{len(scores)} scores and {len(wrong)} labels do not go together"
        raise InputError(msg)
    if not (0 < bound < 1 and 0 < confidence < 1):
        msg = "the bound and the confidence lie between 0 and 1, as 0.02 and 0.95"
        raise InputError(msg)
    level = 1.0 - confidence
    ordered = sorted(zip(scores, wrong, strict=True), key=lambda one: -one[0])
    first = _fewest(bound, level)
    counts = np.arange(1, len(ordered) + 1)
    errors = np.cumsum([is_wrong for _, is_wrong in ordered], dtype=np.int64)
    chances = bdtr(errors, counts, bound)
    chosen: tuple[float, int, int] | None = None
    for index in range(first - 1, len(ordered)):
        if index + 1 < len(ordered) and ordered[index + 1][0] == ordered[index][0]:
            continue
        if chances[index] > level:
            break
        chosen = (ordered[index][0], index + 1, int(errors[index]))
    harmful = sum(not is_wrong for is_wrong in wrong)
    if chosen is None:
        return Tuned(
            threshold=None,
            bound=bound,
            confidence=confidence,
            labels=len(ordered),
            removals=0,
            wrongful=0,
            upper=None,
            caught=0.0,
            labels_needed=_labels_needed(ordered, bound, level) if ordered else first,
            above=next((score for score, is_wrong in ordered if is_wrong), None),
        )
    threshold, removals, wrongful = chosen
    return Tuned(
        threshold=threshold,
        bound=bound,
        confidence=confidence,
        labels=len(ordered),
        removals=removals,
        wrongful=wrongful,
        upper=float(betaincinv(wrongful + 1, removals - wrongful, confidence))
        if wrongful < removals
        else 1.0,
        caught=(removals - wrongful) / harmful if harmful else 0.0,
        labels_needed=None,
    )


def reviewed_scores(
    policy: Policy, cases: Iterable[PastCase], name: str
) -> tuple[list[float], list[bool]]:
    """The scores of reviewed cases, and whether removing each would have been wrong.

    Args:
        policy: Its combiners may be named.
        cases: Past cases; those without a review or a score are left out.
        name: A detector, a label (``violence/fight``) or a combiner.

    Raises:
        InputError: If none of the cases has a review and this score.
    """
    scores, wrong = [], []
    combiner = policy.combiners.get(name)
    for case in cases:
        if case.review is None:
            continue
        live = {one.detector: one for one in case.predictions if not one.shadow}
        if combiner is None:
            score = number_of(name, live)
        else:
            score = combiner.combine({part: number_of(part, live) for part in combiner.weights})
        if score is not None:
            scores.append(score)
            wrong.append(case.review is not Action.REMOVE)
    if not scores:
        msg = f"no case has a review and a score of {name}; nothing can be learned from these"
        raise InputError(msg)
    return scores, wrong


def _fewest(bound: float, level: float) -> int:
    """The number of cases without any error that it takes to guarantee the bound."""
    return math.ceil(math.log(level) / math.log(1.0 - bound))


def _labels_needed(ordered: Sequence[tuple[float, bool]], bound: float, level: float) -> int | None:
    """The fewest further labels that give a guarantee, if none of their removals is wrong.

    They stand at the top, above the first wrong one: a threshold there has them and the highest
    labels below them. None where the highest labels speak against any number: their share of wrong
    removals is significantly above the bound, and that share gives as many right ones before the
    first wrong one by chance.
    """
    first = _fewest(bound, level)
    scores = np.array([score for score, _ in ordered])
    wrong = np.cumsum([is_wrong for _, is_wrong in ordered], dtype=np.int64)
    # A threshold takes all labels of one score or none of them.
    ends = np.flatnonzero(np.append(scores[1:] != scores[:-1], True))
    counts, errors = np.append(0, ends + 1), np.append(0, wrong[ends])
    top = min(int(np.searchsorted(counts, min(first, len(ordered)))), len(counts) - 1)
    seen, amiss = int(counts[top]), int(errors[top])
    clean = int(counts[errors == 0][-1])
    too_many = amiss > 0 and bdtrc(amiss - 1, seen, bound) <= level
    if too_many and (1.0 - amiss / seen) ** clean > BY_CHANCE:
        return None
    for more in range(1, min(first, MAX_LABELS) + 1):
        at = int(np.searchsorted(counts, first - more))
        if at < len(counts) and bdtr(errors[at], counts[at] + more, bound) <= level:
            return more
    return first if first <= MAX_LABELS else None

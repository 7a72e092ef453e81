"""A trial of a policy: one pass over past cases for its backtest and its blast radius."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from quorum.aggregator.policy.policy import Policy
from quorum.aggregator.study.backtest import Backtest, retry
from quorum.aggregator.study.blast_radius import BlastRadius, Frame, RadiusCounter
from quorum.aggregator.study.record import PastCase

__all__ = ["Trial", "try_policy"]


@dataclass(frozen=True, slots=True)
class Trial:
    """What a policy would have done with past cases.

    Attributes:
        backtest: The cases that were read, by action before and after.
        radius: What that means for all cases of the period.
    """

    backtest: Backtest
    radius: BlastRadius


def try_policy(
    cases: Iterable[tuple[PastCase, float]],
    candidate: Policy,
    base: Policy | None = None,
    frame: Frame | None = None,
    told: Callable[[int], None] = lambda _: None,
) -> Trial:
    """Decide past cases again.

    Args:
        cases: Past cases, each with the number of uploads of its uploader that it stands for.
        candidate: The policy under test.
        base: The policy to compare with; by default, the recorded actions.
        frame: All cases of the period; None if these are all.
        told: Called with the number of cases so far; what it raises ends the trial.
    """
    found, counter = Backtest(), RadiusCounter(frame)
    for number, (case, weight) in enumerate(cases, start=1):
        tried = retry(case, candidate, base)
        found.count(tried, candidate)
        counter.count(tried, weight)
        told(number)
    return Trial(found, counter.result())

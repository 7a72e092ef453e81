"""Whether a rate or a distribution has left the pattern of the same hours of the last weeks.

A rate is off only if it surely differs from *each* of the weeks, not from their mean alone: traffic
varies between weeks by more than counts do, and an interval around a mean knows nothing of that.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from quorum.aggregator.study.drift import ALARM, FEWEST, population_stability_index
from quorum.core.intervals import difference, wilson
from quorum.store.alerts.values import Bounds, Judgement, Reading, Share, Signal, Spread, State

__all__ = ["judge"]

#: The quantile of 99.9 %: hundreds of signals are looked at every few minutes.
Z: Final = 3.29
#: Below this index a distribution is as usual again.
STABLE: Final = 0.1
#: A rate is as usual again below this part of the way to ``Bounds.ratio``.
BACK: Final = 0.5


def judge(reading: Reading, bounds: Bounds) -> Judgement:
    """Say whether a signal is off its weekly pattern.

    Args:
        reading: What was counted.
        bounds: From when on it is told.
    """
    now = reading.now
    if isinstance(now, Spread):
        spreads = [one for one in reading.weeks if isinstance(one, Spread)]
        return _of_spread(reading.signal, now, spreads, bounds)
    shares = [one for one in reading.weeks if isinstance(one, Share)]
    return _of_share(reading.signal, now, shares, bounds)


def _of_share(signal: Signal, now: Share, weeks: Sequence[Share], bounds: Bounds) -> Judgement:
    enough = [one for one in weeks if one.total >= bounds.fewest]
    if now.total < bounds.fewest or len(enough) < bounds.least_weeks:
        return Judgement(signal, State.UNKNOWN, weeks=len(enough), total=now.total, hits=now.hits)
    together = Share(sum(one.hits for one in enough), sum(one.total for one in enough))
    low, high = wilson(now.hits, now.total)
    apart = [difference(now.hits, now.total, one.hits, one.total, Z) for one in enough]
    more = all(lower > 0 for lower, _ in apart)
    less = all(upper < 0 for _, upper in apart)
    usual = together.value
    state = State.BETWEEN
    if (more and now.value >= usual * bounds.ratio) or (less and now.value <= usual / bounds.ratio):
        state = State.OFF
    elif _is_back(now, enough, usual, bounds):
        state = State.USUAL
    return Judgement(
        signal,
        state,
        now.value > usual,
        now.value,
        low,
        high,
        usual,
        now.hits,
        now.total,
        len(enough),
    )


def _is_back(now: Share, weeks: Sequence[Share], usual: float, bounds: Bounds) -> bool:
    """Whether a rate is within the weeks' own range, or half as far from their mean as is told."""
    values = [one.value for one in weeks]
    if min(values) <= now.value <= max(values):
        return True
    half = 1 + (bounds.ratio - 1) * BACK
    return usual / half <= now.value <= usual * half


def _of_spread(signal: Signal, now: Spread, weeks: Sequence[Spread], bounds: Bounds) -> Judgement:
    fewest = max(bounds.fewest, FEWEST)
    enough = [one for one in weeks if one.total >= fewest]
    if now.total < fewest or len(enough) < bounds.least_weeks:
        return Judgement(signal, State.UNKNOWN, weeks=len(enough), total=now.total)
    index = min(_beyond_chance(now, one) for one in enough)
    state = State.BETWEEN
    if index > ALARM:
        state = State.OFF
    elif index < STABLE:
        state = State.USUAL
    return Judgement(
        signal,
        state,
        None,
        index,
        0.0,
        index,
        0.0,
        now.total,
        now.total,
        len(enough),
    )


def _beyond_chance(now: Spread, week: Spread) -> float:
    """The population stability index without what two samples of one distribution have of it.

    Its expectation is (bins - 1)(1/n + 1/m): Yurdakul, Statistical properties of the population
    stability index, 2018.
    """
    bins = sum(1 for one, other in zip(now.bins, week.bins, strict=True) if one or other)
    chance = max(0, bins - 1) * (1 / now.total + 1 / week.total)
    return max(0.0, population_stability_index(now.bins, week.bins) - chance)

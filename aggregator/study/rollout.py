"""What is rolled out to a share of uploaders: both sides, and when their difference is real.

The intervals are always valid: whoever looks every hour, and stops at the first difference that
is real, is wrong with at most the stated probability. They invert the mixture sequential
probability ratio test of Johari, Koomen, Pekelis and Walsh, Always Valid Inference: Continuous
Monitoring of A/B Tests (Operations Research 2022, https://arxiv.org/abs/1512.04922), with a normal
mixture. Uploaders are assigned, and not uploads: so the variance of a side is that of a ratio of
sums over its uploaders (the delta method), in which the uploads of one uploader count as one draw.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from quorum.aggregator.study.ratio import ratio
from quorum.core.messages import ACTIONS

__all__ = ["Difference", "Outcome", "RolloutReport", "Side", "compare", "measure_text"]

#: The standard deviation of the differences that the test is most powerful for: of rates one
#: percentage point, of latencies a tenth of their mean.
_RATE_SCALE: Final = 0.01
_LATENCY_SCALE: Final = 0.1

#: Uploaders on each side below which no difference is called real: the test is asymptotic.
LEAST_UPLOADERS: Final = 50


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one upload during a rollout.

    Attributes:
        uploader: Its uploader.
        taken: Whether the rollout takes the uploader.
        action: What the policy decided.
        overturned: Whether a reviewer decided otherwise; None without a review.
        latency: Seconds from its arrival to the first verdict.
    """

    uploader: str
    taken: bool
    action: str
    overturned: bool | None
    latency: float


@dataclass
class _Ratio:
    """A ratio of sums over uploaders."""

    sums: dict[str, tuple[float, int]] = field(default_factory=dict)

    def add(self, uploader: str, value: float) -> None:
        total, count = self.sums.get(uploader, (0.0, 0))
        self.sums[uploader] = (total + value, count + 1)

    @property
    def count(self) -> int:
        return sum(count for _, count in self.sums.values())

    @property
    def mean(self) -> float | None:
        return ratio(self.sums.values())[0]

    @property
    def variance(self) -> float:
        """Of the mean."""
        return ratio(self.sums.values())[1]


@dataclass(frozen=True, slots=True)
class Side:
    """One side of a rollout.

    Attributes:
        uploads: Decided uploads.
        uploaders: Their uploaders.
        values: By measure, its mean; None where nothing was measured.
    """

    uploads: int
    uploaders: int
    values: Mapping[str, float | None]


@dataclass(frozen=True, slots=True)
class Difference:
    """The difference of one measure: with the rollout less without it.

    Attributes:
        value: The difference; None where a side has nothing.
        low: The lower end of its always-valid interval.
        high: The upper end.
        real: Whether the interval leaves out zero, with enough uploaders on both sides.
    """

    value: float | None
    low: float
    high: float
    real: bool


@dataclass(frozen=True, slots=True)
class RolloutReport:
    """Both sides of a rollout, and their differences by measure."""

    taken: Side
    others: Side
    differences: Mapping[str, Difference]


def compare(outcomes: Iterable[Outcome], confidence: float = 0.95) -> RolloutReport:
    """Compare the two sides of a rollout.

    Args:
        outcomes: Of all uploads that were decided during it, in any order.
        confidence: The probability with which no difference is called real that is not, however
            often one looks, for each measure.
    """
    sides = {True: _measures(), False: _measures()}
    for one in outcomes:
        measures = sides[one.taken]
        for action in ACTIONS:
            measures[action.value].add(one.uploader, float(one.action == action.value))
        measures["latency"].add(one.uploader, one.latency)
        if one.overturned is not None:
            measures["overturned"].add(one.uploader, float(one.overturned))
    taken, others = sides[True], sides[False]
    return RolloutReport(
        _side(taken),
        _side(others),
        {name: _difference(name, taken[name], others[name], 1.0 - confidence) for name in taken},
    )


def measure_text(name: str, value: float | None) -> str:
    """The value of a measure for people: a share, or seconds for the latency."""
    if value is None or not math.isfinite(value):
        return "-"
    return f"{value:.2f} s" if name == "latency" else f"{value:.2%}"


def _measures() -> dict[str, _Ratio]:
    return {name: _Ratio() for name in (*(one.value for one in ACTIONS), "overturned", "latency")}


def _side(measures: Mapping[str, _Ratio]) -> Side:
    latency = measures["latency"]
    values = {name: one.mean for name, one in measures.items()}
    return Side(latency.count, len(latency.sums), values)


def _difference(name: str, taken: _Ratio, others: _Ratio, alpha: float) -> Difference:
    if taken.mean is None or others.mean is None:
        return Difference(None, -math.inf, math.inf, real=False)
    value = taken.mean - others.mean
    variance = taken.variance + others.variance
    scale = _LATENCY_SCALE * abs(others.mean) if name == "latency" else _RATE_SCALE
    width = _width(variance, scale, alpha)
    enough = min(len(taken.sums), len(others.sums)) >= LEAST_UPLOADERS
    low, high = value - width, value + width
    return Difference(value, low, high, real=enough and not low <= 0.0 <= high)


def _width(variance: float, scale: float, alpha: float) -> float:
    """Half of the interval of the mixture test: the differences that it does not refute."""
    if not math.isfinite(variance) or scale == 0.0:
        return math.inf
    if variance == 0.0:
        return 0.0
    mixed = variance + scale**2
    bound = math.log(1.0 / alpha) + 0.5 * math.log(mixed / variance)
    return math.sqrt(2.0 * variance * mixed / scale**2 * bound)

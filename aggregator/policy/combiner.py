"""A learned combiner: stacked logistic regression over detector scores."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

__all__ = ["CLIP", "Combiner", "log_odds"]

#: Scores are clipped this far from 0 and 1, so that one detector cannot outweigh all others.
CLIP: Final = 0.001


def log_odds(score: float) -> float:
    """The log-odds of a probability, clipped to ``CLIP`` on both sides."""
    p = min(max(score, CLIP), 1.0 - CLIP)
    return math.log(p / (1.0 - p))


@dataclass(frozen=True, slots=True)
class Combiner:
    """The probability of harm from several scores together.

    It is monotone: no weight is negative, so a higher score never lowers the result.

    Attributes:
        name: Its name in ``combined("name")``.
        bias: The intercept.
        weights: For each detector or label, the weight of its log-odds.
        absent: The probability that stands for an absent score; without one, the absence makes
            the result unknown.
    """

    name: str
    bias: float
    weights: Mapping[str, float]
    absent: Mapping[str, float]

    @property
    def detectors(self) -> frozenset[str]:
        """The detectors whose scores it reads."""
        return frozenset(name.split("/", 1)[0] for name in self.weights)

    def combine(self, scores: Mapping[str, float | None]) -> float | None:
        """The combined probability; None if a score that it needs is absent.

        Args:
            scores: For each name in ``weights``, its score, or None.
        """
        total = self.bias
        for name, weight in self.weights.items():
            score = scores.get(name)
            if score is None:
                score = self.absent.get(name)
            if score is None:
                return None
            total += weight * log_odds(score)
        return 1.0 / (1.0 + math.exp(-total)) if total > -700 else 0.0

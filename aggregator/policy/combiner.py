"""A learned combiner: stacked logistic regression over what the detectors say."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

__all__ = ["CLIP", "Combiner", "log_odds"]

#: Scores nearer to 0 or 1 than this say no more, so that one detector cannot outshout all.
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
        name: As ``combined("name")`` in a condition.
        bias: Added to the sum.
        weights: For each detector or label, what its log-odds count.
        absent: What an absent score counts as, as a probability; where a name is not here, its
            absence makes the result unknown.
    """

    name: str
    bias: float
    weights: Mapping[str, float]
    absent: Mapping[str, float]

    @property
    def detectors(self) -> frozenset[str]:
        """The detectors that it reads."""
        return frozenset(name.split("/", 1)[0] for name in self.weights)

    def combine(self, scores: Mapping[str, float | None]) -> float | None:
        """The combined probability, or None where a score that it needs is absent.

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

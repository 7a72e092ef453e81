"""Calibrate raw scores to probabilities, and measure the calibration error.

All detectors are calibrated to one reference prevalence, whatever share of harm their training
data had: a score of 0.5 means that, among uploads of which one in five has the harm, half of
those with this score have it. So the thresholds of a policy mean the same for each detector.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "REFERENCE_PREVALENCE",
    "Platt",
    "expected_calibration_error",
    "fit_log_odds",
    "log_odds",
    "prevalence_weights",
]

#: The share of harmful uploads at which scores are probabilities. Platforms differ; a queue that
#: is worth moderating has a share of this order, and ``quorum models calibrate`` fits another.
REFERENCE_PREVALENCE = 0.2


def prevalence_weights(labels: ArrayLike, prevalence: float) -> NDArray[np.float64]:
    """Weights under which a sample has a given share of positives; their mean is 1."""
    positive = np.asarray(labels, dtype=bool)
    share = positive.mean()
    if not 0.0 < share < 1.0:
        msg = "calibration needs examples with the harm and examples without"
        raise ValueError(msg)
    return np.asarray(
        np.where(positive, prevalence / share, (1.0 - prevalence) / (1.0 - share)), dtype=np.float64
    )


@dataclass(frozen=True, slots=True)
class Platt:
    """Platt scaling (Platt 1999): probability = sigmoid(slope * raw + offset).

    Attributes:
        slope: Above 0, so that the order of scores is kept.
        offset: At ``prevalence``.
        prevalence: The share of positives at which the result is a probability.
    """

    slope: float
    offset: float
    prevalence: float = REFERENCE_PREVALENCE

    @classmethod
    def fit(
        cls, raw: ArrayLike, labels: ArrayLike, prevalence: float = REFERENCE_PREVALENCE
    ) -> Self:
        """Fit on raw scores that their model has not been trained on.

        Targets are smoothed as Platt proposes, so that few examples do not give certainty.

        Raises:
            ValueError: If the labels are all alike, or the raw scores do not rise with them.
        """
        from scipy.optimize import minimize

        scores = np.asarray(raw, dtype=np.float64)
        positive = np.asarray(labels, dtype=bool)
        weights = prevalence_weights(positive, prevalence)
        high = (positive.sum() + 1.0) / (positive.sum() + 2.0)
        low = 1.0 / ((~positive).sum() + 2.0)
        targets = np.where(positive, high, low)

        def loss(parameters: NDArray[np.float64]) -> float:
            logits = parameters[0] * scores + parameters[1]
            return float(np.sum(weights * (np.logaddexp(0.0, logits) - targets * logits)))

        fitted = minimize(loss, np.array([1.0, 0.0]), method="BFGS").x
        if not fitted[0] > 0.0:
            msg = "the raw scores do not rise with the labels; the model cannot be calibrated"
            raise ValueError(msg)
        return cls(float(fitted[0]), float(fitted[1]), prevalence)

    def apply(self, raw: ArrayLike) -> NDArray[np.float64]:
        """Probabilities of raw scores."""
        from scipy.special import expit

        return np.asarray(expit(self.slope * np.asarray(raw, dtype=np.float64) + self.offset))

    def as_document(self) -> dict[str, Any]:
        """What an artifact keeps of it."""
        return {"method": "platt", **asdict(self)}

    @classmethod
    def from_document(cls, document: dict[str, Any]) -> Self:
        """Read what ``as_document`` made."""
        return cls(
            float(document["slope"]), float(document["offset"]), float(document["prevalence"])
        )


#: Slopes of log-odds between which a calibration says something: outside, the scores of the
#: examples hardly differ, or are all but certain, whatever the label.
_SLOPES = (0.1, 10.0)


def fit_log_odds(probabilities: ArrayLike, labels: ArrayLike, prevalence: float) -> Platt:
    """Fit the log-odds of a model that gives probabilities already.

    Args:
        probabilities: From 0 to 1, shape (n,).
        labels: Whether each has the harm.
        prevalence: The share of positives at which the result is a probability.

    Raises:
        ValueError: See ``Platt.fit``; and if the slope is absurd, so that small differences of the
            model would decide between certain innocence and certain harm, or none would.
    """
    made = Platt.fit(log_odds(np.asarray(probabilities, dtype=np.float64)), labels, prevalence)
    if not _SLOPES[0] <= made.slope <= _SLOPES[1]:
        few = "more examples, or examples that are harder, would tell"
        msg = (
            f"the calibration would have the slope {made.slope:.3g}, which is absurd (sound ones "
            f"lie between {_SLOPES[0]:g} and {_SLOPES[1]:g}): {few}"
        )
        raise ValueError(msg)
    return made


def log_odds(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """Log-odds of probabilities, which are clipped to 1e-6 from 0 and 1."""
    clipped = np.clip(probabilities, 1e-6, 1 - 1e-6)
    return np.asarray(np.log(clipped / (1 - clipped)))


def expected_calibration_error(
    probabilities: ArrayLike, labels: ArrayLike, weights: ArrayLike | None = None, bins: int = 10
) -> float:
    """Expected calibration error (Naeini et al. 2015) over bins of equal width.

    Args:
        probabilities: From 0 to 1.
        labels: Whether each has the harm.
        weights: How much each counts; all alike if None.
        bins: How many bins.
    """
    p = np.asarray(probabilities, dtype=np.float64)
    y = np.asarray(labels, dtype=np.float64)
    w = np.ones_like(p) if weights is None else np.asarray(weights, dtype=np.float64)
    index = np.minimum((p * bins).astype(int), bins - 1)
    gap = np.zeros(bins)
    np.add.at(gap, index, w * (p - y))
    return float(np.abs(gap).sum() / w.sum())

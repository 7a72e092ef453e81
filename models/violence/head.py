"""The result of training one head of the violence detector: text or frames."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quorum.models.registry.artifacts import TrainingData
from quorum.models.scoring.calibration import Platt
from quorum.models.scoring.linear import DenseLogistic

__all__ = ["TrainedHead"]


@dataclass(frozen=True, slots=True)
class TrainedHead:
    """A trained head with its out-of-fold results.

    Attributes:
        model: Fitted on all examples.
        calibration: Fitted on out-of-fold log-odds.
        metrics: Out-of-fold metrics.
        sources: The training data.
        probabilities: Calibrated out-of-fold probabilities, shape (n,).
        labels: 1 for violence, of the same examples, shape (n,).
    """

    model: DenseLogistic
    calibration: Platt
    metrics: dict[str, Any]
    sources: tuple[TrainingData, ...]
    probabilities: NDArray[np.float64]
    labels: NDArray[np.int64]

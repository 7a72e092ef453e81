"""The results of training the heads of the violence detector: text and frames."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from quorum.models.registry.artifacts import TrainingData
from quorum.models.scoring.calibration import Platt
from quorum.models.scoring.linear import DenseLogistic
from quorum.models.scoring.student import Student
from quorum.models.violence.network import Network

__all__ = ["TrainedHead", "TrainedWords"]


@dataclass(frozen=True, slots=True)
class TrainedHead:
    """A trained head of frames with its out-of-fold results.

    Attributes:
        model: Fitted on all examples.
        calibration: Fitted on out-of-fold log-odds.
        metrics: Out-of-fold metrics.
        sources: The training data.
    """

    model: DenseLogistic
    calibration: Platt
    metrics: dict[str, Any]
    sources: tuple[TrainingData, ...]


@dataclass(frozen=True, slots=True)
class TrainedWords:
    """A trained head of text with its out-of-fold results.

    Attributes:
        network: Trained on all examples.
        context: Gives kinds and reports; None where the data does not tell them.
        calibration: Of violence, fitted on out-of-fold log-odds.
        reports: Calibration of reports; None as ``context``.
        metrics: Out-of-fold metrics.
        sources: The training data.
        student: Settles innocent texts; None if none was trained.
    """

    network: Network
    context: Network | None
    calibration: Platt
    reports: Platt | None
    metrics: dict[str, Any]
    sources: tuple[TrainingData, ...]
    student: Student | None = None

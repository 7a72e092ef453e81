"""The results of training the heads of the violence detector: text and pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from quorum.models.registry.artifacts import TrainingData
from quorum.models.scoring.calibration import Platt
from quorum.models.scoring.student import Student
from quorum.models.violence.fights import Fights
from quorum.models.violence.network import Network

__all__ = ["TrainedFights", "TrainedWords"]


@dataclass(frozen=True, slots=True)
class TrainedFights:
    """Trained heads of pictures with their out-of-fold results.

    Attributes:
        fights: Fitted on all examples, calibrated out of fold.
        metrics: Out-of-fold metrics.
        sources: The training data.
    """

    fights: Fights
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

"""Who will not come back: a logistic model of one rider's rides, kept as an artifact.

An artifact is a folder of safetensors and JSON whose manifest names the digest of each file. It
can be named by its folder (``file:model``), or put into a registry and named by an alias.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np

from quorum.messages import digest
from quorum.models.registry.artifacts import Artifact, TrainingData, write_artifact
from quorum.models.registry.references import open_reference

__all__ = ["ChurnModel", "Known", "known_at", "train"]

#: A rider who does not ride for so long has left.
AWAY = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a rider at a time.

    Attributes:
        rider: Who.
        until: The time.
        days: Days since the last ride.
        week: Rides in the week before.
        earlier: Rides in the three weeks before that.
    """

    rider: str
    until: datetime
    days: float
    week: int
    earlier: int

    @property
    def digest(self) -> str:
        """Of what the model looks at."""
        return digest("known", f"{self.days:.4f}", str(self.week), str(self.earlier))


def known_at(rider: str, rides: Sequence[datetime], until: datetime) -> Known | None:
    """What the rides before a time tell of a rider; None if there was none."""
    before = [at for at in rides if at < until]
    if not before:
        return None
    ages = [(until - at) / timedelta(days=1) for at in before]
    week = sum(age <= 7 for age in ages)
    return Known(rider, until, min(ages), week, sum(7 < age <= 28 for age in ages))


def _columns(batch: Sequence[Known]) -> np.ndarray:
    """What the model looks at: shape (n, 4)."""
    rows = [(1.0, math.log1p(one.days), one.week, one.earlier / 3) for one in batch]
    return np.array(rows, dtype=np.float64).reshape(-1, 4)


@dataclass(frozen=True)
class ChurnModel:
    """Scores what is known of riders.

    Attributes:
        weights: Of each column.
        version: Of the artifact that it was read from.
    """

    weights: np.ndarray
    version: str

    @classmethod
    def open(cls, reference: str) -> ChurnModel:
        """Read the model that a reference names: ``file:model``, ``mlflow:models:/churn@champion``.

        Raises:
            QuorumError: If it cannot be had, or a file has another digest than its manifest says.
        """
        artifact = open_reference(reference, "churn")
        return cls(artifact.tensors("churn.safetensors")["weights"], artifact.version)

    def score(self, batch: Sequence[Known]) -> list[float]:
        """The probability that each rider does not come back, in their order."""
        made = 1 / (1 + np.exp(-(_columns(batch) @ self.weights)))
        return [float(one) for one in made]


def train(
    rides: Mapping[str, Sequence[datetime]], ends: Sequence[datetime], folder: Path
) -> Artifact:
    """Fit the model to riders whose next week is known, and write it.

    Args:
        rides: The times of each rider's rides.
        ends: Times to look from; the week after each must be known.
        folder: Where to write the artifact.
    """
    examples, left = [], []
    for end in ends:
        for rider, times in rides.items():
            if (known := known_at(rider, times, end)) is not None:
                examples.append(known)
                left.append(not any(end <= at < end + AWAY for at in times))
    columns, wanted = _columns(examples), np.array(left, dtype=np.float64)
    weights = np.zeros(columns.shape[1])
    for _ in range(25):  # Newton's method, with a little shrinkage
        made = 1 / (1 + np.exp(-(columns @ weights)))
        slope = columns.T @ (made - wanted) + 0.1 * weights
        curve = (columns * (made * (1 - made))[:, None]).T @ columns + 0.1 * np.eye(len(weights))
        weights -= np.linalg.solve(curve, slope)
    return write_artifact(
        folder,
        detector="churn",
        tensors={"churn.safetensors": {"weights": weights}},
        documents={"model.json": {"columns": ["1", "log days", "week", "earlier a week"]}},
        training_data=[TrainingData("made-up rides", "Apache-2.0", len(examples), "")],
        licence="Apache-2.0",
    )

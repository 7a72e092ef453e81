"""Three models for one event: linear, trained in a second, kept as JSON."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from examples.rides.made import rides, truth
from examples.rides.messages import Ride

__all__ = ["WHATS", "Estimator", "train"]

WHATS = ("tip", "duration", "cost")


@dataclass(frozen=True)
class Estimator:
    """Estimates one thing of a ride.

    Attributes:
        what: Which.
        weights: Of each column of ``columns``.
    """

    what: str
    weights: tuple[float, ...]

    def estimate(self, batch: Sequence[Ride]) -> list[float]:
        """The estimate of each ride, in their order."""
        return [float(value) for value in columns(batch) @ np.array(self.weights)]


def columns(batch: Sequence[Ride]) -> np.ndarray:
    """What the models look at: shape (n, 4)."""
    return np.array(
        [
            (1.0, ride.kilometres, ride.passengers, ride.asked_at.hour in (7, 8, 16, 17))
            for ride in batch
        ],
        dtype=float,
    ).reshape(-1, 4)


def train(what: str, count: int = 2000, seed: int = 7) -> Estimator:
    """Fit one estimator to made-up rides by least squares."""
    chance = random.Random(seed)  # noqa: S311
    known = list(rides(count, seed))
    wanted = np.array([truth(ride, chance)[what] for ride in known])
    weights, *_ = np.linalg.lstsq(columns(known), wanted, rcond=None)
    return Estimator(what, tuple(float(weight) for weight in weights))

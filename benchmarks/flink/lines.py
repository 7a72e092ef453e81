"""A line, or a plane, through measurements that follow each other in time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import NormalDist

import numpy as np

__all__ = ["Coefficient", "plane"]

#: Neighbours in time are averaged into so many blocks, since they are no independent observations.
_BLOCKS = 60


@dataclass(frozen=True, slots=True)
class Coefficient:
    """One slope of a fitted plane.

    Attributes:
        value: How much the measure grows with one more of it.
        within: Half of its 95 % confidence interval.
    """

    value: float
    within: float


def plane(
    columns: Mapping[str, Sequence[float]], measured: Sequence[float]
) -> dict[str, Coefficient]:
    """Least squares over means of blocks.

    Args:
        columns: What the measure may depend on, by name: one value a measurement, in order of time.
        measured: The measure.

    Returns:
        The slope of each column, and the ``level``: the measure where all columns are zero.

    Raises:
        ValueError: If there are fewer than ten measurements more than columns.
    """
    names = list(columns)
    count = len(measured)
    blocks = min(_BLOCKS, count)
    freedom = blocks - len(names) - 1
    if freedom < 9:
        msg = f"{count} measurements are too few for a line"
        raise ValueError(msg)
    edges = np.linspace(0, count, blocks + 1).astype(int)

    def means(values: Sequence[float]) -> list[float]:
        return [float(np.mean(values[start:end])) for start, end in pairwise(edges)]

    made = np.array([[1.0] * blocks, *(means(columns[name]) for name in names)]).T
    target = np.array(means(measured))
    found, *_ = np.linalg.lstsq(made, target, rcond=None)
    residual = target - made @ found
    variance = float(residual @ residual) / freedom
    spread = np.sqrt(np.diag(np.linalg.pinv(made.T @ made)) * variance)
    student = _student(freedom)
    return {
        name: Coefficient(float(value), float(student * error))
        for name, value, error in zip(["level", *names], found, spread, strict=True)
    }


def _student(freedom: int) -> float:
    """Student's distribution, both sides, 95 % (Abramowitz and Stegun, 26.7.5)."""
    z = NormalDist().inv_cdf(0.975)
    return z + (z**3 + z) / (4 * freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)

"""Scores along time: which frames to look at, smoothing, and the seconds that stand out."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["runs", "smoothed", "spread"]


def spread(count: int, most: int) -> NDArray[np.int64]:
    """Indices of at most ``most`` of ``count`` items, evenly spread, first and last included."""
    if count <= most:
        return np.arange(count)
    return np.unique(np.round(np.linspace(0, count - 1, most)).astype(np.int64))


def smoothed(scores: NDArray[np.float64], window: int) -> NDArray[np.float64]:
    """Centred moving average; at the ends over what there is. Shape as ``scores``."""
    if len(scores) < 2 or window < 2:
        return scores
    kernel = np.ones(min(window, len(scores)))
    total = np.convolve(scores, kernel, mode="same")
    return np.asarray(total / np.convolve(np.ones(len(scores)), kernel, mode="same"))


def runs(
    scores: NDArray[np.float64], times: NDArray[np.float64], threshold: float, most: int = 5
) -> list[tuple[float, float, float]]:
    """Stretches of time whose scores reach a threshold, the highest first.

    Args:
        scores: One score a moment.
        times: The moments in seconds, increasing.
        threshold: What a score must reach.
        most: The most stretches that are returned.

    Returns:
        Start and end in seconds, and the highest score within. A stretch ends where the next
        moment begins, or the usual distance of moments after its last one.
    """
    found: list[tuple[float, float, float]] = []
    above = scores >= threshold
    step = float(np.median(np.diff(times))) if len(times) > 1 else 0.0
    start: int | None = None
    for index in range(len(scores) + 1):
        inside = index < len(scores) and bool(above[index])
        if inside and start is None:
            start = index
        elif not inside and start is not None:
            end = float(times[index - 1]) + step
            end = min(end, float(times[index])) if index < len(times) else end
            found.append((float(times[start]), end, float(scores[start:index].max())))
            start = None
    return sorted(found, key=lambda run: -run[2])[:most]

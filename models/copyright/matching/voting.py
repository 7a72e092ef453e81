"""Inner loops of the temporal alignment, compiled by Numba."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["best_line", "mean_along"]

_Floats = NDArray[np.float64]


@njit(cache=True, nogil=True)
def _best_line(upload: Any, work: Any, weight: Any, speeds: Any, width: Any, worth: Any) -> Any:
    count = len(upload)
    bins = np.empty(count, np.int64)
    best, half, top, most = -1, 0.0, 0, 0.0
    for index in range(len(speeds)):
        offsets = work - speeds[index] * upload
        for shift in (0.0, 0.5):
            for row in range(count):
                bins[row] = np.int64(np.floor(offsets[row] / width + shift))
            first = bins.min()
            size = bins.max() - first + 1
            sums = np.zeros(size)
            held = np.zeros(size)
            low = 0
            while low < count:
                # Of the seeds of one moment in one bin, only the best votes.
                high = low
                while high < count and upload[high] == upload[low]:
                    bin_ = bins[high] - first
                    held[bin_] = max(held[bin_], weight[high])
                    high += 1
                for row in range(low, high):
                    bin_ = bins[row] - first
                    sums[bin_] += held[bin_]
                    held[bin_] = 0.0
                low = high
            highest = np.argmax(sums)
            # A still picture fits any speed, so another speed must be clearly better.
            if sums[highest] > most * worth:
                most, best, half, top = sums[highest], index, shift, highest + first
    return best, half, top


def best_line(
    upload: _Floats, work: _Floats, weight: _Floats, speeds: _Floats, width: float, worth: float
) -> tuple[int, float, int]:
    """The bin of offsets with most votes at any of some speeds.

    Args:
        upload: Seconds of the upload of each seed, increasing, shape (n,).
        work: Seconds of the work, shape (n,).
        weight: Votes of each, shape (n,).
        speeds: Seconds of the work per second of the upload, best ones first, shape (k,).
        width: Width of a bin, in seconds.
        worth: Ratio of votes by which a later speed must beat the earlier ones.

    Returns:
        Index of the speed (-1 without votes), shift of the bins' edges in bins, and the bin.
    """
    best, half, top = _best_line(upload, work, weight, speeds, width, worth)
    return int(best), float(half), int(top)


@njit(cache=True, nogil=True)
def _mean_along(values: Any, their_times: Any, times: Any, speed: Any, offset: Any) -> Any:
    last = len(their_times) - 1
    total = 0.0
    for row in range(len(times)):
        wanted = speed * times[row] + offset
        after = min(max(np.searchsorted(their_times, wanted), 1), last)
        before = after - 1
        nearer = wanted - their_times[before] <= their_times[after] - wanted
        total += values[row, before if nearer else after]
    return total / len(times)


def mean_along(
    values: NDArray[Any], their_times: _Floats, times: _Floats, speed: float, offset: float
) -> float:
    """The mean of what pairs of frames have, each frame paired with the nearest along a line.

    Args:
        values: Of each frame and each frame of the work, shape (n, m).
        their_times: Seconds of the work's frames, increasing, shape (m,), m at least 2.
        times: Seconds of the frames, shape (n,).
        speed: Seconds of the work per second of the upload.
        offset: Time of the work at the upload's start.
    """
    return float(_mean_along(values, their_times, times, float(speed), float(offset)))

"""Temporal alignment: how times of an upload map to times of a work.

Seeds are pairs of moments with similar hashes. If the upload contains a part of the work, its seeds
lie on a line ``work = speed * upload + offset``; seeds by chance are scattered. Lines are found by
a Hough transform.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quorum.models.copyright.matching.voting import best_line

__all__ = ["Alignment", "Seeds", "align_seeds", "best_run"]

#: Candidate speeds, evenly spaced on a log scale; the result is refined by a fit.
_SPEEDS = np.array(
    sorted(np.exp(np.linspace(np.log(0.5), np.log(2.0), 57)), key=lambda s: abs(np.log(s)))
)

#: Ratio of votes by which a speed must beat those nearer to 1.
_WORTH = 1.04

#: Tolerance of a seed, in seconds; samples are a quarter of a second apart.
_BIN = 0.5

#: Maximum number of alignments per work.
_LINES = 4

_Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Alignment:
    """Affine map from times of an upload to times of a work.

    Attributes:
        speed: Seconds of the work per second of the upload.
        offset: Time of the work at the upload's start; may be negative.
        votes: Moments of the upload with a seed on the line.
    """

    speed: float
    offset: float
    votes: int

    def at(self, upload: _Floats) -> _Floats:
        """Map times of the upload to times of the work."""
        return self.speed * upload + self.offset


@dataclass(frozen=True, slots=True)
class Seeds:
    """Pairs of similar moments, as parallel arrays.

    Attributes:
        upload: Seconds of the upload, shape (n,).
        work: Seconds of the work, shape (n,).
        weight: Similarity from 0 to 1, shape (n,).
    """

    upload: _Floats
    work: _Floats
    weight: _Floats


def align_seeds(seeds: Seeds, least: int = 2) -> list[Alignment]:
    """Find the alignments with most votes, best first; independent of the order of the seeds.

    Args:
        seeds: Seeds of one upload and one work.
        least: Minimum number of votes.
    """
    found: list[Alignment] = []
    left = np.ones(len(seeds.upload), np.bool_)
    while len(found) < _LINES and left.any():
        alignment = _best(seeds, left)
        if alignment.votes < least:
            break
        alignment, on_it = _fitted(seeds, left, alignment)
        left &= ~on_it
        if alignment.votes >= least:
            found.append(alignment)
        if not on_it.any():
            break
    return sorted(
        found,
        key=lambda alignment: (-alignment.votes, abs(np.log(alignment.speed)), alignment.offset),
    )


def _best(seeds: Seeds, left: NDArray[np.bool_]) -> Alignment:
    order = np.flatnonzero(left)[np.argsort(seeds.upload[left], kind="stable")]
    upload, work, weight = seeds.upload[order], seeds.work[order], seeds.weight[order]
    index, shift, top = best_line(upload, work, weight, _SPEEDS, _BIN, _WORTH)
    if index < 0:
        return Alignment(1.0, 0.0, 0)
    speed = float(_SPEEDS[index])
    offsets = work - speed * upload
    inside = np.floor(offsets / _BIN + shift).astype(np.int64) == top
    middle = float(np.mean(np.sort(offsets[inside])))
    return Alignment(speed, middle, len(np.unique(upload[inside & (weight > 0)])))


def _fitted(
    seeds: Seeds, left: NDArray[np.bool_], alignment: Alignment
) -> tuple[Alignment, NDArray[np.bool_]]:
    """Fit an alignment to its seeds by least squares; also returns the mask of the seeds."""
    on_it = left & (np.abs(seeds.work - alignment.at(seeds.upload)) <= 1.5 * _BIN)
    for reach in (_BIN, 0.7 * _BIN):
        near = left & (np.abs(seeds.work - alignment.at(seeds.upload)) <= reach)
        if not near.any():
            break
        order = np.lexsort((seeds.work[near], seeds.upload[near]))
        upload, work = seeds.upload[near][order], seeds.work[near][order]
        weight = seeds.weight[near][order]
        speed = alignment.speed
        # A short run does not determine the speed better than the grid.
        if np.ptp(upload) >= 4 * _BIN:
            middle = np.average(upload, weights=weight)
            spread = np.sum(weight * (upload - middle) ** 2)
            rise = np.sum(weight * (upload - middle) * work)
            speed = float(np.clip(rise / spread, 0.45, 2.2))
        offset = float(np.average(work - speed * upload, weights=weight))
        alignment = Alignment(speed, offset, len(np.unique(upload)))
    return alignment, on_it | (
        left & (np.abs(seeds.work - alignment.at(seeds.upload)) <= 1.5 * _BIN)
    )


def best_run(gain: _Floats) -> tuple[int, int]:
    """Bounds of the contiguous run with the largest sum (Kadane's algorithm)."""
    total = np.concatenate([[0.0], np.cumsum(gain)])
    high = int(np.argmax(total - np.minimum.accumulate(total)))
    return int(np.argmin(total[: high + 1])), high

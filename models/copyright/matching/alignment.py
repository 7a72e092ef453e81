"""Lines in time: where a run of an upload follows a run of a work, and how fast.

Seeds are pairs of moments that look or sound alike. If the upload holds a part of the work, the
seeds of that part lie on a line ``work = speed * upload + offset``; chance puts seeds anywhere.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Alignment", "Seeds", "align_seeds"]

#: Speeds that are tried, an eighth of a semitone's ratio apart around 1; a line is fitted after.
_SPEEDS = sorted(np.exp(np.linspace(np.log(0.5), np.log(2.0), 57)), key=lambda s: abs(np.log(s)))

#: How many more votes a speed must have than those nearer to 1.
_WORTH = 1.04

#: Seconds that a seed may lie off its line: samples are a quarter of a second apart.
_BIN = 0.5

#: Lines that are looked at more closely, for each work.
_LINES = 4

_Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Alignment:
    """How moments of an upload map to those of a work.

    Attributes:
        speed: Seconds of the work that pass in one second of the upload.
        offset: Second of the work at the upload's start; may be negative.
        votes: Moments of the upload that have a seed on the line.
    """

    speed: float
    offset: float
    votes: int

    def at(self, upload: _Floats) -> _Floats:
        """The moments of the work."""
        return self.speed * upload + self.offset


@dataclass(frozen=True, slots=True)
class Seeds:
    """Pairs of moments that are alike; rows belong together.

    Attributes:
        upload: Seconds of the upload, shape (n,).
        work: Seconds of the work, shape (n,).
        weight: How much alike, from 0 to 1, shape (n,).
    """

    upload: _Floats
    work: _Floats
    weight: _Floats


def align_seeds(seeds: Seeds, least: int = 2) -> list[Alignment]:
    """The lines with most votes, best first; the order of the seeds does not matter.

    Args:
        seeds: Pairs of moments of one upload and one work.
        least: Votes that a line needs.
    """
    found: list[Alignment] = []
    left = np.ones(len(seeds.upload), np.bool_)
    while len(found) < _LINES and left.any():
        line = _best(seeds, left)
        if line.votes < least:
            break
        line, on_it = _fitted(seeds, left, line)
        left &= ~on_it
        if line.votes >= least:
            found.append(line)
        if not on_it.any():
            break
    return sorted(found, key=lambda line: (-line.votes, abs(np.log(line.speed)), line.offset))


def _best(seeds: Seeds, left: NDArray[np.bool_]) -> Alignment:
    upload, work, weight = seeds.upload[left], seeds.work[left], seeds.weight[left]
    moments, moment = np.unique(upload, return_inverse=True)
    best, most = Alignment(1.0, 0.0, 0), 0.0
    for speed in _SPEEDS:
        offsets = work - speed * upload
        for shift in (0.0, 0.5):
            bins = np.floor(offsets / _BIN + shift).astype(np.int64)
            bins -= bins.min()
            # Of the seeds of one moment in one bin, the best one votes.
            cell = bins * len(moments) + moment.reshape(-1)
            votes = np.zeros(cell.max() + 1)
            np.maximum.at(votes, cell, weight)
            votes = np.pad(votes, (0, -len(votes) % len(moments))).reshape(-1, len(moments))
            sums = votes.sum(axis=1)
            top = int(np.argmax(sums))
            # A still picture lies on lines of any speed: a change of it must be worth it.
            if sums[top] > most * _WORTH:
                most = float(sums[top])
                middle = float(np.mean(np.sort(offsets[bins == top])))
                best = Alignment(float(speed), middle, int((votes[top] > 0).sum()))
    return best


def _fitted(
    seeds: Seeds, left: NDArray[np.bool_], line: Alignment
) -> tuple[Alignment, NDArray[np.bool_]]:
    """A line drawn through its own seeds, and which they are."""
    on_it = left & (np.abs(seeds.work - line.at(seeds.upload)) <= 1.5 * _BIN)
    for reach in (_BIN, 0.7 * _BIN):
        near = left & (np.abs(seeds.work - line.at(seeds.upload)) <= reach)
        if not near.any():
            break
        order = np.lexsort((seeds.work[near], seeds.upload[near]))
        upload, work = seeds.upload[near][order], seeds.work[near][order]
        weight = seeds.weight[near][order]
        speed = line.speed
        # A short run says nothing of the speed that the grid does not.
        if np.ptp(upload) >= 4 * _BIN:
            middle = np.average(upload, weights=weight)
            spread = np.sum(weight * (upload - middle) ** 2)
            rise = np.sum(weight * (upload - middle) * work)
            speed = float(np.clip(rise / spread, 0.45, 2.2))
        offset = float(np.average(work - speed * upload, weights=weight))
        line = Alignment(speed, offset, len(np.unique(upload)))
    return line, on_it | (left & (np.abs(seeds.work - line.at(seeds.upload)) <= 1.5 * _BIN))

"""Pairs the frames of an upload with those of a work, along a line in time.

Both are looked at in several views, so that a crop, bars or a caption on the one side meets its
like on the other.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quorum.models.copyright.catalogue.works import WORK_VIEWS, WorkPrint
from quorum.models.copyright.matching.alignment import Alignment
from quorum.models.fingerprint import pdq
from quorum.models.fingerprint.video import View

__all__ = [
    "EVEN",
    "PLAIN",
    "SAME_SPEED",
    "SEED_PAIRS",
    "WHOLE",
    "ViewPairing",
    "around",
    "best_views",
    "compared",
]

#: Speeds nearer to each other than this, as a logarithm, are the same.
SAME_SPEED = 0.04

#: How far a line is moved when it is refined: seconds, and parts of its speed; the smallest first.
_SHIFTS = tuple(sorted((step / 16 for step in range(-10, 11)), key=abs))
_TURNS = (1.0, 0.99, 1.01, 0.98, 1.02)

#: Bits at which a pair of frames speaks neither for nor against a match; chance is 128.
EVEN = 80.0

_Hashes = NDArray[np.uint8]

#: Whole frames beside whole frames: rows of the upload's and of the work's views.
PLAIN = tuple((int(view), WORK_VIEWS.index(view)) for view in (View.FULL, View.ACTIVE))

WHOLE = frozenset({View.FULL, View.ACTIVE})
_UPPER = frozenset({View.FULL_UPPER, View.ACTIVE_UPPER})


def _fits(view: View, work_view: View) -> bool:
    """Whether an upload's view can show what a view of the work shows, after some edit."""
    if work_view in WHOLE:
        return view in WHOLE
    if work_view in _UPPER:
        return view in _UPPER
    return view not in _UPPER


#: Which pairs of views are compared, shape (views, work views).
_PAIRS = np.array([[_fits(view, work_view) for work_view in WORK_VIEWS] for view in View])

#: The same by the kind of an index entry, for seeds.
SEED_PAIRS = np.zeros((len(View), 256), np.bool_)
SEED_PAIRS[:, list(WORK_VIEWS)] = _PAIRS


@dataclass(frozen=True, slots=True)
class ViewPairing:
    """Frames of an upload beside those of a work, in one pair of views.

    Attributes:
        view: How the upload is looked at.
        work_view: How the work is, by its row.
        line: How moments map to the work's.
        times: Seconds of the upload's frames, shape (n,).
        ours: Their hashes, shape (n, 32).
        distance: Bits to their partners, shape (n,).
        partner: Rows of the work's frames, shape (n,).
    """

    view: int
    work_view: int
    line: Alignment
    times: NDArray[np.float64]
    ours: _Hashes
    distance: NDArray[np.float64]
    partner: NDArray[np.intp]

    @property
    def cost(self) -> float:
        """Typical distance; a part of the frames may lie outside of the copy."""
        return float(np.minimum(self.distance, EVEN).mean())


def compared(
    times: NDArray[np.float64],
    seen: _Hashes,
    work: WorkPrint,
    line: Alignment,
    view: int,
    work_view: int,
) -> ViewPairing:
    """Pair frames, with the line moved a little to where they are nearest.

    Args:
        times: Seconds of the upload's frames, shape (n,).
        seen: Their hashes by view, shape (n, views, 32).
        work: The work's fingerprint.
        line: How moments map to the work's, about.
        view: How to look at the upload.
        work_view: How to look at the work, by its row.
    """
    ours, theirs = np.ascontiguousarray(seen[:, view]), work.views[:, work_view]
    line = _refined(ours, times, theirs, work.times, line)
    distance, partner = _paired(ours, theirs, around(work.times, line.at(times)))
    return ViewPairing(view, work_view, line, times, ours, distance, partner)


def around(
    times: NDArray[np.float32], wanted: NDArray[np.float64]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The rows of the frames before and after some moments, the nearer one first."""
    after = np.clip(np.searchsorted(times, wanted), 1, len(times) - 1)
    before = after - 1
    nearer = wanted - times[before] <= times[after] - wanted
    return np.where(nearer, before, after), np.where(nearer, after, before)


def best_views(seen: _Hashes, theirs: _Hashes) -> tuple[int, int]:
    """The pair of views in which the frames are nearest.

    A part of the line may lie outside of the copy, so that it is not the mean that counts.
    """
    apart = pdq.distances(seen[:, :, None], theirs[:, None])
    typical = np.where(_PAIRS, np.percentile(apart, 35, axis=0), np.inf)
    view, work_view = np.unravel_index(int(np.argmin(typical)), typical.shape)
    return int(view), int(work_view)


def _refined(
    ours: _Hashes,
    times: NDArray[np.float64],
    theirs: _Hashes,
    their_times: NDArray[np.float32],
    line: Alignment,
) -> Alignment:
    """The line, moved a little to where the frames are nearest."""
    middle = float(np.median(times))
    best, least = line, np.inf
    low = int(np.searchsorted(their_times, line.at(times).min() - 1.0))
    high = int(np.searchsorted(their_times, line.at(times).max() + 1.0))
    local = their_times[low:high]
    if len(local) < 2:
        return line
    apart = np.minimum(pdq.distances(ours[:, None], theirs[None, low:high]), EVEN)
    each = np.arange(len(ours))
    # Most copies play at the work's own speed; a fitted one must be worth it.
    own = [1.0] if abs(np.log(line.speed)) < SAME_SPEED else []
    for speed in (*own, *(line.speed * turn for turn in _TURNS)):
        for shift in _SHIFTS:
            offset = line.at(np.array([middle]))[0] + shift - speed * middle
            row, _ = around(local, speed * times + offset)
            cost = float(apart[each, row].mean())
            if cost < least - 0.25:
                best, least = Alignment(speed, float(offset), line.votes), cost
    return best


def _paired(
    ours: _Hashes, theirs: _Hashes, rows: tuple[NDArray[np.intp], NDArray[np.intp]]
) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """For each frame, the nearer in looks of the two frames of the work around its moment."""
    near, far = rows
    to_near = pdq.distances(ours, theirs[near]).astype(np.float64)
    to_far = pdq.distances(ours, theirs[far]).astype(np.float64)
    better = to_far < to_near
    return np.where(better, to_far, to_near), np.where(better, far, near)

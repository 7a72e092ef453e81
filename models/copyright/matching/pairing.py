"""Pair the frames of an upload with those of a work along a temporal alignment.

Both sides have several views, so that crops, bars and captions on one side find a counterpart on
the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quorum.models.copyright.catalogue.works import WORK_VIEWS, WorkPrint
from quorum.models.copyright.matching.alignment import Alignment
from quorum.models.copyright.matching.voting import mean_along
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

#: Difference of log speeds below which speeds count as equal.
SAME_SPEED = 0.04

#: Search grid of the refinement: shifts in seconds and factors of the speed, smallest first.
_SHIFTS = tuple(sorted((step / 16 for step in range(-10, 11)), key=abs))
_TURNS = (1.0, 0.99, 1.01, 0.98, 1.02)

#: Distance at which a pair of frames is neutral evidence; random frames differ by 128 bits.
EVEN = 80.0

_Hashes = NDArray[np.uint8]

#: Pairs of whole-frame views, as indices of the upload's and of the work's views.
PLAIN = tuple((int(view), WORK_VIEWS.index(view)) for view in (View.FULL, View.ACTIVE))

WHOLE = frozenset({View.FULL, View.ACTIVE})
_UPPER = frozenset({View.FULL_UPPER, View.ACTIVE_UPPER})


def _fits(view: View, work_view: View) -> bool:
    """Whether an upload's view can match a view of the work after some edit."""
    if work_view in WHOLE:
        return view in WHOLE
    if work_view in _UPPER:
        return view in _UPPER
    return view not in _UPPER


#: Which pairs of views are compared, shape (views, work views).
_PAIRS = np.array([[_fits(view, work_view) for work_view in WORK_VIEWS] for view in View])

#: The same, indexed by the kind of an index entry.
SEED_PAIRS = np.zeros((len(View), 256), np.bool_)
SEED_PAIRS[:, list(WORK_VIEWS)] = _PAIRS


@dataclass(frozen=True, slots=True)
class ViewPairing:
    """Paired frames of an upload and a work, in one pair of views.

    Attributes:
        view: View of the upload.
        work_view: Index of the work's view.
        alignment: The alignment.
        times: Seconds of the upload's frames, shape (n,).
        ours: Their hashes, shape (n, 32).
        distance: Distance of each pair in bits, shape (n,).
        partner: Indices of the work's frames, shape (n,).
    """

    view: int
    work_view: int
    alignment: Alignment
    times: NDArray[np.float64]
    ours: _Hashes
    distance: NDArray[np.float64]
    partner: NDArray[np.intp]

    @property
    def cost(self) -> float:
        """Mean clipped distance; some frames may lie outside the copy."""
        return float(np.minimum(self.distance, EVEN).mean())


def compared(
    times: NDArray[np.float64],
    views: _Hashes,
    work: WorkPrint,
    alignment: Alignment,
    view: int,
    work_view: int,
) -> ViewPairing:
    """Pair frames, after refining the alignment.

    Args:
        times: Seconds of the upload's frames, shape (n,).
        views: Their hashes by view, shape (n, views, 32).
        work: The work's fingerprint.
        alignment: Approximate alignment.
        view: View of the upload.
        work_view: Index of the work's view.
    """
    ours, theirs = np.ascontiguousarray(views[:, view]), work.views[:, work_view]
    alignment = _refined(ours, times, theirs, work.times, alignment)
    distance, partner = _paired(ours, theirs, around(work.times, alignment.at(times)))
    return ViewPairing(view, work_view, alignment, times, ours, distance, partner)


def around(
    times: NDArray[Any], wanted: NDArray[np.float64]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Indices of the frames before and after the given times, the nearer one first."""
    after = np.clip(np.searchsorted(times, wanted), 1, len(times) - 1)
    before = after - 1
    nearer = wanted - times[before] <= times[after] - wanted
    return np.where(nearer, before, after), np.where(nearer, after, before)


def best_views(views: _Hashes, theirs: _Hashes) -> tuple[int, int]:
    """The pair of views with the smallest typical distance.

    Uses a percentile, because part of the frames may lie outside the copy.
    """
    apart = pdq.distances(views[:, :, None], theirs[:, None])
    typical = np.where(_PAIRS, np.percentile(apart, 35, axis=0), np.inf)
    view, work_view = np.unravel_index(int(np.argmin(typical)), typical.shape)
    return int(view), int(work_view)


def _refined(
    ours: _Hashes,
    times: NDArray[np.float64],
    theirs: _Hashes,
    their_times: NDArray[np.float32],
    alignment: Alignment,
) -> Alignment:
    """Search the neighbourhood of an alignment for the smallest mean distance."""
    middle = float(np.median(times))
    best, least = alignment, np.inf
    low = int(np.searchsorted(their_times, alignment.at(times).min() - 1.0))
    high = int(np.searchsorted(their_times, alignment.at(times).max() + 1.0))
    local = their_times[low:high].astype(np.float64)
    if len(local) < 2:
        return alignment
    apart = np.minimum(pdq.distances(ours[:, None], theirs[None, low:high]), EVEN)
    # Most copies play at the original speed; a fitted speed must be clearly better.
    own = [1.0] if abs(np.log(alignment.speed)) < SAME_SPEED else []
    for speed in (*own, *(alignment.speed * turn for turn in _TURNS)):
        for shift in _SHIFTS:
            offset = alignment.at(np.array([middle]))[0] + shift - speed * middle
            cost = mean_along(apart, local, times, speed, offset)
            if cost < least - 0.25:
                best, least = Alignment(speed, float(offset), alignment.votes), cost
    return best


def _paired(
    ours: _Hashes, theirs: _Hashes, rows: tuple[NDArray[np.intp], NDArray[np.intp]]
) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """For each frame, the more similar of the two frames of the work around its time."""
    near, far = rows
    to_near = pdq.distances(ours, theirs[near]).astype(np.float64)
    to_far = pdq.distances(ours, theirs[far]).astype(np.float64)
    better = to_far < to_near
    return np.where(better, to_far, to_near), np.where(better, far, near)

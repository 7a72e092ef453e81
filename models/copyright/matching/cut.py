"""Where in a work's picture an upload was cut from, if it shows nothing else.

Local features tell the place of most copies. But a narrow strip keeps few of them, and those of a
pattern that repeats agree on a wrong place. A cut has only a size and a place: the upload is laid
on the work at each of them, at the times that the features propose.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from quorum.models.copyright.matching.alignment import Alignment, Seeds, align_seeds
from quorum.models.copyright.matching.pairing import around
from quorum.models.copyright.matching.straightened import Straightening
from quorum.models.fingerprint.local import load_opencv

__all__ = ["cut_from"]

#: Sizes of the cut that are tried, as shares of the largest one of its shape within the work.
_SHARES = (1.0, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7)
#: Side of the work's pictures that the upload is laid on, and the least side of the cut in them.
_SIDE, _LEAST = 64, 12
#: Pairs of frames that are compared: those with most seeds; and the alignments that are tried.
_FRAMES, _LINES = 6, 3
#: Seconds within which a seed lies on an alignment, and by which one may be off.
_ON_IT = 0.75
_SHIFTS = (-0.25, 0.25, -0.5, 0.5)
#: Mean correlation of the pictures below which the upload is no part of the work, and from which
#: no other time is tried.
_LIKE, _SAME = 0.6, 0.9

_Frames = NDArray[np.uint8]
_Floats = NDArray[np.float64]
_Place = tuple[_Floats, float]


def cut_from(
    view: Straightening,
    times: NDArray[np.float32],
    work_times: NDArray[np.float32],
    seeds: Seeds,
) -> _Floats | None:
    """The map from positions in the work to positions in an upload that is a part of it.

    Args:
        view: Their frames.
        times: Seconds of the upload's frames.
        work_times: Seconds of the work's frames.
        seeds: Moments that share local features, weighted by their number.

    Returns:
        None if no part of the work looks like the upload.
    """

    def laid(at: _Floats, there: _Floats) -> _Place:
        pictures = view.pictures(around(times, at)[0], around(work_times, there)[0])
        return _laid(*pictures, view.shape, view.work_shape)

    tried = [(laid(*moments), moments) for moments in _moments(seeds)]
    if not tried:
        return None
    best, (at, there) = max(tried, key=lambda each: each[0][1])
    if _LIKE <= best[1] < _SAME:
        # Few seeds do not tell the time well.
        others = [laid(at, there + shift) for shift in _SHIFTS]
        best = max([best, *others], key=lambda place: place[1])
    return best[0] if best[1] >= _LIKE else None


def _moments(seeds: Seeds) -> Iterator[tuple[_Floats, _Floats]]:
    """Times of the upload and of the work, at its own speed, that most seeds agree on."""
    for line in align_seeds(seeds, 1)[:_LINES]:
        near = np.abs(seeds.work - line.at(seeds.upload)) <= _ON_IT
        if not near.any():
            continue
        offset = float(np.average((seeds.work - seeds.upload)[near], weights=seeds.weight[near]))
        moments, row = np.unique(seeds.upload[near], return_inverse=True)
        votes = np.bincount(row, seeds.weight[near])
        chosen = moments[np.argsort(-votes, kind="stable")[:_FRAMES]]
        yield chosen, Alignment(1.0, offset, len(chosen)).at(chosen)


def _laid(ours: _Frames, theirs: _Frames, shape: _Floats, work_shape: _Floats) -> _Place:
    """The place at which paired frames are most alike, and how much."""
    cv2 = load_opencv()
    large = [cv2.resize(each, (_SIDE, _SIDE)).astype(np.float32) for each in theirs]
    whole = shape * (work_shape / shape).min() / work_shape * _SIDE
    best, most = (np.zeros(2), whole), -1.0
    for share in _SHARES:
        size = np.rint(share * whole).astype(int)
        if size.min() < _LEAST:
            break
        alike = np.mean(
            [
                cv2.matchTemplate(
                    each,
                    cv2.resize(mine, size.tolist(), interpolation=cv2.INTER_AREA).astype(
                        np.float32
                    ),
                    cv2.TM_CCOEFF_NORMED,
                )
                for mine, each in zip(ours, large, strict=True)
            ],
            axis=0,
        )
        row, column = np.unravel_index(int(np.argmax(alike)), alike.shape)
        if alike[row, column] > most:
            best, most = (np.array([column, row]), size), float(alike[row, column])
    corner, size = (each / _SIDE * work_shape for each in best)
    x, y = shape / size
    return np.array([[x, 0, -x * corner[0]], [0, y, -y * corner[1]], [0, 0, 1]]), most

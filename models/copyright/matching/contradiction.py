"""Whether an upload shows for a while, in a part of its picture, something else than the work.

Two recordings of one page are the same pixel for pixel, and move alike, but for the seconds in
which a menu opens in one of them. What an edit lays over a copy is usually there all the time. A
part of the picture that agrees, then differs, and agrees again is something that was laid over a
copy for a while, or there is no copy: a human is to tell.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from quorum.models.copyright.matching.alignment import Alignment
from quorum.models.copyright.matching.pairing import around
from quorum.models.copyright.matching.straightened import LEAST_CELLS, Straightening, closer
from quorum.models.fingerprint.local import load_opencv

__all__ = ["contradicted"]

#: Seconds and cells by which what moves may be shown elsewhere, and levels of grey that differ.
_EARLY, _CELLS, _LEVELS = 0.3, 3, 20.0
#: Grey levels within which pictures are levelled to each other.
_LEVELLED = 15.0
#: Share of the picture that differs in a part of it, and the least seconds of it.
_PART, _ALL, _WHILE = 0.04, 0.5, 0.45
#: Share of a run from which a difference is what an edit laid over it.
_FIXED = 0.5
#: Share of a run that may differ so: more is a map that does not fit. Fewest frames that tell it.
_MOST, _FEWEST = 0.65, 3
#: Correlation of the mean pictures below which the map does not fit.
_FITS = 0.6
#: Seconds of a run from which some that differ do not count, and around one that are looked at.
_LONG, _AROUND = 120.0, 3.0

_Floats = NDArray[np.float64]
_Pictures = NDArray[np.float32]


def contradicted(
    view: Straightening,
    turn: _Floats,
    alignment: Alignment,
    times: NDArray[np.float32],
    work_times: NDArray[np.float32],
    span: tuple[float, float],
) -> bool:
    """Whether a part of the picture differs for a while from what it copies before and after.

    Args:
        view: Frames of the upload and of the work.
        turn: Map from positions in the work to positions in the upload.
        alignment: Map from times of the upload to times of the work.
        times: Seconds of the upload's frames.
        work_times: Seconds of the work's frames.
        span: Seconds of the upload that match.

    Returns:
        False also if it cannot be told.
    """
    start, end = span
    run = np.flatnonzero((times >= start) & (times <= end))
    if len(run) < _FEWEST or end - start > _LONG:
        return False
    moved = closer(view, turn, run, alignment, times, work_times)
    sampler, seen = view.cells(turn if moved is None else moved)
    if seen.sum() < LEAST_CELLS:
        return False
    at = alignment.at(times.astype(np.float64))
    held = (at >= work_times[0]) & (at <= work_times[-1])
    rows = np.flatnonzero(held & (times >= start - _AROUND) & (times <= end + _AROUND))
    at, during = at[rows], (times[rows] >= start) & (times[rows] <= end)
    if during.sum() < _FEWEST:
        return False
    first, last = np.searchsorted(work_times, [at.min() - _EARLY, at.max() + _EARLY])
    shown = np.arange(first, min(last + 1, len(work_times)))
    if len(shown) < 2:
        return False
    ours, theirs = (each.astype(np.float32) for each in view.pictures(rows, shown))
    inside = seen.reshape(theirs.shape[1:])
    mine = np.zeros((len(rows), *inside.shape), np.float32)
    mine[:, inside] = (sampler @ ours.reshape(len(rows), -1).T).T
    near = around(work_times[shown], at)[0]
    x, y = theirs[near[during]][:, inside], mine[during][:, inside]
    if _alike(x.mean(axis=0), y.mean(axis=0)) < _FITS:
        return False
    theirs = _levelled(theirs, x.ravel(), y.ravel())
    low = np.searchsorted(work_times[shown], at - _EARLY)
    high = np.searchsorted(work_times[shown], at + _EARLY, "right")
    apart = _beyond(mine, theirs, inside, np.minimum(low, near), np.maximum(high, near + 1))
    low, high = (np.searchsorted(times[rows], times[rows] + step) for step in (-_EARLY, _EARLY))
    apart = np.maximum(apart, _beyond(theirs[near], mine, inside, low, high))
    differs = (apart > _LEVELS) & inside
    fixed = (differs[during].mean(axis=0) > _FIXED).astype(np.uint8)
    told = inside & (load_opencv().dilate(fixed, np.ones((_CELLS, _CELLS))) == 0)
    if told.sum() < LEAST_CELLS:
        return False
    share = differs[:, told].mean(axis=1)
    step = float(np.median(np.diff(times[rows])))
    return _for_a_while(share, during, _WHILE / step)


def _for_a_while(share: _Floats, during: NDArray[np.bool_], least: float) -> bool:
    """Whether the share that differs rises for some frames, with agreement before and after."""
    part = (share >= _PART) & (share <= _ALL)
    if part[during].mean() > _MOST:
        return False
    ends = np.flatnonzero(np.diff(np.concatenate([[False], part, [False]])))
    return any(
        high - low >= least
        and low > 0
        and high < len(share)
        and max(share[low - 1], share[high]) < _PART
        for low, high in ends.reshape(-1, 2).tolist()
    )


def _levelled(theirs: _Pictures, x: _Pictures, y: _Pictures) -> _Pictures:
    """The work's pictures, levelled as some of their cells are to those of the upload."""
    gain, lift = np.polyfit(x, y, 1)
    for _ in range(3):
        close = np.abs(y - gain * x - lift) <= _LEVELLED
        if close.sum() < LEAST_CELLS or x[close].std() < 1:
            break
        gain, lift = np.polyfit(x[close], y[close], 1)
    return np.asarray(gain * theirs + lift, np.float32)


def _beyond(
    pictures: _Pictures,
    others: _Pictures,
    inside: NDArray[np.bool_],
    low: NDArray[np.intp],
    high: NDArray[np.intp],
) -> _Pictures:
    """By how much each cell is brighter or darker than any near it in some of the others."""
    cv2, near = load_opencv(), np.ones((_CELLS, _CELLS))
    bright = np.array([cv2.dilate(each, near) for each in np.where(inside, others, -np.inf)])
    dark = np.array([cv2.erode(each, near) for each in np.where(inside, others, np.inf)])
    return np.array(
        [
            np.maximum(each - bright[a:b].max(axis=0), dark[a:b].min(axis=0) - each)
            for each, a, b in zip(pictures, low, high, strict=True)
        ]
    )


def _alike(one: _Pictures, other: _Pictures) -> float:
    """Correlation of two pictures; 0 if one is flat."""
    return float(np.corrcoef(one, other)[0, 1]) if min(one.std(), other.std()) > 1 else 0.0

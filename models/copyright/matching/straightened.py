"""Compare an upload with a work over time, after straightening it by a projective map.

What stands still says nothing: two films of one room show the same wall. The comparison is the
correlation, over time, of what changes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from quorum.models.copyright.catalogue.works import WORK_LUMA
from quorum.models.copyright.matching.alignment import Alignment, Seeds, align_seeds, best_run
from quorum.models.copyright.matching.geometry import moved
from quorum.models.copyright.matching.pairing import around
from quorum.models.copyright.matching.voting import mean_along
from quorum.models.fingerprint.local import load_opencv
from quorum.models.fingerprint.video import LUMA

__all__ = ["LEAST_CELLS", "Followed", "Straightening", "closer", "followed"]

#: Points within each cell of the work's luma at which the upload is sampled, a side.
_SAMPLES = 4
#: Fewer visible cells of the work's luma cannot be compared.
LEAST_CELLS = 64

#: Similarity of two frames from which they are seeds of an alignment, and the neutral one.
_SEED = 0.4
_EVEN = 0.35
#: Similarity of consecutive frames below which a shot ends, and the seconds around a frame whose
#: mean is what stands still.
_CUT = 0.4
_WINDOW = 1.5

#: Most similar frames of the work that each frame of the upload seeds, and the alignments tried.
_NEAREST = 6
_LEAST_VOTES = 4

_LEAST_FRAMES = 3
#: Correlation of two levelled frames from which they show one scene, and the seconds of something
#: else after which the same one may go on.
_SAME_SCENE, _AGAIN = 0.6, 3.0
#: Distance of a pair of frames that contradicts no copy: so many times the usual one, what codecs
#: add, and this part of what the work moves from one frame to the next.
_EDITED, _NOISE, _MOVED = 2.5, 0.02, 0.25

#: Steps and precision with which a map is brought closer, the perspective from which it is not
#: affine, and how far a corner of the work may move, in parts of its shown shorter side.
_ECC = (3, 40, 1e-4)
_BENT = 1e-4
_NEAR = 0.25
#: Seconds by which an alignment may exceed the ends of a work.
_SLACK = 0.2
_SHIFTS = tuple(sorted((step / 16 for step in range(-10, 11)), key=abs))
_TURNS = (1.0, 0.99, 1.01, 0.98, 1.02)

_Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Followed:
    """A run of an upload's frames along an alignment.

    Attributes:
        low: First frame of the upload.
        high: Frame after the last.
        alignment: Map to times of the work.
        cells: Share of the work that is visible.
        agreement: Correlation over time of the changes, from -1 to 1.
        uneven: How much the difference of the frames varies over time.
        ways: Number of independent changes of the work.
        odd: Share of frames that contradict the match.
    """

    low: int
    high: int
    alignment: Alignment
    cells: float
    agreement: float
    uneven: float
    ways: float
    odd: float


class Straightening:
    """Frames of an upload and of a work, which projective maps bring together.

    Args:
        luma: The upload's frames, shape (n, 64, 64).
        shape: Width and height of the upload in units of its shorter side.
        work_luma: The work's frames, shape (m, 32, 32).
        work_shape: The same of the work.
    """

    def __init__(
        self,
        luma: NDArray[np.uint8],
        shape: NDArray[np.float32],
        work_luma: NDArray[np.uint8],
        work_shape: NDArray[np.float32],
    ) -> None:
        self._luma = luma.reshape(len(luma), -1)
        self._work = work_luma.reshape(len(work_luma), -1)
        self._shape = shape.astype(np.float64)
        self._work_shape = work_shape.astype(np.float64)

    @property
    def work_shape(self) -> _Floats:
        """Width and height of the work in units of its shorter side."""
        return self._work_shape

    @property
    def shape(self) -> _Floats:
        """Width and height of the upload in units of its shorter side."""
        return self._shape

    def pictures(
        self, rows: NDArray[np.intp], work_rows: NDArray[np.intp]
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Some frames of the upload, and some of the work."""
        ours = self._luma[rows].reshape(-1, LUMA, LUMA)
        return ours, self._work[work_rows].reshape(-1, WORK_LUMA, WORK_LUMA)

    def mean(
        self, rows: NDArray[np.intp], work_rows: NDArray[np.intp]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Mean picture of some frames of the upload, and of some of the work."""
        ours, theirs = self.pictures(rows, work_rows)
        return ours.mean(axis=0, dtype=np.float32), theirs.mean(axis=0, dtype=np.float32)

    def pixels(self) -> tuple[_Floats, _Floats]:
        """Maps from positions to pixels, shape (3, 3), of the upload's frames and of the work's."""
        made = []
        for shape, side in ((self._shape, LUMA), (self._work_shape, WORK_LUMA)):
            scale = side / shape
            made.append(np.array([[scale[0], 0, -0.5], [0, scale[1], -0.5], [0, 0, 1]]))
        return made[0], made[1]

    def area(self, turn: _Floats) -> float:
        """Share of the upload that the work takes."""
        corners = np.array([[0, 0], [1, 0], [1, 1], [0, 1]]) * self._work_shape
        x, y = np.clip(moved(turn, corners) / self._shape, 0, 1).T
        return 0.5 * abs(float(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1))))

    def cells(self, turn: _Floats) -> tuple[csr_matrix, NDArray[np.bool_]]:
        """Sampling of an upload's frame at the visible cells of the work, and those cells."""
        count = WORK_LUMA * _SAMPLES
        steps = (np.arange(count) + 0.5) / count
        x, y = np.meshgrid(steps, steps)
        points = np.stack([x.ravel(), y.ravel()], axis=1) * self._work_shape
        at = moved(turn, points) / self._shape
        each = np.arange(count) // _SAMPLES
        cell = (each[:, None] * WORK_LUMA + each).ravel()
        inside = ((at > 0) & (at < 1)).all(axis=1)
        seen = np.bincount(cell, inside, WORK_LUMA**2) == _SAMPLES**2
        kept = seen[cell]
        spot = np.clip(at[kept] * LUMA - 0.5, 0, LUMA - 1.001)
        low = np.floor(spot).astype(np.intp)
        part = spot - low
        row = (np.cumsum(seen) - 1)[cell[kept]]
        weights, columns = [], []
        for i in (0, 1):
            for j in (0, 1):
                weights.append(np.abs(1 - i - part[:, 1]) * np.abs(1 - j - part[:, 0]))
                columns.append((low[:, 1] + i) * LUMA + low[:, 0] + j)
        values = np.concatenate(weights).astype(np.float32) / _SAMPLES**2
        places = (np.tile(row, 4), np.concatenate(columns))
        return csr_matrix((values, places), shape=(int(seen.sum()), LUMA * LUMA)), seen

    def straight(self, sampler: csr_matrix) -> NDArray[np.float32]:
        """Levelled frames of the upload at the visible cells, shape (n, cells)."""
        flat = self._luma.astype(np.float32)
        return _levelled(np.ascontiguousarray((sampler @ flat.T).T))

    def work(self, seen: NDArray[np.bool_]) -> NDArray[np.float32]:
        """Levelled frames of the work at the visible cells, shape (m, cells)."""
        return _levelled(self._work[:, seen].astype(np.float32))


def closer(
    view: Straightening,
    turn: _Floats,
    rows: NDArray[np.intp],
    alignment: Alignment,
    times: NDArray[np.float32],
    work_times: NDArray[np.float32],
) -> _Floats | None:
    """A map that brings upload and work closer together in a run, found on their mean pictures.

    Corners of a part of the picture determine the map there; what stands still shows the rest
    (Evangelidis, Psarakis, "Parametric image alignment using enhanced correlation coefficient
    maximization", 2008).

    Args:
        view: Their frames.
        turn: Map from positions in the work to positions in the upload.
        rows: Frames of the upload that were found with that map.
        alignment: Map to times of the work.
        times: Seconds of the upload's frames.
        work_times: Seconds of the work's frames.

    Returns:
        None if there is none near the given one.
    """
    cv2 = load_opencv()
    partner, _ = around(work_times, alignment.at(times[rows].astype(np.float64)))
    ours, theirs = view.mean(rows, partner)
    into, out = view.pixels()
    begun = into @ turn @ np.linalg.inv(out)
    bent = abs(begun[2, :2]).max() > _BENT * abs(begun[2, 2])
    kind = cv2.MOTION_HOMOGRAPHY if bent else cv2.MOTION_AFFINE
    start = (begun / begun[2, 2])[: 3 if bent else 2].astype(np.float32)
    try:
        _, found = cv2.findTransformECC(theirs, ours, start, kind, _ECC, None, 3)
    except cv2.error:  # it does not converge, or nothing overlaps
        return None
    whole = found.astype(np.float64) if bent else np.vstack([found, [0, 0, 1]])
    made = np.linalg.inv(into) @ whole @ out
    corners = np.array([[0, 0], [1, 0], [1, 1], [0, 1]]) * view.work_shape
    step = np.abs(moved(made, corners) - moved(turn, corners)).max()
    side = np.sqrt(abs(np.linalg.det(turn[:2, :2])))
    return made if step <= _NEAR * side else None


def followed(
    view: Straightening,
    turn: _Floats,
    times: NDArray[np.float32],
    work_times: NDArray[np.float32],
) -> Iterator[Followed]:
    """The best runs of an upload along the alignments with a work.

    Args:
        view: Their frames.
        turn: Map from positions in the work to positions in the upload.
        times: Seconds of the upload's frames.
        work_times: Seconds of the work's frames.
    """
    sampler, seen = view.cells(turn)
    if seen.sum() < LEAST_CELLS:
        return
    ours, theirs = view.straight(sampler), view.work(seen)
    compared = _Compared(times.astype(np.float64), work_times.astype(np.float64), ours, theirs)
    for alignment in align_seeds(compared.seeds(), _LEAST_VOTES):
        run = compared.run(alignment)
        if run is None:
            continue
        low, high, fitted = run
        rows, partner = compared.paired(fitted, compared.scene(fitted, low, high))
        evidence = _evidence(ours[rows], theirs[partner])
        rows, partner = compared.paired(fitted, compared.scene(fitted, low, high, _AGAIN))
        odd = _odd(ours[rows], theirs[partner])
        yield Followed(low, high, fitted, float(seen.mean()), *evidence, odd)


def _levelled(frames: NDArray[np.float32]) -> NDArray[np.float32]:
    """Frames without their mean brightness and contrast."""
    level = frames - frames.mean(axis=1, keepdims=True)
    return np.asarray(level / (level.std(axis=1, keepdims=True) + 4.0), np.float32)


def _changes(frames: NDArray[np.float32], reach: int) -> NDArray[np.float32]:
    """Levelled frames minus the mean of those around them in the same shot, of unit length."""
    count = len(frames)
    alike = (frames[1:] * frames[:-1]).mean(axis=1)
    shot = np.concatenate([[0], np.cumsum(alike < _CUT)])
    begin, end = (np.searchsorted(shot, shot, side) for side in ("left", "right"))
    low = np.maximum(np.arange(count) - reach, begin)
    high = np.minimum(np.arange(count) + reach + 1, end)
    sums = np.concatenate([np.zeros_like(frames[:1]), np.cumsum(frames, axis=0, dtype=np.float64)])
    return _unit((frames - (sums[high] - sums[low]) / (high - low)[:, None]).astype(np.float32))


def _unit(frames: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(frames / (np.linalg.norm(frames, axis=1, keepdims=True) + 1e-3), np.float32)


def _frames(times: _Floats, seconds: float) -> int:
    """Number of frames in some seconds."""
    return round(seconds / max(0.02, float(np.median(np.diff(times)))))


def _evidence(ours: NDArray[np.float32], theirs: NDArray[np.float32]) -> tuple[float, float, float]:
    """Agreement, unevenness and number of independent changes of paired frames."""
    mine, their = ours - ours.mean(axis=0), theirs - theirs.mean(axis=0)
    norm = float(np.sqrt((mine**2).sum() * (their**2).sum()))
    if norm < 1e-6:
        return 0.0, 0.0, 1.0
    apart = 1 - (_unit(ours) * _unit(theirs)).sum(axis=1)
    low, high = np.percentile(apart, (20, 80))
    products = their @ their.T
    ways = float(np.trace(products)) ** 2 / float((products**2).sum())
    return float((mine * their).sum()) / norm, float(high - low), ways


def _odd(ours: NDArray[np.float32], theirs: NDArray[np.float32]) -> float:
    """Share of paired frames that are further apart than the edit and the movement explain.

    An edit changes all frames alike, and what moves may be shown a little earlier or later.
    """
    shown = _unit(theirs)
    apart = 1 - (_unit(ours) * shown).sum(axis=1)
    steps = 1 - (shown[1:] * shown[:-1]).sum(axis=1)
    moving = np.maximum(np.append(steps, 0), np.append(0, steps))
    explained = _EDITED * np.percentile(apart, 20) + _NOISE + _MOVED * moving
    return float((apart > explained).mean())


@dataclass(frozen=True)
class _Compared:
    """Levelled frames of an upload and of a work, and how similar each is to each.

    Attributes:
        times: Seconds of the upload's frames, shape (n,).
        work_times: Seconds of the work's frames, shape (m,).
        ours: The upload's frames, shape (n, cells).
        theirs: The work's frames, shape (m, cells).
    """

    times: _Floats
    work_times: _Floats
    ours: NDArray[np.float32]
    theirs: NDArray[np.float32]

    @cached_property
    def alike(self) -> NDArray[np.float32]:
        """Similarity as pictures and in how they differ from those around them, shape (n, m)."""
        mine = _changes(self.ours, max(2, _frames(self.times, _WINDOW)))
        their = _changes(self.theirs, max(2, _frames(self.work_times, _WINDOW)))
        return np.asarray(0.5 * (_unit(self.ours) @ _unit(self.theirs).T + mine @ their.T))

    def seeds(self) -> Seeds:
        """The most similar frames of each frame."""
        near = np.argsort(-self.alike, axis=1)[:, :_NEAREST]
        rows, columns = np.repeat(np.arange(len(near)), near.shape[1]), near.ravel()
        weight = self.alike[rows, columns].astype(np.float64)
        good = weight >= _SEED
        return Seeds(self.times[rows[good]], self.work_times[columns[good]], weight[good])

    def run(self, alignment: Alignment) -> tuple[int, int, Alignment] | None:
        """Bounds of the best run along an alignment, and the alignment as fitted to the run."""
        first = self._best(alignment)
        if first is None:
            return None
        rows = np.arange(*first)
        times, alike = self.times[rows], self.alike[rows]
        middle = float(times.mean())
        at = float(alignment.at(np.array([middle]))[0])
        best, most = alignment, -np.inf
        # Most copies play at the original speed; another must be clearly better.
        for speed in dict.fromkeys((1.0, *(alignment.speed * turn for turn in _TURNS))):
            for shift in _SHIFTS:
                offset = at + shift - speed * middle
                gain = mean_along(alike, self.work_times, times, speed, offset)
                if gain > most + 0.003:
                    best, most = Alignment(speed, offset, alignment.votes), gain
        found = self._best(best)
        return None if found is None else (*found, best)

    def scene(self, alignment: Alignment, low: int, high: int, gap: float = 0.0) -> slice:
        """A run and the frames around it in which the same scene goes on in upload and work.

        Two takes of one scene may agree for some seconds: how they go on tells them from a copy,
        which agrees until it is cut.

        Args:
            alignment: Map to times of the work.
            low: First frame of the run.
            high: Frame after the last.
            gap: Seconds of something else after which the same scene may be shown again.
        """
        at = alignment.at(self.times)
        near, far = around(self.work_times, at)
        inside = (at >= self.work_times[0]) & (at <= self.work_times[-1])
        same = np.zeros(len(at), np.bool_)
        for partner in (near, far):
            still = (_unit(self.ours) * _unit(self.theirs[partner])).sum(axis=1)
            same |= inside & (still >= _SAME_SCENE)
        again, most = np.flatnonzero(same), 1 + _frames(self.times, gap)
        for each in again[again < low][::-1]:
            low = int(each) if low - each <= most else low
        for each in again[again >= high]:
            high = int(each) + 1 if each + 1 - high <= most else high
        return slice(low, high)

    def paired(
        self, alignment: Alignment, rows: slice
    ) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Rows of the upload, and for each the more similar of the two frames around its time."""
        each = np.arange(rows.start, rows.stop)
        near, far = around(self.work_times, alignment.at(self.times[each]))
        return each, np.where(self.alike[each, far] > self.alike[each, near], far, near)

    def _best(self, alignment: Alignment) -> tuple[int, int] | None:
        at = alignment.at(self.times)
        inside = (at >= self.work_times[0] - _SLACK) & (at <= self.work_times[-1] + _SLACK)
        rows, partner = self.paired(alignment, slice(0, len(at)))
        low, high = best_run(np.where(inside, self.alike[rows, partner] - _EVEN, -1.0))
        return (low, high) if high - low >= _LEAST_FRAMES else None

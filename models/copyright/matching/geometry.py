"""Where a work lies in an upload: a projective map, found from pairs of local features.

Positions are in units of the shorter side of their frame. An edit leaves the picture upright, up to
perspective and a few degrees, so that each pair of features alone proposes a map: the ratio of
their sizes, and a shift. The proposal with most agreeing pairs is refined, as an affine and a
projective map where that explains clearly more pairs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quorum.models.fingerprint.local import STEP

__all__ = ["LEAST_PAIRS", "Pairs", "agreeing", "located", "moved"]

#: Fewer pairs that agree are chance.
LEAST_PAIRS = 8

#: Reach of a proposal, and of the refinements, in units of the shown work's shorter side.
_PROPOSED = 0.09
_REACHES = (0.07, 0.05, 0.035)
#: Ratio of agreeing pairs by which a map of more numbers must be better.
_WORTH = 1.1
#: Octaves by which the sizes of agreeing features may differ.
_OCTAVES = 2
#: The most proposals, and pairs that are counted for one: the nearest.
_MOST = 800
#: Pairs in the same place of both frames, to within this part of the shorter side, count once.
_GRID = 40

#: Bounds of a plausible map: scale, stretch of one axis, and the spread of the pairs in the work.
_SCALES = (0.15, 6.0)
_STRETCH = 1.7
_SPREAD = 0.06
#: Least spread along the other axis: one line of text is no place.
_LEAST_SPREAD = 0.02

_Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Pairs:
    """Features of an upload and similar features of a work, as parallel arrays.

    Attributes:
        upload: Positions in the upload, shape (n, 2).
        work: Positions in the work, shape (n, 2).
        octaves: Octave of the upload's feature minus that of the work's, shape (n,).
        distances: Differing bits, shape (n,).
    """

    upload: _Floats
    work: _Floats
    octaves: NDArray[np.int64]
    distances: NDArray[np.int64]

    def distinct(self) -> Pairs:
        """The pairs without repetitions: what stands still pairs again in each frame."""
        order = np.argsort(self.distances, kind="stable")
        places = np.concatenate([self.upload, self.work], axis=1)[order]
        _, first = np.unique(np.round(places * _GRID).astype(np.int64), axis=0, return_index=True)
        kept = order[np.sort(first)[:_MOST]]
        return Pairs(self.upload[kept], self.work[kept], self.octaves[kept], self.distances[kept])


def moved(turn: _Floats, points: _Floats) -> _Floats:
    """Apply a projective map, shape (3, 3), to points, shape (n, 2)."""
    made = np.concatenate([points, np.ones((len(points), 1))], axis=1) @ turn.T
    depth = np.where(np.abs(made[:, 2:]) < 1e-9, 1e-9, made[:, 2:])
    return np.asarray(made[:, :2] / depth)


def agreeing(pairs: Pairs, turn: _Floats) -> int:
    """How many pairs agree with a map."""
    if not len(pairs.upload):
        return 0
    size = np.sqrt(abs(np.linalg.det(turn[:2, :2])))
    off = np.abs(moved(turn, pairs.work) - pairs.upload).max(axis=1)
    return int((off <= _REACHES[-2] * size).sum())


def located(pairs: Pairs, most: int = 2) -> list[tuple[_Floats, int]]:
    """The maps from the work to the upload, shape (3, 3), each with the pairs that agree with it.

    Where the same thing stands in a picture several times, the map with most pairs may be a wrong
    one: the next one is made of the pairs that are left.

    Args:
        pairs: Distinct pairs.
        most: The most maps.

    Returns:
        None of which too few pairs agree, or that is not what an edit does.
    """
    count = len(pairs.upload)
    if count < LEAST_PAIRS:
        return []
    scale = STEP ** pairs.octaves.astype(np.float64)
    shift = pairs.upload - scale[:, None] * pairs.work
    expected = scale[:, None, None] * pairs.work[None] + shift[:, None]
    off = np.abs(expected - pairs.upload[None]).max(axis=2)
    agree = off <= _PROPOSED * scale[:, None]
    agree &= np.abs(pairs.octaves[:, None] - pairs.octaves[None]) <= _OCTAVES
    left = np.ones(count, np.bool_)
    found: list[tuple[_Floats, int]] = []
    for _ in range(most):
        votes = (agree & left).sum(axis=1) * left
        best = int(np.argmax(votes))
        if votes[best] < LEAST_PAIRS:
            break
        first = agree[best] & left
        place = _refined(pairs, first, float(scale[best]))
        if place is not None:
            found.append(place)
        left &= ~first
    return found


def _refined(pairs: Pairs, chosen: NDArray[np.bool_], size: float) -> tuple[_Floats, int] | None:
    """Fit a map to some pairs, then to all that agree with it; None if it is not plausible.

    Few or narrow pairs fit any affine map: a map of more numbers must explain clearly more pairs.
    """
    best: tuple[_Floats, NDArray[np.bool_]] | None = None
    for fit in (_similar, _affine, _projective):
        if fit is not _similar and _narrow(pairs.work[chosen]):
            break
        made = _agreeing(pairs, chosen, size, fit)
        if made is None:
            continue
        if best is None or made[1].sum() >= _WORTH * best[1].sum() + 1:
            best = made
        off = np.abs(moved(made[0], pairs.work) - pairs.upload).max(axis=1)
        chosen = off <= _REACHES[0] * size
    if best is None or not _plausible(best[0], pairs.work[best[1]]):
        return None
    return best[0], int(best[1].sum())


def _agreeing(
    pairs: Pairs,
    chosen: NDArray[np.bool_],
    size: float,
    fit: Callable[[_Floats, _Floats], _Floats | None],
) -> tuple[_Floats, NDArray[np.bool_]] | None:
    """A map of one kind, fitted to ever nearer pairs, and those that agree; None if too few do."""
    turn = None
    for reach in _REACHES:
        turn = fit(pairs.work[chosen], pairs.upload[chosen])
        if turn is None:
            return None
        off = np.abs(moved(turn, pairs.work) - pairs.upload).max(axis=1)
        chosen = off <= reach * size
        if chosen.sum() < LEAST_PAIRS:
            return None
    return None if turn is None else (turn, chosen)


def _narrow(points: _Floats) -> bool:
    """Whether points lie in a strip too narrow to determine an affine map."""
    return bool(np.ptp(points, axis=0).min() < 2 * _SPREAD or points.std(axis=0).min() < _SPREAD)


def _similar(source: _Floats, target: _Floats) -> _Floats | None:
    """Least squares of one scale and a shift."""
    middle, to = source.mean(axis=0), target.mean(axis=0)
    spread = float(((source - middle) ** 2).sum())
    if spread < 1e-9:
        return None
    scale = float(((source - middle) * (target - to)).sum()) / spread
    x, y = to - scale * middle
    return np.array([[scale, 0.0, x], [0.0, scale, y], [0.0, 0.0, 1.0]])


def _affine(source: _Floats, target: _Floats) -> _Floats | None:
    padded = np.concatenate([source, np.ones((len(source), 1))], axis=1)
    solved, _, rank, _ = np.linalg.lstsq(padded, target, rcond=None)
    return np.concatenate([solved.T, [[0.0, 0.0, 1.0]]]) if rank == 3 else None


def _projective(source: _Floats, target: _Floats) -> _Floats | None:
    """Least squares of the two bilinear equations of each point, the depth at the origin 1.

    The perspective is damped: a few points in one place do not determine it.
    """
    middle = source.mean(axis=0)
    x, y = (source - middle).T
    u, v = target.T
    none, one = np.zeros_like(x), np.ones_like(x)
    rows = np.concatenate(
        [
            np.stack([x, y, one, none, none, none, -u * x, -u * y], axis=1),
            np.stack([none, none, none, x, y, one, -v * x, -v * y], axis=1),
            np.eye(8)[6:] * 0.05 * np.sqrt(len(x)),
        ]
    )
    solved, _, rank, _ = np.linalg.lstsq(rows, np.concatenate([u, v, [0.0, 0.0]]), rcond=None)
    if rank < 8:
        return None
    turn = np.append(solved, 1.0).reshape(3, 3)
    turn = turn @ np.array([[1, 0, -middle[0]], [0, 1, -middle[1]], [0, 0, 1]])
    return np.asarray(turn)


def _plausible(turn: _Floats, points: _Floats) -> bool:
    """Whether the map shows the work upright, unfolded and at a sane size where the pairs are."""
    if points.std(axis=0).max() < _SPREAD or points.std(axis=0).min() < _LEAST_SPREAD:
        return False
    middle = points.mean(axis=0)
    step = 0.1
    around = middle + np.array([[0, 0], [step, 0], [0, step]])
    here, right, down = moved(turn, around)
    across, along = (right - here) / step, (down - here) / step
    sizes = np.hypot(*across), np.hypot(*along)
    if min(sizes) < _SCALES[0] or max(sizes) > _SCALES[1] or max(sizes) > _STRETCH * min(sizes):
        return False
    # Upright: the axes stay within about 25 degrees of where they were.
    return bool(across[0] > 0.9 * sizes[0] and along[1] > 0.9 * sizes[1])

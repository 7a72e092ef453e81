"""How the pictures of a film move: statistics of optical flow in windows of a second.

The flow is that of dense inverse search (Kroeger et al. 2016) between small pictures of luma, an
eighth of a second apart, less the movement of the camera. What is kept of a window are numbers:
how fast things move and how fast that changes (as in ViF, Hassner et al. 2012), in which
directions, how unlike its neighbours each place moves, and where in the picture.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from quorum.models.detectors import Motion
from quorum.models.features.grid import Bursts
from quorum.models.fingerprint.local import load_opencv
from quorum.models.media.picture import SMALL
from quorum.models.scoring.timeline import spread

__all__ = ["LINES", "LONG_SIDE", "PICTURES", "STATISTICS", "STEP", "Still", "Windows", "measured"]

#: Seconds between the pictures of a window, and the pictures of a window: seven pairs.
STEP: Final = 0.125
PICTURES: Final = 8
#: The shorter side of these pictures, and the most of the longer one, in pixels.
LINES, LONG_SIDE = SMALL
#: A picture with a shorter side is too small for its flow.
_MIN_LINES: Final = 32
#: The most windows of a track that are measured; of more they are evenly spread.
_MAX_WINDOWS: Final = 16
#: The fewest pairs that tell something, and seconds between the pictures of a pair.
_MIN_PAIRS: Final = 4
_APART: Final = (0.02, 0.6)
#: Mean change of luma, of 255, above which two pictures show two scenes.
_CUT: Final = 40.0
#: Speeds, in sides of the picture a second: below the first nothing moves, from the second on a
#: place takes part in the movement.
_STILL: Final = 0.02
_MOVES: Final = 0.05
_SPEEDS: Final = (0.1, 0.3, 0.8)
_QUANTILES: Final = (0.5, 0.75, 0.9, 0.95, 0.99)
#: Ranks of the blocks of a picture, the most violent first.
_BLOCKS: Final = (0, 1, 3, 7, 15)
_BLOCK_GRID: Final = (8, 6)
_DIRECTIONS: Final = 8

_Map = NDArray[np.floating[Any]]
_Luma = NDArray[np.uint8]

_OF_PAIRS: Final = (
    *(f"speed {share:.0%}" for share in _QUANTILES),
    "speed",
    *(f"area faster than {speed}" for speed in _SPEEDS),
    "camera",
    "unexplained change",
    "unexplained change 90%",
    "unexplained change 99%",
    "change",
    "change 99%",
    "coherence",
    "directions",
    "gradient",
    "gradient 99%",
    "width",
    "height",
    "share of one block",
    "share of four blocks",
)
_OF_STEPS: Final = (
    "acceleration", "acceleration 99%", "change of speed", "change of speed 95%", "persistence"
)  # fmt: skip
_OF_WINDOW: Final = (
    "centre",
    "wander",
    *(f"changing block {rank}" for rank in _BLOCKS),
    "changing",
    "changing mostly",
    "burstiness",
    "sustained speed 99%",
    "sustained speed 95%",
    *(f"area ever faster than {speed}" for speed in _SPEEDS),
)
#: The names of the statistics of a window. Those of pairs and steps stand for mean, greatest and
#: deviation over the window.
STATISTICS: Final = (
    *(f"{name}, {of}" for name in (*_OF_PAIRS, *_OF_STEPS) for of in ("mean", "most", "deviation")),
    *_OF_WINDOW,
)


class Still(NamedTuple):
    """A small picture, and the second at which it appears."""

    start: float
    luma: NDArray[np.uint8]


class Windows:
    """Collects small pictures of a track, and measures how they move.

    Args:
        max_unseen: Seconds from one window to the next that are not exceeded, unless the media is
            so long that there would be more than 64.

    Attributes:
        ended: The second from which on the movement was not measured; None if it was to the end.
    """

    def __init__(self, max_unseen: float) -> None:
        self.ended: float | None = None
        self._kept: Bursts[Still] = Bursts(max_unseen, step=STEP, count=PICTURES)

    def show(self, start: float, end: float, make: Callable[[], NDArray[np.uint8]]) -> None:
        """Keep a picture at each moment of a window at which it is shown."""
        self._kept.show(start, end, lambda: Still(start, np.ascontiguousarray(make())))

    def wants(self, start: float, end: float) -> bool:
        """Whether a moment of a window lies between two seconds, both included."""
        at = math.ceil(start / STEP) * STEP
        return at <= end and self._kept.wants(at)

    def motion(self, name: str, spent: Callable[[], bool] = lambda: False) -> Motion | None:
        """How the pictures move; None if they do not.

        Args:
            name: The name of the track.
            spent: Whether no more work is allowed: then the rest is not measured.
        """
        windows = self._kept.split
        starts, kept = [], []
        for index in spread(len(windows), _MAX_WINDOWS):
            times, stills = windows[index]
            if spent():
                self.ended = times[0]
                break
            statistics = measured(stills)
            if statistics is not None:
                starts.append(times[0])
                kept.append(statistics)
        return Motion(np.array(starts, np.float64), np.stack(kept), name) if kept else None


@dataclass(frozen=True, eq=False)
class _Moves:
    """The movement of a window; each row of an array is a pair of pictures.

    Attributes:
        apart: Seconds between the pictures, shape (n,).
        across: Speed of each place to the right less that of the camera, in sides of the picture a
            second, shape (n, height, width).
        down: The same downwards.
        camera: Speed of the camera, shape (n,).
        change: Change of luma of each place, shape (n, height, width).
        unexplained: The same after the movement is undone.
    """

    apart: _Map
    across: _Map
    down: _Map
    camera: _Map
    change: _Map
    unexplained: _Map

    @cached_property
    def speed(self) -> _Map:
        """Speed of each place."""
        return _length(self.across, self.down)

    @cached_property
    def moving(self) -> NDArray[np.bool_]:
        """Whether a place takes part in the movement."""
        return np.asarray(self.speed > _MOVES)

    @cached_property
    def weight(self) -> _Map:
        """The speed of a place that does, else 0."""
        return self.speed * self.moving

    @cached_property
    def total(self) -> _Map:
        """The sum of these, shape (n,)."""
        return _sums(self.weight) + 1e-6

    @cached_property
    def middle(self) -> _Map:
        """Where the movement is, in sides of the picture, from the left and top, shape (n, 2)."""
        return np.stack([share @ at for at, share in self._shares], axis=1)

    @cached_property
    def extent(self) -> _Map:
        """How wide and how high the movement is, in sides of the picture, shape (n, 2)."""
        away = (
            (share * (at - middle[:, None]) ** 2).sum(axis=1)
            for (at, share), middle in zip(self._shares, self.middle.T, strict=True)
        )
        return np.asarray(np.sqrt(np.stack(list(away), axis=1)))

    @cached_property
    def _shares(self) -> list[tuple[_Map, _Map]]:
        """Places of the columns and of the rows, and how much of the movement is in each."""
        height, width = self.speed.shape[1:]
        return [
            (
                np.arange(count) / min(height, width),
                self.weight.sum(axis=axis) / self.total[:, None],
            )
            for axis, count in ((1, width), (2, height))
        ]

    @cached_property
    def step(self) -> _Map:
        """Seconds from one pair to the next, shape (n - 1,)."""
        return (self.apart[1:] + self.apart[:-1]) / 2

    @cached_property
    def faster(self) -> _Map:
        """Change of the speed of each place from one pair to the next."""
        return np.asarray(np.abs(np.diff(self.speed, axis=0)) / _maps(self.step))


def measured(stills: Sequence[Still]) -> NDArray[np.float32] | None:
    """The statistics of a window, shape (d,); None if too little moves.

    Args:
        stills: Its pictures; one that is shown at several moments may stand there several times.
    """
    moves = _moves(stills)
    if moves is None:
        return None
    speeds = _quantiles(moves.speed, _QUANTILES)
    if speeds[:, -1].max() < _STILL:
        return None
    made = [
        np.stack([each.mean(axis=0), each.max(axis=0), each.std(axis=0)], axis=1).ravel()
        for each in (_of_pairs(moves, speeds), _of_steps(moves))
    ]
    return np.concatenate([*made, _of_window(moves)]).astype(np.float32)


def _moves(stills: Sequence[Still]) -> _Moves | None:
    """How the pictures of one scene move; None if too few pairs tell it."""
    if len(stills) <= _MIN_PAIRS or min(stills[0].luma.shape) < _MIN_LINES:
        return None
    cv2, before = load_opencv(), stills[0]
    apart, found = [], []
    for after in stills[1:]:
        seconds = after.start - before.start
        if seconds <= _APART[0]:
            continue
        one, other, before = before.luma, after.luma, after
        change = cv2.absdiff(one, other)
        if seconds > _APART[1] or change.mean() > _CUT:
            continue
        apart.append(seconds)
        found.append(_moved(one, other, change))
    if len(found) < _MIN_PAIRS:
        return None
    flows, changes, unexplained = (np.stack(each) for each in zip(*found, strict=True))
    sides = (flows[..., 0], flows[..., 1])
    camera = [_quantiles(each, (0.5,))[:, 0].astype(np.float32) for each in sides]
    scale = (min(before.luma.shape) * np.array(apart)).astype(np.float32)
    across, down = (
        (each - _maps(one)) / _maps(scale) for each, one in zip(sides, camera, strict=True)
    )
    return _Moves(
        np.array(apart, np.float32),
        across,
        down,
        np.hypot(*camera) / scale,
        changes,
        unexplained,
    )


def _moved(one: _Luma, other: _Luma, change: _Luma) -> tuple[_Map, _Map, _Map]:
    """The flow from one picture to another, the change, and that which the flow does not explain.

    They are at half the size, in pixels of the whole one.
    """
    height, width = one.shape
    size = (width // 2, height // 2)
    if not change.any():
        still = np.zeros((*size[::-1], 2), np.float32)
        return still, still[..., 0], still[..., 0]
    cv2 = load_opencv()
    flow = _flow().calc(one, other, None)
    undone = cv2.remap(
        other, _places(one.shape) + flow, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    flowing, changing, unexplained = (
        cv2.resize(each.astype(np.float32, copy=False), size, interpolation=cv2.INTER_AREA)
        for each in (flow, change, cv2.absdiff(one, undone))
    )
    return flowing, changing, unexplained


@lru_cache(maxsize=1)
def _flow() -> Any:
    """Search at half the size as densely as the fast preset, without refinement by variation."""
    cv2 = load_opencv()
    made = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    made.setPatchStride(4)
    made.setGradientDescentIterations(16)
    made.setVariationalRefinementIterations(0)
    return made


@lru_cache(maxsize=4)
def _places(shape: tuple[int, int]) -> NDArray[np.float32]:
    """Column and row of each place, shape (height, width, 2)."""
    height, width = shape
    return np.stack(np.meshgrid(np.arange(width), np.arange(height)), axis=-1).astype(np.float32)


def _maps(values: NDArray[Any]) -> NDArray[Any]:
    """A value for each map of a stack."""
    return values[:, None, None]


def _sums(maps: Any) -> _Map:
    """The sum of each map of a stack."""
    return np.asarray(maps.sum(axis=(1, 2)))


def _length(across: _Map, down: _Map) -> _Map:
    return np.asarray(np.sqrt(across * across + down * down))


def _quantiles(maps: _Map, shares: Sequence[float]) -> NDArray[np.float64]:
    """Quantiles of each map of a stack, shape (n, shares); NumPy's own take five times as long."""
    ordered = np.sort(maps.reshape(len(maps), -1), axis=1)
    at = np.array(shares) * (ordered.shape[1] - 1)
    low = at.astype(np.intp)
    high = np.minimum(low + 1, ordered.shape[1] - 1)
    return np.asarray(ordered[:, low] + (ordered[:, high] - ordered[:, low]) * (at - low))


def _log(speed: Any) -> NDArray[np.float64]:
    """Speeds so that a factor counts alike at any of them, but for the slowest."""
    return np.asarray(np.log1p(20.0 * np.asarray(speed, np.float64)))


def _blocks(maps: _Map) -> _Map:
    """Means over the blocks of each map of a stack, the greatest first."""
    cv2 = load_opencv()
    made = [cv2.resize(each, _BLOCK_GRID, interpolation=cv2.INTER_AREA).ravel() for each in maps]
    return np.asarray(np.sort(made, axis=1)[:, ::-1])


def _of_pairs(moves: _Moves, speeds: _Map) -> _Map:
    """See ``_OF_PAIRS``.

    Args:
        moves: The movement.
        speeds: ``_QUANTILES`` of its speeds.
    """
    across, down, speed, moving = moves.across, moves.down, moves.speed, moves.moving
    together = np.hypot(_sums(across * moving), _sums(down * moving))
    coherence = np.where(moves.total > 1e-3, together / moves.total, 1.0)
    counts = _directions(moves)
    side = min(speed.shape[1:])
    slopes = [np.diff(each, axis=axis) for each in (across, down) for axis in (1, 2)]
    gradient = side * np.sqrt(
        sum(one[:, : speed.shape[1] - 1, : speed.shape[2] - 1] ** 2 for one in slopes)
    )
    blocks = _blocks(moves.weight)
    blocks = blocks / (blocks.sum(axis=1, keepdims=True) + 1e-9)
    return np.column_stack(
        [
            _log(speeds),
            _log(speed.mean(axis=(1, 2))),
            *((speed > one).mean(axis=(1, 2)) for one in _SPEEDS),
            _log(moves.camera),
            np.log1p(moves.unexplained.mean(axis=(1, 2))),
            np.log1p(_quantiles(moves.unexplained, (0.9, 0.99))),
            np.log1p(moves.change.mean(axis=(1, 2))),
            np.log1p(_quantiles(moves.change, (0.99,))),
            coherence,
            -(counts * np.log(counts + 1e-9)).sum(axis=1),
            _log(gradient.mean(axis=(1, 2)) / 20),
            _log(_quantiles(gradient, (0.99,)) / 20),
            moves.extent,
            blocks[:, 0],
            blocks[:, :4].sum(axis=1),
        ]
    )


def _directions(moves: _Moves) -> _Map:
    """The share of the movement in each direction, shape (n, directions)."""
    angle = np.arctan2(moves.down, moves.across)
    sector = ((angle + np.pi) * (_DIRECTIONS / (2 * np.pi))).astype(np.intp) % _DIRECTIONS
    sector += _maps(np.arange(len(angle)) * _DIRECTIONS)
    counts = np.bincount(
        sector.ravel(), weights=moves.weight.ravel(), minlength=len(angle) * _DIRECTIONS
    ).reshape(-1, _DIRECTIONS)
    return np.asarray(counts / (counts.sum(axis=1, keepdims=True) + 1e-9))


def _of_steps(moves: _Moves) -> _Map:
    """See ``_OF_STEPS``."""
    across, down, speed = moves.across, moves.down, moves.speed
    acceleration = _length(np.diff(across, axis=0), np.diff(down, axis=0)) / _maps(moves.step)
    both = speed[:-1] * speed[1:]
    chosen = both > _MOVES**2
    turned = _sums((across[:-1] * across[1:] + down[:-1] * down[1:]) * chosen)
    return np.column_stack(
        [
            _log(acceleration.mean(axis=(1, 2)) / 8),
            _log(_quantiles(acceleration, (0.99,)) / 8),
            _log(moves.faster.mean(axis=(1, 2)) / 8),
            _log(_quantiles(moves.faster, (0.95,)) / 8),
            np.where(_sums(chosen), turned / (_sums(both * chosen) + 1e-6), 1.0),
        ]
    )


def _of_window(moves: _Moves) -> list[float]:
    """See ``_OF_WINDOW``."""
    least = np.maximum(moves.faster.mean(axis=(1, 2)), 0.2)
    changing = (moves.faster > _maps(least)).mean(axis=0)
    blocks = _blocks(changing[None])[0]
    means = moves.speed.mean(axis=(1, 2))
    most, usual = moves.speed.max(axis=0), np.median(moves.speed, axis=0)
    wander = np.hypot(*np.diff(moves.middle, axis=0).T).mean()
    return [
        moves.middle[:, 1].mean(),
        float(_log(wander)),
        *blocks[list(_BLOCKS)],
        changing.mean(),
        (changing > 0.5).mean(),
        means.std() / (means.mean() + 1e-4),
        *_log(_quantiles(usual[None], (0.99, 0.95))[0]),
        *((most > one).mean() for one in _SPEEDS),
    ]

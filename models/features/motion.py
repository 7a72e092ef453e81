"""How the pictures of a film move: statistics of optical flow in windows of a second.

The flow is that of dense inverse search (Kroeger et al. 2016) between small pictures of luma, an
eighth of a second apart, less the movement of the camera. What is kept of a window are numbers:
how fast things move and how fast that changes (as in ViF, Hassner et al. 2012), in which
directions, how unlike its neighbours each place moves, and where in the picture.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import pairwise
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from quorum.models.detectors import Motion
from quorum.models.features.grid import Bursts
from quorum.models.fingerprint.local import load_opencv
from quorum.models.scoring.timeline import spread

__all__ = ["LINES", "LONG_SIDE", "PICTURES", "STATISTICS", "STEP", "Still", "Windows", "measured"]

#: Seconds between the pictures of a window, and the pictures of a window: seven pairs.
STEP: Final = 0.125
PICTURES: Final = 8
#: The shorter side of these pictures, and the most of the longer one, in pixels.
LINES: Final = 96
LONG_SIDE: Final = 256
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
    """

    def __init__(self, max_unseen: float) -> None:
        self._kept: Bursts[Still] = Bursts(max_unseen, step=STEP, count=PICTURES)

    def show(self, start: float, end: float, make: Callable[[], NDArray[np.uint8]]) -> None:
        """Keep a picture at each moment of a window at which it is shown."""
        self._kept.show(start, end, lambda: Still(start, np.ascontiguousarray(make())))

    def wants(self, start: float, end: float) -> bool:
        """Whether a moment of a window lies between two seconds, both included."""
        at = float(np.ceil(start / STEP)) * STEP
        return at <= end and self._kept.wants(at)

    def motion(self, name: str) -> Motion | None:
        """How the pictures move; None if they do not.

        Args:
            name: The name of the track.
        """
        windows = self._kept.split
        starts, kept = [], []
        for index in spread(len(windows), _MAX_WINDOWS):
            times, stills = windows[index]
            statistics = measured(stills)
            if statistics is not None:
                starts.append(times[0])
                kept.append(statistics)
        return Motion(np.array(starts, np.float64), np.stack(kept), name) if kept else None


@dataclass(frozen=True, eq=False)
class _Pair:
    """The movement from one picture to the next.

    Attributes:
        apart: Seconds between them.
        flow: Speed of each place less that of the camera, in sides of the picture a second, shape
            (height, width, 2).
        camera: Speed of the camera.
        change: Change of luma of each place.
        unexplained: The same after the movement is undone.
    """

    apart: float
    flow: _Map
    camera: float
    change: _Map
    unexplained: _Map

    @cached_property
    def speed(self) -> _Map:
        """Speed of each place."""
        return np.asarray(np.hypot(self.flow[..., 0], self.flow[..., 1]))

    @cached_property
    def weight(self) -> _Map:
        """The same where something moves, else 0."""
        return np.asarray(self.speed * (self.speed > _MOVES))

    @cached_property
    def centre(self) -> tuple[float, float]:
        """Where the movement is, in sides of the picture, from the left and from the top."""
        across, down = _places(self.speed.shape)
        total = self.weight.sum() + 1e-6
        return (
            float((self.weight * across).sum() / total),
            float((self.weight * down).sum() / total),
        )


def measured(stills: Sequence[Still]) -> NDArray[np.float32] | None:
    """The statistics of a window, shape (d,); None if too little moves.

    Args:
        stills: Its pictures; one that is shown at several moments may stand there several times.
    """
    pairs = list(_pairs(stills))
    if len(pairs) < _MIN_PAIRS or max(np.quantile(one.speed, 0.99) for one in pairs) < _STILL:
        return None
    series = np.array([_of_pair(one) for one in pairs])
    further = np.array([_of_step(*one) for one in pairwise(pairs)])
    made = [
        np.stack([each.mean(axis=0), each.max(axis=0), each.std(axis=0)], axis=1).ravel()
        for each in (series, further)
    ]
    return np.concatenate([*made, _of_window(pairs)]).astype(np.float32)


def _pairs(stills: Sequence[Still]) -> Iterator[_Pair]:
    """The pairs of pictures of one scene that follow one another."""
    if not stills or min(stills[0].luma.shape) < _MIN_LINES:
        return
    cv2, before = load_opencv(), stills[0]
    height, width = before.luma.shape
    side = min(height, width)
    half = (width // 2, height // 2)
    across, down = (
        one.astype(np.float32) for one in np.meshgrid(np.arange(width), np.arange(height))
    )
    for after in stills[1:]:
        apart = after.start - before.start
        if apart <= _APART[0]:
            continue
        one, other, before = before.luma, after.luma, after
        change = cv2.absdiff(one, other).astype(np.float32)
        if apart > _APART[1] or change.mean() > _CUT:
            continue
        flow = _flow().calc(one, other, None)
        undone = cv2.remap(
            other, across + flow[..., 0], down + flow[..., 1], cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )  # fmt: skip
        unexplained = cv2.absdiff(one, undone).astype(np.float32)
        flow, change, unexplained = (
            cv2.resize(each, half, interpolation=cv2.INTER_AREA)
            for each in (flow, change, unexplained)
        )
        camera = np.median(flow.reshape(-1, 2), axis=0)
        scale = side * apart
        yield _Pair(
            apart,
            (flow - camera) / scale,
            float(np.hypot(*camera)) / scale,
            change,
            unexplained,
        )


@lru_cache(maxsize=1)
def _flow() -> Any:
    cv2 = load_opencv()
    return cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)


@lru_cache(maxsize=4)
def _places(shape: tuple[int, int]) -> tuple[_Map, _Map]:
    down, across = np.mgrid[0 : shape[0], 0 : shape[1]] / min(shape)
    return across, down


def _log(speed: Any) -> NDArray[np.float64]:
    """Speeds so that a factor counts alike at any of them, but for the slowest."""
    return np.asarray(np.log1p(20.0 * np.asarray(speed, np.float64)))


def _blocks(values: _Map) -> _Map:
    """Means over the blocks of a picture, the greatest first."""
    cv2 = load_opencv()
    made = cv2.resize(values.astype(np.float32), _BLOCK_GRID, interpolation=cv2.INTER_AREA)
    return np.asarray(np.sort(made.ravel())[::-1])


def _of_pair(pair: _Pair) -> list[float]:
    """See ``_OF_PAIRS``."""
    speed, weight, flow = pair.speed, pair.weight, pair.flow
    total = weight.sum() + 1e-6
    moving = speed > _MOVES
    together = np.hypot(*(flow * moving[..., None]).sum(axis=(0, 1)))
    angle = np.arctan2(flow[..., 1], flow[..., 0])
    sector = ((angle + np.pi) / (2 * np.pi) * _DIRECTIONS).astype(int) % _DIRECTIONS
    counts = np.bincount(sector.ravel(), weights=weight.ravel(), minlength=_DIRECTIONS)
    counts = counts / (counts.sum() + 1e-9)
    side = min(speed.shape)
    gradient = side * np.sqrt(
        (np.diff(flow, axis=1)[:-1] ** 2).sum(-1) + (np.diff(flow, axis=0)[:, :-1] ** 2).sum(-1)
    )
    across, down = _places(speed.shape)
    left, top = pair.centre
    blocks = _blocks(weight)
    blocks = blocks / (blocks.sum() + 1e-9)
    return [
        *_log(np.quantile(speed, _QUANTILES)),
        float(_log(speed.mean())),
        *(float((speed > one).mean()) for one in _SPEEDS),
        float(_log(pair.camera)),
        np.log1p(pair.unexplained.mean()),
        *np.log1p(np.quantile(pair.unexplained, (0.9, 0.99))),
        np.log1p(pair.change.mean()),
        np.log1p(np.quantile(pair.change, 0.99)),
        together / total if total > 1e-3 else 1.0,
        -(counts * np.log(counts + 1e-9)).sum(),
        float(_log(gradient.mean() / 20)),
        float(_log(np.quantile(gradient, 0.99) / 20)),
        np.sqrt((weight * (across - left) ** 2).sum() / total),
        np.sqrt((weight * (down - top) ** 2).sum() / total),
        blocks[0],
        blocks[:4].sum(),
    ]


def _speed_change(one: _Pair, other: _Pair) -> _Map:
    return np.abs(other.speed - one.speed) / ((one.apart + other.apart) / 2)


def _of_step(one: _Pair, other: _Pair) -> list[float]:
    """See ``_OF_STEPS``."""
    change = (other.flow - one.flow) / ((one.apart + other.apart) / 2)
    acceleration = np.hypot(change[..., 0], change[..., 1])
    faster = _speed_change(one, other)
    both = one.speed * other.speed
    chosen = both > _MOVES**2
    turned = (one.flow * other.flow).sum(-1)[chosen].sum() / (both[chosen].sum() + 1e-6)
    return [
        float(_log(acceleration.mean() / 8)),
        float(_log(np.quantile(acceleration, 0.99) / 8)),
        float(_log(faster.mean() / 8)),
        float(_log(np.quantile(faster, 0.95) / 8)),
        turned if chosen.any() else 1.0,
    ]


def _of_window(pairs: Sequence[_Pair]) -> list[float]:
    """See ``_OF_WINDOW``."""
    changes = [_speed_change(one, other) for one, other in pairwise(pairs)]
    changing = np.mean([each > max(each.mean(), 0.2) for each in changes], axis=0)
    blocks = _blocks(changing)
    speeds = np.stack([one.speed for one in pairs])
    means = speeds.mean(axis=(1, 2))
    most, usual = speeds.max(axis=0), np.median(speeds, axis=0)
    centres = np.array([one.centre for one in pairs])
    return [
        centres[:, 1].mean(),
        float(_log(np.hypot(*np.diff(centres, axis=0).T).mean())),
        *blocks[list(_BLOCKS)],
        changing.mean(),
        (changing > 0.5).mean(),
        means.std() / (means.mean() + 1e-4),
        *_log(np.quantile(usual, (0.99, 0.95))),
        *((most > one).mean() for one in _SPEEDS),
    ]

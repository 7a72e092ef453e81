"""Local features of keyframes: what a part of a picture looks like, and where it lies.

Hashes of whole frames do not survive perspective, a crop to another shape, or a place in the corner
of another video. Corners of the picture do: each is described by the 256 bits of ORB (Rublee,
Rabaud, Konolige, Bradski, "ORB: an efficient alternative to SIFT or SURF", 2011), which differ
little between a work and its copy, so that the index of the hashes finds them as well.

The strongest corners crowd where the picture is richest. They are therefore taken in turn from each
part of the picture and each range of sizes, so that any part of a work that is shown, small or
large, brings some.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quorum.core.errors import ArtifactError
from quorum.models.media.picture import Picture

__all__ = ["KIND_LOCAL", "LOCAL", "SIDE", "STEP", "LocalHasher", "LocalPrint", "load_opencv"]

#: Length of the shorter side of keyframes, in pixels.
SIDE = 256
_LONGEST = 640

#: Ratio of the sizes of consecutive octaves.
STEP = 1.2
_OCTAVES = 8
_ANGLES = 16

#: Kinds of index entries from here on are local features: 128 + 16 * octave + angle.
KIND_LOCAL = 128

#: Corners that are found, of which the chosen ones are described.
_DETECTED = 1000
_CELLS = 4
#: Octaves from which another range of sizes begins.
_RANGES = (3, 6)

#: Mean difference of the luma from the last keyframe below which the picture stands still, and the
#: seconds after which a still picture is described again.
_STILL = 2.0
_STILL_SECONDS = 4.0


_MALFORMED = "a stored fingerprint is truncated or has an unknown format"

#: Array fields of ``LocalPrint``, in order.
LOCAL = (
    "times",
    "frames",
    "points",
    "kinds",
    "descriptors",
    "flipped_kinds",
    "flipped",
    "shape",
)


@dataclass(frozen=True, slots=True)
class LocalPrint:
    """Local features of the keyframes of a video.

    Attributes:
        times: Seconds of the keyframes, shape (k,), float32, increasing.
        frames: Keyframe of each feature, shape (n,), uint32, increasing.
        points: Column and row, in 256ths of the frame's sides, shape (n, 2), uint8.
        kinds: 128 + 16 * octave + angle in sixteenths of a turn, shape (n,), uint8.
        descriptors: Shape (n, 32), uint8.
        flipped_kinds: The kinds in the mirrored frame; empty for a work.
        flipped: The descriptors in the mirrored frame; empty for a work.
        shape: Width and height of the frame in units of its shorter side, shape (2,), float32.
    """

    times: NDArray[np.float32]
    frames: NDArray[np.uint32]
    points: NDArray[np.uint8]
    kinds: NDArray[np.uint8]
    descriptors: NDArray[np.uint8]
    flipped_kinds: NDArray[np.uint8]
    flipped: NDArray[np.uint8]
    shape: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.frames)

    @classmethod
    def of(cls, arrays: Mapping[str, NDArray[Any]]) -> LocalPrint:
        """Check stored arrays, which a hostile file may have made.

        Args:
            arrays: The arrays by their names.

        Raises:
            ArtifactError: If one is missing or does not fit the others.
        """
        try:
            made = cls(**{name: arrays[name] for name in LOCAL})
        except KeyError:
            raise ArtifactError(_MALFORMED) from None
        count = len(made.frames)
        flips = len(made.flipped)
        types = [getattr(made, name).dtype.name for name in LOCAL]
        fits = (
            types == ["float32", "uint32", *["uint8"] * 5, "float32"],
            made.times.ndim == made.frames.ndim == 1,
            made.points.shape == (count, 2),
            made.kinds.shape == (count,),
            made.descriptors.shape == (count, 32),
            flips in (0, count),
            made.flipped_kinds.shape == (flips,),
            made.flipped.shape == (flips, 32),
            made.shape.shape == (2,),
        )
        if not all(fits) or not (
            (made.frames < len(made.times)).all()
            and (np.diff(made.frames.astype(np.int64)) >= 0).all()
            and np.isfinite(made.times).all()
            and (np.diff(made.times) > 0).all()
            and (made.kinds >= KIND_LOCAL).all()
            and (made.flipped_kinds >= KIND_LOCAL).all()
            and ((made.shape >= 1) & (made.shape < 1000)).all()
        ):
            raise ArtifactError(_MALFORMED)
        return made

    @classmethod
    def empty(cls) -> LocalPrint:
        """No keyframe."""
        none = np.zeros(0, np.uint8)
        return cls(
            np.zeros(0, np.float32),
            np.zeros(0, np.uint32),
            none.reshape(0, 2),
            none,
            none.reshape(0, 32),
            none,
            none.reshape(0, 32),
            np.ones(2, np.float32),
        )

    def keyframes(self, chosen: NDArray[np.bool_]) -> LocalPrint:
        """Some of the keyframes, with their features."""
        rows = chosen[self.frames]
        number = np.cumsum(chosen) - 1
        flipped = rows if len(self.flipped) else slice(0)
        return LocalPrint(
            self.times[chosen],
            number[self.frames[rows]].astype(np.uint32),
            self.points[rows],
            self.kinds[rows],
            self.descriptors[rows],
            self.flipped_kinds[flipped],
            self.flipped[flipped],
            self.shape,
        )

    def thinned(self) -> LocalPrint:
        """A third of it, for storage: keyframes a second apart, and two of three features."""
        seconds = np.floor(self.times)
        kept = self.keyframes(np.diff(seconds, prepend=-1.0) > 0)
        rows = np.arange(len(kept)) % 3 > 0
        flipped = rows if len(kept.flipped) else slice(0)
        return LocalPrint(
            kept.times,
            kept.frames[rows],
            kept.points[rows],
            kept.kinds[rows],
            kept.descriptors[rows],
            kept.flipped_kinds[flipped],
            kept.flipped[flipped],
            kept.shape,
        )

    def places(self, rows: NDArray[np.intp], *, mirrored: bool = False) -> NDArray[np.float64]:
        """Positions of features in units of the frame's shorter side, shape (m, 2)."""
        at = (self.points[rows].astype(np.float64) + 0.5) / 256
        if mirrored:
            at[:, 0] = 1 - at[:, 0]
        return np.asarray(at * self.shape)


@lru_cache(maxsize=1)
def load_opencv() -> Any:
    """OpenCV on one thread: its threads would be missing in a process that is forked later."""
    import cv2

    cv2.setNumThreads(1)
    return cv2


@lru_cache(maxsize=1)
def _orb() -> Any:
    cv2 = load_opencv()
    return cv2.ORB_create(
        nfeatures=_DETECTED,
        scaleFactor=STEP,
        nlevels=_OCTAVES,
        edgeThreshold=15,
        fastThreshold=7,
    )


class LocalHasher:
    """Describes the keyframes of one video as they are decoded.

    Args:
        seconds: Least time between two keyframes.
        features: The most features of a keyframe.
        mirrored: Describe the mirrored frames as well.
    """

    def __init__(self, seconds: float, features: int, *, mirrored: bool) -> None:
        self._seconds = seconds
        self._features = features
        self._mirrored = mirrored
        self._times: list[float] = []
        self._parts: list[tuple[NDArray[np.uint8], ...]] = []
        self._last: NDArray[np.int16] | None = None
        self._shape: NDArray[np.float32] = np.ones(2, np.float32)

    def add(
        self, picture: Picture, small: NDArray[np.uint8], at: float, ground: str = "white"
    ) -> None:
        """Describe a picture, if it is due and differs from the keyframe before.

        Args:
            picture: The picture.
            small: Its luma at a small size.
            at: Its time in seconds.
            ground: What is behind its transparent parts.
        """
        look = small.astype(np.int16)
        if self._times and self._last is not None:
            if at < self._times[-1] + self._seconds - 1e-3:
                return
            still = float(np.abs(look - self._last).mean()) < _STILL
            if still and at < self._times[-1] + _STILL_SECONDS:
                return
        width, height = picture.size
        scale = min(SIDE / min(width, height), _LONGEST / max(width, height))
        size = (max(32, round(width * scale)), max(32, round(height * scale)))
        luma = np.ascontiguousarray(picture.gray(*size, ground))
        self._last = look
        self._times.append(at)
        self._shape = (np.array(size) / min(size)).astype(np.float32)
        self._parts.append(_described(luma, self._features, mirrored=self._mirrored))

    def finish(self) -> LocalPrint:
        """All features."""
        if not self._parts:
            return LocalPrint.empty()
        points, kinds, descriptors, flipped_kinds, flipped = map(
            np.concatenate, zip(*self._parts, strict=True)
        )
        frames = np.repeat(np.arange(len(self._parts)), [len(part[0]) for part in self._parts])
        return LocalPrint(
            np.array(self._times, np.float32),
            frames.astype(np.uint32),
            points,
            kinds,
            descriptors,
            flipped_kinds,
            flipped,
            self._shape,
        )


def _described(
    luma: NDArray[np.uint8], most: int, *, mirrored: bool
) -> tuple[NDArray[np.uint8], ...]:
    """Points, kinds and descriptors of one frame, and kinds and descriptors of its mirror image."""
    cv2, orb = load_opencv(), _orb()
    none = np.zeros((0, 32), np.uint8)
    corners = _in_turn(orb.detect(luma), luma.shape, most)
    corners, descriptors = orb.compute(luma, corners)
    if descriptors is None or not len(corners):
        return none[:, :2], none[:, 0], none, none[:, 0], none
    height, width = luma.shape
    at = _places(corners)
    points = np.clip(at * 256 / (width, height), 0, 255).astype(np.uint8)
    if not mirrored:
        return points, _kinds(corners), descriptors, none[:, 0], none
    turned = [
        cv2.KeyPoint(
            width - 1 - x, y, one.size, (180 - one.angle) % 360, one.response, one.octave, number
        )
        for number, (one, (x, y)) in enumerate(zip(corners, at.tolist(), strict=True))
    ]
    turned, described = orb.compute(np.ascontiguousarray(luma[:, ::-1]), turned)
    flipped, flipped_kinds = np.zeros_like(descriptors), _kinds(corners)
    if described is not None and len(turned):
        order = [one.class_id for one in turned]
        flipped[order], flipped_kinds[order] = described, _kinds(turned)
    return points, _kinds(corners), descriptors, flipped_kinds, flipped


def _in_turn(corners: Any, shape: tuple[int, ...], most: int) -> list[Any]:
    """The strongest corners of each part of the picture and range of sizes, taken in turn."""
    if not len(corners):
        return []
    octaves = np.array([corner.octave for corner in corners])
    at = _places(corners) / (shape[1], shape[0])
    column, row = np.clip(at * _CELLS, 0, _CELLS - 1).astype(int).T
    group = (np.digitize(octaves, _RANGES) * _CELLS + row) * _CELLS + column
    strength = np.array([corner.response for corner in corners])
    order = np.lexsort((-strength, group))
    first = np.searchsorted(group[order], group[order])
    rank = np.arange(len(order)) - first
    chosen = order[np.lexsort((-strength[order], rank))][:most]
    return [corners[index] for index in sorted(chosen)]


def _places(corners: Any) -> NDArray[np.float64]:
    """Column and row of corners, shape (n, 2)."""
    return np.asarray(load_opencv().KeyPoint.convert(corners), np.float64)


def _kinds(corners: Any) -> NDArray[np.uint8]:
    octaves = np.array([corner.octave for corner in corners])
    angles = np.array([corner.angle for corner in corners]) / 360 * _ANGLES
    return np.asarray(KIND_LOCAL + 16 * octaves + angles.astype(int) % _ANGLES, np.uint8)

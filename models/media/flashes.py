"""Pictures that a film shows for less than a step of the grid, like none of those around them.

Every picture that is decoded is compared by a few points of its luma, so that one that is shown for
two frames is found, and looked at.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from quorum.models.media.tracks import Shown

__all__ = ["Flashes"]

#: Points of a picture that are compared, in columns and rows.
_POINTS: Final = (32, 18)
#: Difference of the points, of 255, from which a picture is another one than that before it (the
#: root of the mean square), and than both around it (the mean of the lesser ones).
_OTHER: Final = 16.0
#: Deviation of a picture's points below which it shows nothing: white and black.
_PLAIN: Final = 6.0

#: Formats of pixels with a plane of luma or green, and those whose fourth plane is alpha.
_PLANAR: Final = ("yuv4", "yuvj4", "yuva4", "nv12", "nv21", "gray", "gbrp", "gbrap")
_WITH_ALPHA: Final = ("yuva4", "gbrap")
#: Formats in one plane: bytes of a pixel, the place of green or luma, and that of alpha.
_PACKED: Final[dict[str, tuple[int, int, int | None]]] = {
    "rgb24": (3, 1, None), "bgr24": (3, 1, None), "rgba": (4, 1, 3), "bgra": (4, 1, 3),
    "argb": (4, 2, 0), "abgr": (4, 2, 0), "ya8": (2, 0, 1),
}  # fmt: skip
_GREY, _WHITE = np.float32(128), np.float32(255)

_Points = NDArray[np.float32]


class Flashes:
    """Finds them among the pictures of a track.

    Args:
        step: Seconds; what is shown for as long is no flash.
    """

    def __init__(self, step: float) -> None:
        self._step = step
        self._last: _Points | None = None
        self._first: tuple[Shown, _Points, _Points] | None = None

    def take(self, shown: Shown) -> Shown | None:
        """Look at the next picture that was decoded; the flash that ended with it, if one did."""
        points = _points(shown)
        last, self._last = self._last, points
        if last is None or len(last) != len(points):
            return None
        change = points - last
        if change.dot(change) < _OTHER * _OTHER * len(points):
            return None
        before, self._first = self._first, (shown, points, last)
        if before is None or shown.start - before[0].start >= self._step:
            return None
        flash, seen, around = before
        if len(around) != len(points) or seen.std() < _PLAIN:
            return None
        unlike = np.minimum(np.abs(seen - around), np.abs(seen - points)).mean()
        return flash if unlike >= _OTHER else None


def _points(shown: Shown) -> _Points:
    """The luma at some points of a picture as stored, from 0 to 255, on grey if it has alpha."""
    frame = shown.picture.frame
    name = frame.format.name
    step, light, alpha = _PACKED.get(name, (1, 0, None))
    bits = 8 if name in _PACKED else frame.format.components[0].bits
    if bits > 16 or (name not in _PACKED and not name.startswith(_PLANAR)):
        return shown.picture.gray(*_POINTS).astype(np.float32).ravel()
    made = _levels(frame, 0, step, light, bits)
    if alpha is not None:
        return _GREY + (made - _GREY) * _levels(frame, 0, step, alpha, bits) / _WHITE
    if name.startswith(_WITH_ALPHA):
        return _GREY + (made - _GREY) * _levels(frame, 3, step, 0, bits) / _WHITE
    return made


def _levels(frame: Any, number: int, step: int, offset: int, bits: int) -> _Points:
    plane = frame.planes[number]
    size = 1 if bits == 8 else 2
    places = _places(frame.width, frame.height, plane.line_size // size, step, offset)
    if size == 1:
        return np.frombuffer(plane, np.uint8)[places].astype(np.float32)
    kind = ">u2" if frame.format.name.endswith("be") else "<u2"
    return np.frombuffer(plane, kind)[places].astype(np.float32) / np.float32(1 << bits - 8)


@lru_cache(maxsize=16)
def _places(width: int, height: int, line: int, step: int, offset: int) -> NDArray[np.intp]:
    """The places of the points in a plane whose lines have so many samples."""
    across, down = _POINTS
    columns = (2 * np.arange(across) + 1) * width // (2 * across)
    rows = (2 * np.arange(down) + 1) * height // (2 * down)
    return np.asarray(rows[:, None] * line + columns * step + offset).ravel()

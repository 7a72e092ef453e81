"""Pictures that a film shows for less than a step of the grid, like none of those around them.

Every picture that is decoded is compared by a few points of its luma, so that one that is shown for
two frames is found, and looked at.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

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
    """The luma at some points of a picture as stored, from 0 to 255."""
    frame = shown.picture.frame
    name, bits = frame.format.name, frame.format.components[0].bits
    if bits > 16 or not name.startswith(("yuv4", "yuvj4", "nv12", "nv21", "gray")):
        return shown.picture.gray(*_POINTS).astype(np.float32).ravel()
    plane = frame.planes[0]
    if bits == 8:
        places = _places(frame.width, frame.height, plane.line_size)
        return np.frombuffer(plane, np.uint8)[places].astype(np.float32)
    kind = ">u2" if name.endswith("be") else "<u2"
    places = _places(frame.width, frame.height, plane.line_size // 2)
    made = np.frombuffer(plane, kind)[places].astype(np.float32)
    return made / np.float32(1 << bits - 8)


@lru_cache(maxsize=16)
def _places(width: int, height: int, line: int) -> NDArray[np.intp]:
    """The places of the points in a plane whose lines have so many samples."""
    across, down = _POINTS
    columns = (2 * np.arange(across) + 1) * width // (2 * across)
    rows = (2 * np.arange(down) + 1) * height // (2 * down)
    return np.asarray(rows[:, None] * line + columns).ravel()

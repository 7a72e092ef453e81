"""What of an animation stays on the screen, or comes again and again, and how it is looked at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from quorum.models.media.between import PAGE_WITHIN

__all__ = ["GLANCE", "LOOK", "SHORT", "held_seconds", "missed", "stays"]

#: Seconds of a loop below which a viewer sees each of its pictures, however short it is shown.
SHORT: Final = 2.0
#: For how many seconds each of those pictures is shown once more: classifiers look every quarter.
GLANCE: Final = 0.25
#: Width and height of the luma by which pictures are told apart.
LOOK: Final = (32, 18)
#: The most pictures of a loop that are shown once more.
_MOST: Final = 4
#: Change of luma, of 255, at the place where it is greatest, that makes another picture.
_OTHER: Final = 24
#: Seconds for which the last picture of an animation that ends is looked at, at most.
_MOST_HELD: Final = 20.0


def stays(image: Any) -> bool:
    """Whether the last picture of a Pillow animation stays, because it does not play for ever."""
    return bool(image.info.get("loop") != 0)


def held_seconds(length: float) -> float:
    """For how long a picture is looked at that stays when an animation has ended.

    Args:
        length: Seconds of the animation.
    """
    return min(max(length, PAGE_WITHIN), _MOST_HELD)


def missed(looks: Sequence[NDArray[np.uint8]]) -> list[int]:
    """The pictures of a short loop that differ most from its first and from each other, in order.

    Args:
        looks: The luma of each, small.
    """
    if not looks:
        return []
    stack = np.stack(looks).reshape(len(looks), -1).astype(np.int16)
    nearest = np.abs(stack - stack[0]).max(axis=1)
    chosen: list[int] = []
    while len(chosen) < _MOST and nearest.max() >= _OTHER:
        farthest = int(nearest.argmax())
        chosen.append(farthest)
        nearest = np.minimum(nearest, np.abs(stack - stack[farthest]).max(axis=1))
    return sorted(chosen)

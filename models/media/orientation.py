"""How a stored picture is turned before it is shown: by a display matrix or by EXIF."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["UPRIGHT", "Orientation"]


@dataclass(frozen=True, slots=True)
class Orientation:
    """A number of quarter turns, then a mirroring.

    Attributes:
        quarters: Quarter turns against the clock, 0 to 3.
        mirrored: Whether left and right are then exchanged.
    """

    quarters: int = 0
    mirrored: bool = False

    @classmethod
    def of_exif(cls, value: object) -> Orientation:
        """The orientation by its EXIF number, 1 to 8; upright for any other."""
        turns = {
            2: (0, True), 3: (2, False), 4: (2, True), 5: (3, True),
            6: (3, False), 7: (1, True), 8: (1, False),
        }  # fmt: skip
        return cls(*turns[value]) if isinstance(value, int) and value in turns else UPRIGHT

    @classmethod
    def of_matrix(cls, data: bytes) -> Orientation:
        """The orientation by FFmpeg's display matrix: nine 32-bit numbers in fixed point."""
        if len(data) < 36:
            return UPRIGHT
        a, b, _, c, d, *_ = struct.unpack("=9i", data[:36])
        mirrored = a * d - b * c < 0
        if mirrored:
            # The columns of x are negated: what remains is a turn.
            a, c = -a, -c
        if a == b == 0:
            return UPRIGHT
        # Row vectors, and y points down: the angle is against the clock.
        degrees = -math.degrees(math.atan2(b, a))
        return cls(round(degrees / 90) % 4, mirrored)

    @classmethod
    def of_frame(cls, frame: Any) -> Orientation | None:
        """The orientation that a decoded frame states; None if it states none."""
        matrix = frame.side_data.get("DISPLAYMATRIX")
        return None if matrix is None else cls.of_matrix(bytes(matrix))

    @property
    def sideways(self) -> bool:
        """Whether width and height are exchanged."""
        return self.quarters % 2 == 1

    def apply(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Turn a picture of shape (height, width) or (height, width, channels)."""
        if self == UPRIGHT:
            return pixels
        turned = np.rot90(pixels, self.quarters)
        return np.ascontiguousarray(turned[:, ::-1] if self.mirrored else turned)


#: A picture that is shown as it is stored.
UPRIGHT = Orientation()

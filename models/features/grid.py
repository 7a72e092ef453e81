"""Which frames of a media are kept: bursts to watch, and pages to read."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["BURST", "GRID", "MAX_BURSTS", "Bursts", "Pages"]

#: Seconds from frame to frame within a burst.
GRID = 0.25
#: Frames of one burst: enough to see movement.
BURST = 4
#: Of more bursts every second one is dropped. So a clip of 16 s keeps four frames a second, and
#: one of ten minutes keeps a burst each 64 s; movement can be seen in both.
MAX_BURSTS = 16
#: Seconds from page to page: words that are meant to be read stand longer.
_PAGE = 2.0


class Bursts:
    """Keeps bursts of frames, first as many as there are, then every second, every fourth, ..."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self.pixels: list[NDArray[np.uint8]] = []
        self._period = BURST * GRID
        self._last = (-1, -1)
        self._bursts = 0

    def _place(self, at: float) -> tuple[int, int]:
        """Which burst a moment is of, and which of its frames; the frame is BURST in between."""
        burst = int((at + 1e-6) // self._period)
        frame = int((at + 1e-6 - burst * self._period) // GRID)
        return burst, min(frame, BURST)

    def wants(self, at: float) -> bool:
        """Whether a frame of this moment is to be kept."""
        place = self._place(at)
        return place > self._last and place[1] < BURST

    def add(self, at: float, pixels: NDArray[np.uint8]) -> None:
        """Keep a frame; of more bursts than there is room for every second one is let go."""
        place = self._place(at)
        self._bursts += place[0] != self._last[0]
        self._last = place
        self.times.append(at)
        self.pixels.append(pixels)
        while self._bursts > MAX_BURSTS:
            self._period *= 2
            places = [self._place(moment) for moment in self.times]
            kept = [index for index, place in enumerate(places) if place[1] < BURST]
            self.times = [self.times[index] for index in kept]
            self.pixels = [self.pixels[index] for index in kept]
            self._bursts = len({places[index][0] for index in kept})
            self._last = self._place(at)


class Pages:
    """Keeps single frames, two seconds apart at first; of too many every second one is let go.

    Args:
        most: No more are kept; 0 keeps none.
    """

    def __init__(self, most: int) -> None:
        self.times: list[float] = []
        self.pixels: list[NDArray[np.uint8]] = []
        self.most = most
        self._period = _PAGE
        self._last = -1

    def _place(self, at: float) -> int:
        return int((at + 1e-6) // self._period)

    def wants(self, at: float) -> bool:
        """Whether a frame of this moment is to be kept."""
        return self.most > 0 and self._place(at) > self._last

    def add(self, at: float, pixels: NDArray[np.uint8]) -> None:
        """Keep a frame."""
        self._last = self._place(at)
        self.times.append(at)
        self.pixels.append(pixels)
        while len(self.times) > self.most:
            self._period *= 2
            first: dict[int, int] = {}
            for index, moment in enumerate(self.times):
                first.setdefault(self._place(moment), index)
            self.times = [self.times[index] for index in first.values()]
            self.pixels = [self.pixels[index] for index in first.values()]
            self._last = self._place(self.times[-1])

"""Sampling of frames: bursts for classifiers, and single frames for OCR."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["BURST", "GRID", "MAX_BURSTS", "Bursts", "Pages"]

#: Seconds between the frames of a burst.
GRID = 0.25
#: Frames per burst: enough to show movement.
BURST = 4
#: Maximum number of bursts; beyond it every second burst is dropped. A clip of 16 s keeps four
#: frames a second, one of ten minutes a burst every 64 s.
MAX_BURSTS = 16
#: Initial seconds between frames for OCR: captions are shown longer.
_PAGE = 2.0


class Bursts:
    """Collects bursts of frames, and doubles their period when there are too many."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self.pixels: list[NDArray[np.uint8]] = []
        self._period = BURST * GRID
        self._last = (-1, -1)
        self._bursts = 0

    def _place(self, at: float) -> tuple[int, int]:
        """Indices of the burst and of the frame within it; ``BURST`` means between bursts."""
        burst = int((at + 1e-6) // self._period)
        frame = int((at + 1e-6 - burst * self._period) // GRID)
        return burst, min(frame, BURST)

    def wants(self, at: float) -> bool:
        """Whether to keep a frame at this time, in seconds."""
        place = self._place(at)
        return place > self._last and place[1] < BURST

    def add(self, at: float, pixels: NDArray[np.uint8]) -> None:
        """Keep a frame; thin out the bursts if there are more than ``MAX_BURSTS``."""
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
    """Collects single frames, initially two seconds apart; doubles the period when full.

    Args:
        most: Maximum number of frames; 0 keeps none.
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
        """Whether to keep a frame at this time, in seconds."""
        return self.most > 0 and self._place(at) > self._last

    def add(self, at: float, pixels: NDArray[np.uint8]) -> None:
        """Keep a frame; thin out the frames if there are more than ``most``."""
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

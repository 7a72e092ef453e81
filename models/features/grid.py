"""Sampling of frames: bursts for classifiers, and single frames for OCR.

A picture counts for as long as it is shown: at each moment of the grid the picture is taken that a
player shows then.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from quorum.models.media.between import PAGE_WITHIN, Looks

__all__ = ["BURST", "GRID", "MAX_BURSTS", "Bursts", "Changes", "Pages"]

#: Seconds between the frames of a burst.
GRID = 0.25
#: Frames per burst: enough to show movement.
BURST = 4
#: Number of bursts beyond which every second one is dropped, as long as no stretch between two
#: gets too long. A clip of 16 s keeps four frames a second.
MAX_BURSTS = 16
#: Number of bursts beyond which every second one is dropped whatever the stretch between them.
_HARD_MAX_BURSTS = 64
#: The most bursts and pages that are kept beside the grid, because the scene changes there.
_MAX_CHANGES = 8
#: Mean change of luma within one step of the grid, of 255, that begins a scene.
_CUT = 16.0
#: The same, of the last picture, that makes it another one; what moves changes by less.
_OTHER = 32.0

_Pixels = NDArray[np.uint8]
_Look = NDArray[np.float32]
_Kept = TypeVar("_Kept")


class Bursts(Generic[_Kept]):
    """Collects bursts of frames, and doubles their period when there are too many.

    Args:
        max_unseen: Seconds from one burst to the next that are not exceeded, unless the media is
            so long that there would be more than 64 bursts.
        looked: Whether each picture was chosen by a look at its start, rather than by the grid.
        step: Seconds between the frames of a burst.
        count: Frames per burst.
    """

    def __init__(
        self,
        max_unseen: float = 20.0,
        *,
        looked: bool = False,
        step: float = GRID,
        count: int = BURST,
    ) -> None:
        self._max_unseen = max_unseen
        self._looked = looked
        self._step = step
        self._count = count
        self.times: list[float] = []
        self.pixels: list[_Kept] = []
        self._period = count * step
        self._last = (-1, -1)
        self._bursts = 0

    def _place(self, at: float) -> tuple[int, int]:
        """Indices of the burst and of the frame within it; their count means between bursts."""
        burst = int((at + 1e-6) // self._period)
        frame = int((at + 1e-6 - burst * self._period) // self._step)
        return burst, min(frame, self._count)

    def wants(self, at: float) -> bool:
        """Whether to keep a frame at this time, in seconds."""
        place = self._place(at)
        return place > self._last and place[1] < self._count

    def add(self, at: float, pixels: _Kept) -> None:
        """Keep a frame; thin out the bursts if there are more than ``MAX_BURSTS``."""
        place = self._place(at)
        self._bursts += place[0] != self._last[0]
        self._last = place
        self.times.append(at)
        self.pixels.append(pixels)
        while self._bursts > _HARD_MAX_BURSTS or (
            self._bursts > MAX_BURSTS and self._period * 2 <= self._max_unseen
        ):
            self._period *= 2
            places = [self._place(moment) for moment in self.times]
            kept = [index for index, place in enumerate(places) if place[1] < self._count]
            self.times = [self.times[index] for index in kept]
            self.pixels = [self.pixels[index] for index in kept]
            self._bursts = len({places[index][0] for index in kept})
            self._last = self._place(at)

    def show(self, start: float, end: float, make: Callable[[], _Kept]) -> None:
        """Keep a picture at each wanted moment at which it is shown."""
        grid = _moments(start, end, self._step, first=not self.times)
        for at in [start] if self._looked else grid:
            if self.wants(at):
                self.add(at, make())

    @property
    def split(self) -> list[tuple[list[float], list[_Kept]]]:
        """The seconds and frames of each burst."""
        places = [self._place(at)[0] for at in self.times]
        found = []
        for _, group in groupby(range(len(places)), places.__getitem__):
            indices = list(group)
            found.append(([self.times[i] for i in indices], [self.pixels[i] for i in indices]))
        return found


class Changes:
    """Finds where scenes begin, and collects a burst of frames from there on.

    Bursts of the grid may lie apart; what begins and ends between them is kept here. The greatest
    changes are kept.

    Attributes:
        found: Second of each kept change.
    """

    def __init__(self) -> None:
        self._last: _Look | None = None
        self._bursts: list[tuple[float, list[tuple[float, _Pixels]]]] = []
        self._open = 0.0
        self._current: list[tuple[float, _Pixels]] | None = None

    def show(
        self, start: float, end: float, look: Callable[[], _Look], make: Callable[[], _Pixels]
    ) -> None:
        """Compare a picture with the one before, and keep it if a scene begins.

        Args:
            start: The second at which it appears.
            end: The second at which it goes.
            look: Makes its luma, a few pixels wide.
            make: Makes its pixels.
        """
        for at in _moments(start, end, GRID, first=self._last is None):
            luma = look()
            change = 0.0 if self._last is None else float(np.abs(luma - self._last).mean())
            self._last = luma
            if change > _CUT and at >= self._open:
                self._current = []
                self._bursts.append((change, self._current))
                self._open = at + BURST * GRID
                if len(self._bursts) > _MAX_CHANGES:
                    weakest = min(self._bursts, key=lambda one: one[0])
                    self._bursts = [one for one in self._bursts if one is not weakest]
                    if weakest[1] is self._current:
                        self._current = None
            if self._current is not None and at < self._open:
                self._current.append((at, make()))
            if at >= self._open and end - at > GRID:
                break

    def end(self, at: float, look: Callable[[], _Look], make: Callable[[], _Pixels]) -> None:
        """Keep the last picture, which stays on the screen, if nothing like it was looked at.

        Args:
            at: The second at which it appears.
            look: Makes its luma, a few pixels wide.
            make: Makes its pixels.
        """
        if self._last is None:
            return
        change = float(np.abs(look() - self._last).mean())
        if change > _OTHER:
            self._bursts.append((change, [(at, make())]))

    @property
    def found(self) -> list[float]:
        """The second of each change."""
        return [burst[0][0] for _, burst in self._bursts if burst]

    def merged(
        self, times: list[float], pixels: list[_Pixels]
    ) -> tuple[list[float], list[_Pixels]]:
        """Frames of a grid and of the bursts at changes, in order of time."""
        together = {at: one for _, burst in self._bursts for at, one in burst}
        together.update(zip(times, pixels, strict=True))
        order = sorted(together)
        return order, [together[at] for at in order]


class Pages:
    """Collects single frames, at most two seconds apart; drops every second one when full.

    Args:
        most: Number of frames beyond which every second one is dropped; 0 keeps none.
        max_unseen: Seconds from one frame to the next that are not exceeded, unless the media is
            so long that there would be more than 64.
        looks: The times of the pages; None if each picture was chosen by a look at its start.
    """

    def __init__(
        self, most: int, max_unseen: float = float("inf"), looks: Looks | None = None
    ) -> None:
        self._max_unseen = max_unseen
        self._looks = looks
        self._spare: Callable[[], _Pixels] | None = None
        self._next = 0
        self._numbers: list[int] = []
        self._stride = 1
        self.times: list[float] = []
        self.pixels: list[_Pixels] = []
        self.most = most

    def show(self, start: float, end: float, make: Callable[[], _Pixels]) -> None:
        """Keep a picture at each wanted moment at which it is shown."""
        for number, at in self._due(start, end):
            if not self._numbers or number // self._stride > self._numbers[-1] // self._stride:
                self._add(number, at, make())
        if self._looks is not None and start <= self._looks.spare < end:
            self._spare = make

    def finish(self) -> None:
        """Keep a second page of a film that ended before it came."""
        if self._looks is not None and self._spare is not None and len(self.times) == 1 < self.most:
            self._add(self._next, self._looks.spare, self._spare())

    def end(self, at: float, make: Callable[[], _Pixels]) -> None:
        """Keep the last picture, which stays on the screen, unless it is kept already."""
        if self._looks is not None and self.times and at > self.times[-1]:
            self.times.append(at)
            self.pixels.append(make())

    def _due(self, start: float, end: float) -> list[tuple[int, float]]:
        """The pages at which a picture is shown, and their seconds: of the first one its start."""
        if self._looks is None:
            return [(int((start + 1e-6) // PAGE_WITHIN), start)]
        found = []
        while (at := self._looks.page(self._next)) < end - 1e-6:
            if at > start - 1e-6:
                found.append((self._next, at))
            self._next += 1
        if not self._numbers and (not found or found[0][1] > start + 1e-6):
            first = found[0][0] if found else self._next
            found.insert(0, (max(0, first - 1), start))
        return found

    def _add(self, number: int, at: float, pixels: _Pixels) -> None:
        self._numbers.append(number)
        self.times.append(at)
        self.pixels.append(pixels)
        while len(self.times) > max(self.most, _HARD_MAX_BURSTS) or (
            len(self.times) > self.most and self._stride * 2 * PAGE_WITHIN <= self._max_unseen
        ):
            self._stride *= 2
            first: dict[int, int] = {}
            for index, each in enumerate(self._numbers):
                first.setdefault(each // self._stride, index)
            kept = list(first.values())
            self._numbers = [self._numbers[index] for index in kept]
            self.times = [self.times[index] for index in kept]
            self.pixels = [self.pixels[index] for index in kept]


def _moments(start: float, end: float, step: float, *, first: bool) -> list[float]:
    """The multiples of a step at which a picture is shown; of the first picture its start, too."""
    index = int(np.ceil((start - 1e-6) / step))
    found = [start] if first and index * step - start > 1e-6 else []
    while index * step < end - 1e-6 or (not found and first):
        found.append(max(start, index * step))
        index += 1
    return found

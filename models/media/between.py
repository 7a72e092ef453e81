"""What a film shows between the looks at it.

Pictures are looked at on a grid of times that anyone can read here: a film can show something
innocent at each of them, and something else between. So one of two steps of the grid has one more
look; the bytes of the whole file choose the step and the time within: a film that is changed to fit
them has others. Where pictures are like none of those that were seen around them, they are a track
of their own, and all that is judged of a track is judged of it; from then on each step has such a
look. The pages, whose words are read, are times of the grid that the bytes choose, too. One file
always has the same looks and pages.
"""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from quorum.models.media.flashes import Flashes
from quorum.models.media.tracks import Shown, Track

__all__ = ["PAGE_WITHIN", "Between", "Looks", "drawn_by"]

#: Seconds between two pages, at least and at most: a caption that stands so long is read.
_PAGE_AFTER: Final = 1.25
PAGE_WITHIN: Final = 2.0
#: Mean difference of luma, of 255, each block of the picture from the look before or after it, from
#: which a picture is like neither.
_UNLIKE: Final = 10.0
#: So many pictures like none around them make a track; fewer are flashes.
_FLASHES: Final = 2


class Looks:
    """The times at which pictures are looked at.

    Args:
        step: Seconds of the grid.
        seed: What chooses the times between.
        finer: Whether somebody looks between two seconds, both included, beside these times.

    Attributes:
        each: Whether each step has a look between, rather than one of two.
    """

    def __init__(
        self, step: float, seed: bytes, finer: Callable[[float, float], bool] | None = None
    ) -> None:
        self.step = step
        self._seed = seed
        self._finer = finer
        self._pages = [0]
        self._pair = (-1, b"")
        self.each = False

    def after(self, number: int) -> float:
        """The second of the look between one time of the grid, counted from 0, and the next.

        It is infinite if there is none.
        """
        pair, second = divmod(number, 2)
        if pair != self._pair[0]:
            self._pair = (pair, drawn_by(self._seed, b"", pair))
        drawn = self._pair[1]
        if not self.each and drawn[2] % 2 != second:
            return math.inf
        return (number + (0.5 + drawn[second]) / 256) * self.step

    def page(self, number: int) -> float:
        """The second of a page, counted from 0: the first is at 0."""
        least, most = round(_PAGE_AFTER / self.step), round(PAGE_WITHIN / self.step)
        while len(self._pages) <= number:
            gap = least + self._drawn(len(self._pages)) % (most - least + 1)
            self._pages.append(self._pages[-1] + gap)
        return self._pages[number] * self.step

    def pages_from(self, second: float) -> Iterator[float]:
        """The seconds of all pages from a second on."""
        return filter(second.__le__, map(self.page, itertools.count()))

    @cached_property
    def spare(self) -> float:
        """The second of a page of a film that ends before its second one."""
        return (1 + self._drawn(0) % (round(self.page(1) / self.step) - 1)) * self.step

    def _drawn(self, page: int) -> int:
        return drawn_by(self._seed, b"page", page)[0]

    def within(self, start: float, end: float) -> bool:
        """Whether somebody looks between two seconds, both included."""
        first = math.ceil(start / self.step)
        if first * self.step <= end or start <= self.after(max(0, first - 1)) <= end:
            return True
        return self._finer is not None and self._finer(start, end)


def drawn_by(seed: bytes, what: bytes, number: int) -> bytes:
    """Bytes that a file's own decide, so that who makes it cannot choose what is looked at.

    Args:
        seed: The SHA-256 of the file.
        what: What they are drawn for.
        number: The number of the draw.
    """
    return hashlib.sha256(seed + what + number.to_bytes(8, "big")).digest()


class Between:
    """Finds the pictures of a track that the looks on the grid do not see.

    Args:
        track: The track.
        looks: The times.
    """

    def __init__(self, track: Track, looks: Looks) -> None:
        self.track = replace(track, chosen=False, between=True)
        self._looks = looks
        self._before: NDArray[np.float32] | None = None
        self._held: tuple[Shown, NDArray[np.float32]] | None = None
        self._unlike: list[Shown] = []
        self._flashes = Flashes(looks.step)
        self._flashed: dict[int, Shown] = {}
        self.found = False

    def take(self, shown: Shown) -> list[Shown]:
        """Look at the next picture; the pictures of ``track`` that are known now."""
        step = self._looks.step
        flash = self._flashes.take(shown)
        if flash is not None:  # one for each step
            self._flashed.setdefault(int(flash.start / step), flash)
        first = math.ceil((shown.start - 1e-6) / step)
        if first * step < shown.end - 1e-6:
            return self._seen(shown.picture.look())
        at = self._looks.after(max(0, first - 1))
        if shown.start <= at < shown.end:
            self._held = (
                replace(shown, track=self.track, start=at, end=at + step),
                shown.picture.look(),
            )
        return []

    def rest(self) -> list[Shown]:
        """The pictures that are left at the end."""
        return self._seen(self._before)

    def _seen(self, luma: NDArray[np.float32] | None) -> list[Shown]:
        held, self._held = self._held, None
        before, self._before = self._before, luma
        if held is not None and before is not None and luma is not None:
            change = np.minimum(np.abs(held[1] - before), np.abs(held[1] - luma))
            if change.mean() >= _UNLIKE:
                self._unlike.append(held[0])
        known = [
            replace(one, track=self.track, end=one.start + self._looks.step)
            for one in self._flashed.values()
        ]
        self._flashed.clear()
        if self.found or len(self._unlike) > _FLASHES:
            self.found = self._looks.each = True
            known += self._unlike
            self._unlike = []
        return sorted(known, key=lambda one: one.start)

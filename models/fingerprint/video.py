"""Video fingerprints: several hashes of each sampled frame.

A copy is often cropped, letterboxed, rotated slightly or mirrored. Each sampled frame is therefore
hashed in several views: the full frame, the active area (without bars), and parts of both. A work
is indexed by some of the views and an upload is looked up by all of them, so that a crop of one
matches a crop of the other.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter, minimum_filter

from quorum.models.fingerprint import pdq
from quorum.models.media.picture import Picture

__all__ = ["LUMA", "FrameHasher", "VideoPrint", "View", "active_areas", "reduced"]

#: Frames that wait to be hashed; bounds the memory.
_CHUNK = 256
#: Frames hashed at once: what fits a cache is several times faster than a whole chunk.
_BATCH = 8

#: Rows and columns of the luma that is kept of each frame.
LUMA = 64

#: Bars must be stable for this many frames before or after, not in the whole upload, because the
#: work may be only a part of it.
_STEADY = 4

#: Rows or columns whose luma varies by less than this are a bar; codecs leave some noise in black.
_BAR_RANGE = 14
#: Minimum share of each side that bars must leave; otherwise they are not bars.
_LEAST_ACTIVE = 0.25

#: Rotation that the rotated views compensate, in degrees.
_TURN = 3.0


class View(IntEnum):
    """A view of a frame; ``FULL`` views include bars, ``ACTIVE`` views exclude them."""

    FULL = 0
    FULL_94 = 1
    FULL_89 = 2
    FULL_84 = 3
    FULL_80 = 4
    FULL_UPPER = 5
    TURN_LEFT = 6
    TURN_RIGHT = 7
    ACTIVE = 8
    ACTIVE_94 = 9
    ACTIVE_89 = 10
    ACTIVE_84 = 11
    ACTIVE_80 = 12
    ACTIVE_UPPER = 13


_WHOLE = (0.0, 0.0, 1.0, 1.0)
_CENTRES = (1.0, 0.94, 0.89, 0.84, 0.80)

#: Share of the height above captions and subtitles.
_UPPER = 0.80


@dataclass(frozen=True, slots=True)
class VideoPrint:
    """Hashes of the sampled frames of a video.

    Attributes:
        times: Seconds from the start, shape (n,), float32, increasing.
        quality: PDQ quality, 0 to 100, shape (n,), uint8.
        published: PDQ hashes by the published algorithm, shape (n, 32), uint8.
        views: Hashes by view, shape (n, 14, 32), uint8.
        mirrored: The same of the mirrored frames.
        luma: The frames' luma, shape (n, 64, 64), uint8; empty if it was not kept.
    """

    times: NDArray[np.float32]
    quality: NDArray[np.uint8]
    published: NDArray[np.uint8]
    views: NDArray[np.uint8]
    mirrored: NDArray[np.uint8]
    luma: NDArray[np.uint8] = field(default_factory=lambda: np.zeros((0, LUMA, LUMA), np.uint8))

    def __len__(self) -> int:
        return len(self.times)

    def rows(self, chosen: NDArray[np.bool_]) -> VideoPrint:
        """Some of the frames."""
        luma = self.luma[chosen] if len(self.luma) else self.luma
        return VideoPrint(
            self.times[chosen],
            self.quality[chosen],
            self.published[chosen],
            self.views[chosen],
            self.mirrored[chosen],
            luma,
        )


def active_areas(luma: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Detect letterbox, pillarbox or flat borders, and return the area inside.

    Args:
        luma: Rasters of consecutive frames, shape (n, 128, 128).

    Returns:
        Top, left, bottom, right, from 0 to 1, shape (n, 4); the whole frame if there are no bars
        or if too little would be left.
    """
    ranges = [(side, luma.min(axis=axis), luma.max(axis=axis)) for side, axis in ((0, 2), (1, 1))]
    steady = []
    for origin in (-(_STEADY // 2), _STEADY // 2):
        edges = np.empty((len(luma), 4))
        window = {"size": (_STEADY + 1, 1), "origin": (origin, 0), "mode": "nearest"}
        for side, least, most in ranges:
            low = minimum_filter(least, **window)
            high = maximum_filter(most, **window)
            edges[:, side] = _first_busy(low, high) / pdq.RASTER
            edges[:, side + 2] = 1 - _first_busy(low[:, ::-1], high[:, ::-1]) / pdq.RASTER
        sides = edges[:, 2:] - edges[:, :2]
        edges[sides.min(axis=1) < _LEAST_ACTIVE] = _WHOLE
        steady.append((edges, np.prod(edges[:, 2:] - edges[:, :2], axis=1)))
    (after, after_size), (before, before_size) = steady
    return np.where((after_size < before_size)[:, None], after, before)


def _first_busy(low: NDArray[np.uint8], high: NDArray[np.uint8]) -> NDArray[np.intp]:
    """Number of edge rows that together vary no more than a bar does, shape (n,)."""
    low = np.minimum.accumulate(low, axis=1)
    high = np.maximum.accumulate(high, axis=1)
    return np.asarray((high.astype(np.int16) - low <= _BAR_RANGE).sum(axis=1))


class FrameHasher:
    """Hashes the frames of one video as they are decoded."""

    def __init__(self) -> None:
        self._times: list[float] = []
        self._published: list[NDArray[np.float32]] = []
        self._rasters: list[NDArray[np.uint8]] = []
        self._aspect = 1.0
        self._done: list[tuple[NDArray[np.uint8], ...]] = []

    def add(self, picture: Picture, at: float, ground: str = "white") -> NDArray[np.uint8]:
        """Add one picture at a time in seconds, on a ground; returns its raster."""
        width, height = picture.size
        self._aspect = width / height
        small = picture.gray(pdq.RASTER, pdq.RASTER, ground)
        self._rasters.append(small)
        self._times.append(at)
        self._published.append(pdq.published(picture.luma(ground)))
        if len(self._rasters) >= _CHUNK:
            self._hash()
        return small

    def finish(self) -> VideoPrint:
        """Hash the remaining frames, and return all hashes."""
        self._hash()
        count = len(View)
        empty = (
            np.zeros(0, np.uint8),
            np.zeros((0, count, 32), np.uint8),
            np.zeros((0, count, 32), np.uint8),
            np.zeros((0, LUMA, LUMA), np.uint8),
        )
        quality, views, mirrored, luma = (
            np.concatenate(part) for part in zip(*(self._done or [empty]), strict=True)
        )
        published = np.array(self._published, np.float32).reshape(-1, 16, 16)
        return VideoPrint(
            np.array(self._times, np.float32),
            quality,
            pdq.hashes(published),
            views,
            mirrored,
            luma,
        )

    def _hash(self) -> None:
        if not self._rasters:
            return
        luma = np.stack(self._rasters)
        self._rasters = []
        areas, group = np.unique(active_areas(luma), axis=0, return_inverse=True)
        views = np.zeros((len(luma), len(View), 32), np.uint8)
        mirrored = np.zeros_like(views)
        for index, area in enumerate(areas):
            alike = np.flatnonzero(group.reshape(-1) == index)
            for at in range(0, len(alike), _BATCH):
                chosen = alike[at : at + _BATCH]
                for view, spectrum in self._spectra(luma[chosen].astype(np.float32), tuple(area)):
                    views[chosen, view] = pdq.hashes(spectrum)
                    mirrored[chosen, view] = pdq.hashes(pdq.mirrored(spectrum))
            if tuple(area) == _WHOLE:
                for hashed in (views, mirrored):
                    hashed[alike, View.ACTIVE :] = hashed[alike, View.FULL : View.TURN_LEFT]
        parts = [luma[at : at + _BATCH] for at in range(0, len(luma), _BATCH)]
        quality = np.concatenate([pdq.quality(part) for part in parts])
        small = np.concatenate([reduced(part, LUMA) for part in parts])
        self._done.append((quality, views, mirrored, small))

    def _spectra(
        self, luma: NDArray[np.float32], area: tuple[float, float, float, float]
    ) -> Iterator[tuple[View, NDArray[np.float32]]]:
        """Coefficients by view; those of the active area if that is not the whole frame."""
        areas = [(View.FULL, _WHOLE), (View.ACTIVE, area)][: 1 if area == _WHOLE else 2]
        for first, (top, left, bottom, right) in areas:
            for step, share in enumerate(_CENTRES):
                within = _within((top, left, bottom, right), share)
                yield View(first + step), pdq.spectrum(luma, within)
            upper = (top, left, top + (bottom - top) * _UPPER, right)
            yield View(first + len(_CENTRES)), pdq.spectrum(luma, upper)
        for view, degrees in ((View.TURN_LEFT, _TURN), (View.TURN_RIGHT, -_TURN)):
            turned = pdq.turned(luma, degrees, self._aspect)
            yield view, pdq.spectrum(turned, _within(_WHOLE, _CENTRES[-1]))


def reduced(luma: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Average frames to a number of rows and columns that divides theirs, shape (n, side, side)."""
    return np.asarray(pdq.cells(luma, side).round(), np.uint8)


def _within(
    area: tuple[float, float, float, float], share: float
) -> tuple[float, float, float, float]:
    """The centre of an area, with the given share of each side."""
    top, left, bottom, right = area
    down, across = (bottom - top) * (1 - share) / 2, (right - left) * (1 - share) / 2
    return top + down, left + across, bottom - down, right - across

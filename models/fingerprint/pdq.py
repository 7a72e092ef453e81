"""PDQ perceptual hashes, many frames at once.

PDQ (Meta, "The TMK+PDQF video-hashing algorithm and the PDQ image-hashing algorithm", 2019)
reduces a picture to 64 x 64 luma, keeps the 16 x 16 lowest frequencies of its cosine transform
without the constant ones, and sets a bit where a coefficient exceeds their median.

Reduction and transform are linear along each axis, so a hash is two small matrix products:

* ``published`` hashes a frame of any size as the publisher's tool does, for hash lists that are
  shared;
* ``spectrum`` hashes any window of a 128 x 128 raster made by area reduction. It looks through
  less noise than the published reduction, which lets fine texture alias, and costs little, so
  that crops and mirrors of each frame can be compared as well.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "BITS",
    "RASTER",
    "distances",
    "hashes",
    "mirrored",
    "published",
    "quality",
    "spectrum",
    "to_hex",
    "turned",
]

#: Bits in a hash.
BITS = 256
#: Rows and columns of the luma raster.
RASTER = 128

_SIDE = 16
_CELLS = 64

#: Signs of the coefficients of a picture flipped left to right: column j holds the frequency
#: j + 1, and the odd frequencies turn.
_FLIP = np.where(np.arange(_SIDE) % 2 == 0, -1.0, 1.0).astype(np.float32)


def _cosines() -> NDArray[np.float64]:
    """Rows 1 to 16 of the 64-point DCT-II."""
    frequency = np.arange(1, _SIDE + 1)[:, None]
    position = 2 * np.arange(_CELLS)[None, :] + 1
    return np.asarray(np.sqrt(2 / _CELLS) * np.cos(np.pi / 2 / _CELLS * frequency * position))


def _area_weights(low: float, high: float) -> NDArray[np.float64]:
    """Weights that average the raster between two edges into 64 cells, shape (64, RASTER)."""
    edges = np.linspace(low, high, _CELLS + 1)
    left = np.maximum(edges[:-1, None], np.arange(RASTER)[None, :])
    right = np.minimum(edges[1:, None], np.arange(1, RASTER + 1)[None, :])
    weights = np.clip(right - left, 0.0, None)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


@lru_cache(maxsize=4096)
def _axis_map(low: float, high: float) -> NDArray[np.float32]:
    """One axis from raster to frequencies, shape (16, RASTER)."""
    return (_cosines() @ _area_weights(low, high)).astype(np.float32)


@lru_cache(maxsize=256)
def _published_map(size: int) -> NDArray[np.float32]:
    """One axis from pixels to frequencies as published: two box filters, then every n-th pixel.

    The window's rounding and its lean to one side for even widths are the publisher's, and count
    for a small picture.
    """
    width = (size + 2 * _CELLS - 1) // (2 * _CELLS)
    ahead = (width + 2) // 2
    low = np.clip(np.arange(size) - (width - ahead), 0, size)
    high = np.clip(np.arange(size) + ahead, 0, size)
    weights = np.zeros((_CELLS, size))
    for cell, picked in enumerate(((np.arange(_CELLS) + 0.5) * size / _CELLS).astype(int)):
        once = range(low[picked], high[picked])
        for pixel in once:
            share = 1 / (len(once) * (high[pixel] - low[pixel]))
            weights[cell, low[pixel] : high[pixel]] += share
    return (_cosines() @ weights).astype(np.float32)


def published(luma: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The coefficients of one frame as the published algorithm has them.

    Args:
        luma: The frame at its own size, shape (height, width).

    Returns:
        Shape (16, 16): row frequency, column frequency.
    """
    rows = _published_map(luma.shape[0])
    columns = _published_map(luma.shape[1])
    return np.asarray(rows @ (luma.astype(np.float32) @ columns.T))


def spectrum(
    luma: NDArray[np.uint8] | NDArray[np.float32],
    window: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0),
) -> NDArray[np.float32]:
    """The coefficients of a window of some frames.

    Args:
        luma: Frames as rasters, shape (n, 128, 128), 0 to 255.
        window: The part of the frame to look at: top, left, bottom, right, from 0 to 1.

    Returns:
        Shape (n, 16, 16): row frequency, column frequency.
    """
    top, left, bottom, right = (round(edge * RASTER, 2) for edge in window)
    rows = _axis_map(top, bottom)
    columns = _axis_map(left, right)
    return np.asarray(rows @ (luma.astype(np.float32) @ columns.T))


def mirrored(coefficients: NDArray[np.float32]) -> NDArray[np.float32]:
    """The coefficients of the same frames flipped left to right."""
    return coefficients * _FLIP


@lru_cache(maxsize=256)
def _turn(degrees: float, aspect: float) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """For each raster cell, the four cells it comes from after a turn, and their weights."""
    angle = np.deg2rad(degrees)
    middle = (RASTER - 1) / 2
    y, x = (np.mgrid[:RASTER, :RASTER] - middle).astype(np.float64)
    from_x = np.cos(angle) * x - np.sin(angle) * y / aspect + middle
    from_y = np.sin(angle) * x * aspect + np.cos(angle) * y + middle
    from_x, from_y = np.clip(from_x, 0, RASTER - 1.001), np.clip(from_y, 0, RASTER - 1.001)
    left, top = np.floor(from_x).astype(np.intp), np.floor(from_y).astype(np.intp)
    right_part, low_part = from_x - left, from_y - top
    cells = [(top + i) * RASTER + left + j for i in (0, 1) for j in (0, 1)]
    weights = [
        np.abs(1 - i - low_part) * np.abs(1 - j - right_part) for i in (0, 1) for j in (0, 1)
    ]
    return np.stack(cells), np.stack(weights).astype(np.float32)


def turned(
    luma: NDArray[np.uint8] | NDArray[np.float32], degrees: float, aspect: float
) -> NDArray[np.float32]:
    """Frames turned about their middle, clockwise as seen; the corners hold what is nearest.

    Args:
        luma: Rasters, shape (n, 128, 128).
        degrees: How far.
        aspect: Width over height of the frame as it is shown.
    """
    cells, weights = _turn(-degrees, round(aspect, 2))
    flat = luma.reshape(len(luma), -1)
    return np.asarray(
        sum(
            (flat[:, cell] * weight for cell, weight in zip(cells, weights, strict=True)),
            np.zeros((len(luma), RASTER, RASTER), np.float32),
        )
    )


def hashes(coefficients: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Hashes of frames from their coefficients.

    Args:
        coefficients: Shape (n, 16, 16).

    Returns:
        Shape (n, 32), in the order of PDQ's hexadecimal text: the highest frequencies first.
    """
    flat = coefficients.reshape(len(coefficients), BITS)
    if not len(flat):
        return np.zeros((0, BITS // 8), np.uint8)
    middle = np.partition(flat, BITS // 2 - 1, axis=1)[:, BITS // 2 - 1]
    bits = (flat > middle[:, None])[:, ::-1]
    return np.packbits(bits, axis=1)


def quality(luma: NDArray[np.uint8] | NDArray[np.float32]) -> NDArray[np.uint8]:
    """PDQ's quality, 0 to 100: how much gradient there is for a hash to hold on to.

    Args:
        luma: Rasters, shape (n, 128, 128).
    """
    cells = luma.reshape(len(luma), _CELLS, 2, _CELLS, 2).mean(axis=(2, 4), dtype=np.float32)
    down = np.trunc(np.abs(np.diff(cells, axis=1)) * (100 / 255)).sum(axis=(1, 2))
    across = np.trunc(np.abs(np.diff(cells, axis=2)) * (100 / 255)).sum(axis=(1, 2))
    return np.asarray(np.minimum((down + across) // 90, 100), np.uint8)


def distances(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Hamming distances of hashes; shapes (..., 32) that broadcast against each other."""
    different = np.bitwise_xor(one.view(np.uint64), other.view(np.uint64))
    return np.asarray(np.bitwise_count(different).sum(axis=-1, dtype=np.int64))


def to_hex(hashed: NDArray[np.uint8]) -> str:
    """One hash as PDQ's 64 hexadecimal digits."""
    return hashed.tobytes().hex()

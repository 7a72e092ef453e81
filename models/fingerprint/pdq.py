"""PDQ perceptual hashes, vectorised over frames.

PDQ (Meta, "The TMK+PDQF video-hashing algorithm and the PDQ image-hashing algorithm", 2019)
reduces a picture to 64 x 64 luma, keeps the 16 x 16 lowest frequencies of its cosine transform
except the constant ones, and sets a bit for each coefficient above the median.

Reduction and transform are linear along each axis, so a hash takes two small matrix products:

* ``published`` hashes a frame of any size exactly as the reference tool does, for shared hash
  lists;
* ``spectrum`` hashes any window of a 128 x 128 raster made by area reduction. It has less noise
  than the published reduction, which aliases fine texture, and is cheap enough to hash crops and
  mirror images of each frame as well.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

__all__ = [
    "BITS",
    "RASTER",
    "cells",
    "distances",
    "hashes",
    "mirrored",
    "published",
    "quality",
    "spectrum",
    "to_hex",
    "turned",
]

#: Bits per hash.
BITS = 256

#: Rows and columns of the luma raster.
RASTER = 128
_SIDE = 16
#: Rows that are converted at once: what fits a cache is faster than a whole frame.
_STRIP = 64
_CELLS = 64

#: Signs of the coefficients of a horizontally flipped picture: column j holds frequency j + 1, and
#: the odd frequencies change sign.
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
    """Linear map of one axis from raster to frequencies, shape (16, RASTER)."""
    return (_cosines() @ _area_weights(low, high)).astype(np.float32)


@lru_cache(maxsize=256)
def _published_map(size: int) -> NDArray[np.float32]:
    """Linear map of one axis from pixels to frequencies, by the published two box filters.

    The rounding and the asymmetry of even window widths follow the reference tool; they matter
    for small pictures.
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
    """Coefficients of one frame by the published algorithm.

    Args:
        luma: The frame at full size, shape (height, width).

    Returns:
        Shape (16, 16): row frequency, column frequency.
    """
    rows = _published_map(luma.shape[0])
    columns = _published_map(luma.shape[1]).T
    narrow = np.empty((len(luma), columns.shape[1]), np.float32)
    for top in range(0, len(luma), _STRIP):
        narrow[top : top + _STRIP] = luma[top : top + _STRIP].astype(np.float32) @ columns
    return np.asarray(rows @ narrow)


def spectrum(
    luma: NDArray[np.uint8] | NDArray[np.float32],
    window: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0),
) -> NDArray[np.float32]:
    """Coefficients of a window of each frame.

    Args:
        luma: Rasters, shape (n, 128, 128), 0 to 255.
        window: Top, left, bottom, right of the window, from 0 to 1.

    Returns:
        Shape (n, 16, 16): row frequency, column frequency.
    """
    top, left, bottom, right = (round(edge * RASTER, 2) for edge in window)
    rows = _axis_map(top, bottom)
    columns = _axis_map(left, right)
    return np.asarray(rows @ (luma.astype(np.float32, copy=False) @ columns.T))


def mirrored(coefficients: NDArray[np.float32]) -> NDArray[np.float32]:
    """Coefficients of the same frames flipped horizontally."""
    return coefficients * _FLIP


@lru_cache(maxsize=64)
def _turn(degrees: float, aspect: float) -> csr_array:
    """Each raster cell of a rotation as the sum of four source cells by their bilinear weights."""
    angle = np.deg2rad(degrees)
    middle = (RASTER - 1) / 2
    y, x = (np.mgrid[:RASTER, :RASTER] - middle).astype(np.float64)
    from_x = np.cos(angle) * x - np.sin(angle) * y / aspect + middle
    from_y = np.sin(angle) * x * aspect + np.cos(angle) * y + middle
    from_x, from_y = np.clip(from_x, 0, RASTER - 1.001), np.clip(from_y, 0, RASTER - 1.001)
    left, top = np.floor(from_x).astype(np.int32), np.floor(from_y).astype(np.int32)
    right_part, low_part = from_x - left, from_y - top
    corners = [(i, j) for i in (0, 1) for j in (0, 1)]
    cells = np.stack([(top + i) * RASTER + left + j for i, j in corners], axis=-1)
    weights = np.stack(
        [np.abs(1 - i - low_part) * np.abs(1 - j - right_part) for i, j in corners], axis=-1
    )
    size = RASTER * RASTER
    rows = np.arange(size + 1, dtype=np.int32) * len(corners)
    return csr_array((weights.astype(np.float32).ravel(), cells.ravel(), rows), (size, size))


def turned(
    luma: NDArray[np.uint8] | NDArray[np.float32], degrees: float, aspect: float
) -> NDArray[np.float32]:
    """Rotate frames about their centre, clockwise; corners repeat the nearest pixels.

    Args:
        luma: Rasters, shape (n, 128, 128).
        degrees: The angle.
        aspect: Width divided by height of the displayed frame.
    """
    columns = np.ascontiguousarray(luma.reshape(len(luma), -1).T, np.float32)
    made = _turn(-degrees, max(0.01, round(aspect, 2))) @ columns
    return np.ascontiguousarray(made.T).reshape(luma.shape)


def hashes(coefficients: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Hash frames from their coefficients.

    Args:
        coefficients: Shape (n, 16, 16).

    Returns:
        Shape (n, 32), in the order of PDQ's hexadecimal form: highest frequencies first.
    """
    flat = coefficients.reshape(len(coefficients), BITS)
    if not len(flat):
        return np.zeros((0, BITS // 8), np.uint8)
    middle = np.partition(flat, BITS // 2 - 1, axis=1)[:, BITS // 2 - 1]
    bits = (flat > middle[:, None])[:, ::-1]
    return np.packbits(bits, axis=1)


def cells(luma: NDArray[np.uint8] | NDArray[np.float32], side: int) -> NDArray[np.float32]:
    """Average frames to a number of rows and columns that divides theirs, shape (n, side, side)."""
    step = luma.shape[1] // side
    wide = luma.astype(np.float32, copy=False)
    rows, columns = wide[:, ::step].copy(), np.zeros((len(luma), side, side), np.float32)
    for start in range(1, step):
        rows += wide[:, start::step]
    for start in range(step):
        columns += rows[:, :, start::step]
    return columns / np.float32(step * step)


def quality(luma: NDArray[np.uint8] | NDArray[np.float32]) -> NDArray[np.uint8]:
    """PDQ quality, 0 to 100: the amount of gradient in each frame.

    Args:
        luma: Rasters, shape (n, 128, 128).
    """
    means = cells(luma, _CELLS)
    down = np.trunc(np.abs(np.diff(means, axis=1)) * (100 / 255)).sum(axis=(1, 2))
    across = np.trunc(np.abs(np.diff(means, axis=2)) * (100 / 255)).sum(axis=(1, 2))
    return np.asarray(np.minimum((down + across) // 90, 100), np.uint8)


def distances(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Hamming distances of hashes; shapes (..., 32), broadcast against each other."""
    different = np.bitwise_xor(one.view(np.uint64), other.view(np.uint64))
    return np.asarray(np.bitwise_count(different).sum(axis=-1, dtype=np.int64))


def to_hex(hashed: NDArray[np.uint8]) -> str:
    """One hash in PDQ's form of 64 hexadecimal digits."""
    return hashed.tobytes().hex()

"""Pictures for people, as JPEG files."""

from __future__ import annotations

import io
from typing import Any

import numpy as np

__all__ = ["jpeg"]


def jpeg(
    pixels: np.ndarray[Any, np.dtype[np.uint8]], width: int, height: int, quality: int = 80
) -> bytes:
    """A picture as a JPEG file of at most a size, in its proportions.

    Args:
        pixels: RGB, shape (height, width, 3).
        width: The most columns.
        height: The most rows.
        quality: Of JPEG, to 95.
    """
    from PIL import Image

    high, wide = pixels.shape[:2]
    scale = min(1.0, width / wide, height / high)
    size = (max(1, round(wide * scale)), max(1, round(high * scale)))
    out = io.BytesIO()
    made = Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC)
    made.save(out, "JPEG", quality=quality)
    return out.getvalue()

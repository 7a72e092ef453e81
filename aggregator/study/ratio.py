"""A ratio of sums over uploaders: its mean, and how far that may be off.

Uploads of one uploader resemble each other, so that they are one draw and not many. The variance is
that of a ratio of two sums over independent draws (the delta method; Cochran, Sampling Techniques,
3rd edition, section 6.4).
"""

from __future__ import annotations

import math
from collections.abc import Iterable

__all__ = ["ratio"]


def ratio(draws: Iterable[tuple[float, float]]) -> tuple[float | None, float]:
    """The mean of a value over uploads, and the variance of that mean.

    Args:
        draws: For each uploader: the sum of the value over its uploads, and the number of these.

    Returns:
        The mean, None without uploads; its variance, infinite for fewer than two uploaders.
    """
    known = list(draws)
    count = sum(number for _, number in known)
    if not count:
        return None, math.inf
    mean = sum(total for total, _ in known) / count
    if len(known) < 2:
        return mean, math.inf
    squares = sum((total - mean * number) ** 2 for total, number in known)
    return mean, squares * len(known) / (len(known) - 1) / count**2

"""Intervals of shares: what a count of hits says, and whether two shares differ."""

from __future__ import annotations

import math

__all__ = ["difference", "wilson"]


def wilson(hits: float, total: float, z: float = 1.96) -> tuple[float, float]:
    """The Wilson interval of a share (Journal of the American Statistical Association 22, 1927).

    Args:
        hits: How many of them hit.
        total: How many there are; without any, the interval is from 0 to 1. Of draws that depend
            on each other, as many independent ones as tell the same (their effective size).
        z: The quantile; 1.96 for 95 %.
    """
    if total == 0:
        return 0.0, 1.0
    share = hits / total
    middle = (share + z * z / (2 * total)) / (1 + z * z / total)
    spread = share * (1 - share) / total + z * z / (4 * total * total)
    half = z / (1 + z * z / total) * math.sqrt(spread)
    return max(0.0, middle - half), min(1.0, middle + half)


def difference(
    hits: int, total: int, hits_before: int, total_before: int, z: float = 1.96
) -> tuple[float, float]:
    """The interval of the difference of two independent shares.

    Newcombe's hybrid score method (Statistics in Medicine 17, 1998, method 10).

    Args:
        hits: How many hit.
        total: Of how many.
        hits_before: How many hit before.
        total_before: Of how many.
        z: The quantile; 1.96 for 95 %.
    """
    if total <= 0 or total_before <= 0:
        return -1.0, 1.0
    now, before = hits / total, hits_before / total_before
    low, high = wilson(hits, total, z)
    low_before, high_before = wilson(hits_before, total_before, z)
    change = now - before
    return (
        change - math.hypot(now - low, high_before - before),
        change + math.hypot(high - now, before - low_before),
    )

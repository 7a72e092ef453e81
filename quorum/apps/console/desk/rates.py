"""Whether two shares differ."""

from __future__ import annotations

import math

from quorum.store.reports.values import wilson

__all__ = ["difference"]


def difference(hits: int, total: int, hits_before: int, total_before: int) -> tuple[float, float]:
    """The 95 % interval of the difference of two independent shares.

    Newcombe's hybrid score method (Statistics in Medicine 17, 1998, method 10).
    """
    if total <= 0 or total_before <= 0:
        return -1.0, 1.0
    now, before = hits / total, hits_before / total_before
    low, high = wilson(hits, total)
    low_before, high_before = wilson(hits_before, total_before)
    change = now - before
    return (
        change - math.hypot(now - low, high_before - before),
        change + math.hypot(high - now, before - low_before),
    )

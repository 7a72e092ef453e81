"""Whether memory is flat: a line through resident memory over the number of uploads."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from benchmarks.soak.history import Sample

__all__ = ["Slope", "fit", "slopes"]

#: Samples of one process are averaged into so many blocks of equal length, since neighbours in time
#: are no independent observations.
_BLOCKS = 20
_LEAST_BLOCKS = 6
#: Fewer uploads say nothing about a thousand.
_LEAST_UPLOADS = 300
#: The first part of a process's life, in which caches fill, is left out.
_WARM = 0.25
#: Of Student's distribution, both sides, 95 %, by degrees of freedom (4 to 18).
_T = (2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131, 2.120,
      2.110, 2.101)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Slope:
    """A fitted line.

    Attributes:
        per_thousand: MiB per 1,000 uploads.
        within: Half of its 95 % confidence interval.
        uploads: How many uploads the line spans.
        level: Mean memory, in MiB.
    """

    per_thousand: float
    within: float
    uploads: int
    level: float

    def __str__(self) -> str:
        return (
            f"{self.per_thousand:+.2f} ± {self.within:.2f} MiB per 1,000 uploads over "
            f"{self.uploads:,}, at {self.level:,.0f} MiB"
        )


def fit(uploads: Sequence[float], memory: Sequence[float]) -> Slope | None:
    """Least squares over blocks; None where there are too few points.

    Args:
        uploads: Number of uploads at each sample, in order.
        memory: MiB at each sample.
    """
    size = max(1, math.ceil(len(uploads) / _BLOCKS))
    starts = range(0, len(uploads) - size + 1, size)
    xs = [statistics.fmean(uploads[start : start + size]) for start in starts]
    ys = [statistics.fmean(memory[start : start + size]) for start in starts]
    if len(xs) < _LEAST_BLOCKS or xs[-1] - xs[0] < _LEAST_UPLOADS:
        return None
    middle, level = statistics.fmean(xs), statistics.fmean(ys)
    spread = sum((x - middle) ** 2 for x in xs)
    slope = sum((x - middle) * (y - level) for x, y in zip(xs, ys, strict=True)) / spread
    residuals = sum((y - level - slope * (x - middle)) ** 2 for x, y in zip(xs, ys, strict=True))
    freedom = len(xs) - 2
    error = math.sqrt(residuals / freedom / spread)
    within = _T[min(freedom, len(_T) + 3) - 4] * error
    return Slope(slope * 1000, within * 1000, round(xs[-1] - xs[0]), level)


def slopes(samples: Sequence[Sample]) -> dict[str, Slope]:
    """The lines of the processes, by name, over the longest life of the job."""
    lives = [list(group) for _, group in groupby(samples, key=lambda one: one.pid)]
    if not lives:
        return {}
    longest = max(lives, key=len)
    kept = longest[int(len(longest) * _WARM) :]
    uploads = [float(one.uploads) for one in kept]
    found = {}
    for name in ("worker", "children", "prism", "taskmanager", "jobmanager"):
        memory = [float(getattr(one, name)) for one in kept]
        line = fit(uploads, memory) if any(memory) else None
        if line is not None:
            found[name] = line
    return found

"""The timeline of a case's media: spans of evidence by detector, as drawing coordinates."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from quorum.core.messages import SEEN, Evidence, Prediction, Upload

__all__ = ["Pair", "Timeline", "TimelineRow", "TimelineSpan", "timeline"]

#: Per detector.
MAX_SPANS = 200


@dataclass(frozen=True, slots=True)
class TimelineSpan:
    """One piece of evidence: start and end in seconds, left edge and width in percent."""

    start: float
    end: float
    left: float
    width: float
    what: str
    weight: float


@dataclass(frozen=True, slots=True)
class TimelineRow:
    """The evidence of one detector."""

    detector: str
    spans: tuple[TimelineSpan, ...]


@dataclass(frozen=True, slots=True)
class Pair:
    """A part of the upload and the matching part of a registered work, in seconds."""

    work: str
    start: float
    end: float
    work_start: float
    work_end: float
    what: str


@dataclass(frozen=True, slots=True)
class Timeline:
    """The timeline.

    Attributes:
        seconds: The duration of the media, or the end of the last evidence.
        rows: One row per detector.
        pairs: Matches with registered works.
        ticks: Axis labels in seconds, with their position in percent.
    """

    seconds: float
    rows: tuple[TimelineRow, ...]
    pairs: tuple[Pair, ...]
    ticks: tuple[tuple[float, float], ...]


def timeline(upload: Upload | None, predictions: Sequence[Prediction]) -> Timeline | None:
    """Lay out all evidence that has a time; None if there is none."""
    timed = [(one.detector, [e for e in one.evidence if _timed(e)]) for one in predictions]
    timed = [(detector, found[:MAX_SPANS]) for detector, found in timed if found]
    if not timed:
        return None
    ends = [_end(e) for _, found in timed for e in found]
    known = upload.duration if upload is not None and upload.duration else 0.0
    seconds = min(max(known, *ends, 1.0), 1e7)
    rows = tuple(
        TimelineRow(detector, tuple(_span(e, seconds) for e in found)) for detector, found in timed
    )
    pairs = tuple(
        Pair(e.work, e.start or 0.0, _end(e), e.work_start or 0.0, e.work_end or 0.0, e.what)
        for _, found in timed
        for e in found
        if e.kind == "match" and e.work
    )
    return Timeline(seconds, rows, pairs[:20], _ticks(seconds))


def _timed(evidence: Evidence) -> bool:
    timed = evidence.kind != "text" and evidence.start is not None
    return timed and evidence.field != SEEN


def _end(evidence: Evidence) -> float:
    start = evidence.start or 0.0
    return max(start, evidence.end if evidence.end is not None else start)


def _span(evidence: Evidence, seconds: float) -> TimelineSpan:
    start = min(evidence.start or 0.0, seconds)
    end = min(_end(evidence), seconds)
    left = 100 * start / seconds
    # Wide enough to be clicked.
    width = min(max(100 * (end - start) / seconds, 1.2), 100 - left if left < 98.8 else 1.2)
    weight = evidence.weight if evidence.weight is not None else 1.0
    return TimelineSpan(
        start,
        end,
        round(min(left, 98.8), 3),
        round(width, 3),
        evidence.what,
        max(0.0, min(1.0, weight)),
    )


def _ticks(seconds: float) -> tuple[tuple[float, float], ...]:
    raw = seconds / 6
    unit = 10 ** math.floor(math.log10(raw)) if raw > 0 else 1.0
    step = next(unit * m for m in (1, 2, 5, 10) if unit * m >= raw)
    count = int(seconds / step) + 1
    return tuple((round(i * step, 3), round(100 * i * step / seconds, 3)) for i in range(count))

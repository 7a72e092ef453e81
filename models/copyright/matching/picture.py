"""Follows the frames of a work through those of an upload.

Frames that look alike are only seeds: two signers before one wall, two animations of one toolkit
look alike for seconds. A match must follow the work in time, and its picture must change as the
work's picture changes: what does not move is no evidence.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quorum.models.copyright.catalogue.distinctive import MIN_QUALITY
from quorum.models.copyright.catalogue.works import WORK_VIEWS, WorkPrint
from quorum.models.copyright.index.segments import Hits
from quorum.models.copyright.matching.alignment import Alignment, Seeds, align_seeds
from quorum.models.copyright.matching.pairing import (
    EVEN,
    PLAIN,
    SAME_SPEED,
    SEED_PAIRS,
    WHOLE,
    ViewPairing,
    around,
    best_views,
    compared,
)
from quorum.models.fingerprint import pdq
from quorum.models.fingerprint.video import VideoPrint, View

__all__ = ["MIN_SECONDS", "RADIUS", "Queries", "VideoRun", "queries_of", "runs_of"]

#: Bits within which two frames are a seed.
RADIUS = 31

#: A shorter run is told from chance and look-alikes by luck only.
MIN_SECONDS = 2.4

#: Where a run's score is a half, and how fast it rises: set on the edits of
#: benchmarks/copyright.py so that no look-alike of its clips reaches a half.
_EVIDENCE = 0.57
_SHARPNESS = 0.025

#: What a frame that contradicts a match costs, as a part of all, and how many may: the edge of a
#: bar in a dark scene is not the same in each encoding.
_ODD_COSTS = 6.0
_ODD_ALLOWED = 0.05

#: Frames of a run that is neither short nor long.
_USUAL_FRAMES = 20

#: Seconds by which a fitted line may run over the ends of a work.
_SLACK = 0.2

#: Bits by which the work may change from one frame to the next and be called still.
_STILL = 24

#: PDQ's quality from which a frame is compared; to be looked up it must be better. A scene that is
#: nearly flat for a while is part of what is around it.
_FOLLOWED_QUALITY = 20

_Hashes = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class VideoRun:
    """A run of an upload's frames that follows a run of a work's.

    Attributes:
        start: Seconds of the upload, from.
        end: To.
        line: How moments map to the work's.
        mirrored: Whether the picture is flipped left to right.
        view: How the upload has to be looked at.
        work_view: How the work has to be looked at.
        frames: Frames of the upload in the run.
        distance: Median distance of the pairs, in bits.
        agreement: How far the bits that change in the work change alike in the upload: the
            correlation over time, from -1 to 1.
        motion: Bits that change, on average, around their mean in the work.
        odd: Part of the frames that contradict the match.
    """

    start: float
    end: float
    line: Alignment
    mirrored: bool
    view: View
    work_view: View
    frames: int
    distance: float
    agreement: float
    motion: float
    odd: float

    @property
    def score(self) -> float:
        """Probability that the upload shows the work, and not something that looks like it."""
        if self.end - self.start < MIN_SECONDS:
            return 0.0
        part = not (self.view in WHOLE and self.work_view in WHOLE)
        zoomed = part and self.view % View.ACTIVE != self.work_view % View.ACTIVE
        paced = abs(np.log(self.line.speed)) > SAME_SPEED
        # Each further edit that must be assumed gives chance more ways to fit.
        assumed = 0.03 * (part + paced) + paced * (0.08 * part + 0.04 * zoomed)
        length = np.log2(self.frames / _USUAL_FRAMES)
        length = min(0.1, (0.05 if length > 0 else 0.08) * length)
        odd = _ODD_COSTS * max(0.0, self.odd - _ODD_ALLOWED)
        evidence = self.agreement - odd - assumed + length
        return float(1 / (1 + np.exp((_EVIDENCE - evidence) / _SHARPNESS)))


@dataclass(frozen=True, slots=True)
class Queries:
    """What of an upload is looked up; rows belong together.

    Attributes:
        hashes: Shape (n, 32).
        frames: Row of the frame, shape (n,).
        mirrored: Whether it is the mirrored frame, shape (n,).
        views: How it is looked at, shape (n,).
    """

    hashes: _Hashes
    frames: NDArray[np.intp]
    mirrored: NDArray[np.bool_]
    views: NDArray[np.uint8]


def queries_of(video: VideoPrint, step: int = 1) -> Queries:
    """The hashes by which a video is looked up: all views, and mirrored.

    Args:
        video: Its fingerprint.
        step: Every how many frames.
    """
    rows = np.flatnonzero(video.quality >= MIN_QUALITY)[::step]
    count, views = len(rows), len(View)
    hashes = np.concatenate([video.views[rows], video.mirrored[rows]], axis=1)
    hashes = hashes.reshape(count * 2 * views, 32)
    frames = rows.repeat(2 * views)
    mirrored = np.tile(np.repeat([False, True], views), count)
    looks = np.tile(np.arange(views, dtype=np.uint8), 2 * count)
    kept = np.ones((count, 2, views), np.bool_)
    # Without bars, the views of the active area are those of all of the frame.
    for side, hashed in enumerate((video.views[rows], video.mirrored[rows])):
        whole = hashed[:, View.FULL : View.TURN_LEFT]
        kept[:, side, View.ACTIVE :] = (hashed[:, View.ACTIVE :] != whole).any(axis=2)
    chosen = kept.reshape(-1)
    return Queries(
        np.ascontiguousarray(hashes[chosen]), frames[chosen], mirrored[chosen], looks[chosen]
    )


def runs_of(video: VideoPrint, queries: Queries, hits: Hits, work: WorkPrint) -> list[VideoRun]:
    """The runs in which an upload follows one work.

    Args:
        video: The upload's frames.
        queries: What was looked up.
        hits: What was found of this work.
        work: Its fingerprint.
    """
    found: list[VideoRun] = []
    for mirrored in (False, True):
        chosen = queries.mirrored[hits.queries] == mirrored
        chosen &= SEED_PAIRS[queries.views[hits.queries], hits.kinds]
        seeds = Seeds(
            video.times[queries.frames[hits.queries[chosen]]].astype(np.float64),
            hits.seconds[chosen].astype(np.float64),
            1.0 - hits.distances[chosen] / (2 * RADIUS),
        )
        for line in align_seeds(seeds):
            run = _follow(video, work, line, mirrored)
            if run:
                found.append(run)
    return found


def _follow(video: VideoPrint, work: WorkPrint, line: Alignment, mirrored: bool) -> VideoRun | None:
    """Compare all frames along a line, and take the stretch that speaks most for a match."""
    times = video.times.astype(np.float64)
    at = line.at(times)
    rows = np.flatnonzero(
        (at >= work.times[0] - _SLACK)
        & (at <= work.times[-1] + _SLACK)
        & (video.quality >= _FOLLOWED_QUALITY)
    )
    if len(rows) < 2 or len(work.times) < 2:
        return None
    seen = (video.mirrored if mirrored else video.views)[rows]
    best = best_views(seen, work.views[around(work.times, at[rows])[0]])
    # The line may be a little off yet, and another view the nearest where it is right.
    pairs = dict.fromkeys((best, *PLAIN))
    looks = [compared(times[rows], seen, work, line, *pair) for pair in pairs]
    # The nearest, and not the one with the best score: chance would have its pick.
    return _run(min(looks, key=lambda look: look.cost), work, mirrored)


def _run(look: ViewPairing, work: WorkPrint, mirrored: bool) -> VideoRun | None:
    """The stretch of some frames that speaks most for a match."""
    low, high = _stretch(EVEN - look.distance)
    if high - low < 2:
        return None
    inside = slice(low, high)
    theirs = work.views[:, look.work_view]
    distance, partner = look.distance[inside], look.partner[inside]
    agreement, motion = _agreement(look.ours[inside], theirs[partner])
    return VideoRun(
        float(look.times[low]),
        float(look.times[high - 1]),
        look.line,
        mirrored,
        View(look.view),
        WORK_VIEWS[look.work_view],
        high - low,
        float(np.median(distance)),
        agreement,
        motion,
        _odd(distance, theirs, partner),
    )


def _stretch(gain: NDArray[np.float64]) -> tuple[int, int]:
    """From and to of the stretch of largest sum (Kadane)."""
    total = np.concatenate([[0.0], np.cumsum(np.clip(gain, -EVEN, EVEN))])
    lowest = np.minimum.accumulate(total)
    high = int(np.argmax(total - lowest))
    low = int(np.argmin(total[: high + 1]))
    return low, high


def _agreement(hashes: _Hashes, theirs: _Hashes) -> tuple[float, float]:
    """The correlation over time of the bits that change, and how many change."""
    ours_bits = np.unpackbits(hashes, axis=1).astype(np.float32)
    their_bits = np.unpackbits(theirs, axis=1).astype(np.float32)
    ours_bits -= ours_bits.mean(axis=0)
    their_bits -= their_bits.mean(axis=0)
    ours, their = float((ours_bits**2).sum()), float((their_bits**2).sum())
    motion = their / len(theirs)
    if ours < 1 or their < 1:
        return 0.0, motion
    return float((ours_bits * their_bits).sum() / np.sqrt(ours * their)), motion


def _odd(distance: NDArray[np.float64], theirs: _Hashes, partner: NDArray[np.intp]) -> float:
    """Part of the still frames that lie further off than the edit explains.

    An edit changes all frames alike, and a frame that moves may be met a moment off; but where
    the work stands still, a look-alike that shows something else gives itself away.
    """
    usual = float(np.percentile(distance, 20))
    before = np.clip(partner - 1, 0, len(theirs) - 1)
    after = np.clip(partner + 1, 0, len(theirs) - 1)
    moving = np.maximum(
        pdq.distances(theirs[partner], theirs[before]),
        pdq.distances(theirs[partner], theirs[after]),
    )
    still = moving <= _STILL
    off = still & (distance > 2.5 * usual + 10)
    return float(off.sum() / len(distance))

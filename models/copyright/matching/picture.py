"""Match the frames of an upload with the frames of a work.

Similar frames are only seeds: unrelated videos with similar settings look alike for seconds. A
match must follow the work in time, and its picture must change as the work's does; still pictures
are no evidence.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quorum.models.copyright.catalogue.distinctive import MIN_QUALITY
from quorum.models.copyright.catalogue.works import WORK_VIEWS, WorkPrint
from quorum.models.copyright.index.segments import Hits
from quorum.models.copyright.matching.alignment import Alignment, Seeds, align_seeds, best_run
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

#: Search radius of seeds, in bits.
RADIUS = 31

#: Minimum length of a run; shorter ones cannot be distinguished from look-alikes.
MIN_SECONDS = 2.4

#: Centre and width of the logistic score, fitted on the edits of benchmarks/copyright.py so that
#: no look-alike of its clips reaches 0.5.
_EVIDENCE = 0.57
_SHARPNESS = 0.025

#: Penalty per share of contradicting frames, and the share that is tolerated: borders of dark
#: scenes differ between encodings.
_ODD_COSTS = 6.0
_ODD_ALLOWED = 0.05

#: Run length, in frames, that neither adds nor subtracts evidence.
_USUAL_FRAMES = 20

#: Seconds by which an alignment may exceed the ends of a work.
_SLACK = 0.2

#: Distance of consecutive frames up to which they count as still, in bits, the share of more by
#: which a frame may be off, and the frames that are a stretch: a second.
_STILL, _MOVED, _STRETCH = 24, 0.8, 4

#: Minimum PDQ quality of compared frames; lower than for lookups, because a flat scene belongs to
#: its surroundings.
_FOLLOWED_QUALITY = 20

_Hashes = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class VideoRun:
    """A run of an upload's frames that follows a run of a work's frames.

    Attributes:
        start: Start in the upload, in seconds.
        end: End in the upload.
        alignment: Map to times of the work.
        mirrored: Whether the picture is flipped horizontally.
        view: View of the upload.
        work_view: View of the work.
        frames: Number of the upload's frames in the run.
        distance: Median distance of the pairs, in bits.
        agreement: Correlation over time of the changing bits of upload and work, from -1 to 1.
        motion: Mean number of the work's bits that change.
        odd: Share of frames that contradict the match.
    """

    start: float
    end: float
    alignment: Alignment
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
        """Probability that the upload shows the work and not a look-alike."""
        if self.end - self.start < MIN_SECONDS:
            return 0.0
        part = not (self.view in WHOLE and self.work_view in WHOLE)
        zoomed = part and self.view % View.ACTIVE != self.work_view % View.ACTIVE
        paced = bool(abs(np.log(self.alignment.speed)) > SAME_SPEED)
        # Each assumed edit adds degrees of freedom, so it needs more evidence.
        assumed = 0.03 * (part + paced) + paced * (0.08 * part + 0.04 * zoomed)
        length = np.log2(self.frames / _USUAL_FRAMES)
        length = min(0.1, (0.05 if length > 0 else 0.08) * length)
        odd = _ODD_COSTS * max(0.0, self.odd - _ODD_ALLOWED)
        evidence = self.agreement - odd - assumed + length
        return float(1 / (1 + np.exp((_EVIDENCE - evidence) / _SHARPNESS)))


@dataclass(frozen=True, slots=True)
class Queries:
    """Hashes of an upload to look up, as parallel arrays.

    Attributes:
        hashes: Shape (n, 32).
        frames: Index of the frame, shape (n,).
        mirrored: Whether the frame is mirrored, shape (n,).
        views: View of the frame, shape (n,).
    """

    hashes: _Hashes
    frames: NDArray[np.intp]
    mirrored: NDArray[np.bool_]
    views: NDArray[np.uint8]


def queries_of(video: VideoPrint, step: int = 1) -> Queries:
    """All distinct views of a video's frames and of their mirror images.

    Args:
        video: The upload's fingerprint.
        step: Use every ``step``-th frame.
    """
    rows = np.flatnonzero(video.quality >= MIN_QUALITY)[::step]
    count, views = len(rows), len(View)
    hashes = np.concatenate([video.views[rows], video.mirrored[rows]], axis=1)
    hashes = hashes.reshape(count * 2 * views, 32)
    frames = rows.repeat(2 * views)
    mirrored = np.tile(np.repeat([False, True], views), count)
    view_ids = np.tile(np.arange(views, dtype=np.uint8), 2 * count)
    kept = np.ones((count, 2, views), np.bool_)
    # Without bars, active views equal full views.
    for side, hashed in enumerate((video.views[rows], video.mirrored[rows])):
        whole = hashed[:, View.FULL : View.TURN_LEFT]
        kept[:, side, View.ACTIVE :] = (hashed[:, View.ACTIVE :] != whole).any(axis=2)
    chosen = kept.reshape(-1)
    return Queries(
        np.ascontiguousarray(hashes[chosen]), frames[chosen], mirrored[chosen], view_ids[chosen]
    )


def runs_of(video: VideoPrint, queries: Queries, hits: Hits, work: WorkPrint) -> list[VideoRun]:
    """Find the runs in which an upload follows one work.

    Args:
        video: The upload's fingerprint.
        queries: The hashes that were looked up.
        hits: Their hits on this work.
        work: The work's fingerprint.
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
        for alignment in align_seeds(seeds):
            run = _follow(video, work, alignment, mirrored)
            if run:
                found.append(run)
    return found


def _follow(
    video: VideoPrint, work: WorkPrint, alignment: Alignment, mirrored: bool
) -> VideoRun | None:
    """Compare all frames along an alignment, and keep the best run."""
    times = video.times.astype(np.float64)
    at = alignment.at(times)
    rows = np.flatnonzero(
        (at >= work.times[0] - _SLACK)
        & (at <= work.times[-1] + _SLACK)
        & (video.quality >= _FOLLOWED_QUALITY)
    )
    if len(rows) < 2 or len(work.times) < 2:
        return None
    views = (video.mirrored if mirrored else video.views)[rows]
    best = best_views(views, work.views[around(work.times, at[rows])[0]])
    # The alignment is still approximate; whole-frame views may be nearest after refinement.
    pairs = dict.fromkeys((best, *PLAIN))
    pairings = [compared(times[rows], views, work, alignment, *pair) for pair in pairs]
    # Choose by distance: choosing by score would select the luckiest by chance.
    return _run(min(pairings, key=lambda pairing: pairing.cost), work, mirrored)


def _run(pairing: ViewPairing, work: WorkPrint, mirrored: bool) -> VideoRun | None:
    """The best run of paired frames."""
    low, high = best_run(np.clip(EVEN - pairing.distance, -EVEN, EVEN))
    if high - low < 2:
        return None
    inside = slice(low, high)
    theirs = work.views[:, pairing.work_view]
    distance, partner = pairing.distance[inside], pairing.partner[inside]
    agreement, motion = _agreement(pairing.ours[inside], theirs[partner])
    return VideoRun(
        float(pairing.times[low]),
        float(pairing.times[high - 1]),
        pairing.alignment,
        mirrored,
        View(pairing.view),
        WORK_VIEWS[pairing.work_view],
        high - low,
        float(np.median(distance)),
        agreement,
        motion,
        _odd(distance, theirs, partner),
    )


def _agreement(hashes: _Hashes, theirs: _Hashes) -> tuple[float, float]:
    """Correlation over time of the changing bits, and the mean number that change."""
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
    """Share of frames that are further away than the edit and the movement explain.

    An edit changes all frames alike, and a moving frame may be paired with one that was shown a
    little earlier or later: it counts in a stretch of such frames alone, or beside one that stands
    still. A look-alike shows the same for some seconds, and then something else.
    """
    usual = float(np.percentile(distance, 20))
    before = np.clip(partner - 1, 0, len(theirs) - 1)
    after = np.clip(partner + 1, 0, len(theirs) - 1)
    moving = np.maximum(
        pdq.distances(theirs[partner], theirs[before]),
        pdq.distances(theirs[partner], theirs[after]),
    )
    off = distance > 2.5 * usual + 10 + _MOVED * np.maximum(0, moving - _STILL)
    ends = np.flatnonzero(np.diff(np.concatenate([[False], off, [False]])))
    odd = 0
    for low, high in ends.reshape(-1, 2).tolist():
        if high - low >= _STRETCH or (moving[low:high] <= _STILL).any():
            odd += high - low
    return odd / len(distance)

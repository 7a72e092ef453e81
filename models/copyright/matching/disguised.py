"""Find works in uploads that show them in perspective, cropped to another shape, or in a corner.

Local features of the upload are looked up. Those that a work shares propose where it lies in the
upload (``geometry``). But the same room or the same screen has the same features in another film:
the upload is therefore straightened by the map and compared with the work over time. A copy must
change as the work changes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quorum.models.copyright.catalogue.works import WorkPrint
from quorum.models.copyright.index import kernels
from quorum.models.copyright.index.segments import Hits
from quorum.models.copyright.matching.alignment import Alignment, Seeds
from quorum.models.copyright.matching.cut import cut_from
from quorum.models.copyright.matching.geometry import Pairs, agreeing, located
from quorum.models.copyright.matching.pairing import SAME_SPEED
from quorum.models.copyright.matching.straightened import Straightening, closer, followed
from quorum.models.fingerprint.local import KIND_LOCAL, LocalPrint
from quorum.models.fingerprint.video import VideoPrint

__all__ = ["RADIUS", "DisguisedRun", "candidates", "parts_of", "queries_of", "runs_of"]

#: Search radius of local features, in bits; unrelated ones differ by about 110.
RADIUS = 44
#: The same between two frames that are known to share some.
_PAIRED_RADIUS = 60

_ANGLES = 16
#: Fewer consistent hits do not make a candidate.
_LEAST_HITS = 4
#: Hits of one keyframe and ratio of sizes that are chance.
_CHANCE_HITS = 2
#: More than the ratios of sizes in octaves, from -7 to 7.
_RATIOS = 18
#: Seconds of an upload that are compared at once.
_PART = 60.0
#: Pairs of keyframes that are compared: those with most hits.
_FRAME_PAIRS = 20

#: Minimum length of a run.
_MIN_SECONDS = 2.4

#: Seconds of a work up to which all of it is compared; of a longer one, what the upload could show
#: at up to this speed around the shared keyframes, and the most frames of it.
_COMPARED_WHOLE = 600.0
_FASTEST = 2.0
_MOST_FRAMES = 4_800
#: Score from which another place of the work is not tried.
_FOUND = 0.5
#: Agreement from which a place is brought closer, and score from which it need not be.
_PROMISING = 0.3
_CERTAIN = 0.99

#: The logistic score: the evidence that half of the probability takes where the work changes in
#: ``_WAYS`` ways or more, its rise for each way less, and its maximum; and the width. Set on the
#: development part of benchmarks/copyright_disguised.py.
_RICH, _WAYS, _POOR, _MOST = 0.70, 7.0, 0.06, 0.88
_SHARPNESS = 0.025
#: A short run cannot change in so many ways.
_FEW, _WAYS_PER_FRAME = 2.0, 0.3
#: Features and ways below which both the picture and its changes are too plain to tell one work
#: from another: a box that moves over an empty page.
_PLAIN_PAIRS, _PLAIN_WAYS = 24, 3.0
#: Unevenness that an edit causes, and the costs of more.
_UNEVEN, _UNEVEN_COSTS = 0.08, 1.2
#: Share of frames that may contradict, and what more costs for each way that lacks.
_ODD_ALLOWED, _ODD_COSTS = 0.05, 0.6
#: Run length in frames from which longer ones are better evidence.
_USUAL_FRAMES = 20


@dataclass(frozen=True, slots=True)
class DisguisedRun:
    """A run of an upload's frames that show a work somewhere in them.

    Attributes:
        start: Start in the upload, in seconds.
        end: End in the upload.
        alignment: Map to times of the work.
        mirrored: Whether the picture is flipped horizontally.
        frames: Number of the upload's frames in the run.
        pairs: Local features that agree on the place.
        cells: Share of the work that is visible.
        agreement: Correlation over time of the changes of upload and work, from -1 to 1.
        uneven: How much the difference of upload and work varies over time: an edit, such as a
            logo, changes all frames alike.
        ways: Number of independent changes of the work (participation ratio of its changes).
        area: Share of the upload that the work takes.
        odd: Share of frames that contradict the match.
        turn: Map from positions in the work to positions in the upload.
    """

    start: float
    end: float
    alignment: Alignment
    mirrored: bool
    frames: int
    pairs: int
    cells: float
    agreement: float
    uneven: float
    ways: float
    area: float
    odd: float
    turn: NDArray[np.float64]

    @property
    def score(self) -> float:
        """Probability that the upload shows the work and not a look-alike."""
        if self.end - self.start < _MIN_SECONDS:
            return 0.0
        if self.pairs < _PLAIN_PAIRS and self.ways < _PLAIN_WAYS:
            return 0.0
        paced = abs(np.log(self.alignment.speed)) > SAME_SPEED
        length = np.clip(0.05 * np.log2(self.frames / _USUAL_FRAMES), 0.0, 0.08)
        uneven = max(0.0, self.uneven - _UNEVEN)
        evidence = self.agreement - _UNEVEN_COSTS * uneven - 0.03 * paced + length
        # What changes in few ways, as a scrolled list does, agrees easily: it needs more evidence,
        # and what contradicts counts.
        lacking = max(0.0, min(_WAYS, _FEW + _WAYS_PER_FRAME * self.frames) - self.ways)
        evidence -= _ODD_COSTS * lacking * max(0.0, self.odd - _ODD_ALLOWED)
        needed = min(_RICH + _POOR * lacking, _MOST)
        return float(1 / (1 + np.exp((needed - evidence) / _SHARPNESS)))


def queries_of(local: LocalPrint) -> NDArray[np.uint8]:
    """Descriptors to look up: of all features, then of all of the mirrored frames."""
    return np.concatenate([local.descriptors, local.flipped])


def parts_of(video: VideoPrint, local: LocalPrint) -> list[tuple[VideoPrint, LocalPrint]]:
    """The upload in parts of a minute: a work may lie in another place in each."""
    count = max(1, round(float(local.times[-1]) / _PART)) if len(local.times) else 0
    if count <= 1:
        return [(video, local)] * count
    edges = np.linspace(0, count * _PART, count + 1)[1:-1]
    shown, described = np.digitize(video.times, edges), np.digitize(local.times, edges)
    return [
        (video.rows(shown == part), local.keyframes(described == part)) for part in range(count)
    ]


def _consistent(local: LocalPrint, hits: Hits) -> tuple[Hits, NDArray[np.int64]]:
    """The hits whose features are turned alike, and their difference in octaves."""
    kinds = np.concatenate([local.kinds, local.flipped_kinds])[hits.queries].astype(np.int64)
    theirs = hits.kinds.astype(np.int64)
    turn = (kinds - theirs) % _ANGLES
    upright = np.minimum(turn, _ANGLES - turn) <= 1
    octaves = (kinds - KIND_LOCAL) // 16 - (theirs - KIND_LOCAL) // 16
    return hits.where(upright), octaves[upright]


def candidates(local: LocalPrint, hits: Hits, most: int) -> list[tuple[int, bool]]:
    """Works of which keyframes share more features than by chance, and whether flipped; best first.

    Args:
        local: The upload's local features.
        hits: Hits of ``queries_of``.
        most: The most candidates.
    """
    hits, octaves = _consistent(local, hits)
    if not len(hits):
        return []
    features, frames = len(local), len(local.times)
    side = hits.works.astype(np.int64) * 2 + (hits.queries >= features)
    group = side * _RATIOS + octaves + _RATIOS // 2
    # Each feature of the upload votes once for a work, a flip and a ratio of sizes.
    votes = np.unique(group * features + hits.queries % features)
    group, feature = np.divmod(votes, features)
    cells = group * frames + local.frames[feature]
    near = np.concatenate([cells + step * frames for step in (-1, 0, 1)])
    cells, counts = np.unique(near, return_counts=True)
    beyond = np.maximum(0, counts - _CHANCE_HITS)
    groups, frame = np.divmod(cells, frames)
    sides = groups // _RATIOS
    # Each keyframe ranks the works: what else the upload shows must not crowd one out.
    order = np.lexsort((-beyond, frame))
    rank = np.arange(len(order)) - np.searchsorted(frame[order], frame[order])
    total: dict[int, int] = {}
    first: dict[int, int] = {}
    _, start = np.unique(groups, return_index=True)
    for one, value in zip(sides[start].tolist(), np.add.reduceat(beyond, start), strict=True):
        total[one] = max(total.get(one, 0), int(value))
    for one, place in zip(sides[order].tolist(), rank.tolist(), strict=True):
        first[one] = min(first.get(one, place), place)
    ranked = sorted(total, key=lambda one: (first[one], -total[one], one))
    return [(one // 2, bool(one % 2)) for one in ranked if total[one] >= _LEAST_HITS][:most]


def runs_of(
    video: VideoPrint,
    local: LocalPrint,
    hits: Hits,
    work: WorkPrint,
    *,
    mirrored: bool,
    cut: bool = True,
) -> list[DisguisedRun]:
    """Find the runs in which an upload shows one work.

    Args:
        video: The upload's frames.
        local: The upload's local features.
        hits: Hits of ``queries_of`` on this work.
        work: The work's fingerprint.
        mirrored: Whether it is looked for in the mirrored frames.
        cut: Whether it is looked for as a cut of the work, too, where features do not find it.
    """
    theirs = work.local
    if theirs is None or not len(theirs) or len(video.luma) < 2 or len(work.luma) < 2:
        return []
    if float(video.times[-1] - video.times[0]) < _MIN_SECONDS:
        return []
    hits, _ = _consistent(local, hits)
    mine = hits.where((hits.queries >= len(local)) == mirrored)
    moments, counts = _moments(local, theirs, mine)
    shared = moments[:_FRAME_PAIRS]
    luma = video.luma[:, :, ::-1] if mirrored else video.luma
    pairs = _pairs(local, theirs, shared, mirrored=mirrored).distinct()
    windows = _windows(video, local, theirs, shared, work.times)
    found: list[DisguisedRun] = []

    def compare(turn: NDArray[np.float64], agreed: int) -> bool:
        for rows in windows:
            view = Straightening(luma, local.shape, work.luma[rows], theirs.shape)
            found.extend(
                _runs(view, turn, agreed, video.times, work.times[rows], mirrored=mirrored)
            )
        return any(run.score >= _FOUND for run in found)

    if any(compare(*place) for place in located(pairs)) or not cut:
        return found
    seeds = Seeds(
        local.times[moments[:, 0]].astype(np.float64),
        theirs.times[moments[:, 1]].astype(np.float64),
        counts.astype(np.float64),
    )
    whole = Straightening(luma, local.shape, work.luma, theirs.shape)
    turn = cut_from(whole, video.times, work.times, seeds)
    if turn is not None:
        compare(turn, agreeing(pairs, turn))
    return found


def _runs(
    view: Straightening,
    turn: NDArray[np.float64],
    pairs: int,
    times: NDArray[np.float32],
    work_times: NDArray[np.float32],
    *,
    mirrored: bool,
) -> list[DisguisedRun]:
    """The runs along a map, and along one that brings the best of them closer."""
    made: list[DisguisedRun] = []
    for attempt in range(2):
        runs = list(followed(view, turn, times, work_times))
        made += [
            DisguisedRun(
                float(times[one.low]),
                float(times[one.high - 1]),
                one.alignment,
                mirrored,
                one.high - one.low,
                pairs,
                one.cells,
                one.agreement,
                one.uneven,
                one.ways,
                view.area(turn),
                one.odd,
                turn,
            )
            for one in runs
        ]
        best = max(runs, key=lambda one: one.agreement, default=None)
        if attempt or best is None or best.agreement < _PROMISING:
            break
        if any(run.score >= _CERTAIN for run in made):
            break
        moved = closer(
            view, turn, np.arange(best.low, best.high), best.alignment, times, work_times
        )
        if moved is None:
            break
        turn = moved
    return made


def _moments(
    local: LocalPrint, theirs: LocalPrint, hits: Hits
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Keyframes of the upload and of the work with hits, most first, shape (k, 2), and how many."""
    ours = local.frames[hits.queries % max(1, len(local))].astype(np.int64)
    keyframe = np.searchsorted(theirs.times, hits.seconds - 1e-4)
    pairs, counts = np.unique(np.stack([ours, keyframe], axis=1), axis=0, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    return np.asarray(pairs[order]), np.asarray(counts[order])


def _windows(
    video: VideoPrint,
    local: LocalPrint,
    theirs: LocalPrint,
    shared: NDArray[np.int64],
    times: NDArray[np.float32],
) -> list[slice]:
    """Rows of a work's frames that the upload may show: of a long work only around what is shared.

    That bounds the work of one candidate, however long the film is.
    """
    if float(times[-1] - times[0]) <= _COMPARED_WHOLE:
        return [slice(0, len(times))]
    first, last = float(video.times[0]), float(video.times[-1])
    kept = np.zeros(len(times), np.bool_)
    for ours, keyframe in shared.tolist():
        at, there = float(local.times[ours]), float(theirs.times[keyframe])
        low, high = there - _FASTEST * (at - first) - 1, there + _FASTEST * (last - at) + 1
        more = kept | ((times >= low) & (times <= high))
        if kept.any() and more.sum() > _MOST_FRAMES:
            break
        kept = more
    edges = np.flatnonzero(np.diff(np.concatenate([[0], kept.view(np.int8), [0]])))
    return [slice(int(low), int(high)) for low, high in edges.reshape(-1, 2) if high - low >= 2]


def _pairs(
    local: LocalPrint, theirs: LocalPrint, shared: NDArray[np.int64], *, mirrored: bool
) -> Pairs:
    """Features that are each other's nearest in pairs of keyframes."""
    descriptors = local.flipped if mirrored else local.descriptors
    kinds = local.flipped_kinds if mirrored else local.kinds
    parts: list[tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.int64]]] = []
    for frame, other in shared.tolist():
        a = np.flatnonzero(local.frames == frame)
        b = np.flatnonzero(theirs.frames == other)
        if not len(a) or not len(b):
            continue
        mine, other_row, least = kernels.mutual(
            descriptors[a].view(np.uint64), theirs.descriptors[b].view(np.uint64), _PAIRED_RADIUS
        )
        parts.append((a[mine], b[other_row], least))
    if not parts:
        none = np.zeros((0, 2))
        return Pairs(none, none, np.zeros(0, np.int64), np.zeros(0, np.int64))
    a, b, least = (np.concatenate(part) for part in zip(*parts, strict=True))
    octaves = (kinds[a].astype(np.int64) - KIND_LOCAL) // 16
    octaves -= (theirs.kinds[b].astype(np.int64) - KIND_LOCAL) // 16
    turn = (kinds[a].astype(np.int64) - theirs.kinds[b]) % _ANGLES
    upright = np.minimum(turn, _ANGLES - turn) <= 1
    return Pairs(
        local.places(a[upright], mirrored=mirrored),
        theirs.places(b[upright]),
        octaves[upright],
        least[upright],
    )

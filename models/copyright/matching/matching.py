"""Find the segments of an upload that are segments of registered works."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from quorum.models.copyright.catalogue.catalogue import Catalogue
from quorum.models.copyright.catalogue.works import KIND_SOUND, Work, WorkPrint
from quorum.models.copyright.index.segments import Hits
from quorum.models.copyright.matching import disguised, picture, sound
from quorum.models.copyright.matching.alignment import Alignment
from quorum.models.copyright.matching.contradiction import contradicted
from quorum.models.copyright.matching.straightened import Straightening
from quorum.models.fingerprint.audio import AudioPrint
from quorum.models.fingerprint.fingerprint import Fingerprint

__all__ = ["MIN_SCORE", "CopyMatch", "find_matches"]

Run = picture.VideoRun | sound.SoundRun | disguised.DisguisedRun

#: Minimum score; below it are chance matches and look-alikes.
MIN_SCORE = 0.5

#: Maximum number of works compared in full: those with most seeds.
_CANDIDATES = 12

#: Above this length only every second frame is looked up, to bound the cost.
_LONG_SECONDS = 60.0

#: Maximum number of works that are looked for in perspective, in parts and in corners.
_DISGUISED = 16
#: Of those, the ones that are looked for as a cut: it costs more, and a copy is among the first.
_CUTS = 6

#: Share of an upload's length from which a work that is found in its picture is not looked for
#: again, and share of a picture that counts as all of it.
_ENOUGH = 0.8
_WHOLE = 0.9


@dataclass(frozen=True, slots=True)
class CopyMatch:
    """A segment of an upload that copies a segment of a work.

    Attributes:
        work: The work.
        start: Start in the upload, in seconds.
        end: End in the upload.
        work_start: Start in the work, in seconds.
        work_end: End in the work.
        speed: Seconds of the work per second of the upload.
        mirrored: Whether the picture is flipped horizontally.
        medium: ``video``, ``audio`` or ``both``; ``file`` for equal coded content.
        upload_fraction: Share of the upload.
        work_fraction: Share of the work.
        score: Probability of a copy.
        pitch: Pitch of the upload's sound as a multiple of the work's.
        area: Share of the upload's picture that the work takes.
        visible: Share of the work's picture that is seen.
        doubted: Whether a part of the picture differs for a while, and no sound agrees.
    """

    work: Work
    start: float
    end: float
    work_start: float
    work_end: float
    speed: float
    mirrored: bool
    medium: str
    upload_fraction: float
    work_fraction: float
    score: float
    pitch: float = 1.0
    area: float = 1.0
    visible: float = 1.0
    doubted: bool = False

    @property
    def seconds(self) -> float:
        """Length in the upload."""
        return self.end - self.start

    @property
    def edits(self) -> list[str]:
        """Human-readable edits of the copy."""
        return [
            *(["mirrored"] if self.mirrored else []),
            *([f"at {self.speed:g} times its speed"] if abs(self.speed - 1) > 0.03 else []),
            *([f"at {self.pitch:.2f} times its pitch"] if abs(self.pitch - 1) > 0.01 else []),
            *([f"cut to {self.visible:.0%} of its picture"] if self.visible < _WHOLE else []),
            *([f"in {self.area:.0%} of the upload's picture"] if self.area < _WHOLE else []),
            *(["with something else in a part of it for a while"] if self.doubted else []),
        ]


def find_matches(found: Fingerprint, catalogue: Catalogue) -> list[CopyMatch]:
    """Find all matches of an upload, one per work and segment, best first.

    Args:
        found: The upload's fingerprint.
        catalogue: The catalogue to search.
    """
    matches = [
        _whole(found, *pair)
        for pair in map(catalogue.by_serial, catalogue.exact(found.digests()))
        if pair
    ]
    certain = {match.work.id for match in matches}
    # A track that a player would not choose may be chosen by a viewer: what it copies counts, too.
    for sight in found.sights:
        matches += [match for match in _similar(sight, catalogue) if match.work.id not in certain]
        certain |= {match.work.id for match in matches}
    return sorted(matches, key=lambda match: (-match.score, match.work.id, match.start))


def _whole(found: Fingerprint, work: Work, kept: WorkPrint) -> CopyMatch:
    return CopyMatch(
        work, 0.0, found.duration, 0.0, kept.duration, 1.0, False, "file", 1.0, 1.0, 1.0
    )


def _similar(found: Fingerprint, catalogue: Catalogue) -> list[CopyMatch]:
    video, audio = found.video, found.audio
    queries = None
    seen: Hits | None = None
    if video is not None and len(video) > 1:
        queries = picture.queries_of(video, 2 if found.duration > _LONG_SECONDS else 1)
        seen = catalogue.search(queries.hashes, picture.RADIUS)
    heard = [] if audio is None else [_heard(one, catalogue) for one in (audio, *audio.paced)]
    matches: list[CopyMatch] = []
    for serial in _candidates([*([seen] if seen else []), *(hits for _, _, hits in heard)]):
        pair = catalogue.by_serial(serial)
        if pair is None:
            continue
        work, kept = pair
        of_work: list[CopyMatch] = []
        if seen is not None and video is not None and queries is not None:
            mine = seen.where(seen.works == serial)
            runs: Iterable[Run] = picture.runs_of(video, queries, mine, kept)
            of_work += [
                _match(found, work, kept, run, "video") for run in runs if run.score >= MIN_SCORE
            ]
        for one, items, hits in heard:
            runs = sound.runs_of(one, items, hits.where(hits.works == serial), kept.audio)
            of_work += [
                _match(found, work, kept, run, "audio") for run in runs if run.score >= MIN_SCORE
            ]
        matches += _merged(of_work)
    return _with_disguised(found, catalogue, matches)


def _heard(audio: AudioPrint, catalogue: Catalogue) -> tuple[AudioPrint, NDArray[np.intp], Hits]:
    """A sound, the items at which its words begin, and the hits of the words."""
    words, items = sound.words_of(audio)
    hits = catalogue.search(words, picture.RADIUS)
    return audio, items, hits.where(hits.kinds == KIND_SOUND)


def _with_disguised(
    found: Fingerprint, catalogue: Catalogue, matches: list[CopyMatch]
) -> list[CopyMatch]:
    """The matches, and those that only local features show."""
    video, local = found.video, found.local
    if video is None or local is None or not len(local):
        return matches
    by_work: dict[str, list[CopyMatch]] = {}
    for match in matches:
        by_work.setdefault(match.work.id, []).append(match)
    for frames, features in disguised.parts_of(video, local):
        hits = catalogue.search_local(disguised.queries_of(features), disguised.RADIUS)
        likely = disguised.candidates(features, hits, _DISGUISED)
        for rank, (serial, mirrored) in enumerate(likely):
            pair = catalogue.by_serial(serial)
            if pair is None:
                continue
            work, kept = pair
            known = by_work.setdefault(work.id, [])
            if sum(one.upload_fraction for one in known if one.medium != "audio") >= _ENOUGH:
                continue
            mine = hits.where(hits.works == serial)
            runs = disguised.runs_of(
                frames, features, mine, kept, mirrored=mirrored, cut=rank < _CUTS
            )
            good = [
                _match(found, work, kept, run, "video") for run in runs if run.score >= MIN_SCORE
            ]
            if good:
                by_work[work.id] = _merged([*known, *good])
    return [match for each in by_work.values() for match in each]


def _candidates(hits: Iterable[Hits]) -> list[int]:
    """Serial numbers of the works with most distinct seed moments, at least two."""
    votes: dict[int, int] = {}
    for each in hits:
        pairs = np.unique(np.stack([each.works.astype(np.int64), each.queries]), axis=1)
        works, counts = np.unique(pairs[0], return_counts=True)
        for work, count in zip(works.tolist(), counts.tolist(), strict=True):
            votes[work] = votes.get(work, 0) + count
    order = sorted(votes, key=lambda work: (-votes[work], work))
    return [work for work in order[:_CANDIDATES] if votes[work] >= 2]


def _match(
    found: Fingerprint,
    work: Work,
    kept: WorkPrint,
    run: Run,
    medium: str,
) -> CopyMatch:
    alignment: Alignment = run.alignment
    ends = np.clip(alignment.at(np.array([run.start, run.end])), 0.0, max(kept.duration, 0.1))
    return CopyMatch(
        work,
        run.start,
        run.end,
        float(ends[0]),
        float(ends[1]),
        round(alignment.speed, 3),
        not isinstance(run, sound.SoundRun) and run.mirrored,
        medium,
        min(1.0, (run.end - run.start) / max(found.duration, run.end - run.start, 0.1)),
        min(1.0, float(ends[1] - ends[0]) / max(kept.duration, 0.1)),
        run.score,
        *_seen_as(run),
        not isinstance(run, sound.SoundRun) and _doubted(found, kept, run),
    )


def _doubted(
    found: Fingerprint, kept: WorkPrint, run: picture.VideoRun | disguised.DisguisedRun
) -> bool:
    """Whether a part of the picture contradicts a run; False where pictures were not kept."""
    video = found.video
    if video is None or found.local is None or kept.local is None or len(kept.luma) < 2:
        return False
    luma = video.luma[:, :, ::-1] if run.mirrored else video.luma
    view = Straightening(luma, found.local.shape, kept.luma, kept.local.shape)
    same = np.diag([*(view.shape / view.work_shape), 1.0])
    turn = run.turn if isinstance(run, disguised.DisguisedRun) else same
    span = (run.start, run.end)
    return contradicted(view, turn, run.alignment, video.times, kept.times, span)


def _seen_as(run: Run) -> tuple[float, float, float]:
    """Pitch, share of the upload and share of the work of a run."""
    if isinstance(run, disguised.DisguisedRun):
        return 1.0, run.area, run.cells
    return (1 / run.pace if isinstance(run, sound.SoundRun) else 1.0), 1.0, 1.0


def _merged(matches: list[CopyMatch]) -> list[CopyMatch]:
    """Keep the best match per segment; medium ``both`` if sound and picture agree."""
    kept: list[CopyMatch] = []
    for match in sorted(matches, key=lambda each: (-each.score * each.seconds, each.start)):
        for index, other in enumerate(kept):
            overlap = min(match.end, other.end) - max(match.start, other.start)
            if overlap > 0.5 * min(match.seconds, other.seconds):
                apart = abs((match.work_start - match.start) - (other.work_start - other.start))
                if match.medium != other.medium and apart < 1.5:
                    score = max(other.score, match.score)
                    kept[index] = replace(other, medium="both", score=score, doubted=False)
                break
        else:
            kept.append(match)
    return kept

"""Find the segments of an upload that are segments of registered works."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from quorum.models.copyright.catalogue.catalogue import Catalogue
from quorum.models.copyright.catalogue.works import KIND_SOUND, Work, WorkPrint
from quorum.models.copyright.index.segments import Hits
from quorum.models.copyright.matching import picture, sound
from quorum.models.copyright.matching.alignment import Alignment
from quorum.models.fingerprint.fingerprint import Fingerprint

__all__ = ["MIN_SCORE", "CopyMatch", "find_matches"]

#: Minimum score; below it are chance matches and look-alikes.
MIN_SCORE = 0.5

#: Maximum number of works compared in full: those with most seeds.
_CANDIDATES = 12

#: Above this length only every second frame is looked up, to bound the cost.
_LONG_SECONDS = 60.0

#: Every second audio word of an upload is looked up, four a second.
_WORD_STEP = 2


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
    queries = items = None
    hits: list[tuple[str, Hits]] = []
    if video is not None and len(video) > 1:
        queries = picture.queries_of(video, 2 if found.duration > _LONG_SECONDS else 1)
        hits.append(("video", catalogue.search(queries.hashes, picture.RADIUS)))
    if audio is not None and len(audio):
        words, items = sound.words_of(audio, _WORD_STEP)
        audio_hits = catalogue.search(words, picture.RADIUS)
        hits.append(("audio", audio_hits.where(audio_hits.kinds == KIND_SOUND)))
    matches: list[CopyMatch] = []
    for serial in _candidates(each for _, each in hits):
        pair = catalogue.by_serial(serial)
        if pair is None:
            continue
        work, kept = pair
        of_work: list[CopyMatch] = []
        for medium, each in hits:
            mine = each.where(each.works == serial)
            if medium == "video" and video is not None and queries is not None:
                runs: Iterable[picture.VideoRun | sound.SoundRun] = picture.runs_of(
                    video, queries, mine, kept
                )
            elif audio is not None and items is not None:
                runs = sound.runs_of(audio, items, mine, kept.audio)
            of_work += [
                _match(found, work, kept, run, medium) for run in runs if run.score >= MIN_SCORE
            ]
        matches += _merged(of_work)
    return matches


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
    run: picture.VideoRun | sound.SoundRun,
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
        isinstance(run, picture.VideoRun) and run.mirrored,
        medium,
        min(1.0, (run.end - run.start) / max(found.duration, run.end - run.start, 0.1)),
        min(1.0, float(ends[1] - ends[0]) / max(kept.duration, 0.1)),
        run.score,
    )


def _merged(matches: list[CopyMatch]) -> list[CopyMatch]:
    """Keep the best match per segment; medium ``both`` if sound and picture agree."""
    kept: list[CopyMatch] = []
    for match in sorted(matches, key=lambda each: (-each.score * each.seconds, each.start)):
        for index, other in enumerate(kept):
            overlap = min(match.end, other.end) - max(match.start, other.start)
            if overlap > 0.5 * min(match.seconds, other.seconds):
                apart = abs((match.work_start - match.start) - (other.work_start - other.start))
                if match.medium != other.medium and apart < 1.5:
                    kept[index] = replace(other, medium="both", score=max(other.score, match.score))
                break
        else:
            kept.append(match)
    return kept

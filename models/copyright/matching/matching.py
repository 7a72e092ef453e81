"""Finds which seconds of an upload are which seconds of which registered work."""

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

#: Under this score, what was found is chance or a look-alike.
MIN_SCORE = 0.5

#: Works that are compared in full: those with most seeds.
_CANDIDATES = 12

#: An upload longer than this is looked up by every second frame, to bound the cost.
_LONG_SECONDS = 60.0

#: Words of an upload's sound that are looked up: every second one, four a second.
_WORD_STEP = 2


@dataclass(frozen=True, slots=True)
class CopyMatch:
    """A segment of an upload that is a segment of a work.

    Attributes:
        work: The work.
        start: Seconds of the upload, from.
        end: To.
        work_start: Seconds of the work, from.
        work_end: To.
        speed: How much faster the upload plays.
        mirrored: Whether its picture is flipped left to right.
        medium: ``video``, ``audio`` or ``both``; ``file`` for the same coded content.
        upload_fraction: Part of the upload that is the work.
        work_fraction: Part of the work that is in the upload.
        score: Probability that it is a copy.
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


def find_matches(found: Fingerprint, catalogue: Catalogue) -> list[CopyMatch]:
    """All matches of an upload, the surest of each work and segment; best first.

    Args:
        found: The upload's fingerprint.
        catalogue: Where to look.
    """
    matches = [
        _whole(found, *pair)
        for pair in map(catalogue.by_serial, catalogue.exact(found.digests()))
        if pair
    ]
    certain = {match.work.id for match in matches}
    matches += [match for match in _similar(found, catalogue) if match.work.id not in certain]
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
        heard = catalogue.search(words, picture.RADIUS)
        hits.append(("audio", heard.where(heard.kinds == KIND_SOUND)))
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
    """The works with most distinct moments that are alike, at least two."""
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
    line: Alignment = run.line
    ends = np.clip(line.at(np.array([run.start, run.end])), 0.0, max(kept.duration, 0.1))
    return CopyMatch(
        work,
        run.start,
        run.end,
        float(ends[0]),
        float(ends[1]),
        round(line.speed, 3),
        isinstance(run, picture.VideoRun) and run.mirrored,
        medium,
        min(1.0, (run.end - run.start) / max(found.duration, run.end - run.start, 0.1)),
        min(1.0, float(ends[1] - ends[0]) / max(kept.duration, 0.1)),
        run.score,
    )


def _merged(matches: list[CopyMatch]) -> list[CopyMatch]:
    """One match a segment: the surest, told to be of both where sound and picture agree."""
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

"""Follows the sound of a work through that of an upload."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quorum.models.copyright.index.segments import Hits
from quorum.models.copyright.matching.alignment import Alignment, Seeds, align_seeds
from quorum.models.fingerprint.audio import ITEM_SECONDS, WORD_ITEMS, AudioPrint

__all__ = ["SoundRun", "runs_of", "words_of"]

#: Part of the bits at which an item speaks neither for nor against a match; chance is a half.
_EVEN = 0.38

#: Where a run's score is a half, and how fast it rises.
_ERRORS = 0.34
_SHARPNESS = 0.012

#: A run of this many seconds is told from chance; a shorter one must agree better, by a part of
#: the bits for each second that it lacks.
_SECONDS = 2.9
_SHORT_COSTS = 0.4

#: A still shorter run is told from chance by luck only.
MIN_SECONDS = 2.4

#: Items by which a line is moved when it is refined.
_SHIFTS = tuple(sorted(range(-4, 5), key=abs))


@dataclass(frozen=True, slots=True)
class SoundRun:
    """A run of an upload's sound that follows a run of a work's.

    Attributes:
        start: Seconds of the upload, from.
        end: To.
        line: How moments map to the work's.
        errors: Part of the bits that differ.
    """

    start: float
    end: float
    line: Alignment
    errors: float

    @property
    def score(self) -> float:
        """Probability that it is the work's sound."""
        length = self.end - self.start
        if length < MIN_SECONDS:
            return 0.0
        allowed = _ERRORS - _SHORT_COSTS * max(0.0, _SECONDS - length)
        return float(1 / (1 + np.exp((self.errors - allowed) / _SHARPNESS)))


def words_of(audio: AudioPrint, step: int = 1) -> tuple[NDArray[np.uint8], NDArray[np.intp]]:
    """The words by which a sound is looked up, and the item at which each begins."""
    at = np.flatnonzero(audio.distinctive())[::step]
    return audio.words()[at], at


def runs_of(
    audio: AudioPrint, items: NDArray[np.intp], hits: Hits, work: AudioPrint
) -> list[SoundRun]:
    """The runs in which an upload's sound follows one work's.

    Args:
        audio: The upload's sound.
        items: For each word that was looked up, the item at which it begins.
        hits: What was found of this work.
        work: Its sound.
    """
    seeds = Seeds(
        items[hits.queries].astype(np.float64) * ITEM_SECONDS,
        hits.seconds.astype(np.float64),
        1.0 - hits.distances / 64,
    )
    found = (_follow(audio, work, line) for line in align_seeds(seeds))
    return [run for run in found if run]


def _follow(audio: AudioPrint, work: AudioPrint, line: Alignment) -> SoundRun | None:
    at = np.arange(len(audio), dtype=np.float64) * ITEM_SECONDS
    wanted = np.round(line.at(at) / ITEM_SECONDS).astype(np.int64)
    best, errors = 0, np.zeros(0)
    for shift in _SHIFTS:
        errors_here = _errors(audio, work, wanted + shift)
        if not len(errors) or errors_here.mean() < errors.mean() - 1e-3:
            best, errors = shift, errors_here
    total = np.concatenate([[0.0], np.cumsum(_EVEN - errors)])
    high = int(np.argmax(total - np.minimum.accumulate(total)))
    low = int(np.argmin(total[: high + 1]))
    if high - low < WORD_ITEMS:
        return None
    moved = Alignment(line.speed, line.offset + best * ITEM_SECONDS, line.votes)
    # The last item listens for some seconds; its own begins the last eighth.
    return SoundRun(at[low], at[high - 1] + ITEM_SECONDS, moved, float(errors[low:high].mean()))


def _errors(audio: AudioPrint, work: AudioPrint, wanted: NDArray[np.int64]) -> NDArray[np.float64]:
    """Part of the bits that differ by item; outside of the work, and in silence, chance."""
    inside = (wanted >= 0) & (wanted < len(work))
    errors: NDArray[np.float64] = np.full(len(audio), 0.5)
    pairs = audio.items[inside] ^ work.items[wanted[inside]]
    errors[inside] = np.bitwise_count(pairs) / 32
    # An item as the one before is silence or a steady tone, and agrees with any other silence.
    still = np.zeros(len(audio), np.bool_)
    still[1:] = np.bitwise_count(audio.items[1:] ^ audio.items[:-1]) <= 1
    errors[still] = np.maximum(errors[still], _EVEN)
    return errors

"""Match the sound of an upload with the sound of a work."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quorum.models.copyright.index.segments import Hits
from quorum.models.copyright.matching.alignment import Alignment, Seeds, align_seeds, best_run
from quorum.models.fingerprint.audio import ITEM_SECONDS, WORD_ITEMS, AudioPrint

__all__ = ["SoundRun", "runs_of", "words_of"]

#: Bit error rate at which an item is neutral evidence; random items have 0.5.
_EVEN = 0.38

#: Centre and width of the logistic score.
_ERRORS = 0.34
_SHARPNESS = 0.012

#: Length in seconds at which a run is fully distinguishable from chance, and the reduction of the
#: tolerated bit error rate for each missing second.
_SECONDS = 2.9
_SHORT_COSTS = 0.4

#: Reduction of the tolerated bit error rate at another speed.
_PACE_COSTS = 0.02

#: Minimum length of a run, in seconds.
MIN_SECONDS = 2.4

#: Shifts of the refinement, in items.
_SHIFTS = tuple(sorted(range(-4, 5), key=abs))


@dataclass(frozen=True, slots=True)
class SoundRun:
    """A run of an upload's sound that follows a run of a work's sound.

    Attributes:
        start: Start in the upload, in seconds.
        end: End in the upload.
        alignment: Map to times of the work.
        errors: Bit error rate.
        pace: Speed at which the upload's sound was compared; its inverse is the change of pitch.
    """

    start: float
    end: float
    alignment: Alignment
    errors: float
    pace: float = 1.0

    @property
    def score(self) -> float:
        """Probability that it is the work's sound."""
        length = self.end - self.start
        if length < MIN_SECONDS:
            return 0.0
        allowed = _ERRORS - _SHORT_COSTS * max(0.0, _SECONDS - length)
        # Each speed that is tried is another chance to agree.
        allowed -= _PACE_COSTS * (self.pace != 1.0)
        return float(1 / (1 + np.exp((self.errors - allowed) / _SHARPNESS)))


def words_of(audio: AudioPrint) -> tuple[NDArray[np.uint8], NDArray[np.intp]]:
    """Distinctive words of a sound to look up, and the item at which each begins.

    All are: of a work some are indexed, and a copy begins at any of its own.
    """
    at = np.flatnonzero(audio.distinctive())
    return audio.words()[at], at


def runs_of(
    audio: AudioPrint, items: NDArray[np.intp], hits: Hits, work: AudioPrint
) -> list[SoundRun]:
    """Find the runs in which an upload's sound follows one work.

    Args:
        audio: The upload's sound.
        items: Start item of each word that was looked up.
        hits: Their hits on this work.
        work: The work's sound.
    """
    seeds = Seeds(
        items[hits.queries].astype(np.float64) * ITEM_SECONDS,
        hits.seconds.astype(np.float64),
        1.0 - hits.distances / 64,
    )
    found = (_follow(audio, work, alignment) for alignment in align_seeds(seeds))
    return [_as_uploaded(run, audio.pace) for run in found if run]


def _as_uploaded(run: SoundRun, pace: float) -> SoundRun:
    """A run of sound that was played at another speed, in times of the upload."""
    if pace == 1.0:
        return run
    moved = Alignment(run.alignment.speed / pace, run.alignment.offset, run.alignment.votes)
    return SoundRun(run.start * pace, run.end * pace, moved, run.errors, pace)


def _follow(audio: AudioPrint, work: AudioPrint, alignment: Alignment) -> SoundRun | None:
    at = np.arange(len(audio), dtype=np.float64) * ITEM_SECONDS
    wanted = np.round(alignment.at(at) / ITEM_SECONDS).astype(np.int64)
    best, errors = 0, np.zeros(0)
    for shift in _SHIFTS:
        errors_here = _errors(audio, work, wanted + shift)
        if not len(errors) or errors_here.mean() < errors.mean() - 1e-3:
            best, errors = shift, errors_here
    low, high = best_run(_EVEN - errors)
    if high - low < WORD_ITEMS:
        return None
    moved = Alignment(alignment.speed, alignment.offset + best * ITEM_SECONDS, alignment.votes)
    # An item covers several seconds; its own begin in the last eighth.
    return SoundRun(at[low], at[high - 1] + ITEM_SECONDS, moved, float(errors[low:high].mean()))


def _errors(audio: AudioPrint, work: AudioPrint, wanted: NDArray[np.int64]) -> NDArray[np.float64]:
    """Bit error rate of each item; chance outside the work and in silence."""
    inside = (wanted >= 0) & (wanted < len(work))
    errors: NDArray[np.float64] = np.full(len(audio), 0.5)
    pairs = audio.items[inside] ^ work.items[wanted[inside]]
    errors[inside] = np.bitwise_count(pairs) / 32
    # An item like its predecessor is silence or a steady tone, which matches any other silence.
    still = np.zeros(len(audio), np.bool_)
    still[1:] = np.bitwise_count(audio.items[1:] ^ audio.items[:-1]) <= 1
    errors[still] = np.maximum(errors[still], _EVEN)
    return errors

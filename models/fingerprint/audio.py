"""Fingerprints of sound: Chromaprint's items, packed into words as long as a picture's hash.

Chromaprint (Lalinsky, "How does Chromaprint work?", 2011) describes each eighth of a second by
32 bits about how the energy of the twelve notes moves. Eight items in a row make a word of 256
bits that stands for a second, so that the index of the frames' hashes serves sound as well.

The library is Debian's ``libchromaprint1`` (``chromaprint`` with Homebrew), called through
pyacoustid. Where it is absent, sound is not compared, and fingerprints say so.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["ABSENT", "ITEM_SECONDS", "WORD_ITEMS", "AudioHasher", "AudioPrint"]

#: Samples a second that Chromaprint works at.
_RATE = 11025
#: Seconds from one item to the next: a third of a frame of 4096 samples.
ITEM_SECONDS = 1365 / _RATE
#: Items in a word.
WORD_ITEMS = 8
#: A word whose items hardly differ is silence or a steady tone, and tells nothing.
_LEAST_FLIPS = 24

#: What a fingerprint says where the library is absent.
ABSENT = "sound is not compared: the Chromaprint library is not installed (libchromaprint1)"


@dataclass(frozen=True, slots=True)
class AudioPrint:
    """Chromaprint's items of a sound.

    Attributes:
        items: Shape (n,), uint32, one each ``ITEM_SECONDS``.
    """

    items: NDArray[np.uint32]

    def __len__(self) -> int:
        return len(self.items)

    def words(self) -> NDArray[np.uint8]:
        """All words, one starting at each item, shape (n - 7, 32)."""
        if len(self.items) < WORD_ITEMS:
            return np.zeros((0, 32), np.uint8)
        windows = np.lib.stride_tricks.sliding_window_view(self.items, WORD_ITEMS)
        return np.ascontiguousarray(windows).view(np.uint8).reshape(-1, 32)

    def seconds(self, words: NDArray[np.intp]) -> NDArray[np.float32]:
        """When some words begin."""
        return (words * ITEM_SECONDS).astype(np.float32)

    def distinctive(self) -> NDArray[np.bool_]:
        """Which words are more than silence or a steady tone, shape (n - 7,)."""
        if len(self.items) < WORD_ITEMS:
            return np.zeros(0, np.bool_)
        flips = np.bitwise_count(self.items[1:] ^ self.items[:-1])
        within = np.lib.stride_tricks.sliding_window_view(flips, WORD_ITEMS - 1)
        return np.asarray(within.sum(axis=1) >= _LEAST_FLIPS)


@lru_cache(maxsize=1)
def _library() -> Any:
    """The binding, or None where the shared library is absent."""
    try:
        import chromaprint
    except ImportError:
        return None
    return chromaprint


class AudioHasher:
    """Fingerprints the sound of one media file as it is decoded.

    Raises:
        ImportError: If Chromaprint is absent; ask ``available`` first.
    """

    @staticmethod
    def available() -> bool:
        """Whether Chromaprint is there."""
        return _library() is not None

    def __init__(self) -> None:
        import av

        library = _library()
        if library is None:
            raise ImportError(ABSENT)
        self._library = library
        self._fed = 0
        self._resampler = av.AudioResampler(format="s16", layout="mono", rate=_RATE)
        self._printer = library.Fingerprinter()
        self._printer.start(_RATE, 1)

    def add(self, frame: Any) -> None:
        """Take in one decoded frame (``av.AudioFrame``)."""
        for part in self._resampler.resample(frame):
            self._feed(part)

    def _feed(self, part: Any) -> None:
        samples = part.to_ndarray()
        self._fed += samples.size
        self._printer.feed(samples.tobytes())

    def finish(self) -> AudioPrint:
        """The items of all that was added."""
        if self._fed:
            for part in self._resampler.resample(None):
                self._feed(part)
        items, _ = self._library.decode_fingerprint(self._printer.finish(), base64=True)
        return AudioPrint(np.array(items, np.uint32))

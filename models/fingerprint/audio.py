"""Audio fingerprints: Chromaprint items, packed into 256-bit words.

Chromaprint (Lalinsky, "How does Chromaprint work?", 2011) describes each eighth of a second by
32 bits that encode how the energy of the twelve notes changes. Eight consecutive items form a word
of 256 bits that covers one second, so that one index serves frame hashes and sound.

The library is Debian's ``libchromaprint1`` (``chromaprint`` with Homebrew), called through
pyacoustid. Without it, sound is not compared, and fingerprints carry a notice.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quorum.models.media.sound import MonoSound

__all__ = ["ABSENT", "ITEM_SECONDS", "PACES", "WORD_ITEMS", "AudioHasher", "AudioPrint"]

#: Sample rate of Chromaprint, in Hz.
_RATE = 11025
#: Seconds between consecutive items: a third of a frame of 4096 samples.
ITEM_SECONDS = 1365 / _RATE
#: Items per word.
WORD_ITEMS = 8
#: Fewer bit flips than this within a word mean silence or a steady tone, which is not distinctive.
_LEAST_FLIPS = 24

#: Speeds at which an upload's sound is described as well, because another pitch gives other items:
#: the inverses of a pitch changed by up to 5 % either way, and of sound slowed down to 0.8.
PACES = (0.96, 0.98, 1.02, 1.04, 1.06, 1.08, 1.1, 1.12, 1.14, 1.16, 1.18, 1.2, 1.22)

#: Notice of a fingerprint that was made without the library.
ABSENT = "sound is not compared: the Chromaprint library is not installed (libchromaprint1)"


@dataclass(frozen=True, slots=True)
class AudioPrint:
    """Chromaprint items of a sound track.

    Attributes:
        items: Shape (n,), uint32, one per ``ITEM_SECONDS``.
        pace: Speed at which the sound was played, its pitch changing with it; 1 as it is.
        paced: The same sound at other speeds.
    """

    items: NDArray[np.uint32]
    pace: float = 1.0
    paced: tuple[AudioPrint, ...] = ()

    def __len__(self) -> int:
        return len(self.items)

    def words(self) -> NDArray[np.uint8]:
        """All overlapping words, one starting at each item, shape (n - 7, 32)."""
        if len(self.items) < WORD_ITEMS:
            return np.zeros((0, 32), np.uint8)
        windows = np.lib.stride_tricks.sliding_window_view(self.items, WORD_ITEMS)
        return np.ascontiguousarray(windows).view(np.uint8).reshape(-1, 32)

    def seconds(self, words: NDArray[np.intp]) -> NDArray[np.float32]:
        """Start times of the given words, in seconds."""
        return (words * ITEM_SECONDS).astype(np.float32)

    def distinctive(self) -> NDArray[np.bool_]:
        """Mask of the words that are more than silence or a steady tone, shape (n - 7,)."""
        if len(self.items) < WORD_ITEMS:
            return np.zeros(0, np.bool_)
        flips = np.bitwise_count(self.items[1:] ^ self.items[:-1])
        within = np.lib.stride_tricks.sliding_window_view(flips, WORD_ITEMS - 1)
        return np.asarray(within.sum(axis=1) >= _LEAST_FLIPS)


@lru_cache(maxsize=1)
def _library() -> Any:
    """The Chromaprint binding, or None if the shared library is not installed."""
    try:
        import chromaprint
    except ImportError:
        return None
    return chromaprint


class AudioHasher:
    """Computes the audio fingerprint of one media file while it is decoded.

    Args:
        paces: Further speeds at which the sound is described.

    Raises:
        ImportError: If Chromaprint is not installed; check ``available`` first.
    """

    @staticmethod
    def available() -> bool:
        """Whether Chromaprint is installed."""
        return _library() is not None

    def __init__(self, paces: tuple[float, ...] = ()) -> None:
        library = _library()
        if library is None:
            raise ImportError(ABSENT)
        self._library = library
        self._fed = 0
        self._waiting: list[bytes] = []
        self._held = 0
        self._mono = MonoSound("s16", _RATE)
        self._printers = {pace: library.Fingerprinter() for pace in (1.0, *paces)}
        for pace, printer in self._printers.items():
            # Samples of a higher rate are shorter: the sound is played faster.
            printer.start(round(_RATE * pace), 1)

    def add(self, frame: Any) -> None:
        """Add one decoded frame (``av.AudioFrame``)."""
        for samples in self._mono.samples(frame):
            self._feed(samples)

    def _feed(self, samples: NDArray[Any]) -> None:
        self._fed += samples.size
        self._waiting.append(samples.tobytes())
        self._held += samples.size
        if self._held >= _RATE:  # a call for each printer, seldom
            self._print()

    def _print(self) -> None:
        data = b"".join(self._waiting)
        self._waiting, self._held = [], 0
        for printer in self._printers.values():
            printer.feed(data)

    def finish(self) -> AudioPrint:
        """Flush, and return the fingerprint of all added frames."""
        if self._fed:
            for samples in self._mono.samples(None):
                self._feed(samples)
            self._print()
        made = [AudioPrint(self._items(printer), pace) for pace, printer in self._printers.items()]
        return AudioPrint(made[0].items, paced=tuple(made[1:]))

    def _items(self, printer: Any) -> NDArray[np.uint32]:
        items, _ = self._library.decode_fingerprint(printer.finish(), base64=True)
        return np.array(items, np.uint32)

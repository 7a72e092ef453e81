"""Sound that two loudspeakers play and one does not: what is of opposite sign in two channels.

All who listen turn sound into one channel, where it cancels out. A viewer hears it. So what the
channels differ in is a track of its own, if it is nearly as loud as what they have in common.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from quorum.models.media.tracks import Heard, Track

__all__ = ["Opposite"]

#: Energy of the difference, of that of the sum, from which on it is heard apart.
_LOUD: Final = 0.5
#: Mean square of a piece of sound below which it is silence: 60 dB below the loudest.
_SILENT: Final = 1e-6
#: The same of a piece of which one channel has next to nothing.
_ALONE: Final = 10.0
#: So many pieces with a loud difference make a track; music in stereo has a few.
_PIECES: Final = 3


class Opposite:
    """Finds the sound of a track that is lost in one channel.

    Args:
        track: The track.
    """

    def __init__(self, track: Track) -> None:
        import av

        self.track = replace(track, chosen=False, opposite=True)
        self._errors = (av.error.FFmpegError, ValueError)
        self._stereo: Any = None
        self._kind: tuple[str, str, int] | None = None
        self._held: list[Heard] = []
        self._found = False

    def take(self, heard: Heard) -> Iterator[Heard]:
        """Listen to the next piece; the pieces of ``track`` that are known now."""
        pair = self._pair(heard.frame)
        if pair is None:
            return
        difference = (pair[0] - pair[1]) / 2
        piece = replace(heard, track=self.track, frame=_mono(difference, heard.frame.sample_rate))
        if self._found:
            yield piece
            return
        common = float(np.square(pair[0] + pair[1]).mean()) / 4
        loud = float(np.square(difference).mean())
        if loud < max(_SILENT, _LOUD * common):
            return
        self._held.append(piece)
        if len(self._held) >= _PIECES or loud > _ALONE * common:
            self._found = True
            yield from self._in_time()

    def _in_time(self) -> Iterator[Heard]:
        """The pieces that were held, with silence before each: listeners count samples."""
        at = 0.0
        for piece in self._held:
            rate = piece.frame.sample_rate
            while piece.start - at > 1 / rate:
                end = min(piece.start, at + 1.0)
                silence = np.zeros(max(1, round((end - at) * rate)), np.float32)
                yield Heard(self.track, _mono(silence, rate), at, end)
                at = end
            yield piece
            at = max(at, piece.start + piece.frame.samples / rate)
        self._held = []

    def _pair(self, frame: Any) -> NDArray[np.float32] | None:
        """A piece of sound as two channels; None if it has one, or cannot be turned."""
        import av

        if len(frame.layout.channels) < 2:
            return None
        kind = (frame.format.name, frame.layout.name, int(frame.sample_rate))
        try:
            if kind != self._kind:
                self._stereo = av.AudioResampler(format="fltp", layout="stereo", rate=kind[2])
                self._kind = kind
            parts = [one.to_ndarray() for one in self._stereo.resample(frame)]
        except self._errors:
            return None
        return np.nan_to_num(np.concatenate(parts, axis=1)) if parts else None


def _mono(samples: NDArray[np.float32], rate: int) -> Any:
    import av

    made = av.AudioFrame.from_ndarray(samples[None, :], format="fltp", layout="mono")
    made.sample_rate = rate
    return made

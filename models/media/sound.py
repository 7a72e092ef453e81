"""Sound of one form for all who listen, whatever the file changes on its way."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Gathered", "MonoSound"]

#: The most samples that are handed on at once, and else those of a second: each piece costs more
#: than its samples.
_AT_ONCE = 192_000


class Gathered:
    """Puts the decoded pieces of a track together, which last some hundredths of a second."""

    def __init__(self) -> None:
        self._queue: Any = None
        self._kind: tuple[str, str, int] | None = None
        self._start = 0.0

    def add(self, frame: Any, at: float) -> Iterator[tuple[Any, float]]:
        """The larger pieces that are complete, each with the second at which it begins.

        Args:
            frame: An ``av.AudioFrame``.
            at: The second at which it begins.
        """
        import av

        if _kind(frame) != self._kind:
            yield from self.rest()
            self._kind = _kind(frame)
            self._queue = av.AudioFifo()
        if not self._queue.samples:
            self._start = at
        frame.pts = None  # its second is told by the clock of its track
        self._queue.write(frame)
        if self._queue.samples >= min(_AT_ONCE, frame.sample_rate):
            yield from self.rest()

    def rest(self) -> Iterator[tuple[Any, float]]:
        """The piece that is left, with the second at which it begins."""
        if self._queue is not None and self._queue.samples:
            yield self._queue.read(), self._start


class MonoSound:
    """Turns decoded pieces of a track into mono samples of one rate.

    A track may change its rate and its channels (ADTS, chained Ogg): what comes after is turned by
    a resampler of its own.

    Args:
        form: FFmpeg's name of the samples' format, such as ``flt``.
        rate: Samples a second.
    """

    def __init__(self, form: str, rate: int) -> None:
        self._form = form
        self._rate = rate
        self._resampler: Any = None
        self._kind: tuple[str, str, int] | None = None

    def samples(self, frame: Any) -> Iterator[NDArray[Any]]:
        """The samples of the next piece, each array of shape (n,).

        Args:
            frame: An ``av.AudioFrame``; None gives what is left at the end.
        """
        import av

        if frame is not None and _kind(frame) != self._kind:
            yield from self._turned(None)
            self._kind = _kind(frame)
            self._resampler = av.AudioResampler(format=self._form, layout="mono", rate=self._rate)
        yield from self._turned(frame)

    def _turned(self, frame: Any) -> Iterator[NDArray[Any]]:
        if self._resampler is None:
            return
        for part in self._resampler.resample(frame):
            yield np.asarray(part.to_ndarray()).reshape(-1)


def _kind(frame: Any) -> tuple[str, str, int]:
    return frame.format.name, frame.layout.name, int(frame.sample_rate)

"""Sound of one form for all who listen, whatever the file changes on its way."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["MonoSound"]


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

        if frame is not None:
            kind = (frame.format.name, frame.layout.name, int(frame.sample_rate))
            if kind != self._kind:
                yield from self._turned(None)
                self._kind = kind
                self._resampler = av.AudioResampler(
                    format=self._form, layout="mono", rate=self._rate
                )
        yield from self._turned(frame)

    def _turned(self, frame: Any) -> Iterator[NDArray[Any]]:
        if self._resampler is None:
            return
        for part in self._resampler.resample(frame):
            yield np.asarray(part.to_ndarray()).reshape(-1)

"""The clock of a viewer: the seconds at which a player shows what it has decoded."""

from __future__ import annotations

__all__ = ["TrackClock"]

#: A greater jump of a clock that may be reset is a reset, as in FFmpeg's own tool.
_JUMP = 10.0
#: Times that step back by less are out of order, not reset.
_DISORDER = 0.5


class TrackClock:
    """Gives each frame of a track its second: from zero, never backwards, without gaps of resets.

    Args:
        start: What the clock of the file shows at the beginning.
        step: Seconds of a frame that does not say how long it is shown.
        resets: Whether the container's clock may jump (transport streams).
        begin: The second at which a player shows what is at the beginning.
    """

    def __init__(self, start: float, step: float, *, resets: bool, begin: float = 0.0) -> None:
        self._start = start - begin
        self._step = step
        self._resets = resets
        self._begun = False
        self._last = begin
        self._next = begin
        self._begin = begin

    def seconds(self, time: float | None, duration: float | None) -> float:
        """The second of the next frame.

        Args:
            time: Its time by the clock of the file; None if it has none.
            duration: How long it says to be shown; None or 0 if it does not say.
        """
        if time is None:
            at = self._next
        else:
            at = time - self._start
            if not self._begun and self._resets and abs(at - self._begin) > _JUMP:
                at = self._move(at, self._begin)
            elif self._begun and at < self._last:
                at = self._last if at > self._last - _DISORDER else self._move(at, self._next)
            elif self._begun and self._resets and at > self._next + _JUMP:
                at = self._move(at, self._next)
        at = max(0.0, at, self._last)
        self._begun = True
        self._last = at
        self._next = at + (duration if duration and duration > 0 else self._step)
        return at

    @property
    def start(self) -> float:
        """What the clock of the file shows at second zero."""
        return self._start

    @property
    def end(self) -> float:
        """The second at which the last frame ends."""
        return self._next

    def _move(self, at: float, right: float) -> float:
        self._start += at - right
        return right

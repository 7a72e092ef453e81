"""Leaves out frames that no other frame needs and that are not shown when somebody looks."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from statistics import median_low
from typing import Any, Final

from quorum.models.media.between import Looks
from quorum.models.media.clock import TrackClock

__all__ = ["Ahead"]

#: Packets that are read ahead: H.264 and HEVC show a frame at most 16 frames after it is coded, so
#: that what replaces a frame on the screen is known.
_PACKETS: Final = 17
#: A packet is large from so many bytes for each pixel on, and so many times the median of those
#: before it: a flash is coded by itself, and the frames that nothing needs say how they differ.
_LEAST_BYTES: Final = 0.03 / 8
_LARGE: Final = 3
#: Of times, in seconds.
_ROUNDING: Final = 1e-4


class Ahead:
    """Reads the packets of a track ahead, to know how long each frame is shown.

    The frames that are looked at are the same as if all were decoded.

    Args:
        clock: The clock of the track.
        looks: When somebody looks; None for always.
        resets: Whether the clock may jump: then what came before tells nothing.
        pixels: Of a frame.
    """

    def __init__(
        self, clock: TrackClock, looks: Looks | None, *, resets: bool = False, pixels: int = 0
    ) -> None:
        self._clock = clock
        self._looks = looks
        self._queue: deque[tuple[Any, int | None]] = deque()
        self._before: deque[int] = deque(maxlen=0 if resets else _PACKETS)
        self._base = 0.0
        self._least = _LEAST_BYTES * pixels
        self._sizes: deque[int] = deque(maxlen=2 * _PACKETS)

    def through(self, packet: Any) -> Iterator[tuple[Any, bool]]:
        """The packets to decode now, each with whether its frame is looked at."""
        if self._looks is None:
            yield packet, True
            return
        if not packet.size:  # the end
            yield from self.rest()
            yield packet, True
            return
        self._queue.append((packet, packet.pts))
        if len(self._queue) > _PACKETS:
            yield self._next()

    def rest(self) -> Iterator[tuple[Any, bool]]:
        """The packets that are left."""
        while self._queue:
            yield self._next()

    def _next(self) -> tuple[Any, bool]:
        packet, pts = self._queue.popleft()
        if not self._base:
            self._base = float(packet.time_base or 0)
        if pts is None or not self._base or self._looks is None:
            return packet, True
        later = [one for _, one in self._queue if one is not None and one > pts]
        later += [one for one in self._before if one > pts]
        self._before.append(pts)
        if not later:
            return packet, True
        start = self._clock.start
        shown = pts * self._base - start - _ROUNDING
        gone = min(later) * self._base - start + _ROUNDING
        return packet, self._looks.within(shown, gone) or self._is_large(packet.size)

    def _is_large(self, size: int) -> bool:
        """Whether a packet may show what those around it do not: they say little of its picture."""
        self._sizes.append(size)
        return size >= self._least and size >= _LARGE * median_low(self._sizes)

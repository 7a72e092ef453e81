"""The part of a picture that players show: a clean aperture of ISO media, a crop of Matroska."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, Final

from quorum.core.errors import MediaRefused
from quorum.models.media.picture import Renderer
from quorum.models.media.tracks import Shown, Track

__all__ = ["Aperture", "Part", "apertures_of_boxes"]

#: A part with more of the picture's area is no other picture: edges of few pixels are usual.
_MOST: Final = 0.8
#: A box of a clean aperture, with its length.
_BOX: Final = b"\0\0\0\x28clap"
_MAX_BOXES: Final = 4


@dataclass(frozen=True, slots=True)
class Aperture:
    """A part of a stored picture, in pixels."""

    left: int
    top: int
    width: int
    height: int

    def within(self, width: int, height: int) -> Aperture | None:
        """What of it lies in a picture; None if that is nothing, or nearly all."""
        left, top = max(0, self.left), max(0, self.top)
        wide = min(width, self.left + self.width) - left
        high = min(height, self.top + self.height) - top
        if wide < 1 or high < 1 or wide * high > _MOST * width * height:
            return None
        return Aperture(left, top, wide, high)


def apertures_of_boxes(data: bytes, width: int, height: int) -> Iterator[Aperture]:
    """The clean apertures that a file of ISO media has for pictures of a size."""
    at = -1
    for _ in range(_MAX_BOXES):
        at = data.find(_BOX, at + 1)
        if at < 0 or at + 40 > len(data):
            return
        wide, a, high, b, right, c, down, d = struct.unpack(">IIIIiIiI", data[at + 8 : at + 40])
        if a and b and c and d:
            left = (width - wide / a) / 2 + right / c
            top = (height - high / b) / 2 + down / d
            yield Aperture(round(left), round(top), round(wide / a), round(high / b))


class Part:
    """What is shown in a part of the pictures of a track.

    Args:
        track: The track.
        aperture: The part.
        number: Its number among those of the track, from 1.
    """

    def __init__(self, track: Track, aperture: Aperture, number: int = 1) -> None:
        self._track = replace(track, part=number)
        self._aperture = aperture
        self._renderer = Renderer()
        self._cutter: tuple[tuple[Any, ...], Any] | None = None

    def of(self, shown: Shown) -> Iterator[Shown]:
        """The part of a picture; none if it is nothing, or nearly all.

        Raises:
            MediaRefused: If it cannot be cut out.
        """
        frame = shown.picture.frame
        part = self._aperture.within(frame.width, frame.height)
        if part is not None:
            try:
                cut = self._cut(frame, part)
            except (OSError, ValueError, RuntimeError) as error:  # FFmpeg's errors are of these
                msg = f"{self._track} could not be cut out"
                raise MediaRefused(msg) from error
            picture = replace(
                shown.picture, frame=cut, renderer=self._renderer
            )  # fmt: skip
            yield replace(shown, track=self._track, picture=picture)

    def _cut(self, frame: Any, part: Aperture) -> Any:
        key = (frame.width, frame.height, frame.format.name)
        if self._cutter is None or self._cutter[0] != key:
            import av.filter

            graph = av.filter.Graph()
            graph.threads = 1
            chain = (
                graph.add_buffer(
                    width=frame.width, height=frame.height, format=frame.format,
                    time_base=frame.time_base or Fraction(1, 1000),
                ),
                graph.add("crop", f"{part.width}:{part.height}:{part.left}:{part.top}"),
                graph.add("buffersink"),
            )  # fmt: skip
            graph.link_nodes(*chain).configure()
            self._cutter = (key, graph)
        self._cutter[1].push(frame)
        return self._cutter[1].pull()

"""Lines of words in media: seen in the frames, heard in the sound, or written beside them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

__all__ = ["MediaLine", "lines_of"]

#: The most characters of a line; a longer one is told in parts.
_MOST: Final = 1_000


@dataclass(frozen=True, slots=True)
class MediaLine:
    """A line of words in media.

    Attributes:
        text: The words: recognised, of a subtitle, or the title of a chapter.
        start: Seconds at which it is first seen or heard.
        end: Seconds at which it is last seen, or at which it ends.
    """

    text: str
    start: float
    end: float


def lines_of(text: str, start: float, end: float) -> Iterator[MediaLine]:
    """A text as lines, divided between words where it is long; none if it is empty.

    Args:
        text: The text.
        start: Seconds at which it is first seen.
        end: Seconds at which it is last seen.
    """
    at = 0
    while at < len(text):
        stop = at + _MOST
        if stop < len(text):
            space = text.rfind(" ", at, stop)
            stop = space + 1 if space > at else stop
        yield MediaLine(text[at:stop].strip(), start, end)
        at = stop

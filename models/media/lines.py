"""Lines of words in media: seen in the frames, heard in the sound, or written beside them."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["MediaLine"]


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

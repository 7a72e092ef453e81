"""Lines of words in media: seen in the frames, or heard in the sound."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["MediaLine"]


@dataclass(frozen=True, slots=True)
class MediaLine:
    """A line of words in media.

    Attributes:
        text: The recognised words.
        start: Seconds at which it is first seen or heard.
        end: Seconds at which it is last seen, or at which it ends.
    """

    text: str
    start: float
    end: float

"""The tracks of a media file, and what is shown, heard and read of them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from quorum.models.media.picture import Picture

__all__ = ["Heard", "Shown", "Track", "TrackKind"]


class TrackKind(StrEnum):
    """What a track holds."""

    VIDEO = "video"
    """Moving pictures, or a still one."""
    ATTACHED = "attached picture"
    """A picture that stands beside the film, such as a cover."""
    AUDIO = "audio"
    """Sound."""
    SUBTITLE = "subtitle"
    """Lines of text with their times."""


@dataclass(frozen=True, slots=True)
class Track:
    """One track of a file.

    Attributes:
        index: Its number in the file, from 0.
        kind: What it holds.
        codec: The name of its coding.
        chosen: Whether a player would play it, rather than another of its kind.
        size: Width and height as stored; (0, 0) for what is no picture.
        language: As the file tells it; empty if it does not.
        title: As the file tells it; empty if it does not.
        still: Whether it is one picture without a length.
        between: Whether it is what another track of this number shows between the looks at it.
        opposite: Whether it is what the channels of another track of this number differ in.
        part: The number of a part of its pictures that players show, from 1; 0 for the whole.
    """

    index: int
    kind: TrackKind
    codec: str
    chosen: bool
    size: tuple[int, int] = (0, 0)
    language: str = ""
    title: str = ""
    still: bool = False
    between: bool = False
    opposite: bool = False
    part: int = 0

    def __hash__(self) -> int:
        return hash((self.index, self.between, self.opposite, self.part))

    def __str__(self) -> str:
        facts = [self.codec, " x ".join(map(str, self.size)) if self.size[0] else ""]
        facts += [self.language, "played by default" if self.chosen else ""]
        facts += ["between the looks" if self.between else ""]
        facts += ["the part that is shown" if self.part else ""]
        facts += ["what its channels differ in" if self.opposite else ""]
        return f"{self.kind} track {self.index + 1} ({', '.join(filter(None, facts))})"


@dataclass(frozen=True, slots=True)
class Shown:
    """A picture of a track, for as long as it is shown.

    Attributes:
        track: Its track.
        picture: The picture.
        start: The second at which it appears.
        end: The second at which it is replaced.
    """

    track: Track
    picture: Picture
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Heard:
    """A piece of sound of a track.

    Attributes:
        track: Its track.
        frame: The samples, an ``av.AudioFrame``.
        start: The second at which it begins.
        end: The second at which it ends.
    """

    track: Track
    frame: Any
    start: float
    end: float

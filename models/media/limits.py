"""The limits of untrusted media: what may be opened, and how much of it is decoded."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Final, Self

from quorum.core.errors import MediaRefused
from quorum.core.settings import MediaAccess
from quorum.models.media.apart import grow_memory

__all__ = ["CONTAINER_OPTIONS", "MAX_SUBTITLES", "MAX_TRACKS", "Limits", "Work"]

#: FFmpeg's demuxers of actual media. Its playlist formats (HLS, concat, DASH, SDP) open further
#: files and addresses, which an untrusted file must not cause.
_DEMUXERS: Final = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,flv,asf,ogg,wav,mp3,flac,aac,"
    "h264,hevc,ivf,obu,m4v,mpegvideo,mjpeg"
)

#: Options of FFmpeg that hold before the first byte is probed.
CONTAINER_OPTIONS: Final = {
    "format_whitelist": _DEMUXERS,
    # FFmpeg reads through our file object alone: no protocol is needed.
    "protocol_whitelist": "none",
    # Seconds (in microseconds) and bytes that are read to find out about the tracks.
    "analyzeduration": "5000000",
    "probesize": "5000000",
    "max_probe_packets": "2000",
    "max_streams": "64",
    "max_index_size": "4194304",
    "max_picture_buffer": "16777216",
    # A field of a container that names another file is not followed.
    "enable_drefs": "0",
}

#: The most tracks of a kind that are judged; the others are told as left out.
MAX_TRACKS: Final = 8
#: The most lines of subtitles that are read of one file.
MAX_SUBTITLES: Final = 2000

#: Processor seconds that any file may take in one pass, and those for each second of its length
#: that was reached.
_BASE_SECONDS: Final = 8.0
_SECONDS_EACH: Final = 0.25
#: Decoded pixels that any file may take, and those for each second: 4K at 60 frames a second has
#: 0.5 thousand million.
_BASE_PIXELS: Final = 2_000_000_000
_PIXELS_EACH: Final = 500_000_000
#: Seconds that one picture may add to those that were reached: else a few pictures with times far
#: apart would allow as much as a long film.
_STRIDE: Final = 1.0
#: Processor seconds for each second of sound.
_HEARD_EACH: Final = 0.02
#: The clock of the processor is a call of the system: it is asked at most so often.
_LOOK_SECONDS: Final = 0.01
#: The wall clock runs faster than the processor's on a loaded machine.
_WALL: Final = 4.0


@dataclass(frozen=True, slots=True)
class Limits:
    """How much of one file is decoded.

    Attributes:
        max_seconds: At most this much of its length.
        max_pixels: A picture with more pixels is refused before it is decoded.
        max_unseen: Seconds of which at least one picture is looked at.
        bounded: Whether the work is bounded, too; not for works that the operator registers.
    """

    max_seconds: float = 600.0
    max_pixels: int = 40_000_000
    max_unseen: float = 20.0
    bounded: bool = True

    @classmethod
    def of(cls, access: MediaAccess) -> Self:
        """The limits of the settings."""
        return cls(access.max_seconds, access.max_pixels, access.max_unseen)

    def check_size(self, width: int, height: int) -> None:
        """Refuse a picture that is too large to be decoded.

        Raises:
            MediaRefused: If it has more than ``max_pixels``.
        """
        if width * height > self.max_pixels:
            raise MediaRefused(self.too_large(width, height))

    def too_large(self, width: int, height: int) -> str:
        """Say that a picture is too large."""
        return f"frames of {width} x {height} pixels; the limit is {self.max_pixels:,} pixels"


class Work:
    """Counts what decoding one file costs, and ends it when that is out of proportion.

    The allowance grows with the seconds of the media that were reached, so that a long honest film
    is read and a short dishonest one is not; the memory of a process that works apart grows with
    it. Every decoded picture counts, also one that is not looked at.

    Args:
        bounded: False to count only.

    Raises:
        MediaRefused: From ``spend`` or ``check``, if the allowance is spent.
    """

    def __init__(self, bounded: bool = True) -> None:
        self._bounded = bounded
        self._processor = time.thread_time()
        self._spent = 0.0
        self._wall = self._looked = time.monotonic()
        self._pixels = 0
        self._reached = 0.0
        self._credit = 0.0
        self._heard = 0.0

    def hear(self, reached: float) -> None:
        """Count a piece of sound, at a second of the media; sound allows little more work."""
        if reached > self._heard:
            self._heard = reached
            grow_memory(max(self._credit, self._heard))
        self.check()

    def spend(self, pixels: int, reached: float) -> None:
        """Count one decoded picture, at a second of the media."""
        self._pixels += pixels
        if reached > self._reached:
            self._credit += min(_STRIDE, reached - self._reached)
            self._reached = reached
            grow_memory(max(self._credit, self._heard))
        self.check()

    @property
    def share(self) -> float:
        """Share of the allowance that is spent; at 1 decoding ends."""
        if not self._bounded:
            return 0.0
        seconds = _BASE_SECONDS + _SECONDS_EACH * self._credit + _HEARD_EACH * self._heard
        pixels = _BASE_PIXELS + _PIXELS_EACH * self._credit
        now = time.monotonic()
        if now - self._looked >= _LOOK_SECONDS:
            self._looked = now
            self._spent = time.thread_time() - self._processor
        return max(
            self._spent / seconds,
            (now - self._wall) / (_WALL * seconds),
            self._pixels / pixels,
        )

    def check(self) -> None:
        """Raise MediaRefused if the allowance is spent."""
        if self.share >= 1.0:
            msg = f"too slow to decode: only the first {max(self._reached, self._heard):.0f} s"
            raise MediaRefused(msg)

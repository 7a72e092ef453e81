"""Decode media in one pass without seeking: bursts of frames, and sound as mono PCM.

Only demuxers of actual media are allowed: FFmpeg's playlist formats (HLS, concat, DASH) open
further files and URLs, which an untrusted file must not cause.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from quorum.core.errors import MediaRefused
from quorum.models.detectors import Audio, Frames
from quorum.models.features.grid import BURST, GRID, MAX_BURSTS, Bursts, Pages

__all__ = ["AUDIO_RATE", "BURST", "GRID", "MAX_BURSTS", "Decoded", "decode"]

#: Length of the shorter side of decoded frames, in pixels; detectors use 224 to 260.
_SHORT_SIDE = 256
#: The same for frames used for OCR, which needs more detail.
_PAGE_SHORT_SIDE = 480
_LONG_SIDE = 1024
AUDIO_RATE = 16_000
#: Wall-clock limit of decoding; protects against huge or malicious files.
_MAX_WORK_SECONDS = 30.0
#: Consecutive broken packets after which decoding stops.
_MAX_BROKEN = 200

_DEMUXERS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,flv,asf,ogg,wav,mp3,flac,aac,"
    "gif,apng,h264,hevc,ivf,m4v,mpegvideo,"
    "png_pipe,jpeg_pipe,webp_pipe,bmp_pipe,jpegxl_pipe"
)


@dataclass(slots=True)
class Decoded:
    """The decoded parts of a file.

    Attributes:
        frames: Frames for classifiers, if requested and available.
        pages: Frames for OCR, larger and further apart, if requested and available.
        audio: The sound, if requested and available.
        no_frames: Why ``frames`` is None.
        no_audio: Why ``audio`` is None.
        problems: What could not be decoded: "damaged after 3.2 s".
    """

    frames: Frames | None = None
    pages: Frames | None = None
    audio: Audio | None = None
    no_frames: str = "no video in the media"
    no_audio: str = "no sound in the media"
    problems: list[str] = field(default_factory=list)


class _DecodePass:
    """One pass over an open container."""

    def __init__(self, container: Any, max_seconds: float, max_pixels: int, max_pages: int) -> None:
        self._container = container
        self._max_seconds = max_seconds
        self._want_frames = True
        self._max_pixels = max_pixels
        self._grid = Bursts()
        self._pages = Pages(max_pages)
        self._sizes: dict[int, tuple[int, int]] = {}
        self._sound: list[NDArray[np.float32]] = []
        self._samples = 0
        self._start: float | None = None
        self._last_frame = 0.0
        self.reached = 0.0
        self.result = Decoded()

    def run(self, *, frames: bool, audio: bool) -> Decoded:
        """Decode the requested streams."""
        import av

        if not self._container.streams:
            msg = "media cannot be read: it holds no streams"
            raise MediaRefused(msg)
        streams = []
        self._want_frames = frames
        if (frames or self._pages.most) and self._container.streams.video:
            video = self._container.streams.video[0]
            if video.codec_context is None:
                self.result.no_frames = "the video codec is unknown"
            elif video.codec_context.width * video.codec_context.height > self._max_pixels:
                self.result.no_frames = self._too_large(video.codec_context)
            else:
                video.codec_context.options = {"max_pixels": str(self._max_pixels)}
                video.codec_context.thread_count = 1
                streams.append(video)
        if audio and self._container.streams.audio:
            sound = self._container.streams.audio[0]
            if sound.codec_context is None:
                self.result.no_audio = "the audio codec is unknown"
            else:
                streams.append(sound)
        resampler = av.AudioResampler(format="flt", layout="mono", rate=AUDIO_RATE)
        if streams:
            for kind, frame in self._decoded(streams):
                if kind == "video":
                    self._add_frame(frame)
                else:
                    self._add_samples(resampler.resample(frame))
            with contextlib.suppress(av.error.FFmpegError, ValueError):
                self._add_samples(resampler.resample(None))
        return self._finish()

    def _too_large(self, size: Any) -> str:
        limit = f"the limit is {self._max_pixels:,} pixels"
        return f"frames of {size.width} x {size.height} pixels; {limit}"

    def _decoded(self, streams: list[Any]) -> Iterator[tuple[str, Any]]:
        import av

        end = time.monotonic() + _MAX_WORK_SECONDS
        broken = 0
        done: set[int] = set()
        packets = self._container.demux(streams)
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except (av.error.FFmpegError, OSError):
                self.result.problems.append(f"damaged after {self.reached:.1f} s")
                return
            if time.monotonic() > end:
                self.result.problems.append(
                    f"too slow to decode: only the first {self.reached:.0f} s"
                )
                return
            if packet.stream.index in done:
                continue
            try:
                for frame in packet.decode():
                    at = self._time_of(frame)
                    if at > self._max_seconds:
                        done.add(packet.stream.index)
                        break
                    broken = 0
                    self.reached = max(self.reached, at)
                    yield packet.stream.type, frame
            except MediaRefused as refused:
                self.result.problems.append(str(refused))
                return
            except (av.error.FFmpegError, ValueError, OSError):
                if broken == 0:
                    self.result.problems.append(f"damaged at {self.reached:.1f} s")
                broken += 1
                if broken >= _MAX_BROKEN:
                    return
            if len(done) == len(streams):
                self.result.problems.append(f"only the first {self._max_seconds:.0f} s were read")
                return

    def _time_of(self, frame: Any) -> float:
        at = frame.time
        if at is None:
            return self.reached
        if self._start is None:
            self._start = float(at)
        return max(0.0, float(at) - self._start)

    def _add_frame(self, frame: Any) -> None:
        if frame.width * frame.height > self._max_pixels:
            raise MediaRefused(self._too_large(frame))
        at = self._time_of(frame)
        self._last_frame = max(self._last_frame, at)
        if (
            self._want_frames
            and self._grid.wants(at)
            and not (self._grid.times and at <= self._grid.times[-1])
        ):
            self._grid.add(at, self._reduced(frame, _SHORT_SIDE))
        if self._pages.wants(at):
            self._pages.add(at, self._reduced(frame, _PAGE_SHORT_SIDE))

    def _reduced(self, frame: Any, short_side: int) -> NDArray[np.uint8]:
        """Scale to the size of the first frame, even if the stream changes its size later."""
        if short_side not in self._sizes:
            scale = min(1.0, short_side / min(frame.width, frame.height))
            scale = min(scale, _LONG_SIDE / max(frame.width, frame.height))
            made = (max(2, round(frame.width * scale)), max(2, round(frame.height * scale)))
            self._sizes[short_side] = made
        width, height = self._sizes[short_side]
        small = frame.reformat(width=width, height=height, format="rgb24")
        return np.ascontiguousarray(small.to_ndarray())

    def _add_samples(self, frames: list[Any]) -> None:
        limit = int(self._max_seconds * AUDIO_RATE)
        for frame in frames:
            samples = np.asarray(frame.to_ndarray(), dtype=np.float32).reshape(-1)
            samples = samples[: max(0, limit - self._samples)]
            self._samples += len(samples)
            if len(samples):
                self._sound.append(samples)

    def _kept(self, kept: Bursts | Pages) -> Frames | None:
        if not kept.pixels:
            return None
        times = np.asarray(kept.times, dtype=np.float64)
        return Frames(np.stack(kept.pixels), times, self._last_frame)

    def _finish(self) -> Decoded:
        result = self.result
        if self._want_frames:
            result.frames = self._kept(self._grid)
        result.pages = self._kept(self._pages)
        if self._grid.pixels or self._pages.pixels:
            result.problems = list(dict.fromkeys(result.problems))
        elif result.problems and result.no_frames == "no video in the media":
            result.no_frames = (
                f"no frame could be read: {result.problems[0]}, or of more than "
                f"{self._max_pixels:,} pixels"
            )
        if self._sound:
            samples = np.clip(np.nan_to_num(np.concatenate(self._sound)), -1.0, 1.0)
            result.audio = Audio(samples.astype(np.float32), AUDIO_RATE)
        return result


class _AnonymousFile:
    """An open file without a name, so that FFmpeg cannot use the name to find other files."""

    def __init__(self, file: BinaryIO) -> None:
        self.read = file.read
        self.seek = file.seek
        self.tell = file.tell


def decode(
    path: Path,
    *,
    frames: bool,
    audio: bool,
    max_seconds: float,
    max_pixels: int,
    max_pages: int = 0,
) -> Decoded:
    """Decode a media file in one pass.

    Args:
        path: The file.
        frames: Decode frames.
        audio: Decode sound.
        max_seconds: Decode at most this much.
        max_pixels: Reject larger frames before decoding.
        max_pages: Maximum number of frames for OCR.

    Raises:
        MediaRefused: If the format is unknown or the file is damaged at its start.
    """
    import av

    av.logging.set_level(av.logging.PANIC)
    options = {"format_whitelist": _DEMUXERS, "protocol_whitelist": "file,pipe"}
    try:
        with path.open("rb") as file, av.open(_AnonymousFile(file), options=options) as container:
            made = _DecodePass(container, max_seconds, max_pixels, max_pages)
            return made.run(frames=frames, audio=audio)
    except (av.error.FFmpegError, ValueError, OSError, IndexError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        msg = f"media cannot be read: {reason}"
        raise MediaRefused(msg) from error

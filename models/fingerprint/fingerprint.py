"""Fingerprints of media files, of registered works and of uploads.

One pass over the packets computes exact digests, which survive remuxing and removed metadata, and
perceptual hashes of frames and sound, which survive editing.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import av
from av.error import FFmpegError

from quorum.core.errors import ArtifactError, InputError, MediaRefused
from quorum.models.fingerprint.audio import ABSENT, AudioHasher, AudioPrint
from quorum.models.fingerprint.packed import pack, unpack
from quorum.models.fingerprint.video import FrameHasher, VideoPrint

__all__ = ["UPLOAD_RATE", "WORK_RATE", "Fingerprint", "fingerprint"]

#: Sampling rates of uploads and of works, in frames per second. Works are sampled twice as often,
#: so that a frame of an upload has a partner within a sixteenth of a second at any speed.
UPLOAD_RATE = 4.0
WORK_RATE = 8.0

_CHUNK = 1 << 20

#: Array fields of ``VideoPrint``, in order.
_VIDEO = ("times", "quality", "published", "views", "mirrored")

#: A stream with fewer distinct packets, or with packets of little more than a header, has no
#: digest: digital silence, black or a still picture give equal packets in unrelated files.
_MIN_DIFFERENT_PACKETS = 8
_MIN_PACKET_BYTES = 64

#: Above this ratio of frame rate to sampling rate, non-reference frames are not decoded.
_SKIP_ABOVE = 3.5

#: Decoding errors after which a stream is abandoned.
_MAX_ERRORS = 50


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """Digests and perceptual hashes of one media file.

    Attributes:
        digest: SHA-256 of the file, in hexadecimal.
        streams: SHA-256 of the coded packets of each video and audio stream that is distinctive,
            in file order.
        duration: Seconds of the media.
        video: Hashes of the frames; None without video.
        audio: Hashes of the sound; None without audio or without Chromaprint.
        notices: Human-readable warnings about missing or damaged parts.
    """

    digest: str
    streams: tuple[str, ...] = ()
    duration: float = 0.0
    video: VideoPrint | None = None
    audio: AudioPrint | None = None
    notices: tuple[str, ...] = field(default=())

    def digests(self) -> frozenset[str]:
        """All exact digests; two files that share one have equal coded content."""
        return frozenset((self.digest, *self.streams))

    def to_bytes(self) -> bytes:
        """Serialise for storage: about 1 KB per second of video."""
        video = {f"video_{name}": getattr(self.video, name) for name in _VIDEO if self.video}
        audio = {"audio_items": self.audio.items} if self.audio else {}
        facts = {
            "format": 1,
            "digest": self.digest,
            "streams": list(self.streams),
            "duration": self.duration,
            "notices": list(self.notices),
        }
        return pack(facts, {**video, **audio})

    @classmethod
    def from_bytes(cls, data: bytes) -> Fingerprint:
        """Deserialise the output of ``to_bytes``.

        Raises:
            ArtifactError: If the bytes are truncated or of an unknown format.
        """
        facts, arrays = unpack(data)
        if facts.get("format") != 1:
            msg = "a stored fingerprint has an unknown format"
            raise ArtifactError(msg)
        video = [arrays.get(f"video_{name}") for name in _VIDEO]
        items = arrays.get("audio_items")
        return cls(
            facts["digest"],
            tuple(facts["streams"]),
            facts["duration"],
            VideoPrint(*(part for part in video if part is not None))
            if video[0] is not None
            else None,
            AudioPrint(items) if items is not None else None,
            tuple(facts["notices"]),
        )


def fingerprint(
    path: Path,
    *,
    rate: float = UPLOAD_RATE,
    max_seconds: float | None = None,
    max_pixels: int = 40_000_000,
) -> Fingerprint:
    """Compute the fingerprint of a media file.

    Args:
        path: A local file.
        rate: Frames hashed per second: ``UPLOAD_RATE`` or ``WORK_RATE``.
        max_seconds: Decode at most this much of the media; None for all of it.
        max_pixels: Reject video with larger frames.

    Raises:
        MediaRefused: If the frames are larger than allowed.
        InputError: If the file cannot be read, is empty, is not media, or has neither video nor
            audio.
    """
    try:
        digest = _file_digest(path)
        with av.open(str(path), metadata_errors="ignore") as container:
            return _FingerprintPass(container, path.name, rate, max_seconds, max_pixels).run(digest)
    except FFmpegError as error:
        msg = f"{path.name} is not readable media: {error.strerror or error}"
        raise InputError(msg) from None
    except OSError as error:
        msg = f"cannot read {path.name}: {error.strerror or error}"
        raise InputError(msg) from None


def _file_digest(path: Path) -> str:
    sha = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_CHUNK):
            sha.update(block)
        if file.tell() == 0:
            msg = f"{path.name} is empty"
            raise InputError(msg)
    return sha.hexdigest()


class _PacketDigest:
    """SHA-256 of the coded packets of one stream."""

    def __init__(self) -> None:
        self._sha = hashlib.sha256()
        self._different: set[bytes] = set()

    def add(self, packet: Any) -> None:
        data = bytes(packet)
        self._sha.update(len(data).to_bytes(8, "big"))
        self._sha.update(data)
        if len(data) >= _MIN_PACKET_BYTES and len(self._different) < _MIN_DIFFERENT_PACKETS:
            self._different.add(data)

    def result(self) -> str | None:
        """The digest; None if the stream is not distinctive."""
        distinctive = len(self._different) >= _MIN_DIFFERENT_PACKETS
        return self._sha.hexdigest() if distinctive else None


class _FingerprintPass:
    """One pass over an open container."""

    def __init__(
        self,
        container: Any,
        name: str,
        rate: float,
        max_seconds: float | None,
        max_pixels: int,
    ) -> None:
        self._container = container
        self._rate = rate
        self._limit = max_seconds if max_seconds is not None else float("inf")
        self._notices: list[str] = []
        self._end = 0.0
        self._next_sample = 0.0
        self._errors = 0
        self._complete = True
        streams = [s for s in container.streams if s.type in ("video", "audio")]
        if not streams:
            msg = f"{name} has neither video nor audio"
            raise InputError(msg)
        self._digests = {stream.index: _PacketDigest() for stream in streams}
        self._streams = streams
        pictures = [s for s in container.streams.video if not _is_cover(s)]
        self._video = self._prepare(pictures[0], name, max_pixels) if pictures else None
        self._frames = FrameHasher() if self._video else None
        self._sound = container.streams.audio[0] if container.streams.audio else None
        self._audio = None
        if self._sound and AudioHasher.available():
            self._audio = AudioHasher()
        elif self._sound:
            self._notices.append(ABSENT)

    def _prepare(self, stream: Any, name: str, max_pixels: int) -> Any:
        context = stream.codec_context
        if context.width * context.height > max_pixels:
            msg = f"{name} has frames of {context.width} x {context.height}; too large to decode"
            raise MediaRefused(msg)
        stream.thread_type = "NONE"
        context.thread_count = 1
        # Deblocking makes no difference after the reduction to a raster.
        context.options = {"skip_loop_filter": "all"}
        if stream.average_rate and stream.average_rate >= _SKIP_ABOVE * self._rate:
            context.skip_frame = "NONREF"
        return stream

    def run(self, digest: str) -> Fingerprint:
        """Read to the end, to the time limit, or to the first damage."""
        wanted = {
            stream.index
            for stream in (self._video, self._sound if self._audio else None)
            if stream is not None
        }
        try:
            for packet in self._container.demux(self._streams):
                if packet.size:
                    self._digests[packet.stream.index].add(packet)
                if packet.stream.index in wanted and not self._decode(packet):
                    wanted.discard(packet.stream.index)
                    if not wanted:
                        self._complete = False
                        break
        except FFmpegError as error:
            self._complete = False
            self._notices.append(f"damaged after {self._end:.1f} s: {error.strerror or error}")
        if self._errors:
            self._notices.append(f"{self._errors} damaged packets were skipped")
        found = (self._digests[stream.index].result() for stream in self._streams)
        duration = self._container.duration
        return Fingerprint(
            digest,
            tuple(each for each in found if each) if self._complete else (),
            max(duration / av.time_base if duration else 0.0, self._end),
            self._frames.finish() if self._frames else None,
            self._audio.finish() if self._audio else None,
            tuple(self._notices),
        )

    def _decode(self, packet: Any) -> bool:
        """Decode one packet; False if no more packets of its stream are needed."""
        try:
            frames = packet.decode()
        except FFmpegError:
            self._errors += 1
            return self._errors < _MAX_ERRORS
        for frame in frames:
            at = frame.time
            if at is None:
                continue
            if at > self._limit:
                self._notices.append(f"only the first {self._limit:g} s were compared")
                return False
            self._end = max(self._end, at)
            if packet.stream.type == "audio":
                if self._audio:
                    self._audio.add(frame)
            elif self._frames and at >= self._next_sample:
                self._frames.add(frame, at)
                self._next_sample = (int(at * self._rate) + 1) / self._rate
        return True


def _is_cover(stream: Any) -> bool:
    """Whether a video stream is attached cover art."""
    return bool(stream.disposition & stream.disposition.attached_pic)

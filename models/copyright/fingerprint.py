"""The fingerprint of a media file: what the catalogue keeps of a work and asks of an upload.

The exact part is a digest of the file and one of each stream's coded packets. Packets survive
a change of container, a stripped tag and a renamed file, so a copy that was only wrapped anew
is found by an equality, without a doubt and without decoding.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
from av.error import FFmpegError

from quorum.errors import InputError

__all__ = ["Fingerprint", "fingerprint"]

_CHUNK = 1 << 20

#: A stream of fewer different packets, or of packets that hold little but a header, is no
#: evidence: digital silence, black or one still picture gives the same packets in files that
#: have nothing to do with each other.
_MIN_DIFFERENT_PACKETS = 8
_MIN_PACKET_BYTES = 64


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What identifies one media file.

    Attributes:
        digest: SHA-256 of the file's bytes, as hexadecimal digits.
        streams: SHA-256 of the coded packets of each video and audio stream that says enough
            to be told from others, in the order of the file.
        duration: Seconds of the media; 0 where the container does not say.
    """

    digest: str
    streams: tuple[str, ...] = ()
    duration: float = 0.0

    def digests(self) -> frozenset[str]:
        """All exact digests; two files that share one carry the same coded content."""
        return frozenset((self.digest, *self.streams))

    def to_json(self) -> dict[str, Any]:
        """The fingerprint as a catalogue file holds it."""
        return {"digest": self.digest, "streams": list(self.streams), "duration": self.duration}


def fingerprint(path: Path) -> Fingerprint:
    """Fingerprint one media file.

    Args:
        path: A local file.

    Raises:
        InputError: If the file cannot be read, is empty, is no media, or has neither video nor
            audio.
    """
    try:
        digest = _file_digest(path)
        with av.open(str(path), metadata_errors="ignore") as container:
            streams, duration = _stream_digests(container)
    except FFmpegError as error:
        msg = f"{path.name} is no media that can be read: {error.strerror or error}"
        raise InputError(msg) from None
    except OSError as error:
        msg = f"cannot read {path.name}: {error.strerror or error}"
        raise InputError(msg) from None
    return Fingerprint(digest, streams, duration)


def _file_digest(path: Path) -> str:
    sha = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_CHUNK):
            sha.update(block)
        if file.tell() == 0:
            msg = f"{path.name} is empty"
            raise InputError(msg)
    return sha.hexdigest()


def _stream_digests(container: Any) -> tuple[tuple[str, ...], float]:
    """Digest the packets of each stream, and the seconds that the media lasts."""
    streams = [stream for stream in container.streams if stream.type in ("video", "audio")]
    if not streams:
        msg = f"{Path(container.name).name} has neither video nor audio"
        raise InputError(msg)
    shas = {stream.index: hashlib.sha256() for stream in streams}
    different: dict[int, set[bytes]] = {stream.index: set() for stream in streams}
    end = 0.0
    try:
        for packet in container.demux(streams):
            if not packet.size:
                continue
            data = bytes(packet)
            index = packet.stream.index
            sha = shas[index]
            sha.update(len(data).to_bytes(8, "big"))
            sha.update(data)
            telling = len(data) >= _MIN_PACKET_BYTES
            if telling and len(different[index]) < _MIN_DIFFERENT_PACKETS:
                different[index].add(data)
            if packet.pts is not None:
                last = packet.pts + (packet.duration or 0)
                end = max(end, float(last * packet.time_base))
    except FFmpegError:
        # Damaged in the middle: the whole was not seen, so only the file's digest holds.
        return (), end
    if container.duration:
        end = container.duration / av.time_base
    kept = tuple(
        shas[stream.index].hexdigest()
        for stream in streams
        if len(different[stream.index]) >= _MIN_DIFFERENT_PACKETS
    )
    return kept, end

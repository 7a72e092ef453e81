"""Fingerprints of media files, of registered works and of uploads.

One pass over the packets computes exact digests, which survive remuxing and removed metadata, and
perceptual hashes of frames and sound, which survive editing.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quorum.core.errors import ArtifactError, InputError, MediaRefused
from quorum.models.fingerprint.audio import ABSENT, PACES, AudioHasher, AudioPrint
from quorum.models.fingerprint.local import LOCAL, LocalHasher, LocalPrint
from quorum.models.fingerprint.packed import pack, squeezed, unpack, unsqueezed
from quorum.models.fingerprint.video import LUMA, FrameHasher, VideoPrint
from quorum.models.media.container import PacketListener
from quorum.models.media.door import Media, open_media
from quorum.models.media.limits import Limits
from quorum.models.media.lines import MediaLine
from quorum.models.media.picture import GROUNDS
from quorum.models.media.tracks import Heard, Shown, Track, TrackKind

__all__ = [
    "UPLOAD_RATE",
    "WORK_RATE",
    "FileDigests",
    "Fingerprint",
    "Fingerprinting",
    "digests_of",
    "fingerprint",
    "unreadable",
]

#: Sampling rates of uploads and of works, in frames per second. Works are sampled twice as often,
#: so that a frame of an upload has a partner within a sixteenth of a second at any speed.
UPLOAD_RATE = 4.0
WORK_RATE = 8.0

#: Seconds between keyframes and features of each. Copies are looked for in all of an upload's
#: keyframes; of a work fewer are enough, because what stands in a scene stands in several.
_UPLOAD_KEYFRAMES = (0.5, 200)
_WORK_KEYFRAMES = (1.0, 120)

_CHUNK = 1 << 20

_UNREADABLE = "media cannot be read: "

#: Format of stored fingerprints, and those that are read; the first has no local features.
_FORMAT = 2
_FORMATS = (1, _FORMAT)

#: Array fields of ``VideoPrint`` that are stored as they are, in order.
_VIDEO = ("times", "quality", "published", "views", "mirrored")

#: A stream with fewer distinct packets, or with packets of little more than a header, has no
#: digest: digital silence, black or a still picture give equal packets in unrelated files.
_MIN_DIFFERENT_PACKETS = 8
_MIN_PACKET_BYTES = 64

#: The most ways of seeing one file that are hashed: tracks, each on the grounds that show through.
_MAX_SIGHTS = 6


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
        others: Hashes of the other tracks, and of a transparent picture on the other ground; they
            have no digests of their own.
        unread: Tracks of which nothing could be hashed, with why.
        local: Local features of keyframes; None without video.
        md5: MD5 of the file, and its SHA-1 as ``sha1``: hash exchanges list them. Empty in
            fingerprints that were kept before they were computed.
    """

    digest: str
    streams: tuple[str, ...] = ()
    duration: float = 0.0
    video: VideoPrint | None = None
    audio: AudioPrint | None = None
    notices: tuple[str, ...] = field(default=())
    others: tuple[Fingerprint, ...] = ()
    unread: tuple[str, ...] = ()
    local: LocalPrint | None = None
    md5: str = ""
    sha1: str = ""

    def digests(self) -> frozenset[str]:
        """All exact digests; two files that share one have equal coded content."""
        return frozenset(filter(None, (self.digest, *self.streams)))

    @property
    def file(self) -> FileDigests:
        """The digests of the file."""
        return FileDigests(self.digest, self.sha1, self.md5)

    @property
    def sights(self) -> tuple[Fingerprint, ...]:
        """This fingerprint and the others: all that a viewer may see or hear."""
        return (self, *self.others)

    def thinned(self) -> Fingerprint:
        """With a third of the local features, for storage: about 15 KB per second of video."""
        local = None if self.local is None else self.local.thinned()
        return replace(self, local=local, others=tuple(one.thinned() for one in self.others))

    def to_bytes(self, *, effort: int = 6) -> bytes:
        """Serialise: about 40 KB per second of video.

        Args:
            effort: To make it small, from 0 to 9; 0 for what is not stored.
        """
        arrays: dict[str, NDArray[Any]] = {}
        for index, one in enumerate(self.sights):
            prefix = f"{index}_" if index else ""
            if one.video is not None:
                arrays |= {f"{prefix}video_{name}": getattr(one.video, name) for name in _VIDEO}
                arrays[f"{prefix}video_luma"] = squeezed(one.video.luma, effort)
            if one.local is not None:
                arrays |= {f"{prefix}local_{name}": getattr(one.local, name) for name in LOCAL}
            if one.audio is not None:
                arrays[f"{prefix}audio_items"] = one.audio.items
                for number, paced in enumerate(one.audio.paced):
                    arrays[f"{prefix}audio_items_{number}"] = paced.items
                    arrays[f"{prefix}audio_pace_{number}"] = np.array([paced.pace], np.float32)
        facts = {
            "format": _FORMAT,
            "digest": self.digest,
            "streams": list(self.streams),
            "duration": self.duration,
            "notices": list(self.notices),
            "others": len(self.others),
            "unread": list(self.unread),
            "md5": self.md5,
            "sha1": self.sha1,
        }
        return pack(facts, arrays)

    @classmethod
    def from_bytes(cls, data: bytes) -> Fingerprint:
        """Deserialise the output of ``to_bytes``.

        Raises:
            ArtifactError: If the bytes are truncated or of an unknown format.
        """
        facts, arrays = unpack(data)
        if facts.get("format") not in _FORMATS:
            msg = "a stored fingerprint has an unknown format"
            raise ArtifactError(msg)
        others = (
            _sight("", (), facts["duration"], arrays, f"{index}_")
            for index in range(1, 1 + int(facts.get("others", 0)))
        )
        return _sight(
            facts["digest"],
            tuple(facts["streams"]),
            facts["duration"],
            arrays,
            "",
            notices=tuple(facts["notices"]),
            others=tuple(others),
            unread=tuple(facts.get("unread", ())),
            md5=str(facts.get("md5", "")),
            sha1=str(facts.get("sha1", "")),
        )


def _sight(
    digest: str,
    streams: tuple[str, ...],
    duration: float,
    arrays: dict[str, NDArray[Any]],
    prefix: str,
    **more: Any,
) -> Fingerprint:
    parts = [arrays.get(f"{prefix}video_{name}") for name in _VIDEO]
    items = arrays.get(f"{prefix}audio_items")
    paced: list[AudioPrint] = []
    while (slow := arrays.get(f"{prefix}audio_items_{len(paced)}")) is not None:
        pace = arrays.get(f"{prefix}audio_pace_{len(paced)}")
        if pace is None or pace.shape != (1,) or not 0.5 <= pace[0] <= 2:
            msg = "a stored fingerprint has an unknown format"
            raise ArtifactError(msg)
        paced.append(AudioPrint(slow, round(float(pace[0]), 4)))
    video = None
    if parts[0] is not None:
        luma = arrays.get(f"{prefix}video_luma")
        video = VideoPrint(*(part for part in parts if part is not None))
        if luma is not None:
            video = replace(video, luma=unsqueezed(luma, len(parts[0]), LUMA))
    local = {name: arrays.get(f"{prefix}local_{name}") for name in LOCAL}
    kept = {name: array for name, array in local.items() if array is not None}
    if kept:
        more["local"] = LocalPrint.of(kept)
    return Fingerprint(
        digest,
        streams,
        duration,
        video,
        AudioPrint(items, paced=tuple(paced)) if items is not None else None,
        **more,
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
    limits = Limits(
        max_seconds if max_seconds is not None else float("inf"),
        max_pixels,
        bounded=max_seconds is not None,
    )
    try:
        digests = digests_of(path)
        with open_media(path, limits) as media:
            making = Fingerprinting(media, path.name, rate)
            # A work may be read roughly; an upload may hide what it shows between two frames.
            draft, moments = (rate, None) if rate >= WORK_RATE else (None, 1 / rate)
            for one in media.read(
                making.kinds, draft=draft, moments=moments, listener=making.listener
            ):
                making.take(one)
            return making.finish(digests)
    except MediaRefused as refused:
        raise unreadable(refused, path.name) from None
    except OSError as error:
        msg = f"cannot read {path.name}: {error.strerror or error}"
        raise InputError(msg) from None


def unreadable(refused: MediaRefused, name: str) -> InputError:
    """The error of a fingerprint of a file that cannot be opened.

    Args:
        refused: Why it cannot be opened.
        name: The file's name.
    """
    if not str(refused).startswith(_UNREADABLE):
        return refused
    return InputError(f"{name} is not readable media: {str(refused).removeprefix(_UNREADABLE)}")


@dataclass(frozen=True, slots=True)
class FileDigests:
    """Digests of a file as it is, in hexadecimal."""

    sha256: str
    sha1: str = ""
    md5: str = ""


def digests_of(path: Path) -> FileDigests:
    """The digests of a file, read once.

    Raises:
        InputError: If it is empty.
    """
    sha256 = hashlib.sha256()
    # Hash exchanges list these two; nothing here rests on their strength.
    sha1 = hashlib.sha1(usedforsecurity=False)
    md5 = hashlib.md5(usedforsecurity=False)
    with path.open("rb") as file:
        while block := file.read(_CHUNK):
            for one in (sha256, sha1, md5):
                one.update(block)
        if file.tell() == 0:
            msg = f"{path.name} is empty"
            raise InputError(msg)
    return FileDigests(sha256.hexdigest(), sha1.hexdigest(), md5.hexdigest())


class _PacketDigest:
    """SHA-256 of the coded packets of one stream."""

    def __init__(self) -> None:
        self._sha = hashlib.sha256()
        self._different: set[bytes] = set()

    def add(self, packet: Any) -> None:
        self._sha.update(packet.size.to_bytes(8, "big"))
        self._sha.update(packet)
        if packet.size >= _MIN_PACKET_BYTES and len(self._different) < _MIN_DIFFERENT_PACKETS:
            self._different.add(bytes(packet))

    def result(self) -> str | None:
        """The digest; None if the stream is not distinctive."""
        distinctive = len(self._different) >= _MIN_DIFFERENT_PACKETS
        return self._sha.hexdigest() if distinctive else None


class _Digests(PacketListener):
    """Exact digests of the tracks, in file order."""

    def __init__(self, tracks: list[Track]) -> None:
        self._of = {track.index: _PacketDigest() for track in sorted(tracks, key=_index)}

    def packet(self, track: Track, packet: Any) -> None:
        """See ``PacketListener``."""
        if track.index in self._of:  # not of tracks that begin within the file
            self._of[track.index].add(packet)

    def result(self) -> tuple[str, ...]:
        """The digests of the distinctive tracks."""
        found = (one.result() for one in self._of.values())
        return tuple(each for each in found if each)


def _index(track: Track) -> int:
    return track.index


#: Hashes and local features of one track on one ground.
_Seen = tuple[VideoPrint, LocalPrint]


class _Hashing:
    """The hashes of one track on one ground."""

    def __init__(self, ground: str, rate: float) -> None:
        self.ground = ground
        self.hasher = FrameHasher()
        work = rate >= WORK_RATE
        self.local = LocalHasher(
            *(_WORK_KEYFRAMES if work else _UPLOAD_KEYFRAMES), mirrored=not work
        )
        self._rate = rate
        self._next = 0.0

    def show(self, shown: Shown) -> None:
        """Hash a picture, if one is due."""
        if shown.start >= self._next:
            small = self.hasher.add(shown.picture, shown.start, self.ground)
            self.local.add(shown.picture, small, shown.start, self.ground)
            self._next = (int(shown.start * self._rate) + 1) / self._rate


class Fingerprinting:
    """Makes a fingerprint of what is read of an open file.

    Args:
        media: The file.
        name: Its name.
        rate: Frames hashed per second.

    Attributes:
        listener: Must receive the packets of the file.

    Raises:
        InputError: If it has neither video nor sound.
    """

    def __init__(self, media: Media, name: str, rate: float) -> None:
        if not media.of(TrackKind.VIDEO, TrackKind.AUDIO):
            msg = f"{name} has neither video nor audio"
            raise InputError(msg)
        self._media = media
        self._rate = rate
        self._end = 0.0
        self._unread: list[str] = []
        self._notices: list[str] = []
        self._hashing: dict[Track, list[_Hashing]] = {}
        self._sounds: dict[Track, AudioHasher] = {}
        self.listener = _Digests(media.of(TrackKind.VIDEO, TrackKind.AUDIO, TrackKind.ATTACHED))
        self.kinds = frozenset({TrackKind.VIDEO})
        if AudioHasher.available():
            self.kinds |= {TrackKind.AUDIO}
        elif media.of(TrackKind.AUDIO):
            self._notices.append(ABSENT)

    def take(self, one: Shown | Heard | MediaLine) -> None:
        """Hash one thing; others than of its kinds are ignored."""
        if isinstance(one, MediaLine) or one.track.kind not in self.kinds:
            return
        self._end = max(self._end, one.end)
        if isinstance(one, Shown):
            for hashing in self._hashings(one):
                hashing.show(one)
            return
        if one.track not in self._sounds:
            self._sounds[one.track] = AudioHasher(PACES if self._rate < WORK_RATE else ())
        self._sounds[one.track].add(one.frame)

    def finish(self, digests: FileDigests) -> Fingerprint:
        """The fingerprint, once the file has been read.

        Args:
            digests: Of the file.

        Raises:
            MediaRefused: If nothing of it could be hashed.
        """
        media = self._media
        self._unread += media.left_out
        videos, sounds = self._finish([kind for kind in TrackKind if kind in self.kinds])
        if not self._hashing and not sounds and self._unread:
            raise MediaRefused(self._unread[0])
        told = [problem.replace("were read", "were compared") for problem in media.problems]
        others = tuple(
            Fingerprint(
                "",
                (),
                self._length(),
                seen[0] if seen else None,
                sound,
                local=seen[1] if seen else None,
            )
            for seen, sound in zip_longest(videos[1:], sounds[1:])
        )
        return Fingerprint(
            digests.sha256,
            self.listener.result() if media.complete else (),
            self._length(),
            videos[0][0] if videos else None,
            sounds[0] if sounds else None,
            (*self._notices, *told),
            others,
            tuple(self._unread),
            videos[0][1] if videos else None,
            md5=digests.md5,
            sha1=digests.sha1,
        )

    def _length(self) -> float:
        """Seconds of the media: those that were read, if all was; what a file says may be wrong."""
        heard = TrackKind.AUDIO in self.kinds or not self._media.of(TrackKind.AUDIO)
        if self._media.complete and heard and self._end > 0:
            return self._end
        return max(self._media.length, self._end)

    def _hashings(self, shown: Shown) -> list[_Hashing]:
        if shown.track not in self._hashing:
            if sum(map(len, self._hashing.values())) >= _MAX_SIGHTS:
                told = f"{shown.track} was not compared: more than {_MAX_SIGHTS} ways of seeing it"
                if told not in self._unread:
                    self._unread.append(told)
                return []
            self._hashing[shown.track] = [_Hashing(GROUNDS[0], self._rate)]
        mine = self._hashing[shown.track]
        if len(mine) == 1 and shown.picture.transparent:
            mine.append(_Hashing(GROUNDS[1], self._rate))
        return mine

    def _finish(self, kinds: list[TrackKind]) -> tuple[list[_Seen], list[AudioPrint]]:
        """The hashes, those of the tracks first that a player would choose."""
        media = self._media
        videos = [
            (hashing.hasher.finish(), hashing.local.finish())
            for track in media.of(TrackKind.VIDEO)
            for hashing in self._hashing.get(track, ())
        ]
        if not videos and media.of(TrackKind.VIDEO):
            videos.append((FrameHasher().finish(), LocalPrint.empty()))
        sounds = []
        for track in media.of(*kinds):
            if track in self._sounds:
                sounds.append(self._sounds[track].finish())
            elif track not in self._hashing and media.why_not(track) is None:
                self._unread.append(f"nothing of {track} could be read")
        return videos, sounds

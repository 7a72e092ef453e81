"""Read a media file for all features at once, in a confined process where one is set up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from quorum.core.errors import InputError, MediaRefused
from quorum.models.features.decode import Decoded, Decoding, decode
from quorum.models.features.parcel import read_parcel, write_parcel
from quorum.models.fingerprint.fingerprint import (
    UPLOAD_RATE,
    Fingerprint,
    Fingerprinting,
    digest_of,
    fingerprint,
    unreadable,
)
from quorum.models.media.apart import apart
from quorum.models.media.door import open_media
from quorum.models.media.limits import Limits
from quorum.models.media.lines import MediaLine
from quorum.models.media.sandbox import protection

__all__ = ["Reading", "Wanted", "decode_apart", "prepare", "read_media"]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is wanted of a media file.

    Attributes:
        frames: Frames for classifiers.
        audio: Sound.
        pages: The number of frames for OCR; 0 for none, and for no subtitles.
        fingerprint: Its fingerprint.
        limits: How much of it is decoded.
    """

    frames: bool = False
    audio: bool = False
    pages: int = 0
    fingerprint: bool = False
    limits: Limits = field(default_factory=Limits)

    @property
    def decodes(self) -> bool:
        """Whether anything but the fingerprint is wanted."""
        return bool(self.frames or self.audio or self.pages)


@dataclass(frozen=True, slots=True)
class Reading:
    """What was read of a media file.

    Attributes:
        decoded: Frames, sound and words; None if not wanted, or not to be had.
        refused: Why ``decoded`` is None though it was wanted.
        fingerprint: The fingerprint; None if not wanted, or not to be had.
        no_fingerprint: Why ``fingerprint`` is None though it was wanted.
    """

    decoded: Decoded | None = None
    refused: str = ""
    fingerprint: Any = None
    no_fingerprint: str = ""


@dataclass(frozen=True, slots=True)
class _Apart:
    """How processes that decode are confined."""

    folder: Path
    memory: int


_apart: _Apart | None = None


def decode_apart(folder: Path, memory: int) -> None:
    """Let this process read each media file in a process that is confined and may die.

    Args:
        folder: Where those processes may write.
        memory: Bytes that each may use.
    """
    global _apart
    _apart = _Apart(folder, memory)


def prepare() -> None:
    """Load what reads media, so that processes that are forked from this one have it."""
    import av
    import PIL.Image

    from quorum.models.fingerprint.audio import AudioHasher
    from quorum.models.fingerprint.local import load_opencv
    from quorum.models.media.stills import load_formats

    av.logging.set_level(av.logging.PANIC)
    PIL.Image.init()
    load_formats()
    AudioHasher.available()
    load_opencv()
    protection()


def read_media(
    path: Path, wanted: Wanted, fingerprinter: Callable[[Path], Any] | None = None
) -> Reading:
    """Read a local file; never raises.

    Args:
        path: The file.
        wanted: What is wanted of it.
        fingerprinter: Computes its fingerprint instead of Quorum's own; it runs in this process.
    """
    if _apart is None or fingerprinter is not None:
        return _read(path, wanted, fingerprinter)

    def work(out: BinaryIO) -> None:
        made = _read(path, wanted)
        write_parcel(out, made.decoded, made.refused, made.fingerprint, made.no_fingerprint)

    try:
        with apart(work, _apart.folder, _apart.memory) as source:
            return Reading(*read_parcel(source))
    except MediaRefused as refused:
        why = str(refused)
    except Exception as error:  # what a process wrote that was taken over
        why = f"media cannot be read: {type(error).__name__}"
    return Reading(
        refused=why if wanted.decodes else "", no_fingerprint=why if wanted.fingerprint else ""
    )


def _read(
    path: Path, wanted: Wanted, fingerprinter: Callable[[Path], Any] | None = None
) -> Reading:
    both = wanted.decodes and wanted.fingerprint and fingerprinter is None
    if both:
        return _read_once(path, wanted)
    decoded, refused = _decoded(path, wanted) if wanted.decodes else (None, "")
    found, none = _printed(path, wanted, fingerprinter) if wanted.fingerprint else (None, "")
    return Reading(decoded, refused, found, none)


def _read_once(path: Path, wanted: Wanted) -> Reading:
    """Decode a file once for all."""
    decoded: Decoded | None = None
    found: Fingerprint | None = None
    refused = none = ""
    making: Fingerprinting | None = None
    try:
        with open_media(path, wanted.limits) as media:
            decoding = Decoding(
                media,
                wanted.limits,
                frames=wanted.frames,
                audio=wanted.audio,
                max_pages=wanted.pages,
            )
            kinds = decoding.kinds
            try:
                making = Fingerprinting(media, path.name, UPLOAD_RATE)
            except Exception as error:  # the other features are still usable
                none = _told(error, path)
            listener = None if making is None else making.listener
            kinds = kinds if making is None else kinds | making.kinds
            for one in media.read(kinds, moments=Decoding.MOMENTS, listener=listener):
                if isinstance(one, MediaLine) or one.track.kind in decoding.kinds:
                    decoding.take(one)
                if making is not None:
                    try:
                        making.take(one)
                    except Exception as error:  # the other features are still usable
                        making, none = None, _told(error, path)
            decoded = decoding.finish()
            if making is not None:
                try:
                    found = making.finish(digest_of(path))
                except Exception as error:  # the other features are still usable
                    none = _told(error, path)
    except MediaRefused as error:
        refused = str(error)
        none = none or _told(unreadable(error, path.name), path)
    except InputError as error:
        refused, none = str(error), none or _told(error, path)
    except Exception as error:  # whatever a damaged file makes of a decoder
        refused = f"media cannot be read: {type(error).__name__}"
        none = none or _told(error, path)
    return Reading(decoded, refused, found, none)


def _decoded(path: Path, wanted: Wanted) -> tuple[Decoded | None, str]:
    limits = wanted.limits
    try:
        made = decode(
            path,
            frames=wanted.frames,
            audio=wanted.audio,
            max_seconds=limits.max_seconds,
            max_pixels=limits.max_pixels,
            max_pages=wanted.pages,
            max_unseen=limits.max_unseen,
        )
    except MediaRefused as error:
        return None, str(error)
    except Exception as error:  # whatever a damaged file makes of a decoder
        return None, f"media cannot be read: {type(error).__name__}"
    return made, ""


def _printed(
    path: Path, wanted: Wanted, fingerprinter: Callable[[Path], Any] | None
) -> tuple[Any, str]:
    limits = wanted.limits
    try:
        if fingerprinter is not None:
            return fingerprinter(path), ""
        made = fingerprint(path, max_seconds=limits.max_seconds, max_pixels=limits.max_pixels)
    except Exception as error:  # the other features are still usable
        return None, _told(error, path)
    return made, ""


def _told(error: Exception, path: Path) -> str:
    if isinstance(error, MediaRefused):
        return str(error)
    reason = str(error).replace(str(path), path.name).replace(path.name, "the media")
    kind = "" if isinstance(error, InputError) else f"{type(error).__name__}: "
    return f"no fingerprint: {kind}{reason}"

"""Read a media file for all features at once, in this process; see ``decoders`` for another one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from quorum.core.errors import InputError, MediaRefused
from quorum.models.features.decode import Decoded, Decoding, decode
from quorum.models.fingerprint.fingerprint import (
    UPLOAD_RATE,
    Fingerprint,
    Fingerprinting,
    digests_of,
    fingerprint,
    unreadable,
)
from quorum.models.media.door import open_media
from quorum.models.media.limits import Limits
from quorum.models.media.lines import MediaLine

__all__ = ["Reading", "Wanted", "read_here"]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is wanted of a media file.

    Attributes:
        frames: Frames for classifiers.
        audio: Sound.
        pages: The number of frames for OCR; 0 for none, and for no subtitles.
        fingerprint: Its fingerprint.
        limits: How much of it is decoded.
        motion: How its pictures move.
    """

    frames: bool = False
    audio: bool = False
    pages: int = 0
    fingerprint: bool = False
    limits: Limits = field(default_factory=Limits)
    motion: bool = False

    @property
    def decodes(self) -> bool:
        """Whether anything but the fingerprint is wanted."""
        return bool(self.frames or self.motion or self.audio or self.pages)


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


def read_here(
    path: Path, wanted: Wanted, fingerprinter: Callable[[Path], Any] | None = None
) -> Reading:
    """Read a local file in this process; never raises.

    Args:
        path: The file.
        wanted: What is wanted of it.
        fingerprinter: Computes its fingerprint instead of Quorum's own.
    """
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
                motion=wanted.motion,
            )
            kinds = decoding.kinds
            try:
                making = Fingerprinting(media, path.name, UPLOAD_RATE)
            except Exception as error:  # the other features are still usable
                none = _told(error, path)
            listener = None if making is None else making.listener
            kinds = kinds if making is None else kinds | making.kinds
            for one in media.read(
                kinds, moments=Decoding.MOMENTS, finer=decoding.finer, listener=listener
            ):
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
                    found = making.finish(digests_of(path))
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
            motion=wanted.motion,
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

"""What a confined process sends of a media file: a head of JSON, then the bytes of arrays.

A hostile file may have taken that process over. So nothing is unpickled, and all is checked.
"""

from __future__ import annotations

from typing import Annotated, Any, BinaryIO, Final

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

from quorum.core.errors import ArtifactError
from quorum.models.detectors import Audio, Frames, Motion
from quorum.models.features.decode import Decoded, together
from quorum.models.features.motion import STATISTICS
from quorum.models.fingerprint.fingerprint import Fingerprint
from quorum.models.media.limits import MAX_SUBTITLES
from quorum.models.media.lines import MediaLine

__all__ = ["exactly", "read_parcel", "write_parcel"]

#: The most bytes of a head, and of all arrays together.
_MAX_HEAD: Final = 16 * 1024 * 1024
_MAX_BYTES: Final = 1024 * 1024 * 1024

_Text = Annotated[str, Field(max_length=4000)]
_Side = Annotated[int, Field(ge=1, le=4096)]
_Count = Annotated[int, Field(ge=0, le=_MAX_BYTES)]
_Seconds = Annotated[FiniteFloat, Field(ge=0)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class _Sight(_Part):
    """Frames of one track; ``shape`` is their number, height and width."""

    shape: tuple[_Count, _Side, _Side]
    duration: _Seconds
    name: _Text
    length: _Seconds
    reach: FiniteFloat
    unread: tuple[_Text, ...]


class _Windows(_Part):
    """How the pictures of one track move."""

    count: _Count
    name: _Text


class _Sound(_Part):
    """Sound of one track."""

    samples: _Count
    rate: _Count
    name: _Text


class _Line(_Part):
    """A subtitle."""

    text: _Text
    start: FiniteFloat
    end: FiniteFloat


class _Decoded(_Part):
    """See ``Decoded``."""

    frames: tuple[_Sight, ...]
    motion: tuple[_Windows, ...]
    pages: tuple[_Sight, ...]
    audio: tuple[_Sound, ...]
    lines: Annotated[tuple[_Line, ...], Field(max_length=2 * MAX_SUBTITLES)]
    no_frames: _Text
    no_motion: _Text
    no_audio: _Text
    problems: tuple[_Text, ...]


class _Head(_Part):
    """All but the arrays; ``fingerprint`` is its number of bytes."""

    decoded: _Decoded | None
    refused: _Text
    fingerprint: _Count | None
    no_fingerprint: _Text


def write_parcel(
    out: BinaryIO,
    decoded: Decoded | None,
    refused: str,
    fingerprint: Fingerprint | None,
    no_fingerprint: str,
) -> None:
    """Write what was read of a media file; the arguments are those of ``Reading``."""
    arrays: list[Any] = []
    printed = None if fingerprint is None else fingerprint.to_bytes(effort=0)
    head = _Head(
        decoded=None if decoded is None else _facts_of(decoded, arrays),
        refused=refused[:4000],
        fingerprint=None if printed is None else len(printed),
        no_fingerprint=no_fingerprint[:4000],
    ).model_dump_json().encode()  # fmt: skip
    out.write(len(head).to_bytes(8, "big") + head)
    for array in arrays:
        if array.nbytes:
            out.write(np.ascontiguousarray(array).data.cast("B"))
    out.write(printed or b"")
    out.flush()


def read_parcel(source: BinaryIO) -> tuple[Decoded | None, str, Fingerprint | None, str]:
    """Read the output of ``write_parcel``.

    Raises:
        ArtifactError: If it is truncated, too large or malformed.
    """
    size = int.from_bytes(exactly(source, 8), "big")
    if size > _MAX_HEAD:
        msg = "a parcel has a head that is too long"
        raise ArtifactError(msg)
    try:
        head = _Head.model_validate_json(exactly(source, size))
    except ValueError:
        msg = "a parcel has a head of an unknown form"
        raise ArtifactError(msg) from None
    _check_size(head)
    decoded = None if head.decoded is None else _decoded(head.decoded, source)
    found = None
    if head.fingerprint is not None:
        found = Fingerprint.from_bytes(bytes(exactly(source, head.fingerprint)))
    return decoded, head.refused, found, head.no_fingerprint


def _facts_of(decoded: Decoded, arrays: list[Any]) -> _Decoded:
    return _Decoded(
        frames=_sights_of(decoded.frames, arrays),
        motion=_windows_of(decoded.motion, arrays),
        pages=_sights_of(decoded.pages, arrays),
        audio=_sounds_of(decoded.audio, arrays),
        lines=tuple(
            _Line(text=one.text, start=one.start, end=one.end) for one in decoded.lines
        ),
        no_frames=decoded.no_frames[:4000],
        no_motion=decoded.no_motion[:4000],
        no_audio=decoded.no_audio[:4000],
        problems=tuple(one[:4000] for one in decoded.problems),
    )  # fmt: skip


def _sights_of(frames: Frames | None, arrays: list[Any]) -> tuple[_Sight, ...]:
    found = []
    for one in () if frames is None else frames.sights:
        count, height, width, _ = one.pixels.shape
        arrays += [one.times, one.pixels]
        found.append(
            _Sight(
                shape=(count, height, width),
                duration=one.duration,
                name=one.name,
                length=one.length,
                reach=one.reach,
                unread=one.unread,
            )
        )
    return tuple(found)


def _windows_of(motion: Motion | None, arrays: list[Any]) -> tuple[_Windows, ...]:
    found = []
    for one in () if motion is None else motion.sights:
        arrays += [one.times, one.statistics]
        found.append(_Windows(count=len(one.times), name=one.name))
    return tuple(found)


def _sounds_of(audio: Audio | None, arrays: list[Any]) -> tuple[_Sound, ...]:
    found = []
    for one in () if audio is None else (audio, *audio.others):
        arrays.append(one.samples)
        found.append(_Sound(samples=len(one.samples), rate=one.rate, name=one.name))
    return tuple(found)


def _check_size(head: _Head) -> None:
    total = head.fingerprint or 0
    if head.decoded is not None:
        for sight in (*head.decoded.frames, *head.decoded.pages):
            count, height, width = sight.shape
            total += count * (height * width * 3 + 8)
        total += sum(4 * sound.samples for sound in head.decoded.audio)
        total += sum((8 + 4 * len(STATISTICS)) * one.count for one in head.decoded.motion)
    if total > _MAX_BYTES:
        msg = f"a parcel announces {total:,} bytes; at most {_MAX_BYTES:,} are read"
        raise ArtifactError(msg)


def _decoded(facts: _Decoded, source: BinaryIO) -> Decoded:
    frames = together(_frames(one, source) for one in facts.frames)
    motion = together(_motion(one, source) for one in facts.motion)
    pages = together(_frames(one, source) for one in facts.pages)
    audio = together(_audio(one, source) for one in facts.audio)
    return Decoded(
        frames,
        pages,
        audio,
        [MediaLine(one.text, one.start, one.end) for one in facts.lines],
        facts.no_frames,
        facts.no_audio,
        list(facts.problems),
        motion,
        facts.no_motion,
    )


def _frames(facts: _Sight, source: BinaryIO) -> Frames:
    count, height, width = facts.shape
    times = _times(source, count)
    return Frames(
        _array(source, np.uint8, (count, height, width, 3)),
        times,
        facts.duration,
        facts.name,
        facts.length,
        facts.reach,
        unread=facts.unread,
    )


def _motion(facts: _Windows, source: BinaryIO) -> Motion:
    times = _times(source, facts.count)
    statistics = _array(source, np.float32, (facts.count, len(STATISTICS)))
    if not np.isfinite(statistics).all():
        msg = "a parcel has motion that is not a number"
        raise ArtifactError(msg)
    return Motion(times, statistics, facts.name)


def _times(source: BinaryIO, count: int) -> NDArray[np.float64]:
    times = _array(source, np.float64, (count,))
    if not (np.isfinite(times).all() and (np.diff(times) >= 0).all()):
        msg = "a parcel has frames that are out of order"
        raise ArtifactError(msg)
    return times


def _audio(facts: _Sound, source: BinaryIO) -> Audio:
    samples = _array(source, np.float32, (facts.samples,))
    if not np.isfinite(samples).all():
        msg = "a parcel has sound that is not a number"
        raise ArtifactError(msg)
    return Audio(samples, facts.rate, facts.name)


def _array(source: BinaryIO, kind: Any, shape: tuple[int, ...]) -> NDArray[Any]:
    made = np.empty(shape, kind)
    if made.nbytes:
        _fill(source, made.data.cast("B"))
    return made


def exactly(source: BinaryIO, size: int) -> bytearray:
    """So many bytes.

    Raises:
        ArtifactError: If there are fewer.
    """
    made = bytearray(size)
    _fill(source, memoryview(made))
    return made


def _fill(source: BinaryIO, view: memoryview) -> None:
    while len(view):
        got = source.readinto(view)  # type: ignore[attr-defined]
        if not got:
            msg = "a parcel ends too soon"
            raise ArtifactError(msg)
        view = view[got:]

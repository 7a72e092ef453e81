"""Registered works: metadata by the rights holder, and fingerprints."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, field_validator

from quorum.core.errors import ArtifactError
from quorum.core.messages import Action, Identifier, Probability, Seconds, Time
from quorum.models.fingerprint.audio import AudioPrint
from quorum.models.fingerprint.fingerprint import Fingerprint
from quorum.models.fingerprint.local import LOCAL, LocalPrint
from quorum.models.fingerprint.packed import pack, squeezed, unpack, unsqueezed
from quorum.models.fingerprint.video import View, reduced

__all__ = ["KIND_SOUND", "WORK_VIEWS", "OwnerRule", "Work", "WorkPrint"]

#: Views stored for a work. Central views match crops of the work: an upload cropped to 80 % shows
#: one as its full frame, an upload cropped to 90 % as 89 % of its frame.
WORK_VIEWS = (
    View.FULL,
    View.FULL_80,
    View.FULL_UPPER,
    View.ACTIVE,
    View.ACTIVE_80,
    View.ACTIVE_UPPER,
)

#: Rows and columns of the luma that is kept of a work's frames.
WORK_LUMA = 32

#: Format of stored works, and those that are read. Works of the first have neither luma nor local
#: features: they are found as before, and in disguise only after ``quorum catalogue renew``.
_FORMAT = 2
_FORMATS = (1, _FORMAT)

#: Arrays that are stored as they are.
_STORED = ("times", "quality", "published", "views", "sound")

#: Kind of an index entry that is an audio word; other kinds are views of frames.
KIND_SOUND = 16


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class OwnerRule(_Value):
    """What the rights holder wants if an upload contains the work."""

    #: Minimum length of a match; shorter ones count as quotations.
    min_seconds: Seconds = 3.0
    #: Minimum share of the upload or of the work, whichever is greater.
    min_fraction: Probability = 0.0
    #: ``remove`` blocks; ``restrict`` blocks in the owner's territories; ``review`` asks a person;
    #: ``allow`` permits and records the use.
    action: Action = Action.REVIEW


class Work(_Value):
    """A registered reference work."""

    id: Identifier
    title: str
    owner: str
    #: Licence of the work itself, as an SPDX identifier or free text.
    licence: str = ""
    #: ISO 3166-1 alpha-2 codes of the owner's territories; empty for everywhere.
    territories: tuple[str, ...] = ()
    #: Until then every match is removed, whatever the rule.
    embargo_until: Time | None = None
    #: Uploaders that may use the work.
    exceptions: tuple[Identifier, ...] = ()
    rule: OwnerRule = OwnerRule()

    @field_validator("territories")
    @classmethod
    def _codes(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for code in value:
            if len(code) != 2 or not code.isascii() or not code.isupper():
                msg = "must be ISO 3166-1 alpha-2 codes in capitals, such as DE"
                raise ValueError(msg)
        return value


_Hashes = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class WorkPrint:
    """Fingerprint of a work.

    Attributes:
        digests: Exact digests of the media.
        duration: Seconds.
        times: Seconds of the sampled frames, shape (n,), float32.
        quality: PDQ quality of the frames, shape (n,), uint8.
        published: PDQ hashes by the published algorithm, shape (n, 32), uint8.
        views: Hashes by ``WORK_VIEWS``, shape (n, 6, 32), uint8; of a published hash list, its
            hashes in each view.
        sound: Chromaprint items, shape (k,), uint32.
        luma: Luma of the frames, shape (n, 32, 32), uint8; empty if it was not kept.
        local: Local features of keyframes; None of a work of before there were any, and of a hash
            list.
    """

    digests: tuple[str, ...]
    duration: float
    times: NDArray[np.float32]
    quality: NDArray[np.uint8]
    published: _Hashes
    views: _Hashes
    sound: NDArray[np.uint32]
    luma: NDArray[np.uint8] = field(
        default_factory=lambda: np.zeros((0, WORK_LUMA, WORK_LUMA), np.uint8)
    )
    local: LocalPrint | None = None

    @classmethod
    def of(cls, found: Fingerprint) -> WorkPrint:
        """Extract from a fingerprint what is stored of a work."""
        video = found.video
        digests = tuple(sorted(found.digests()))
        sound = found.audio.items if found.audio else np.zeros(0, np.uint32)
        if video is None:
            return cls.empty(digests, found.duration, sound)
        views = np.ascontiguousarray(video.views[:, WORK_VIEWS])
        return cls(
            digests,
            found.duration,
            video.times,
            video.quality,
            video.published,
            views,
            sound,
            reduced(video.luma, WORK_LUMA),
            found.local,
        )

    @classmethod
    def empty(
        cls, digests: tuple[str, ...], duration: float, sound: NDArray[np.uint32]
    ) -> WorkPrint:
        """A work without frames."""
        nothing = np.zeros(0, np.uint8)
        return cls(
            digests,
            duration,
            np.zeros(0, np.float32),
            nothing,
            nothing.reshape(0, 32),
            nothing.reshape(0, len(WORK_VIEWS), 32),
            sound,
        )

    @property
    def nbytes(self) -> int:
        """Size of the arrays in bytes."""
        arrays: list[NDArray[Any]] = [getattr(self, name) for name in (*_STORED, "luma")]
        if self.local is not None:
            arrays += [getattr(self.local, name) for name in LOCAL]
        return sum(array.nbytes for array in arrays)

    @property
    def audio(self) -> AudioPrint:
        """The sound as an audio fingerprint."""
        return AudioPrint(self.sound)

    def to_bytes(self) -> bytes:
        """Serialise for the catalogue."""
        arrays: dict[str, NDArray[Any]] = {name: getattr(self, name) for name in _STORED}
        arrays["luma"] = squeezed(self.luma)
        if self.local is not None:
            arrays |= {f"local_{name}": getattr(self.local, name) for name in LOCAL}
        facts = {"format": _FORMAT, "digests": list(self.digests), "duration": self.duration}
        return pack(facts, arrays)

    @classmethod
    def from_bytes(cls, data: bytes) -> WorkPrint:
        """Deserialise the output of ``to_bytes``.

        Raises:
            ArtifactError: If the bytes are truncated or of an unknown format.
        """
        facts, arrays = unpack(data)
        try:
            count = len(arrays["times"])
            local = {name: arrays.get(f"local_{name}") for name in LOCAL}
            stored: dict[str, Any] = {name: arrays[name] for name in _STORED}
            made = cls(tuple(facts["digests"]), float(facts["duration"]), **stored)
            if "luma" in arrays:
                made = replace(made, luma=unsqueezed(arrays["luma"], count, WORK_LUMA))
            described = {name: array for name, array in local.items() if array is not None}
            if described:
                made = replace(made, local=LocalPrint.of(described))
        except (KeyError, TypeError):
            msg = "a stored fingerprint has an unknown format"
            raise ArtifactError(msg) from None
        shapes = (
            made.quality.shape == (count,),
            made.published.shape == (count, 32),
            made.views.shape == (count, len(WORK_VIEWS), 32),
        )
        if facts.get("format") not in _FORMATS or not all(shapes):
            msg = "a stored fingerprint has an unknown format"
            raise ArtifactError(msg)
        return made

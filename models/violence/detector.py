"""The violence detector: threats in text, fights and gore in frames."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from quorum.core.messages import Evidence
from quorum.core.settings import Settings
from quorum.models.detectors import (
    Detector,
    Example,
    Feature,
    Features,
    Finding,
    Frames,
    Motion,
    Text,
)
from quorum.models.features.accents import with_accents
from quorum.models.features.embedding import require_embedding
from quorum.models.features.languages import Languages
from quorum.models.features.normalise import normalise
from quorum.models.features.sights import seen, told_of, unread
from quorum.models.features.text import evidence_of
from quorum.models.registry.artifacts import Artifact, open_artifact
from quorum.models.registry.references import chosen_artifact
from quorum.models.scoring.segments import sentences
from quorum.models.scoring.student import Student
from quorum.models.scoring.timeline import runs
from quorum.models.violence.fights import Fights
from quorum.models.violence.gore import GoreCalibration, shared_classifier
from quorum.models.violence.readings import Readings, readings_of
from quorum.models.violence.words import Words

__all__ = ["ARTIFACT", "CAP_OF_FRAMES", "STUDENT", "ViolenceDetector", "fuse"]

_log = logging.getLogger(__name__)

ARTIFACT = Path(__file__).parent / "artifact"
#: The artifact's file of the student.
STUDENT = "student.safetensors"
#: Minimum score that is explained by evidence; above it each sentence is embedded.
_EXPLAIN_FROM = 0.5
_MOST_SENTENCES = 12
_MOST_EVIDENCE = 3
#: The most that a fight in frames can score: under each shipped threshold of removal.
CAP_OF_FRAMES = 0.8
#: Labels of frames. Of words the score is not a label: the kinds of violence share it.
_SEEN = ("violence/fight", "violence/gore")


def fuse(*scores: ArrayLike) -> NDArray[np.float64]:
    """Fuse probabilities by their maximum.

    Harmless text does not make a fight less likely, nor a harmless picture a threat.
    """
    stacked = np.stack([np.asarray(one, dtype=np.float64) for one in scores])
    return np.asarray(stacked.max(axis=0))


class ViolenceDetector(Detector):
    """Scores the text of an upload for threats, and its pictures for fights and gore.

    If the media exists but cannot be read, harmless text alone is not enough: the finding fails,
    unless the text is violent itself.

    Args:
        artifact: The model; defaults to the shipped one.

    Raises:
        ArtifactError: If the model is missing, altered or of another detector.
    """

    name = "violence"
    trainer = "quorum.models.violence.trainer:train_from"
    needs = frozenset({Feature.TEXT, Feature.FRAMES, Feature.MOTION, Feature.OCR, Feature.SPEECH})
    #: A frame takes about a tenth of a second on one core.
    max_frames = 4

    def __init__(self, artifact: Artifact | Path = ARTIFACT) -> None:
        held = artifact if isinstance(artifact, Artifact) else open_artifact(artifact, self.name)
        require_embedding(held)
        settings = held.document("model.json")
        self.version = held.version
        self._languages = Languages.from_document(settings)
        self._words = Words.restore(
            held.tensors("words.safetensors"),
            held.tensors("context.safetensors"),
            settings["calibration"],
        )
        self._student = (
            Student.restore(held.tensors(STUDENT)) if STUDENT in held.manifest.files else None
        )
        self._fights = Fights.restore(held, settings["calibration"], int(settings["smoothing"]))
        self._gore = GoreCalibration(**settings["gore"]) if "gore" in settings else None
        if self._gore is not None:
            shared_classifier()

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """See Detector."""
        return cls(chosen_artifact(cls.name, settings) or ARTIFACT)

    def score(self, batch: Sequence[Features]) -> Sequence[Finding]:
        """See Detector."""
        return self._languages.judged(batch, self._judge)

    def _judge(self, batch: Sequence[Features]) -> list[Finding]:
        read = self._settled([readings_of(one.text) for one in batch])
        asked = [text for one in read for text in one.asked]
        unread = ""
        if asked:
            from quorum.models.features.embedding import shared_embedder

            try:
                # Texts of all uploads are packed together; each upload then finds its own kept.
                shared_embedder().embed_layers(asked)
            except Exception as error:  # frames can still be judged
                unread = f"embedding failed: {type(error).__name__}"
        return [self._score_one(*one, unread) for one in zip(batch, read, strict=True)]

    def _settled(self, batch: list[Readings]) -> list[Readings]:
        """Leave out what the student settles, of all uploads at once."""
        if self._student is None:
            return batch
        from quorum.models.features.vocabulary import shared_vocabulary

        texts = [text for one in batch for text in one.texts]
        try:
            every = self._student.settles(texts, shared_vocabulary())
        except Exception:  # what is not settled is embedded, or fails with the embedding's reason
            _log.exception("the student of violence failed; every text is embedded")
            return batch
        made: list[Readings] = []
        at = 0
        for one in batch:
            done = every[at : at + len(one.texts)]
            at += len(one.texts)
            asked = tuple(text for text, out in zip(one.texts, done, strict=True) if not out)
            made.append(replace(one, asked=asked, free=int((~done[: one.free]).sum())))
        return made

    def _score_one(self, features: Features, read: Readings, unread_words: str) -> Finding:
        labels: dict[str, float] = {}
        scores: list[float] = []
        evidence: list[Evidence] = []
        text = features.text
        failed = unread_words if read.asked else ""
        if text is not None and read.texts and not failed:
            words, told = self._score_text(read)
            labels |= told
            scores.append(words)
            if words >= _EXPLAIN_FROM:
                evidence += self._sentence_evidence(text)
        looks = []
        motions = features.motion.sights if features.motion is not None else ()
        moving = {one.name: one for one in motions}
        for sight in features.frames.sights if features.frames is not None else ():
            score, spans, times = self._score_frames(sight, moving.get(sight.name))
            labels["violence/fight"] = max(score, labels.get("violence/fight", 0.0))
            evidence += spans
            if self._gore is not None:
                score, spans = self._score_gore(self._gore, sight)
                labels["violence/gore"] = max(score, labels.get("violence/gore", 0.0))
                evidence += spans
            looks.append(times)
        reason = self._reason(features, failed or ("" if read.texts else "no words in the text"))
        unreadable = bool(failed) or self._is_unreadable(features)
        scores += [labels[one] for one in _SEEN if one in labels]
        if not scores:
            return Finding.failed(reason) if unreadable else Finding.abstained(reason)
        score = float(fuse(*scores))
        if unreadable and score < _EXPLAIN_FROM:
            return Finding.failed(f"{reason}; the readable part scores {score:.2f}")
        if features.frames is not None:
            if features.frames.unread and score < _EXPLAIN_FROM:
                return unread(features.frames, score)
            evidence.append(seen(features.frames, looks))
        return Finding.scored(score, labels, evidence)

    def _score_text(self, read: Readings) -> tuple[float, dict[str, float]]:
        """Score and labels by the worst of what is read.

        The embedding of a long text barely reflects a single line. What the student settles is
        surely innocent, and is not embedded.
        """
        if not read.asked and self._student is not None:
            return self._student.score, {}
        from quorum.models.features.embedding import shared_embedder

        vectors = shared_embedder().embed_layers(read.asked)
        return self._words.labels(read.asked, vectors, free=read.free, parts=read.parts)

    @staticmethod
    def _is_unreadable(features: Features) -> bool:
        """Whether a part of the upload exists but could not be read."""
        absent = features.absent
        media = features.frames is None and features.upload.media is not None
        words = features.text is None and absent.get(Feature.TEXT, "no text") != "no text"
        return (media and absent.get(Feature.FRAMES) != "no video in the media") or words

    @staticmethod
    def _reason(features: Features, no_words: str) -> str:
        reasons = []
        if no_words:
            reasons.append(features.absent.get(Feature.TEXT, no_words))
        if features.frames is None:
            reasons.append(features.absent.get(Feature.FRAMES, "no frames"))
        return "; ".join(dict.fromkeys(reasons))

    def _score_frames(
        self, frames: Frames, motion: Motion | None
    ) -> tuple[float, list[Evidence], NDArray[np.float64]]:
        """Score of the pictures, evidence for fights, and the seconds of the scenes."""
        from quorum.models.violence.vision import describe, scenes, shared_encoder

        encoder = shared_encoder()
        found = scenes(frames)
        descriptions = np.stack([describe(encoder.encode(frames.pixels[scene])) for scene in found])
        shown, moves = self._fights.scores(
            descriptions, None if motion is None else motion.statistics
        )
        starts = np.array([frames.times[scene[0]] for scene in found])
        scores = np.minimum(shown, CAP_OF_FRAMES)
        spans = _time_evidence("looks like a fight", scores, starts, frames)
        if motion is not None and moves is not None:
            spans += _time_evidence(
                "moves like a fight", np.minimum(moves, CAP_OF_FRAMES), motion.times, frames
            )
        return float(scores.max()), spans, starts

    @staticmethod
    def _score_gore(gore: GoreCalibration, frames: Frames) -> tuple[float, list[Evidence]]:
        """Score of blood and wounds, and evidence."""
        odds, times = shared_classifier().smoothed_odds(frames)
        scores = gore.score(odds)
        return float(scores.max()), _time_evidence(
            "looks like blood or wounds", scores, times, frames
        )

    def _sentence_evidence(self, text: Text) -> list[Evidence]:
        """The sentences with the highest scores of their own."""
        from quorum.models.features.embedding import shared_embedder

        places = [
            (field, start, end)
            for part in (text.fields.keys() - text.seen.keys(), text.seen.keys())
            for field, start, end in _sentences_of(text, part)
        ]
        if not places:
            return []
        said = [text.fields[field][start:end] for field, start, end in places]
        read = [with_accents(one, normalise(one)) for one in said]
        scores = self._words.scores(read, shared_embedder().embed_layers(read))
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
            Example.of(
                "violence-threat",
                "flagged",
                "a threat",
                title="I will find you and kill you and your whole family",
            ),
            Example.of(
                "violence-incitement",
                "flagged",
                "a call to kill",
                title="What we must do",
                description="They are animals. Go out tonight and beat every one of them to death.",
            ),
            Example.of(
                "violence-none",
                "clear",
                "an ordinary title",
                title="How to bake bread with two kinds of flour",
            ),
            Example.of(
                "violence-figure",
                "clear",
                "a figure of speech",
                title="This new recipe is to die for, so easy to make",
            ),
            Example.of("violence-empty", "abstained", "no text"),
        )


def _time_evidence(
    what: str, scores: NDArray[np.float64], times: NDArray[np.float64], frames: Frames
) -> list[Evidence]:
    """Evidence for the time spans whose score reaches the threshold."""
    return [
        Evidence(
            kind="video",
            what=told_of(what, frames),
            start=start,
            end=min(end, frames.duration) if end > start else end,
            weight=round(weight, 4),
        )
        for start, end, weight in runs(scores, times, _EXPLAIN_FROM, _MOST_EVIDENCE)
    ]


def _sentences_of(text: Text, fields: Collection[str]) -> list[tuple[str, int, int]]:
    """The first sentences of some fields: field, start and end index."""
    return [
        (field, start, end)
        for field, value in text.fields.items()
        if field in fields
        for start, end in sentences(value, _MOST_SENTENCES)
    ][:_MOST_SENTENCES]

"""The spam detector: TF-IDF over normalised text, averaged with the sentence embedding."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from quorum.core.settings import Settings
from quorum.models.detectors import Detector, Example, Feature, Features, Finding, Text
from quorum.models.features.embedding import require_embedding
from quorum.models.features.languages import Languages
from quorum.models.registry.artifacts import Artifact, open_artifact
from quorum.models.registry.references import chosen_artifact
from quorum.models.scoring.calibration import Platt
from quorum.models.scoring.linear import DenseLogistic
from quorum.models.scoring.segments import segments_of
from quorum.models.scoring.tfidf import TfidfLogistic
from quorum.models.spam.evidence import locate

__all__ = ["ARTIFACT", "SpamDetector", "handicap"]

ARTIFACT = Path(__file__).parent / "artifact"
#: Minimum score that is explained by evidence.
_EXPLAIN_FROM = 0.3
#: Log-odds penalty of a text of 16 or more segments. Chosen on held-out videos, so that recall
#: under padding falls by less than 5 points.
_HANDICAP = 0.6


def handicap(parts: int) -> float:
    """Log-odds penalty of a maximum over several segments: one of many is high by chance."""
    return _HANDICAP * min(1.0, math.log2(parts) / 4)


class SpamDetector(Detector):
    """Scores the text of an upload for spam.

    Title, description, tags and comments are normalised; long text is split into overlapping
    segments. The TF-IDF score of the most suspicious segment is averaged with the score of its
    embedding. Text in frames is scored separately in the same way, and the higher score counts.

    Args:
        artifact: The model; defaults to the shipped one.

    Raises:
        ArtifactError: If the model is missing, altered or of another detector.
    """

    name = "spam"
    trainer = "quorum.models.spam.trainer:train_from"
    needs = frozenset({Feature.TEXT, Feature.EMBEDDING, Feature.OCR, Feature.SPEECH})

    def __init__(self, artifact: Artifact | Path = ARTIFACT) -> None:
        held = artifact if isinstance(artifact, Artifact) else open_artifact(artifact, self.name)
        require_embedding(held)
        settings = held.document("model.json")
        self.version = held.version
        self._languages = Languages.from_document(settings)
        self._words = TfidfLogistic.restore(
            held.tensors("words.safetensors"), held.document("terms.json")
        )
        self._meaning = DenseLogistic.restore(held.tensors("meaning.safetensors"))
        self._share = float(settings["share_of_meaning"])
        self._calibration = Platt.from_document(settings["calibration"])

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """See Detector."""
        return cls(chosen_artifact(cls.name, settings) or ARTIFACT)

    def score(self, batch: Sequence[Features]) -> Sequence[Finding]:
        """See Detector."""
        return self._languages.judged(batch, self._judge)

    def _judge(self, batch: Sequence[Features]) -> list[Finding]:
        findings: list[Finding | None] = [None] * len(batch)
        segments: list[str] = []
        parts: list[_SegmentGroup] = []
        for index, features in enumerate(batch):
            if features.text is None:
                findings[index] = Finding.without(features, Feature.TEXT)
                continue
            found = _words_of(features.text)
            if not found:
                findings[index] = Finding.abstained("no words in the text")
            for words in found:
                made = segments_of(words)
                end = len(segments) + len(made)
                beside = bool(features.text.own) and words is features.text.in_frames
                parts.append(_SegmentGroup(index, len(segments), end, beside))
                segments.extend(made)
        if not segments:
            return [finding for finding in findings if finding is not None]
        vectors = self._words.vectors(segments)
        odds = self._words.decide_vectors(vectors)
        best = [part.start + int(np.argmax(odds[part.start : part.end])) for part in parts]
        embedding_odds = self._embedding_odds(
            [
                (batch[part.index], part.line(segments[place], odds[place] > 0))
                for part, place in zip(parts, best, strict=True)
            ]
        )
        highest: dict[int, tuple[float, int]] = {}
        for part, place, meaning in zip(parts, best, embedding_odds, strict=True):
            both = float(odds[place])
            if meaning is not None:
                both = (1 - self._share) * both + self._share * meaning
            both -= handicap(part.end - part.start)
            if part.index not in highest or both > highest[part.index][0]:
                highest[part.index] = (both, place)
        for index, (both, place) in highest.items():
            findings[index] = self._finding(batch[index], both, segments[place], vectors[place])
        return [finding for finding in findings if finding is not None]

    def _embedding_odds(
        self, suspects: Sequence[tuple[Features, str | None]]
    ) -> list[float | None]:
        """Embedding log-odds of each group: of its suspicious segment, or of the whole text.

        The embedding of a long text barely reflects a single line, so that a suspicious segment is
        embedded separately. An empty segment is not embedded.
        """
        lines = [line for _, line in suspects if line]
        vectors = {}
        if lines:
            from quorum.models.features.embedding import shared_embedder

            vectors = dict(zip(lines, shared_embedder().embed(lines), strict=True))
        made: list[float | None] = []
        for features, line in suspects:
            vector = features.embedding if line is None else vectors.get(line)
            made.append(None if vector is None else float(self._meaning.decide(vector)))
        return made

    def _finding(self, features: Features, odds: float, segment: str, vector: Any) -> Finding:
        score = float(self._calibration.apply(odds))
        evidence = []
        if score >= _EXPLAIN_FROM and features.text is not None:
            evidence = locate(self._words.words(segment, vector), features.text)
        return Finding.scored(score, {"spam/promotion": score}, evidence)

    @classmethod
    def examples(cls) -> Sequence[Example]:
        """See Detector."""
        return (
            Example.of(
                "spam-channel",
                "flagged",
                "asks for subscribers with bait",
                title="CHECK OUT MY CHANNEL and subscribe for free gift cards!!!",
            ),
            Example.of(
                "spam-evasion",
                "flagged",
                "the same with letters replaced and spaced",
                title="ch3ck 0ut my ch4nnеl and s u b s c r i b e for fr33 m0ney",
            ),
            Example.of(
                "spam-link",
                "flagged",
                "a promise of money with a link",
                title="Earn $500 a day from home, visit http://easy-cash.example.com now",
            ),
            Example.of(
                "spam-none",
                "clear",
                "an ordinary title and description",
                title="Walking along the river at sunrise",
                description="Filmed in autumn with an old camera; the birds were louder "
                "than I expected.",
            ),
            Example.of("spam-fan", "clear", "a fan", title="this song never gets old, I love it"),
            Example.of("spam-empty", "abstained", "no text"),
        )


@dataclass(frozen=True, slots=True)
class _SegmentGroup:
    """The segments of an upload's own text, or of the text in its frames.

    They are scored separately, so that text in frames never lowers the score of the rest.
    """

    index: int
    start: int
    end: int
    beside: bool

    @property
    def several(self) -> bool:
        """Whether it is one of several groups or segments of the upload."""
        return self.beside or self.end - self.start > 1

    def line(self, segment: str, suspect: bool) -> str | None:
        """The text to embed; None if the upload's own embedding already covers it."""
        if self.beside:
            return segment if suspect else ""
        return segment if suspect and self.several else None


def _words_of(text: Text) -> list[str]:
    parts = (text.own, text.in_frames)
    return [part for part in parts if any(character.isalpha() for character in part)]

"""The violence detector: the meaning of an upload's words."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

import numpy as np

from models.artifacts import Artifact, open_artifact
from models.base import Detector, Example, Feature, Features, Finding, Text
from models.calibration import Platt
from models.features.normalise import normalise
from models.linear import DenseLogistic
from models.segments import sentences
from quorum.messages import Evidence, Upload
from quorum.settings import Settings

__all__ = ["ARTIFACT", "ViolenceDetector"]

ARTIFACT = Path(__file__).parent / "artifact"
#: Below this score nobody asks why; above, each sentence is embedded on its own.
_EXPLAIN_FROM = 0.5
_MOST_SENTENCES = 12
_MOST_EVIDENCE = 3


class ViolenceDetector(Detector):
    """Scores the meaning of an upload's words for violence.

    Args:
        artifact: Its model; by default the one that ships.

    Raises:
        ArtifactError: If the model is absent, altered or of another detector.
    """

    name = "violence"
    needs = frozenset({Feature.TEXT, Feature.EMBEDDING})

    def __init__(self, artifact: Artifact | Path = ARTIFACT) -> None:
        held = artifact if isinstance(artifact, Artifact) else open_artifact(artifact, self.name)
        settings = held.document("model.json")
        self.version = held.version
        self._meaning = DenseLogistic.restore(held.tensors("meaning.safetensors"))
        self._calibration = Platt.from_document(settings["calibration"])

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """See Detector."""
        return cls()

    def score(self, batch: Sequence[Features]) -> Sequence[Finding]:
        """See Detector."""
        return [self._judge(features) for features in batch]

    def _judge(self, features: Features) -> Finding:
        if features.embedding is None or features.text is None:
            why = features.absent.get(Feature.EMBEDDING, "no text")
            return Finding.abstained(why) if why == "no text" else Finding.failed(why)
        if not any(character.isalpha() for character in features.text.normalised):
            return Finding.abstained("no words in the text")
        score = float(self._calibration.apply(self._meaning.decide(features.embedding)))
        evidence = self._explain(features.text) if score >= _EXPLAIN_FROM else []
        return Finding.scored(score, {"violence/threat": score}, evidence)

    def _explain(self, text: Text) -> list[Evidence]:
        """The sentences that would score highest on their own."""
        from models.features.embedding import shared_embedder

        places = [
            (field, start, end)
            for field, value in text.fields.items()
            for start, end in sentences(value, _MOST_SENTENCES)
        ][:_MOST_SENTENCES]
        if not places:
            return []
        read = [normalise(text.fields[field][start:end]) for field, start, end in places]
        scores = self._calibration.apply(self._meaning.decide(shared_embedder().embed(read)))
        best = np.argsort(-scores, kind="stable")[:_MOST_EVIDENCE]
        return [
            Evidence(
                kind="text",
                what=text.fields[field][start:end],
                field=field,
                start=start,
                end=end,
                weight=round(float(scores[index]), 4),
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


def _upload(id: str, title: str, description: str = "") -> Upload:  # noqa: A002
    return Upload(
        id=id,
        uploader="example",
        title=title,
        description=description,
        published_at=datetime(2026, 1, 1, tzinfo=UTC),
    )

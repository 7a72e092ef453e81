"""The spam detector: each field judged as what it is, by words, signals and meaning."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from quorum.core.messages import SEEN, Evidence
from quorum.core.settings import Settings
from quorum.models.detectors import Detector, Example, Feature, Features, Finding
from quorum.models.features.embedding import require_embedding, shared_embedder
from quorum.models.features.languages import Languages
from quorum.models.registry.artifacts import Artifact, open_artifact
from quorum.models.registry.references import chosen_artifact
from quorum.models.spam.evidence import evidence_for
from quorum.models.spam.judge import Judged, handicap, judge
from quorum.models.spam.kinds import labels_of
from quorum.models.spam.model import SpamModel
from quorum.models.spam.reading import Unit, units_of

__all__ = ["ARTIFACT", "SpamDetector", "handicap"]

ARTIFACT = Path(__file__).parent / "artifact"
#: Minimum score that is explained by evidence.
_EXPLAIN_FROM = 0.3


class SpamDetector(Detector):
    """Scores the text of an upload for spam.

    Title, description, tags, each comment and the words in frames are fields of their own. Each is
    read in parts of about a comment's length; three heads look at a part: its words, the signals
    that an analyst would look at (what its links are, what is promised, what is hidden), and its
    meaning. The most suspicious part of the worst field decides. Where there is one kind of
    evidence only, such as a link, the score stays below what any shipped policy removes.

    Args:
        artifact: The model; defaults to the shipped one.

    Raises:
        ArtifactError: If the model is missing, altered or of another detector.
    """

    name = "spam"
    trainer = "quorum.models.spam.trainer:train_from"
    needs = frozenset({Feature.TEXT, Feature.OCR, Feature.SPEECH})

    def __init__(self, artifact: Artifact | Path = ARTIFACT) -> None:
        held = artifact if isinstance(artifact, Artifact) else open_artifact(artifact, self.name)
        self.version = held.version
        require_embedding(held)
        self._model = SpamModel.read(held)
        self._languages = Languages.from_document(held.document("model.json"))

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """See Detector."""
        return cls(chosen_artifact(cls.name, settings) or ARTIFACT)

    def score(self, batch: Sequence[Features]) -> Sequence[Finding]:
        """See Detector."""
        return self._languages.judged(batch, self._judge)

    def _judge(self, batch: Sequence[Features]) -> list[Finding]:
        fields = [_fields(one) for one in batch]
        judged = judge(self._model, fields, self._embed if self._model.heads.meaning else None)
        return [self._finding(features, one) for features, one in zip(batch, judged, strict=True)]

    @staticmethod
    def _embed(texts: Sequence[str]) -> NDArray[np.float32]:
        return shared_embedder().embed(texts)

    def _finding(self, features: Features, judged: Judged | None) -> Finding:
        if features.text is None:
            return Finding.without(features, Feature.TEXT)
        if judged is None:
            return Finding.abstained("no words in the text")
        evidence: list[Evidence] = []
        if judged.score >= _EXPLAIN_FROM:
            evidence = evidence_for(self._model.heads.words, judged, features.text)
        unread = features.partial.get(Feature.TEXT, "")
        if unread.startswith("words in frames"):
            evidence.append(
                Evidence(kind="text", field=SEEN, what=f"partial: {unread}"[:500], weight=0.0)
            )
        return Finding.scored(judged.score, labels_of(judged), evidence)

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
            Example.of(
                "spam-links",
                "clear",
                "an honest description with links, a sponsor and a call to subscribe",
                title="Three knots for the garden",
                description="Subscribe for a new video every week!\nInstagram: "
                "https://www.instagram.com/example\nDiscord: https://discord.gg/example\n"
                "Get 10% off with the code KNOTS at https://example.com. Free plans: "
                "https://example.com/plans",
            ),
            Example.of(
                "spam-process",
                "clear",
                "a question about programming",
                title="How can I kill a Python process?",
            ),
            Example.of("spam-empty", "abstained", "no text"),
        )


def _fields(features: Features) -> list[Unit]:
    """The fields of an upload; none if there is no word or number in any."""
    text = features.text
    if text is None or not any(one.isalpha() for one in text.normalised):
        return []
    return units_of(text.fields, features.upload.uploader)

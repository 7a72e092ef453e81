"""The scam detector: similarity of an upload to known scam sentences."""

import hashlib
from collections.abc import Sequence

import numpy as np

from quorum.detectors import Detector, Evidence, Example, Feature, Features, Finding
from quorum_scam.sentences import HONEST, SCAM


class ScamDetector(Detector):
    """Scores how much nearer an upload is to known scams than to honest look-alikes."""

    name = "scam"
    needs = frozenset({Feature.TEXT, Feature.EMBEDDING})

    def __init__(self) -> None:
        from quorum.detectors import shared_embedder

        self._scam = shared_embedder().embed(SCAM)
        self._honest = shared_embedder().embed(HONEST)
        self.version = hashlib.sha256(repr((SCAM, HONEST)).encode()).hexdigest()[:16]

    def score(self, batch: Sequence[Features]) -> Sequence[Finding]:
        """See Detector."""
        return [self._score_one(features) for features in batch]

    def _score_one(self, features: Features) -> Finding:
        if features.embedding is None:
            return Finding.without(features, Feature.EMBEDDING)
        likeness = self._scam @ features.embedding
        gap = float(likeness.max() - (self._honest @ features.embedding).max())
        score = float(1 / (1 + np.exp(-30 * (gap - 0.03))))
        nearest = f"reads like: {SCAM[int(likeness.argmax())]}"
        evidence = [Evidence(kind="text", what=nearest)] if score >= 0.5 else []
        return Finding.scored(score, {"scam/money": score}, evidence)

    @classmethod
    def examples(cls) -> Sequence[Example]:
        """See Detector."""
        return (
            Example.of(
                "scam-double", "flagged", "doubling", title="Send 1 BTC now and receive 2 BTC back!"
            ),
            Example.of(
                "scam-none", "clear", "a home video", title="Baking bread with my grandmother"
            ),
            Example.of(
                "scam-news", "clear", "only about money", title="Bitcoin explained for beginners"
            ),
        )

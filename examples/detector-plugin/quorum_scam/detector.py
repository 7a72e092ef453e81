"""The scam detector: which of a few known sentences an upload's meaning is nearest to."""

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np

from quorum.detectors import Detector, Evidence, Example, Feature, Features, Finding, Upload
from quorum_scam.sentences import HONEST, SCAM


class ScamDetector(Detector):
    """Scores how much nearer an upload is to known scams than to what only looks like them."""

    name = "scam"
    needs = frozenset({Feature.TEXT, Feature.EMBEDDING})

    def __init__(self) -> None:
        from quorum.detectors import shared_embedder

        self._scam = shared_embedder().embed(SCAM)
        self._honest = shared_embedder().embed(HONEST)
        self.version = hashlib.sha256(repr((SCAM, HONEST)).encode()).hexdigest()[:16]

    def score(self, batch: Sequence[Features]) -> Sequence[Finding]:
        """See Detector."""
        return [self._judge(features) for features in batch]

    def _judge(self, features: Features) -> Finding:
        if features.embedding is None:
            why = features.absent.get(Feature.EMBEDDING, "no text")
            return Finding.abstained(why) if why == "no text" else Finding.failed(why)
        likeness = self._scam @ features.embedding
        gap = float(likeness.max() - (self._honest @ features.embedding).max())
        score = float(1 / (1 + np.exp(-12 * (gap - 0.05))))
        nearest = f"reads like: {SCAM[int(likeness.argmax())]}"
        evidence = [Evidence(kind="text", what=nearest)] if score >= 0.5 else []
        return Finding.scored(score, {"scam/money": score}, evidence)

    @classmethod
    def examples(cls) -> Sequence[Example]:
        """See Detector."""
        return (
            Example(
                _upload("scam-double", "Send 1 BTC now and receive 2 BTC back!"),
                "flagged",
                "doubling",
            ),
            Example(
                _upload("scam-none", "Baking bread with my grandmother"), "clear", "a home video"
            ),
            Example(
                _upload("scam-news", "Bitcoin explained for beginners"), "clear", "about money only"
            ),
        )


def _upload(name: str, title: str) -> Upload:
    return Upload(id=name, uploader="x", title=title, published_at=datetime(2026, 1, 1, tzinfo=UTC))

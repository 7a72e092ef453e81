"""Detectors of comments whose answers a test knows, and a policy over them."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from quorum.aggregator.policy.policy import Policy
from quorum.models.detectors import Detector, Example, Feature, Features, Finding

POLICY = Policy.from_text(
    """
name: comments
deadline: 4 s
retention: 1 h
orphan_wait: 1 min
quorum: 1
detectors:
  spam: {required: true, missing: review, failed: review, abstained: ignore}
rules:
  - name: bad
    when: score("spam") >= 0.1
    action: remove
    category: spam
    reason: Bad.
"""
)


class Spam(Detector):
    """Scores by ``bad`` among the words of comments in English; see the words below."""

    name = "spam"
    version = "s1"
    needs = frozenset({Feature.TEXT})

    def __init__(self) -> None:
        self.seen: list[Features] = []
        self.gate = threading.Event()

    def score(self, batch: Sequence[Features]) -> Sequence[Finding]:
        self.seen += batch
        return [self._one(features) for features in batch]

    def _one(self, features: Features) -> Finding:
        text = features.text
        if text is None:
            return Finding.without(features, Feature.TEXT)
        if "broken" in text.joined:
            msg = "it broke"
            raise RuntimeError(msg)
        if "hangs" in text.joined:
            self.gate.wait(20)
        if text.joined.startswith("An unsayable"):
            return Finding.abstained("no words in the text")
        if text.language not in ("en", "fr"):
            return Finding.abstained(f"language not covered: {text.language or 'unknown'}")
        return Finding.scored(0.95 if "bad" in text.joined else 0.05)

    @classmethod
    def examples(cls) -> Sequence[Example]:
        return ()


class Violence(Spam):
    """Has labels; ``violence/fight`` is certain and no threat."""

    name = "violence"
    version = "v1"

    def _one(self, features: Features) -> Finding:
        return Finding.scored(0.9, {"violence/threat": 0.25, "violence/fight": 0.9})


class Insults(Violence):
    """The user's own, in a second stage of the cascade."""

    name = "insults"
    version = "i1"

    def _one(self, features: Features) -> Finding:
        return Finding.scored(0.5, {"hate/insult": 0.75, "insults/mild": 0.125})

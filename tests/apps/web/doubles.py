"""Detectors whose answers a test knows, and a policy over them."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

from quorum.aggregator.policy.policy import Policy
from quorum.models.detectors import Detector, Example, Feature, Features, Finding

POLICY = Policy.from_text(
    """
name: words
deadline: 2 s
retention: 1 h
orphan_wait: 1 min
quorum: 1
detectors:
  words: {required: true, missing: review, failed: review, abstained: ignore}
  slow: {required: false, deadline: 300 ms, missing: review, failed: ignore, abstained: ignore}
rules:
  - name: bad-words
    when: score("words") >= 0.9
    action: remove
    category: spam
    reason: The words are bad (probability {words}).
  - name: slow-says-so
    when: score("slow") >= 0.9
    action: remove
    category: violence
    reason: The slow one is sure.
"""
)


#: The same, for who must have all answers on a slow machine.
PATIENT = Policy.from_text(
    POLICY.text.replace("deadline: 2 s", "deadline: 60 s").replace("deadline: 300 ms, ", "")
)


class Words(Detector):
    """Scores by the word ``bad`` in the title; ``broken`` makes it raise."""

    name = "words"
    version = "w1"
    needs = frozenset({Feature.TEXT})

    def __init__(self) -> None:
        self.batches: list[int] = []

    def score(self, batch: Sequence[Features]) -> Sequence[Finding]:
        self.batches.append(len(batch))
        return [self._one(features) for features in batch]

    @staticmethod
    def _one(features: Features) -> Finding:
        title = features.upload.title
        if "broken" in title:
            msg = "cannot read this"
            raise RuntimeError(msg)
        if features.text is None:
            return Finding.abstained("no text")
        return Finding.scored(0.95 if "bad" in title else 0.05)

    @classmethod
    def examples(cls) -> Sequence[Example]:
        return ()


class Slow(Detector):
    """Answers when the gate is open; sure of a title with ``late``."""

    name = "slow"
    version = "s1"
    needs = frozenset({Feature.TEXT})

    def __init__(self, seconds: float = 0.0) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.seconds = seconds

    def score(self, batch: Sequence[Features]) -> Sequence[Finding]:
        self.gate.wait(20)
        time.sleep(self.seconds)
        return [
            Finding.scored(0.99 if "late" in features.upload.title else 0.1) for features in batch
        ]

    @classmethod
    def examples(cls) -> Sequence[Example]:
        return ()

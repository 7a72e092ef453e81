"""Detectors that do as an upload's unknown field ``script`` says, well or badly."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quorum.aggregator.policy.policy import Policy
from quorum.core.settings import DetectorSettings
from quorum.models.configured import ConfiguredDetector
from quorum.models.detectors import Detector, Example, Feature, Features, Finding

POLICY = """
name: scripted
deadline: 30 s
retention: 1 h
orphan_wait: 10 min
detectors:
  alpha: {required: true, missing: review, failed: review, abstained: ignore}
  beta: {required: true, missing: review, failed: review, abstained: ignore}
rules:
  - name: alpha-certain
    when: score("alpha") >= 0.9
    action: remove
    category: spam
    reason: Alpha is certain.
  - name: beta-likely
    when: score("beta") >= 0.5
    action: restrict
    category: violence
    reason: Beta thinks so.
"""


def policy(**changes: str) -> Policy:
    text = POLICY
    for name, value in changes.items():
        text = "\n".join(
            f"{name}: {value}" if line.startswith(f"{name}:") else line
            for line in text.splitlines()
        )
    return Policy.from_text(text)


class Scripted(Detector):
    version = "scripted-1"
    needs = frozenset({Feature.TEXT})

    def __init__(self, name: str) -> None:
        self.name = name

    def score(self, batch: Sequence[Features]) -> Sequence[Finding]:
        made = []
        for features in batch:
            told: Any = (getattr(features.upload, "script", None) or {}).get(self.name, 0.1)
            if told == "raise":
                msg = "the detector broke on this upload"
                raise RuntimeError(msg)
            if told == "hang":
                time.sleep(30)
            if told == "short":
                return made
            made.append(
                Finding.abstained("nothing to judge")
                if told == "abstain"
                else Finding.scored(float(told))
            )
        return made

    @classmethod
    def examples(cls) -> Sequence[Example]:
        return []


_serial = itertools.count()


@dataclass(frozen=True)
class Load:
    """Each test has detectors of its own: one that hangs stays stuck."""

    name: str
    serial: int

    def __call__(self) -> Detector:
        return Scripted(self.name)


def ensemble(timeout: float = 5.0) -> tuple[ConfiguredDetector, ...]:
    serial = next(_serial)
    how = DetectorSettings(timeout=timeout)
    return tuple(ConfiguredDetector(name, Load(name, serial), how) for name in ("alpha", "beta"))


def upload(upload_id: str, **more: Any) -> bytes:
    return json.dumps(
        {
            "id": upload_id,
            "uploader": "somebody",
            "title": "a title",
            "published_at": "2026-01-31T12:00:00Z",
            **more,
        }
    ).encode()


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()] if path.exists() else []

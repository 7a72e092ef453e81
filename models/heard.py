"""What a detector of words says of speech, put beside what it says of the rest.

A transcript is a weak witness: words are misheard, and said of others. So a detector scores it by
itself, and what is heard alone gives at most ``AT_MOST``, under the removals of the shipped
policies. The label ``<detector>/heard`` has the whole probability, for rules that ask a human.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from quorum.core.messages import Status
from quorum.models.detectors import Features, Finding

__all__ = ["AT_MOST", "with_speech"]

#: The highest score that rests on speech alone.
AT_MOST: Final = 0.69


def with_speech(
    detector: str,
    batch: Sequence[Features],
    findings: Sequence[Finding],
    score: Callable[[Sequence[Features]], Sequence[Finding]],
) -> list[Finding]:
    """Score what is said in some uploads, and put it together with their findings.

    Args:
        detector: The detector's name.
        batch: The uploads.
        findings: The detector's findings of them without speech.
        score: Scores features with the detector.
    """
    made = list(findings)
    spoken = [(index, one.spoken) for index, one in enumerate(batch)]
    heard = [(index, features) for index, features in spoken if features is not None]
    if not heard:
        return made
    said = score([features for _, features in heard])
    for (index, _), finding in zip(heard, said, strict=True):
        made[index] = _together(detector, made[index], finding)
    return made


def _together(detector: str, own: Finding, said: Finding) -> Finding:
    if said.status is not Status.SCORED or said.score is None or own.status is Status.FAILED:
        return own
    label = f"{detector}/heard"
    less = min(said.score, AT_MOST)
    if own.status is Status.SCORED and own.score is not None and own.score >= less:
        return Finding.scored(own.score, {**own.labels, label: said.score}, own.evidence)
    labels = {name: min(value, AT_MOST) for name, value in said.labels.items()}
    for name, value in own.labels.items():
        labels[name] = max(value, labels.get(name, 0.0))
    return Finding.scored(less, {**labels, label: said.score}, (*own.evidence, *said.evidence))

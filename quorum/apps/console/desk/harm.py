"""Expected harm, the order of queues: severity x reach x uncertainty."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import timedelta
from typing import Final

from quorum.core.messages import Upload, Verdict

__all__ = ["SEVERITIES", "expected_harm", "reach", "service_level", "severity", "uncertainty"]

#: By category, from 1 (nuisance) to 5 (someone may be hurt).
SEVERITIES: Final[Mapping[str, int]] = {
    "protection-of-minors": 5,
    "self-harm": 5,
    "risk-for-public-security": 5,
    "violence": 4,
    "cyber-violence": 4,
    "cyber-violence-against-women": 4,
    "illegal-or-harmful-speech": 4,
    "nsfw": 3,
    "adult": 3,
    "animal-welfare": 3,
    "unsafe-and-prohibited-products": 3,
    "scams-and-fraud": 3,
    "copyright": 2,
    "intellectual-property-infringements": 2,
    "data-protection-and-privacy-violations": 3,
    "spam": 1,
}

#: Target time to a decision in hours, by severity.
_HOURS: Final = {5: 1.0, 4: 4.0, 3: 12.0, 2: 24.0, 1: 48.0}


def severity(category: str | None) -> int:
    """Return the severity of a category, from 1 to 5; 3 for unknown categories."""
    return SEVERITIES.get(category or "", 3)


def reach(upload: Upload | None) -> float:
    """Return 1 + log10(1 + n), where n is the greater of ``views`` and ``followers``, or 0."""
    extra = (upload.model_extra or {}) if upload is not None else {}
    most = 0.0
    for name in ("views", "followers"):
        value = extra.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool) and value > 0:
            most = max(most, float(min(value, 1e12)))
    return 1.0 + math.log10(1.0 + most)


def uncertainty(verdict: Verdict) -> float:
    """Return the entropy in bits of the least certain score, 0.1 to 1; 1 if one is missing."""
    scores = [one.score for one in verdict.predictions if one.score is not None and not one.shadow]
    if verdict.missing or not scores:
        return 1.0
    return max(0.1, *(_entropy(score) for score in scores))


def expected_harm(upload: Upload | None, verdict: Verdict) -> float:
    """Return severity x reach x uncertainty."""
    return severity(verdict.category) * reach(upload) * uncertainty(verdict)


def service_level(category: str | None) -> timedelta:
    """Return the target time to a decision for a category."""
    return timedelta(hours=_HOURS[severity(category)])


def _entropy(score: float) -> float:
    if score <= 0.0 or score >= 1.0:
        return 0.0
    return -score * math.log2(score) - (1 - score) * math.log2(1 - score)

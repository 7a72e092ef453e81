"""Expected harm, the order of queues: severity x reach x uncertainty."""

from __future__ import annotations

import math

from quorum.aggregator.policy.severity import SEVERITIES, service_level, severity
from quorum.core.messages import Upload, Verdict

__all__ = [
    "SEVERITIES",
    "audience",
    "expected_harm",
    "reach",
    "service_level",
    "severity",
    "uncertainty",
]


def reach(upload: Upload | None) -> float:
    """Return 1 + log10(1 + n), where n is the upload's ``audience``."""
    return 1.0 + math.log10(1.0 + audience(upload))


def audience(upload: Upload | None) -> float:
    """Return the greater of ``views`` and ``followers``, or 0."""
    extra = (upload.model_extra or {}) if upload is not None else {}
    most = 0.0
    for name in ("views", "followers"):
        value = extra.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool) and value > 0:
            most = max(most, float(min(value, 1e12)))
    return most


def uncertainty(verdict: Verdict) -> float:
    """Return the entropy in bits of the least certain score, 0.1 to 1; 1 if one is missing."""
    scores = [one.score for one in verdict.predictions if one.score is not None and not one.shadow]
    if verdict.missing or not scores:
        return 1.0
    return max(0.1, *(_entropy(score) for score in scores))


def expected_harm(upload: Upload | None, verdict: Verdict) -> float:
    """Return severity x reach x uncertainty."""
    return severity(verdict.category) * reach(upload) * uncertainty(verdict)


def _entropy(score: float) -> float:
    if score <= 0.0 or score >= 1.0:
        return 0.0
    return -score * math.log2(score) - (1 - score) * math.log2(1 - score)

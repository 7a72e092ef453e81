"""How severe a category of harm is, and how soon a person should look at it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Final

__all__ = ["SEVERITIES", "service_level", "severity"]

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


def service_level(category: str | None) -> timedelta:
    """Return the target time to a decision for a category."""
    return timedelta(hours=_HOURS[severity(category)])

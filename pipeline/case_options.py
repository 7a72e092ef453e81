"""What stands beside the policy while cases are decided; none of it decides by itself."""

from __future__ import annotations

from dataclasses import dataclass

from aggregator.drift import Profiles

__all__ = ["CaseOptions"]


@dataclass(frozen=True)
class CaseOptions:
    """How cases are decided and watched, beside the policy.

    Attributes:
        reference: What scores are compared with, for the gauges of drift; without one only
            silence is told.
    """

    reference: Profiles | None = None

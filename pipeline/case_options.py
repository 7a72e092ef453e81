"""What stands beside the policy while cases are decided; none of it decides by itself."""

from __future__ import annotations

from dataclasses import dataclass, field

from quorum.aggregator.policy.policy import Policy
from quorum.aggregator.study.drift import Profiles

__all__ = ["CaseOptions"]


@dataclass(frozen=True)
class CaseOptions:
    """How cases are decided and watched, beside the policy.

    Attributes:
        shadows: Policies that only watch: verdicts tell what each would have decided.
        histories: Whether past verdicts on the uploader are looked up in the ledger.
        ledger: URL of the ledger; None for ``QUORUM_DATABASE``.
        reference: What scores are compared with, for the gauges of drift; without one only
            silence is told.
    """

    shadows: tuple[Policy, ...] = ()
    reference: Profiles | None = None
    histories: bool = False
    ledger: str | None = field(default=None, repr=False)

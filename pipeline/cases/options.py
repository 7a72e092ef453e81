"""Options of the decide step beside the policy; none of them changes an action."""

from __future__ import annotations

from dataclasses import dataclass, field

from quorum.aggregator.policy.policy import Policy
from quorum.aggregator.study.drift import Profiles
from quorum.pipeline.policies.live import LivePolicy

__all__ = ["CaseOptions"]


@dataclass(frozen=True)
class CaseOptions:
    """How cases are decided and monitored, beside the policy.

    Attributes:
        shadows: Shadow policies: each verdict records what they would have decided.
        reference: The reference distributions for the drift gauges; without one, only the share
            of missing and failed predictions is measured.
        histories: Whether past verdicts on the uploader are looked up in the ledger.
        ledger: URL of the ledger; None for ``QUORUM_DATABASE``.
        live: Follows the policies that are released while the job runs; None for the policy that
            the job began with.
    """

    shadows: tuple[Policy, ...] = ()
    reference: Profiles | None = None
    histories: bool = False
    ledger: str | None = field(default=None, repr=False)
    live: LivePolicy | None = None

"""The removal cap where there is no stream: one set of buckets for each process."""

from __future__ import annotations

import threading

from quorum.aggregator.case.cap import Cap
from quorum.aggregator.policy.policy import Policy
from quorum.core.messages import Verdict

__all__ = ["Removals"]


class Removals:
    """Lets no more verdicts remove than a policy's caps allow; may be shared by threads.

    A restart fills the buckets, and each process has its own.

    Args:
        policy: Its caps.
    """

    def __init__(self, policy: Policy) -> None:
        self._cap = Cap(policy)
        self._lock = threading.Lock()

    def bounded(self, verdict: Verdict) -> Verdict:
        """The verdict as it is, or as a review where the cap is reached."""
        with self._lock:
            return self._cap.take(verdict).verdict

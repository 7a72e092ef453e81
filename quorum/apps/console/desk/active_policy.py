"""The policy in force: the one released last, else the one given at the start."""

from __future__ import annotations

import logging
import threading

from quorum.aggregator.policy.policy import Policy
from quorum.core.errors import PolicyError
from quorum.store.ledger import Ledger
from quorum.store.ledger.releases import in_force

__all__ = ["ActivePolicy"]

_log = logging.getLogger(__name__)


class ActivePolicy:
    """Follows releases in the ledger, including those by other consoles and the command line.

    Args:
        ledger: The ledger.
        start: The policy in force until one is released.
    """

    def __init__(self, ledger: Ledger, start: Policy) -> None:
        self._ledger = ledger
        self._lock = threading.Lock()
        self._seen = ""
        self._policy = self._started_with = start
        self._problem: str | None = None

    @property
    def start(self) -> Policy:
        """The policy in force until one was activated."""
        return self._started_with

    def current(self) -> Policy:
        """Return the policy in force; while it cannot be read, the last one that could."""
        found = self._ledger.transact(in_force)
        if found is None:
            return self._policy
        release = found.release
        with self._lock:
            if self._seen != release.event_id():
                self._seen = release.event_id()
                try:
                    self._policy, self._problem = Policy.from_text(release.text), None
                except PolicyError as error:
                    self._problem = f"cannot use {release.policy_version}: {error}"
                    _log.error("the console does not use the released policy: %s", self._problem)
            return self._policy

    def problem(self) -> str | None:
        """Why the console does not use the policy that was released last; None if it does."""
        return self._problem

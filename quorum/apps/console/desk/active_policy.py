"""The policy in force: the one activated last, else the one given at the start."""

from __future__ import annotations

import logging
import threading
from typing import Any

from sqlalchemy import select

from quorum.aggregator.policy.policy import Policy
from quorum.core.errors import PolicyError
from quorum.store.ledger import Ledger
from quorum.store.ledger.console_schema import drafts

__all__ = ["ActivePolicy"]

_log = logging.getLogger(__name__)


class ActivePolicy:
    """Follows activations in the ledger, including those by other consoles.

    Args:
        ledger: The ledger.
        start: The policy in force until one is activated.
    """

    def __init__(self, ledger: Ledger, start: Policy) -> None:
        self._ledger = ledger
        self._start = start
        self._lock = threading.Lock()
        self._known: tuple[str, Policy] | None = None

    def current(self) -> Policy:
        """Return the policy in force."""
        active = self._ledger.transact(lambda connection: connection.execute(_ACTIVE).first())
        if active is None:
            return self._start
        with self._lock:
            if self._known is None or self._known[0] != active.id:
                self._known = (active.id, self._read(active))
            return self._known[1]

    def _read(self, active: Any) -> Policy:
        try:
            return Policy.from_text(active.text)
        except PolicyError as error:
            _log.error("cannot parse the activated policy %s: %s", active.version, error)
            return self._start


_ACTIVE = (
    select(drafts.c.id, drafts.c.text, drafts.c.version)
    .where(drafts.c.state == "active")
    .order_by(drafts.c.activated_at.desc())
    .limit(1)
)

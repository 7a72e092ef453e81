"""Watches what the console depends on, in a thread of its own that no slow step delays."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta

from sqlalchemy import Connection

from quorum.aggregator.policy.policy import Policy
from quorum.apps.console.desk.alarms import (
    NAMES,
    Alarm,
    Bounds,
    ledger_away,
    measure,
    undecided,
)
from quorum.core.errors import QuorumError
from quorum.core.messages import now
from quorum.core.metrics import CONSOLE_BEHIND
from quorum.store.ledger import Ledger

__all__ = ["Watch"]

_log = logging.getLogger(__name__)

_EVERY_SECONDS = 2.0

#: Without an answer of the database for this long it counts as away.
AWAY_SECONDS = 5.0

_CLOSE_SECONDS = 5.0


class Watch:
    """Keeps the list of what is behind.

    Args:
        ledger: The ledger.
        policy: Returns the policy in force.
        bounds: From when on something is behind.
        worker: Returns why the console's worker does nothing; None if it works.
        copies: Returns that copies of removed content are not looked for; None if they are.
    """

    def __init__(
        self,
        ledger: Ledger,
        policy: Callable[[], Policy],
        bounds: Bounds,
        worker: Callable[[], str | None],
        copies: Callable[[], Alarm | None] = lambda: None,
    ) -> None:
        self._ledger = ledger
        self._policy = policy
        self._bounds = bounds
        self._worker = worker
        self._copies = copies
        self._stopping = threading.Event()
        self._found: tuple[Alarm, ...] = ()
        #: When the database answered last, by the steady clock.
        self._answered = time.monotonic()
        self._failed = False
        self._worker_since: datetime | None = None
        self._waiting: dict[str, datetime] = {}
        self._told: set[str] = set()
        self._thread = threading.Thread()

    def start(self) -> None:
        """Start the thread."""
        self._answered = time.monotonic()
        self._stopping.clear()
        self._thread = threading.Thread(target=self._run, name="console-watch", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop after the current step."""
        self._stopping.set()
        self._thread.join(_CLOSE_SECONDS)

    @property
    def away(self) -> bool:
        """Whether the last question to the database failed, so that asking again only waits."""
        return self._failed

    def current(self) -> tuple[Alarm, ...]:
        """What is behind now, the gravest first; asks nothing of the database."""
        still = time.monotonic() - self._answered
        if self._failed or still > AWAY_SECONDS:
            return (ledger_away(now() - timedelta(seconds=round(still))), *self._found)
        return self._found

    def step(self) -> None:
        """Look once."""
        try:
            policy = self._policy()
            self._found = self._ledger.transact(lambda connection: self._look(connection, policy))
        except QuorumError:
            self._failed = True
        else:
            self._answered, self._failed = time.monotonic(), False
        self._tell()

    def _look(self, connection: Connection, policy: Policy) -> tuple[Alarm, ...]:
        at = now()
        known = self._waiting
        self._waiting = {name: known.get(name, at) for name in undecided(connection, at)}
        found = measure(connection, policy, self._bounds, self._waiting, at)
        if (copies := self._copies()) is not None:
            found.append(copies)
            found.sort(key=lambda one: NAMES.index(one.name))
        if self._worker() is None:
            self._worker_since = None
        else:
            self._worker_since = self._worker_since or at
            stands = Alarm(
                "worker",
                grave=True,
                since=self._worker_since,
                what="The console's own worker stands still.",
                means="New cases do not appear in the queue, and decisions wait in the ledger: an "
                "administrator must read the console's log.",
            )
            found.insert(0, stands)
        return tuple(found)

    def _tell(self) -> None:
        """Set the metric, and log an alarm once when it comes and once when it ends."""
        found = {one.name: one for one in self.current()}
        for name in NAMES:
            behind = (now() - found[name].since).total_seconds() if name in found else 0.0
            CONSOLE_BEHIND.labels(name).set(max(0.0, behind))
        for name in found.keys() - self._told:
            _log.warning("behind: %s: %s", name, found[name].what)
        for name in self._told - found.keys():
            _log.warning("no longer behind: %s", name)
        self._told = set(found)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self.step()
            except Exception:
                _log.exception("the console's watch failed at one step and continues")
            self._stopping.wait(_EVERY_SECONDS)

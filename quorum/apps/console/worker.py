"""The background worker: publishes decisions, keeps queues, search and overview up to date."""

from __future__ import annotations

import logging
import sys
import threading
import time

from quorum.apps.console.desk import outbox, tasks
from quorum.apps.console.desk.overview import OverviewCache
from quorum.apps.console.desk.publishing import ReviewPublisher
from quorum.core.errors import QuorumError
from quorum.store.ledger import Ledger
from quorum.store.ledger.indexing import fill

__all__ = ["Worker"]

_log = logging.getLogger(__name__)

_PUBLISH_SECONDS = 0.5
_SYNC_SECONDS = 2.0
_TURN_SECONDS = 0.0005


class Worker:
    """A background thread; several consoles may share one ledger.

    Args:
        ledger: The ledger.
        reviews: Where decisions are published.
        double_rate: The share of cases that a second reviewer decides independently.
        overview_cache: The overview's figures, which the worker refreshes.
    """

    def __init__(
        self,
        ledger: Ledger,
        reviews: ReviewPublisher,
        double_rate: float,
        overview_cache: OverviewCache,
    ) -> None:
        self._ledger = ledger
        self._reviews = reviews
        self._double_rate = double_rate
        self._overviews = overview_cache
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="console-worker", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        # A page runs about ten queries, and may wait for this thread's time slice at each.
        sys.setswitchinterval(_TURN_SECONDS)
        self._thread.start()

    def close(self) -> None:
        """Stop after the current step; the next console publishes what is still waiting."""
        self._stopping.set()
        self._thread.join(30)

    def _run(self) -> None:
        synced = 0.0
        unfilled: str | None = ""
        while not self._stopping.is_set():
            try:
                outbox.publish_due(
                    self._ledger, self._reviews.publish, double_rate=self._double_rate
                )
                if time.monotonic() - synced > _SYNC_SECONDS:
                    tasks.sync(self._ledger)
                    synced = time.monotonic()
                self._overviews.refresh(force=False)
                if unfilled is not None:
                    unfilled = self._fill(unfilled)
            except QuorumError as error:
                _log.warning("%s", error)
            except Exception:
                # One bad row must not stop the queues for everyone.
                _log.exception("the console's worker failed at one step and continues")
            self._stopping.wait(_PUBLISH_SECONDS)

    def _fill(self, after: str) -> str | None:
        """Index one part of a ledger that was written before search existed."""
        return self._ledger.transact(lambda connection: fill(connection, after), writes=True)

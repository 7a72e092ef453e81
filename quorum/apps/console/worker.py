"""The background worker: publishes decisions, keeps queues, search and overview up to date."""

from __future__ import annotations

import logging
import sys
import threading
import time
from datetime import timedelta

from quorum.apps.console.accounts.anchors import AnchorWriter
from quorum.apps.console.desk import likeness, noticed, outbox, reported, sealed, standing, tasks
from quorum.apps.console.desk.account_outbox import publish_orders
from quorum.apps.console.desk.filing import AT_ONCE, file_tasks
from quorum.apps.console.desk.overview import OverviewCache
from quorum.apps.console.desk.publishing import ReviewPublisher
from quorum.apps.console.desk.releasing import ReleaseSender
from quorum.apps.console.desk.routing import Desk
from quorum.core.errors import EngineUnavailable, QuorumError
from quorum.store.ledger import Ledger
from quorum.store.ledger.indexing import fill
from quorum.store.notices.values import NoticeRules
from quorum.store.sealed.values import SealedRules

__all__ = ["Worker"]

_log = logging.getLogger(__name__)

_PUBLISH_SECONDS = 0.5
_SYNC_SECONDS = 2.0
#: Seconds after which age may have moved a task to another queue.
_REFILE_SECONDS = 60.0
_TURN_SECONDS = 0.0005

#: Seconds that the worker waits for its step at the end.
_CLOSE_SECONDS = 5.0

#: Seconds without a whole round of the worker, or with decisions that cannot be published, after
#: which that is a problem of health.
LATE_SECONDS = 30.0


class Worker:
    """A background thread; several consoles may share one ledger.

    Args:
        ledger: The ledger.
        reviews: Where decisions are published.
        double_rate: The share of cases that a second reviewer decides independently.
        overview_cache: The overview's figures, which the worker refreshes.
        anchors: Writes the end of the audit log to outside the database; None for nowhere.
        releases: Publishes activated policies; None where no topic was named.
        undo: How long a decision that later members of a campaign get can be undone.
        notices: The terms of legal notices.
        desk: The queues that tasks are filed in.
        sealed: The terms of sealed cases.
    """

    def __init__(
        self,
        ledger: Ledger,
        reviews: ReviewPublisher,
        double_rate: float,
        overview_cache: OverviewCache,
        anchors: AnchorWriter | None = None,
        releases: ReleaseSender | None = None,
        undo: timedelta = timedelta(0),
        notices: NoticeRules | None = None,
        desk: Desk | None = None,
        sealed: SealedRules | None = None,
    ) -> None:
        self._ledger = ledger
        self._reviews = reviews
        self._double_rate = double_rate
        self._overviews = overview_cache
        self._anchors = anchors
        self._releases = releases
        self._undo = undo
        self._notices = notices or NoticeRules()
        self._desk = desk or Desk()
        self._sealed = sealed or SealedRules()
        #: When all open tasks were last held against the rules.
        self._filed_at: float | None = None
        self._stopping = threading.Event()
        #: When a round succeeded last, and why none did since.
        self._round_at = time.monotonic()
        self._error = ""
        #: Since when decisions cannot be published.
        self._stuck_since: float | None = None
        self._thread = threading.Thread()

    def start(self) -> None:
        """Start the thread."""
        # A page runs about ten queries, and may wait for this thread's time slice at each.
        sys.setswitchinterval(_TURN_SECONDS)
        self._stopping.clear()
        self._round_at = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="console-worker", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop after the current step; the next console publishes what is still waiting."""
        self._stopping.set()
        self._thread.join(_CLOSE_SECONDS)
        if self._anchors is not None:
            try:
                self._anchors.step(now_due=True)
            except QuorumError as error:
                _log.warning("%s", error)

    def problem(self) -> str | None:
        """Why queues and decisions are not kept up to date; None if they are."""
        still = time.monotonic() - self._round_at
        if still > LATE_SECONDS:
            why = f": {self._error}" if self._error else ""
            return f"the queues were last brought up to date {still:.0f} s ago{why}"
        return None

    def publishing_problem(self) -> str | None:
        """Why decisions do not leave the outbox; None if they do."""
        since = self._stuck_since
        if since is None or (late := time.monotonic() - since) <= LATE_SECONDS:
            return None
        return f"decisions could not be published for {late:.0f} s; they wait in the ledger"

    def ended(self) -> str | None:
        """Why the worker is gone; None while it runs."""
        if self._thread.is_alive():
            return None
        return "the console's worker ended; only a restart helps"

    def _run(self) -> None:
        synced = 0.0
        unfilled: str | None = ""
        unlike: str | None = ""
        while not self._stopping.is_set():
            try:
                outbox.publish_due(
                    self._ledger, self._reviews.publish, double_rate=self._double_rate
                )
                publish_orders(self._ledger, self._reviews.publish)
                if time.monotonic() - synced > _SYNC_SECONDS:
                    tasks.sync(self._ledger)
                    standing.follow(self._ledger, self._undo)
                    reported.sync(self._ledger)
                    noticed.sync(self._ledger, self._notices)
                    sealed.sync(self._ledger, self._sealed)
                    self._file()
                    self._note_stuck(self._ledger.transact(outbox.stuck))
                    if self._releases is not None:
                        self._send_release(self._releases)
                    synced = time.monotonic()
                self._overviews.refresh(force=False)
                if unfilled is not None:
                    unfilled = self._fill(unfilled)
                if unlike is not None:
                    unlike = self._liken(unlike)
                if self._anchors is not None:
                    self._anchors.step()
                self._round_at, self._error = time.monotonic(), ""
            except QuorumError as error:
                self._error = str(error)
                _log.warning("%s", error)
            except Exception as error:
                self._error = f"{type(error).__name__}: {error}"
                # One bad row must not stop the queues for everyone.
                _log.exception("the console's worker failed at one step and continues")
            self._stopping.wait(_PUBLISH_SECONDS)

    @staticmethod
    def _send_release(releases: ReleaseSender) -> None:
        try:
            releases.step()
        except EngineUnavailable as error:
            _log.warning("%s", error)

    def _file(self) -> None:
        at = time.monotonic()
        every = self._filed_at is None or at - self._filed_at > _REFILE_SECONDS
        filed = file_tasks(self._ledger, self._desk, all_of_them=every)
        if every and filed < AT_ONCE:
            self._filed_at = at

    def _note_stuck(self, count: int) -> None:
        if not count:
            self._stuck_since = None
        elif self._stuck_since is None:
            self._stuck_since = time.monotonic()

    def _fill(self, after: str) -> str | None:
        """Index one part of a ledger that was written before search existed."""
        return self._ledger.transact(lambda connection: fill(connection, after), writes=True)

    def _liken(self, after: str) -> str | None:
        """Write the keys of some cases that waited before groups existed."""
        return self._ledger.transact(lambda c: likeness.fill(c, after), writes=True)

"""Sweeps copies of removed intimate images on a schedule, in a thread of the console."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from datetime import timedelta

from quorum.apps.console.desk.alarms import Alarm
from quorum.core.errors import QuorumError
from quorum.core.messages import now
from quorum.models.copyright.catalogue.catalogue import Catalogue
from quorum.store.ledger import Ledger
from quorum.store.notices.sweeping import Sweep, sweep
from quorum.store.notices.values import NoticeRules

__all__ = ["Sweeper"]

_log = logging.getLogger(__name__)

_CLOSE_SECONDS = 5.0
#: While a sweep runs, this often the log tells how far it is.
_TELL_SECONDS = 30.0


class Sweeper:
    """Looks for copies again and again; several consoles may do so on one ledger.

    Args:
        ledger: The ledger.
        catalogue: Opens the catalogue that keeps uploads.
        rules: The terms of legal notices.
        every: The time between the end of one sweep and the next.
    """

    def __init__(
        self,
        ledger: Ledger,
        catalogue: Callable[[], Catalogue],
        rules: NoticeRules,
        every: timedelta,
    ) -> None:
        self._ledger = ledger
        self._open = catalogue
        self._rules = rules
        self._every = every
        self._stopping = threading.Event()
        #: When the last whole sweep ended, and why none did since.
        self._ended_at = now()
        self._error = ""
        self._progress = ""
        self._told = time.monotonic()
        self._thread = threading.Thread()

    def start(self) -> None:
        """Start the thread."""
        self._ended_at = now()
        self._stopping.clear()
        self._thread = threading.Thread(target=self._run, name="console-sweeper", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop after the upload that is compared; the next sweep goes on there."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join(_CLOSE_SECONDS)

    def alarm(self) -> Alarm | None:
        """What is told on every page where no sweep came to its end for long; else None."""
        since = self._ended_at
        if now() - since <= max(10 * self._every, timedelta(minutes=10)):
            return None
        why = self._error or self._progress or "the first sweep has not ended"
        return Alarm(
            "copies",
            grave=False,
            since=since,
            what=f"Copies of removed intimate images are not looked for to the end: {why}.",
            means="Copies that came since may still be visible, and their 48 hours run: an "
            "administrator must look at the catalogue of fingerprints.",
        )

    def step(self) -> Sweep | None:
        """Sweep once; None if it failed."""
        try:
            opened = self._open()
            try:
                done = sweep(self._ledger, opened, self._rules, self._tell)
            finally:
                opened.close()
        except QuorumError as error:
            self._error = str(error)
            _log.warning("copies were not swept: %s", error)
            return None
        except Exception as error:
            self._error = f"{type(error).__name__}: {error}"
            # One bad fingerprint must not end the search for all.
            _log.exception("copies were not swept")
            return None
        if done.whole:
            self._ended_at, self._error = now(), ""
        if done.found:
            _log.info("%d new copies of removed intimate images", done.found)
        return done

    def _tell(self, done: int, total: int) -> bool:
        self._progress = f"{done:,} of {total:,} uploads are compared"
        if time.monotonic() - self._told > _TELL_SECONDS:
            self._told = time.monotonic()
            _log.info("copies: %d of %d uploads are compared", done, total)
        return not self._stopping.is_set()

    def _run(self) -> None:
        while not self._stopping.is_set():
            self.step()
            self._stopping.wait(self._every.total_seconds())

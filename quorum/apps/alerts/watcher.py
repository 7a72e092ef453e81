"""Looks at what is watched, and sends what is told, each channel in a thread of its own."""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from quorum.apps.alerts.channels import CALL_SECONDS, Sender
from quorum.apps.alerts.words import words_of
from quorum.core.alert_settings import AlertSettings
from quorum.core.messages import now
from quorum.core.metrics import ALERT_NOTICES, ALERTS_OPEN
from quorum.store.alerts.counting import Counts
from quorum.store.alerts.episodes import Event, Notices, open_keys, record
from quorum.store.alerts.judging import judge
from quorum.store.alerts.values import Alert, Bounds, Judgement
from quorum.store.ledger import Ledger, LedgerUnavailable

__all__ = ["BACK_OFF", "Deliverer", "Watcher", "judged", "run"]

_log = logging.getLogger(__name__)

#: Seconds between attempts, each with jitter: three and a half hours, after which an alert is no
#: news any more.
BACK_OFF: Final = (5.0, 30.0, 120.0, 600.0, 1800.0, 3600.0, 7200.0)
#: An attempt without a result after this time may be repeated by another process.
LEASE: Final = timedelta(seconds=6 * CALL_SECONDS)
#: Seconds between looks for what is due.
POLL_SECONDS: Final = 1.0


def judged(counts: Counts, settings: AlertSettings, at: datetime) -> list[Judgement]:
    """Count and judge all that is watched.

    Raises:
        LedgerUnavailable: If the database cannot be reached.
    """
    bounds = Bounds.of(settings)
    return [judge(one, bounds) for one in counts.readings(at)]


class Watcher:
    """Looks, and queues what is to be told.

    Args:
        ledger: The ledger.
        settings: What is watched, and who is told.
    """

    def __init__(self, ledger: Ledger, settings: AlertSettings) -> None:
        self._ledger = ledger
        self._settings = settings
        self._counts = Counts(ledger, settings)
        self._names = [one.name for one in settings.channels]
        #: Why the last look failed; None if it did not.
        self.problem: str | None = None

    def look(self, at: datetime | None = None) -> list[tuple[Event, Alert]]:
        """Look once; returns what began and ended.

        Raises:
            LedgerUnavailable: If the database cannot be reached; nothing is queued then.
        """
        at = at or now()
        found = judged(self._counts, self._settings, at)
        told = record(self._ledger, found, self._names, Bounds.of(self._settings), at)
        for event, alert in told:
            _log.warning("alert %s: %s", event, alert.signal.key)
        ALERTS_OPEN.set(len(open_keys(self._ledger)))
        return told

    def run(self, stopping: threading.Event) -> None:
        """Look again and again until told to stop."""
        while not stopping.is_set():
            try:
                self.look()
                self.problem = None
            except LedgerUnavailable as error:
                self.problem = f"nothing is watched: {error}"
                _log.warning("nothing is watched: %s", error)
            except Exception as error:
                self.problem = f"a look failed: {type(error).__name__}"
                _log.exception("a look at what is watched failed; the next one follows")
            stopping.wait(self._settings.every)


class Deliverer:
    """Sends what is queued for one channel, and retries what fails.

    Args:
        ledger: Holds the queue.
        sender: The channel.
        console: The address of the console, for links.
        queue: The queue; by default that of the ledger.
    """

    def __init__(
        self, ledger: Ledger, sender: Sender, console: str | None, queue: Notices | None = None
    ) -> None:
        self._queue = queue or Notices(ledger)
        self._sender = sender
        self._console = console

    def step(self) -> bool:
        """Try the next notice that is due; whether there was one.

        Raises:
            LedgerUnavailable: If the database cannot be reached.
        """
        notice = self._queue.claim(self._sender.name, LEASE)
        if notice is None:
            return False
        words = words_of(notice.alert, notice.event, self._console)
        try:
            error = self._sender.send(notice.id, notice.event, notice.alert, words)
        except Exception as failed:
            # A notice that cannot even be written must not stop those behind it.
            error = type(failed).__name__
        outcome = "sent" if error is None else "failed"
        ALERT_NOTICES.labels(self._sender.name, outcome).inc()
        if error is None:
            self._queue.end(notice)
        elif notice.attempts > len(BACK_OFF):
            _log.error("gave an alert up for %s: %s", self._sender.name, error)
            self._queue.end(notice, error)
        else:
            _log.warning("an alert could not be sent to %s: %s", self._sender.name, error)
            wait = BACK_OFF[notice.attempts - 1] * random.uniform(0.75, 1.25)  # noqa: S311
            self._queue.postpone(notice, wait, error)
        return True

    def run(self, stopping: threading.Event) -> None:
        """Send until told to stop."""
        while not stopping.is_set():
            try:
                busy = self.step()
            except LedgerUnavailable as error:
                _log.warning("alerts wait: %s", error)
                busy = False
            except Exception:
                _log.exception("sending alerts failed at one step and continues")
                busy = False
            if not busy:
                stopping.wait(POLL_SECONDS)


def run(
    ledger: Ledger,
    settings: AlertSettings,
    senders: Sequence[Sender],
    watcher: Watcher,
    stopping: threading.Event,
) -> None:
    """Look and send until told to stop; what is not sent by then waits in the ledger."""
    threads = [
        threading.Thread(
            target=Deliverer(ledger, sender, settings.console).run,
            args=(stopping,),
            name=f"alerts-{sender.name}",
            daemon=True,
        )
        for sender in senders
    ]
    for one in threads:
        one.start()
    watcher.run(stopping)
    for one in threads:
        one.join(CALL_SECONDS)

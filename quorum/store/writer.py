"""Writes to the ledger for streams and services: batched, and retried while it is away."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from quorum.store.ledger import Ledger, LedgerRefused, LedgerUnavailable, Recordable

__all__ = ["LAG_SECONDS", "Entry", "LedgerWriter"]

_log = logging.getLogger(__name__)

#: Seconds that a message may wait for the ledger before that is a problem of health.
LAG_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True)
class Entry:
    """Messages that are recorded together or not at all.

    Attributes:
        messages: What to record.
        on_refusal: Called with the reason if the database refuses a value of theirs; returns what
            to record instead.
    """

    messages: Sequence[Recordable]
    on_refusal: Callable[[str], Sequence[Recordable]]


class LedgerWriter:
    """Writes batches of entries, each batch in one transaction. Threads may share it.

    Args:
        ledger: The ledger.
        stop: Ends the retries once it is set.
        pauses: Seconds between retries while the ledger is away: the first and the longest.
    """

    def __init__(
        self, ledger: Ledger, stop: threading.Event, pauses: tuple[float, float] = (0.5, 15.0)
    ) -> None:
        self._ledger = ledger
        self._stop = stop
        self._pauses = pauses
        #: Whether the last try failed because the ledger could not be reached.
        self.away = False
        #: By thread: since when its entries wait, on the monotonic clock.
        self._waiting: dict[int, float] = {}

    def lag(self) -> str | None:
        """Why the ledger lags behind; None if it does not."""
        late = time.monotonic() - min(tuple(self._waiting.values()), default=float("inf"))
        if late <= LAG_SECONDS:
            return None
        why = "it cannot be reached" if self.away else "it takes too long"
        return f"the oldest message has waited for the ledger for {late:.0f} s: {why}"

    def write(self, entries: Sequence[Entry], since: float | None = None) -> bool:
        """Write entries; retries until the ledger has them or ``stop`` is set.

        An entry that the database refuses does not hold up the others.

        Args:
            entries: What to write.
            since: Since when the oldest of them waits, on the monotonic clock; by default from now.

        Returns:
            Whether all of them are durable.
        """
        thread = threading.get_ident()
        self._waiting[thread] = time.monotonic() if since is None else since
        try:
            return self._write(entries)
        finally:
            del self._waiting[thread]

    def _write(self, entries: Sequence[Entry]) -> bool:
        pause, longest = self._pauses
        refused = False
        while True:
            try:
                self._ledger.record([message for entry in entries for message in entry.messages])
            except LedgerUnavailable as error:
                if not self.away:
                    _log.error("%s; %d messages wait for the ledger", error, len(entries))
                self.away = True
                if self._stop.wait(pause):
                    return False
                pause = min(pause * 2, longest)
            except LedgerRefused as error:
                if len(entries) > 1:
                    half = len(entries) // 2
                    first, second = self._write(entries[:half]), self._write(entries[half:])
                    return first and second
                if refused:
                    _log.error("a message cannot be recorded, nor its dead letter: %s", error)
                    return False
                refused = True
                entries = [replace(entries[0], messages=entries[0].on_refusal(str(error)))]
            else:
                if self.away:
                    _log.warning("the ledger is reachable again")
                self.away = False
                return True

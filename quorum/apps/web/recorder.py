"""Records the service's answers in the background, many in one transaction."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import queue
import threading
import time
from collections.abc import Sequence

from quorum.core.metrics import LEDGER_BACKLOG
from quorum.store.ledger import Ledger, Recordable
from quorum.store.writer import Entry, LedgerWriter

__all__ = ["AnswerRecorder"]

_log = logging.getLogger(__name__)

#: The most answers of one transaction.
BATCH = 200

#: Seconds between retries while the ledger is away: ``/ready`` reports its return as soon.
AWAY_SECONDS = (1.0, 1.0)


class AnswerRecorder:
    """Records answers from a thread of its own, in their order.

    Args:
        ledger: The ledger.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._closing = threading.Event()
        self._writer = LedgerWriter(ledger, self._closing, AWAY_SECONDS)
        self._queue: queue.SimpleQueue[tuple[Entry, asyncio.Future[bool], float] | None]
        self._queue = queue.SimpleQueue()
        self._loop = asyncio.get_running_loop()
        self._waiting = 0
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)
        self._thread.start()

    @property
    def backlog(self) -> int:
        """The number of answers that are not recorded yet."""
        return self._waiting

    @property
    def away(self) -> bool:
        """Whether the ledger could not be reached at the last try."""
        return self._writer.away

    def problem(self) -> str | None:
        """Why answers are not recorded, for the health of the service; None if they are."""
        return "the ledger is unreachable" if self.away else self._writer.lag()

    def put(self, messages: Sequence[Recordable]) -> asyncio.Future[bool]:
        """Record messages, all or none.

        Returns:
            A future of whether they are durable; false if the database refuses a value of them.
        """
        done: asyncio.Future[bool] = self._loop.create_future()

        def refused(reason: str) -> Sequence[Recordable]:
            _log.error("an answer cannot be recorded: %s", reason)
            self._loop.call_soon_threadsafe(_settle, done, False)
            return ()

        self._waiting += 1
        LEDGER_BACKLOG.set(self._waiting)
        self._queue.put((Entry(messages, refused), done, time.monotonic()))
        return done

    async def close(self, seconds: float = 10.0) -> None:
        """Record the backlog, for no longer than ``seconds``."""
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join, seconds)
        self._closing.set()
        if self._waiting:
            _log.error("%d answers were not recorded: the ledger is away", self._waiting)

    def _run(self) -> None:
        while (first := self._queue.get()) is not None:
            batch = [first]
            ending = False
            while len(batch) < BATCH and not self._queue.empty():
                item = self._queue.get()
                if item is None:
                    ending = True
                    break
                batch.append(item)
            if not self._writer.write([entry for entry, _, _ in batch], since=first[2]):
                return
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._finish, [done for _, done, _ in batch])
            if ending:
                return

    def _finish(self, futures: list[asyncio.Future[bool]]) -> None:
        self._waiting -= len(futures)
        LEDGER_BACKLOG.set(self._waiting)
        for done in futures:
            _settle(done, True)


def _settle(done: asyncio.Future[bool], durable: bool) -> None:
    if not done.done():
        done.set_result(durable)

"""Answers on their way to the ledger: many in one transaction, and again when it is away."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import queue
import threading
import time
from collections.abc import Sequence

from quorum.apps.web.metrics import BACKLOG
from quorum.core.messages import Message
from quorum.store.ledger import Delivery, Ledger, LedgerUnavailable, StatementRecord

__all__ = ["Recorder"]

_log = logging.getLogger(__name__)

#: The most answers of one transaction.
BATCH = 200

#: Seconds between tries while the ledger is away.
AWAY_SECONDS = 1.0

Recordable = Message | StatementRecord | Delivery


class Recorder:
    """Writes messages to the ledger from a thread of its own, in the order they come.

    Args:
        ledger: Where to.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._queue: queue.SimpleQueue[tuple[Sequence[Recordable], asyncio.Future[None]] | None]
        self._queue = queue.SimpleQueue()
        self._loop = asyncio.get_running_loop()
        self._closing = threading.Event()
        self._waiting = 0
        self.away = False
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)
        self._thread.start()

    @property
    def backlog(self) -> int:
        """How many answers wait."""
        return self._waiting

    def put(self, messages: Sequence[Recordable]) -> asyncio.Future[None]:
        """Record messages, all or none; the future is done when they are durable."""
        done: asyncio.Future[None] = self._loop.create_future()
        self._waiting += 1
        BACKLOG.set(self._waiting)
        self._queue.put((messages, done))
        return done

    async def close(self, seconds: float = 10.0) -> None:
        """Write what waits, for no longer than so many seconds."""
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
            if not self._write(batch) or ending:
                return

    def _write(self, batch: list[tuple[Sequence[Recordable], asyncio.Future[None]]]) -> bool:
        while not self._closing.is_set():
            try:
                self._ledger.record([message for messages, _ in batch for message in messages])
            except LedgerUnavailable as error:
                if not self.away:
                    _log.error("%s; %d answers wait", error, self._waiting)
                self.away = True
                time.sleep(AWAY_SECONDS)
                continue
            self.away = False
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._told, [done for _, done in batch])
            return True
        return False

    def _told(self, futures: list[asyncio.Future[None]]) -> None:
        self._waiting -= len(futures)
        BACKLOG.set(self._waiting)
        for done in futures:
            if not done.done():
                done.set_result(None)

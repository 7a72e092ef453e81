"""Micro-batching: requests that come together are scored together, each detector on its own.

A lane is a thread, or some, that takes all that waits for it, up to a batch, whenever it is free:
under little load an upload waits for nobody, under much load batches grow by themselves.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

__all__ = ["Lane"]

T = TypeVar("T")

_log = logging.getLogger(__name__)


class Lane(Generic[T]):
    """Threads that work off batches.

    Args:
        name: Names the threads.
        work: Called with each batch; what it raises is logged and costs that batch.
        size: The most items of a batch.
        threads: How many work at once, each on a batch of its own; then batches may overtake one
            another.
    """

    def __init__(
        self, name: str, work: Callable[[Sequence[T]], None], size: int, threads: int = 1
    ) -> None:
        self._work = work
        self._size = size
        self._queue: queue.SimpleQueue[T | None] = queue.SimpleQueue()
        self._threads = [
            threading.Thread(target=self._run, name=name, daemon=True) for _ in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    def put(self, item: T) -> None:
        """Add an item."""
        self._queue.put(item)

    def waiting(self) -> int:
        """How many items wait."""
        return self._queue.qsize()

    def close(self, seconds: float) -> None:
        """Work off what waits, for no longer than so many seconds."""
        end = time.monotonic() + seconds
        for _ in self._threads:
            self._queue.put(None)
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))

    def _run(self) -> None:
        ending = False
        while not ending:
            item = self._queue.get()
            batch: list[T] = []
            while True:
                if item is None:
                    ending = True
                    break
                batch.append(item)
                if len(batch) >= self._size:
                    break
                try:
                    item = self._queue.get_nowait()
                except queue.Empty:
                    break
            if batch:
                try:
                    self._work(batch)
                except Exception:
                    _log.exception(
                        "a batch of %d was lost in %s", len(batch), threading.current_thread().name
                    )

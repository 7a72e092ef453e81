"""Micro-batching: items that arrive together are processed together.

A thread takes everything that is queued, up to a batch, whenever it is free: under low load an
item waits for no other, under high load batches grow by themselves.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

__all__ = ["MicroBatcher"]

T = TypeVar("T")

_log = logging.getLogger(__name__)

#: Seconds that an item must have waited before a helper takes it. Below that, a single thread
#: is faster: two that compute at once are each slower, and have smaller batches.
PATIENCE = 0.1


class MicroBatcher(Generic[T]):
    """A thread that processes batches.

    Args:
        name: Name of the thread.
        work: Called with each batch; an exception is logged and loses that batch.
        size: Most items of a batch.
        helpers: Further threads, which take items that have waited too long, under high load or
            while the first thread is blocked. Then batches may overtake one another.
    """

    def __init__(
        self, name: str, work: Callable[[Sequence[T]], None], size: int, helpers: int = 0
    ) -> None:
        self._work = work
        self._size = size
        self._items: deque[tuple[float, T]] = deque()
        self._changed = threading.Condition()
        self._closing = threading.Event()
        self._threads = [
            threading.Thread(target=run, name=name, daemon=True)
            for run in (self._run, *[self._help] * helpers)
        ]
        for thread in self._threads:
            thread.start()

    def put(self, item: T) -> None:
        """Queue an item."""
        with self._changed:
            self._items.append((time.monotonic(), item))
            self._changed.notify()

    def waiting(self) -> int:
        """Number of queued items."""
        return len(self._items)

    def close(self, seconds: float) -> None:
        """Process the queued items, for no longer than so many seconds."""
        end = time.monotonic() + seconds
        with self._changed:
            self._closing.set()
            self._changed.notify()
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))

    def _run(self) -> None:
        while True:
            with self._changed:
                while not (self._items or self._closing.is_set()):
                    self._changed.wait()
                batch = self._take()
            if not batch:
                return
            self._process(batch)

    def _help(self) -> None:
        while True:
            with self._changed:
                late = self._items and time.monotonic() - self._items[0][0] >= PATIENCE
                batch = self._take() if late else []
            if batch:
                self._process(batch)
            elif self._closing.wait(PATIENCE):
                return

    def _take(self) -> list[T]:
        return [self._items.popleft()[1] for _ in range(min(self._size, len(self._items)))]

    def _process(self, batch: Sequence[T]) -> None:
        try:
            self._work(batch)
        except Exception:
            name = threading.current_thread().name
            _log.exception("a batch of %d was lost in %s", len(batch), name)

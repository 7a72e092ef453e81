"""Micro-batching: requests that come together are scored together, each detector on its own.

A lane is a thread that takes all that waits for it, up to a batch, whenever it is free: under
little load an upload waits for nobody, under much load batches grow by themselves.
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

#: Seconds that something must have waited before a helper takes it. Below, one thread alone answers
#: sooner: two that compute at once are each slower, and have smaller batches.
PATIENCE = 0.1


class MicroBatcher(Generic[T]):
    """A thread that works off batches.

    Args:
        name: Names the thread.
        work: Called with each batch; what it raises is logged and costs that batch.
        size: The most items of a batch.
        helpers: More threads, which take what has waited too long: because there is much of it,
            or because the first is held up. Then batches may overtake one another.
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
        """Add an item."""
        with self._changed:
            self._items.append((time.monotonic(), item))
            self._changed.notify()

    def waiting(self) -> int:
        """How many items wait."""
        return len(self._items)

    def close(self, seconds: float) -> None:
        """Work off what waits, for no longer than so many seconds."""
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
            self._do(batch)

    def _help(self) -> None:
        while True:
            with self._changed:
                late = self._items and time.monotonic() - self._items[0][0] >= PATIENCE
                batch = self._take() if late else []
            if batch:
                self._do(batch)
            elif self._closing.wait(PATIENCE):
                return

    def _take(self) -> list[T]:
        return [self._items.popleft()[1] for _ in range(min(self._size, len(self._items)))]

    def _do(self, batch: Sequence[T]) -> None:
        try:
            self._work(batch)
        except Exception:
            name = threading.current_thread().name
            _log.exception("a batch of %d was lost in %s", len(batch), name)

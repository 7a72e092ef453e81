"""Counts that all readers share: those of many rows may be some seconds old."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final, Generic, TypeVar

__all__ = ["MANY", "Kept"]

T = TypeVar("T")

#: Fewer rows are counted anew for each reader. More take a tenth of a second of the database's
#: time, and each open page of the queue asks every few seconds.
MANY: Final = 20_000
_SECONDS: Final = 5.0


class Kept(Generic[T]):
    """A count.

    Args:
        count: Counts.
        size: How many rows a count is of.
        clock: The seconds of a clock.
    """

    def __init__(
        self,
        count: Callable[[], T],
        size: Callable[[T], int],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._count = count
        self._size = size
        self._clock = clock
        self._lock = threading.Lock()
        self._found: T | None = None
        self._at = 0.0

    def current(self) -> T:
        """The count: of now, or of many rows of at most five seconds ago."""
        with self._lock:
            if self._found is not None and self._clock() - self._at < _SECONDS:
                return self._found
            found = self._count()
            self._found = found if self._size(found) >= MANY else None
            self._at = self._clock()
            return found

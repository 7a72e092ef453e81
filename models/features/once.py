"""Thread-safe singletons of a process."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import cache, wraps
from typing import TypeVar

__all__ = ["once"]

T = TypeVar("T")


def once(make: Callable[[], T]) -> Callable[[], T]:
    """Decorate a factory so that it runs once and all callers share its result.

    Other threads wait while the first one loads, so that large weights are loaded once. An
    exception is not cached: the next call tries again.
    """
    kept = cache(make)
    lock = threading.Lock()

    @wraps(make)
    def shared() -> T:
        with lock:
            return kept()

    return shared

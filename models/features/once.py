"""What a process holds one of, however many of its threads ask for it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import cache, wraps
from typing import TypeVar

__all__ = ["once"]

T = TypeVar("T")


def once(make: Callable[[], T]) -> Callable[[], T]:
    """Call ``make`` at the first call only, and give all callers what it made.

    Weights are large: while one thread loads them the others wait, and do not load them as well.
    An error is not kept: the next call tries again.
    """
    kept = cache(make)
    lock = threading.Lock()

    @wraps(make)
    def shared() -> T:
        with lock:
            return kept()

    return shared

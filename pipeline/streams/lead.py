"""Uploads are read first: predictions and reviews that are far ahead of their uploads wait.

Where a job has a backlog, the messages of others about it come before their uploads do. They would
fill the places of such messages, beyond which they are dead letters.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

__all__ = ["is_crowded", "note_crowded", "note_uploads", "uploads_wait"]

#: Seconds that a bundle of another stream waits at most for the uploads, and how often it looks.
_MOST_SECONDS: Final = 1.0
_LOOK_SECONDS: Final = 0.05

_CROWDED: set[tuple[int, str]] = set()
_UPLOADS: dict[str, Callable[[], int]] = {}
_LOCK = threading.Lock()


def note_crowded(table: int, stream: str, crowded: bool) -> None:
    """Note whether many messages of a stream wait for their uploads.

    Args:
        table: Names the table of cases.
        stream: The stream.
        crowded: Whether many do.
    """
    with _LOCK:
        (_CROWDED.add if crowded else _CROWDED.discard)((table, stream))


def note_uploads(path: str, waiting: Callable[[], int]) -> None:
    """Note a subscription of uploads, and how many of its messages are pulled and not yet read."""
    with _LOCK:
        _UPLOADS[path] = waiting


def is_crowded(stream: str) -> bool:
    """Whether many messages of a stream wait for their uploads."""
    with _LOCK:
        return any(one == stream for _, one in _CROWDED)


def uploads_wait(stream: str) -> bool:
    """Let the uploads be read first; whether some still wait after a second.

    Returns at once unless many messages of the stream wait for their uploads.
    """
    end = time.monotonic() + _MOST_SECONDS
    while is_crowded(stream) and _are_waiting():
        if time.monotonic() >= end:
            return True
        time.sleep(_LOOK_SECONDS)
    return False


def _are_waiting() -> bool:
    with _LOCK:
        counts = tuple(_UPLOADS.values())
    return any(count() for count in counts)

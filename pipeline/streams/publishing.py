"""Which messages are being published, and whether that takes too long to be well."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from quorum.core.tracing import span

__all__ = ["LATE_SECONDS", "publishing", "stuck_publishing"]

#: Seconds that a request to publish may take, retries included, before that is a problem.
LATE_SECONDS: Final = 15.0


class _Request:
    """A request under way.

    Attributes:
        topic: Where it publishes.
        began: When, on the monotonic clock.
        error: Why its last try failed; empty before.
    """

    __slots__ = ("began", "error", "topic")

    def __init__(self, topic: str) -> None:
        self.topic = topic
        self.began = time.monotonic()
        self.error = ""

    def failed(self, error: Exception) -> None:
        """Keep why a try failed."""
        self.error = " ".join(str(error).split())


_UNDER_WAY: set[_Request] = set()
_LOCK = threading.Lock()


@contextmanager
def publishing(topic: str) -> Iterator[Callable[[Exception], None]]:
    """Note that a request to publish is under way.

    Returns:
        A function to call with the error of a try that will be repeated.
    """
    request = _Request(topic)
    with _LOCK:
        _UNDER_WAY.add(request)
    try:
        yield request.failed
    finally:
        with _LOCK:
            _UNDER_WAY.discard(request)


def stuck_publishing() -> str | None:
    """Why nothing can be published; None if no request takes too long."""
    with _LOCK:
        first = min(_UNDER_WAY, key=lambda one: one.began, default=None)
    if first is None or (late := time.monotonic() - first.began) <= LATE_SECONDS:
        return None
    why = first.error or "the broker does not answer"
    return f"a request to publish to {first.topic} has not succeeded for {late:.0f} s: {why}"


def published(kind: str, count: int, trace: str, begin: int) -> None:
    """Make the span of messages that are durable, sent since ``begin`` (nanoseconds since 1970)."""
    span(f"publish {kind}", trace, begin, kind="producer", count=count)

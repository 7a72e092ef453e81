"""What a cap held back, in metrics and logs: the same in stream, batch and web."""

from __future__ import annotations

import logging
import threading
import time
from typing import Final

from quorum.aggregator.case.cap import CapResult
from quorum.core.metrics import CAPPED_MATCHES, CAPPED_REMOVALS, CAPPED_REVIEWS

__all__ = ["count_capped"]

_log = logging.getLogger(__name__)

#: Seconds in which one work is told once, and the works that are remembered for it.
_QUIET_SECONDS: Final = 600.0
_REMEMBERED: Final = 1000

_told: dict[str, float] = {}
_lock = threading.Lock()


def count_capped(result: CapResult) -> None:
    """Count a verdict that a cap made milder; tell of a work or hash that matches too much."""
    if result.bucket is None:
        return
    if result.of == "removals":
        CAPPED_REMOVALS.labels(result.bucket).inc()
    elif result.of == "reviews":
        CAPPED_REVIEWS.labels(result.bucket).inc()
    else:
        # Works are not labels: their number has no bound.
        CAPPED_MATCHES.inc()
        if _is_new(result.bucket):
            _log.warning(
                "one work or listed hash matches too many uploads: removals by it wait for a human",
                extra={"work": result.bucket, "upload_id": result.verdict.upload_id},
            )


def _is_new(work: str) -> bool:
    at = time.monotonic()
    with _lock:
        if at - _told.get(work, float("-inf")) < _QUIET_SECONDS:
            return False
        _told.pop(work, None)
        _told[work] = at
        while len(_told) > _REMEMBERED:
            del _told[next(iter(_told))]
    return True

"""What the bundles of a job on Flink took of a subscription, and when it may be acknowledged.

Beam's runner calls the finalizers of a bundle once a checkpoint is complete, also of those bundles
that came after its barrier: their state is in the next checkpoint only. So a finalizer alone is no
sign, and a later bundle whose finalizer is called is: between the two another checkpoint began and
was completed.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from quorum.pipeline.streams.holding import Holding
from quorum.pipeline.streams.subscription import detach_subscription, subscription

__all__ = ["InFlight", "in_flight", "leave", "worker_ended"]

_log = logging.getLogger(__name__)

#: Seconds in which all slots are told of a checkpoint.
TOLD_SECONDS = 1.0

#: What a bundle took is given back once one that began so many seconds later has its checkpoint.
OVERTAKEN_SECONDS = 10.0

#: Without an impulse for so many seconds after the end of a worker, the job went with it; a worker
#: may end its last bundle for so long after its own end.
LEFT_SECONDS = 5.0

#: Without an impulse for so many seconds the job has gone, whatever became of its worker.
GONE_SECONDS = 300.0

_WATCH_SECONDS = 2.0


@dataclass(eq=False, slots=True)
class _Bundle:
    began: float
    ack_ids: tuple[str, ...]
    finalized: float | None = None
    overtaken: float | None = None


class InFlight:
    """What the bundles of one subscription took and is not acknowledged; thread-safe.

    Args:
        source: The subscription.
        clock: Seconds that only grow.

    Attributes:
        source: The subscription.
        used: When the job was last here.
    """

    def __init__(self, source: Holding, clock: Callable[[], float] = time.monotonic) -> None:
        self.source = source
        self._clock = clock
        self._lock = threading.Lock()
        self._bundles: dict[_Bundle, None] = {}
        self.used = clock()

    @property
    def wants_later(self) -> bool:
        """Whether a bundle that took nothing should follow those that wait."""
        now = self._clock()
        with self._lock:
            if not self._bundles:
                return False
            first, last = next(iter(self._bundles)), next(reversed(self._bundles))
        # The worker keeps what a bundle was made with until its finalizer is called, so that one
        # that follows must do; it may have failed, so not for ever.
        follows = first.finalized is None or last.began >= first.finalized + TOLD_SECONDS
        pause = OVERTAKEN_SECONDS if follows else TOLD_SECONDS
        return max(first.finalized or first.began, last.began) < now - pause

    def began(self, ack_ids: Sequence[str], at: float | None = None) -> Callable[[], None]:
        """A bundle took these.

        Args:
            ack_ids: What it took.
            at: When the bundle began, which is before it took anything; by default now.

        Returns:
            Its finalizer.
        """
        bundle = _Bundle(self._clock() if at is None else at, tuple(ack_ids))
        with self._lock:
            self._bundles[bundle] = None
        return lambda: self._finalize(bundle)

    def restart(self) -> None:
        """Flink starts the job again from a checkpoint: what is not acknowledged is given back."""
        with self._lock:
            lost = [ack_id for bundle in self._bundles for ack_id in bundle.ack_ids]
            self._bundles.clear()
        self._give_back(lost)

    def _finalize(self, bundle: _Bundle) -> None:
        now = self._clock()
        done: list[str] = []
        lost: list[str] = []
        with self._lock:
            if bundle not in self._bundles:
                return
            bundle.finalized = now
            if not bundle.ack_ids:
                del self._bundles[bundle]
            for one in list(self._bundles):
                if one.finalized is not None:
                    if one.finalized + TOLD_SECONDS <= bundle.began:
                        del self._bundles[one]
                        done += one.ack_ids
                elif one.began >= bundle.began - OVERTAKEN_SECONDS:
                    continue
                elif one.overtaken is None:
                    # Its own finalizer may follow: the slots are told of a checkpoint one by one.
                    one.overtaken = now
                elif now - one.overtaken >= TOLD_SECONDS:
                    del self._bundles[one]
                    lost += one.ack_ids
        try:
            if done:
                self.source.release(done)
        finally:
            self._give_back(lost)

    def _give_back(self, lost: Sequence[str]) -> None:
        if lost:
            _log.warning("%d messages were taken after the checkpoint that was restored", len(lost))
            self.source.abandon(lost)


_LOCK = threading.Lock()
_IN_FLIGHT: dict[str, InFlight] = {}
_WATCH: list[threading.Thread] = []
_ENDED = [float("-inf")]


def in_flight(path: str) -> InFlight:
    """What is in flight of a path in this process, in which the job is now."""
    with _LOCK:
        found = _IN_FLIGHT.get(path)
        if found is None:
            found = _IN_FLIGHT[path] = InFlight(subscription(path))
            if not _WATCH:
                _WATCH.append(threading.Thread(target=_watch, name="jobs gone", daemon=True))
                _WATCH[0].start()
        found.used = time.monotonic()
        return found


def worker_ended() -> None:
    """A worker of this process ended, of whatever job: what it held goes back soon.

    Beam tears down nothing where its runner hangs up first.
    """
    _ENDED[0] = time.monotonic()


def leave(path: str) -> None:
    """Give back all that this process holds of a path, and pull no more of it."""
    with _LOCK:
        found = _detached(path)
    _drain(path, found)


def is_gone(used: float, ended: float, now: float) -> bool:
    """Whether a job has left.

    Args:
        used: When it was last here.
        ended: When a worker last ended.
        now: The time.
    """
    idle = now - used
    return idle > GONE_SECONDS or (idle > LEFT_SECONDS and used < ended + LEFT_SECONDS)


def _watch() -> None:
    while True:
        time.sleep(_WATCH_SECONDS)
        now = time.monotonic()
        with _LOCK:
            gone = [path for path, one in _IN_FLIGHT.items() if is_gone(one.used, _ENDED[0], now)]
            detached = {path: _detached(path) for path in gone}
        for path, found in detached.items():
            try:
                _drain(path, found)
            except Exception:
                _log.exception("could not give back what is held of %s", path)


def _detached(path: str) -> Holding | None:
    """What is held of a path, which is opened anew at the next call; with the lock held."""
    return None if _IN_FLIGHT.pop(path, None) is None else detach_subscription(path)


def _drain(path: str, found: Holding | None) -> None:
    if found is not None:
        returned = found.drain(0.0)
        _log.info("the job has gone from this process: %d messages of %s went back", returned, path)

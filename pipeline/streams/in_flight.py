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
from quorum.pipeline.streams.subscription import close_subscription, subscription

__all__ = ["InFlight", "begin_use", "end_use", "in_flight"]

_log = logging.getLogger(__name__)

#: Seconds in which all slots are told of a checkpoint.
TOLD_SECONDS = 1.0

#: What a bundle took is given back once one that began so many seconds later has its checkpoint.
OVERTAKEN_SECONDS = 10.0

#: Without an impulse for so many seconds, the job has gone from this process.
GONE_SECONDS = 180.0


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
        # The worker keeps what a bundle was made with until its finalizer is called.
        pause = OVERTAKEN_SECONDS if first.finalized is None else TOLD_SECONDS
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
        if done:
            self.source.release(done)
        self._give_back(lost)

    def _give_back(self, lost: Sequence[str]) -> None:
        if lost:
            _log.warning("%d messages were taken after the checkpoint that was restored", len(lost))
            self.source.abandon(lost)


_LOCK = threading.Lock()
_IN_FLIGHT: dict[str, InFlight] = {}
_USERS: dict[str, int] = {}
_WATCH: list[threading.Thread] = []


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


def begin_use(path: str) -> None:
    """A worker has the job's source of this path."""
    with _LOCK:
        _USERS[path] = _USERS.get(path, 0) + 1


def end_use(path: str) -> None:
    """A worker gives it up; the last one gives back all that is held."""
    with _LOCK:
        _USERS[path] -= 1
        is_last = not _USERS[path]
    if is_last:
        _close(path)


def _watch() -> None:
    """Close what a job left without a word: its TaskManager was killed."""
    while True:
        time.sleep(GONE_SECONDS / 10)
        with _LOCK:
            gone = [
                path
                for path, one in _IN_FLIGHT.items()
                if one.used < time.monotonic() - GONE_SECONDS
            ]
        for path in gone:
            _close(path)


def _close(path: str) -> None:
    with _LOCK:
        if _IN_FLIGHT.pop(path, None) is None:
            return
    returned = close_subscription(path)
    _log.info("the job has gone from this process: %d messages of %s went back", returned, path)

"""What the bundles of a job on Flink took of a subscription, and when it may be acknowledged.

Beam's runner calls the finalizers of a bundle once a checkpoint is complete, also of those bundles
that came after its barrier: their state is in the next checkpoint only. So a finalizer alone is no
sign, and one of a later bundle of the same slot is: between the two another checkpoint began and
was completed. What a slot took is acknowledged by its own bundles alone: where a job is restarted,
a slot that is new says nothing of what the one before it had.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from quorum.pipeline.streams.holding import Holding
from quorum.pipeline.streams.subscription import detach_subscription, subscription

__all__ = ["InFlight", "Slot", "Worker", "in_flight", "leave", "worker_here"]

_log = logging.getLogger(__name__)

#: Seconds in which a slot is told of a checkpoint.
TOLD_SECONDS = 1.0

#: What a bundle took is given back once one that began so many seconds later has its checkpoint.
OVERTAKEN_SECONDS = 10.0

#: So many seconds after the end of the last worker that pulled, the job went with it; a worker may
#: end its last bundle for so long after its own end.
LEFT_SECONDS = 5.0

_WATCH_SECONDS = 2.0


class Worker:
    """A worker of this process, of whatever job: Flink has one for each life of a job."""

    def __init__(self) -> None:
        self.ended = False

    def works_here(self) -> None:
        """What this thread runs from now on is a bundle of this worker."""
        _HERE.worker = self

    def end(self) -> None:
        """It ended: what its bundles took is taken again, by the next worker or elsewhere.

        Beam tears down nothing where its runner hangs up first.
        """
        with _LOCK:
            self.ended = True
            flights = [one for one in _IN_FLIGHT.values() if self in one.workers]
            for one in flights:
                if one.is_left:
                    one.source.pause()
        for one in flights:
            one.lose(self)


@dataclass(frozen=True, slots=True)
class Slot:
    """A slot of a job, in one life of the job.

    Attributes:
        worker: Runs its bundles.
        stage: What the runner calls the bundles that the slot has of the source.
    """

    worker: Worker
    stage: str


@dataclass(eq=False, slots=True)
class _Bundle:
    slot: Slot
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
        workers: Those that pulled.
    """

    def __init__(self, source: Holding, clock: Callable[[], float] = time.monotonic) -> None:
        self.source = source
        self._clock = clock
        self._lock = threading.Lock()
        self._bundles: dict[_Bundle, None] = {}
        self.used = clock()
        self.workers: set[Worker] = set()

    @property
    def is_left(self) -> bool:
        """Whether all workers that pulled ended."""
        return all(one.ended for one in self.workers)

    def wants_later(self, slot: Slot) -> bool:
        """Whether a bundle of a slot that took nothing should follow those that wait."""
        now = self._clock()
        with self._lock:
            every = list(self._bundles)
        if not every:
            return False
        own = [one for one in every if one.slot == slot]
        first, last = (own or every)[0], (own or every)[-1]
        # The worker keeps what a bundle was made with until its finalizer is called, so that one
        # that follows must do; it may have failed, so not for ever. What another slot took is
        # followed, too: it may be gone.
        follows = not own or first.finalized is None or last.began >= first.finalized + TOLD_SECONDS
        pause = OVERTAKEN_SECONDS if follows else TOLD_SECONDS
        return max(first.finalized or first.began, last.began) < now - pause

    def began(
        self, slot: Slot, ack_ids: Sequence[str], at: float | None = None
    ) -> Callable[[], None]:
        """A bundle took these.

        Args:
            slot: Where.
            ack_ids: What it took.
            at: When the bundle began, which is before it took anything; by default now.

        Returns:
            Its finalizer.
        """
        bundle = _Bundle(slot, self._clock() if at is None else at, tuple(ack_ids))
        with self._lock:
            self._bundles[bundle] = None
        if slot.worker.ended:
            self.lose(slot.worker)
        return lambda: self._finalize(bundle)

    def lose(self, worker: Worker) -> None:
        """A worker ended: what it took and is not acknowledged is taken again."""
        with self._lock:
            left = [one for one in self._bundles if one.slot.worker is worker]
            for one in left:
                del self._bundles[one]
        lost = [ack_id for one in left for ack_id in one.ack_ids]
        if lost:
            _log.info("a worker ended: %d messages are taken again", len(lost))
            self.source.again(lost)

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
                if one.slot == bundle.slot and one.finalized is not None:
                    if one.finalized + TOLD_SECONDS <= bundle.began:
                        del self._bundles[one]
                        done += one.ack_ids
                elif (one.finalized or one.began) >= bundle.began - OVERTAKEN_SECONDS:
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
            if lost:
                _log.warning("later bundles have their checkpoint: %d messages go back", len(lost))
                self.source.abandon(lost)


_LOCK = threading.Lock()
_IN_FLIGHT: dict[str, InFlight] = {}
_WATCH: list[threading.Thread] = []
_HERE = threading.local()
#: Of a process that is itself a worker, and ends with it.
_THIS_PROCESS = Worker()


def worker_here() -> Worker:
    """The worker whose bundle this thread runs."""
    return getattr(_HERE, "worker", _THIS_PROCESS)


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
        if (here := worker_here()) not in found.workers:
            found.workers = {here, *(one for one in found.workers if not one.ended)}
            if found.is_left:  # a bundle that outlives its worker
                found.source.pause()
            else:
                found.source.resume()
        return found


def leave(path: str) -> None:
    """Give back all that this process holds of a path, and pull no more of it."""
    with _LOCK:
        found = _detached(path)
    _drain(path, found)


def has_left(flight: InFlight, now: float) -> bool:
    """Whether a job has left: all of its workers ended, and it was not here since.

    Args:
        flight: What is in flight of it.
        now: The time.
    """
    return flight.is_left and now - flight.used > LEFT_SECONDS


def _watch() -> None:
    while True:
        time.sleep(_WATCH_SECONDS)
        now = time.monotonic()
        with _LOCK:
            gone = [path for path, one in _IN_FLIGHT.items() if has_left(one, now)]
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

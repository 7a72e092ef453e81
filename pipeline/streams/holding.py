"""Messages held from a stream until all that they led to is durable, whatever broker they are of.

An ack id names a held message: the stream's path and an id of its own, with a count of the outcomes
that must be durable before the message may be acknowledged.
"""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence

from quorum.core.errors import EngineUnavailable
from quorum.pipeline.streams.acks import ack_id
from quorum.pipeline.streams.progress import Progress
from quorum.pipeline.streams.waiting import LEAST_BUNDLE, Held, Pace, PullWindow, WaitingQueue

__all__ = ["MAX_HELD", "NACK_SECONDS", "Holding"]

#: Messages held at once, and their bytes. Guards memory, and against taking more than can be
#: decided in time.
MAX_HELD = 5_000
MAX_HELD_BYTES = 256 * 1024 * 1024

#: Seconds in which the broker takes messages back when a worker stops.
NACK_SECONDS = 2.0

#: Messages that one pull asks for at most.
_MOST_A_PULL = 1_000


class Holding(ABC):
    """Pulls ahead from one stream, and holds what it pulled; thread-safe.

    A transport pulls in a thread of its own while there is ``_room`` and it is not draining, and
    acknowledges and gives back in its own way.

    Args:
        path: The stream's address.
        max_held: Pulling pauses while this many messages are held.
    """

    def __init__(self, path: str, max_held: int) -> None:
        self.path = path
        self.max_held = max_held
        self._lock = threading.Condition()
        self._queue = WaitingQueue()
        self._window = PullWindow()
        self._pace = Pace()
        self._held: dict[str, Held] = {}
        self._bytes = 0
        self._failure = ""
        self._draining = False
        self._paused = False
        self._stopping = False
        self._closed = False
        self._released_at = time.monotonic()
        #: Since when pulling fails, and why it failed last; None while it works.
        self._failing: tuple[float, str] | None = None
        self._threads: tuple[threading.Thread, ...] = ()

    def _start(self, *works: Callable[[], None]) -> None:
        """Start a thread for each of these, which ends once it is closed."""
        name = self.path.partition("?")[0].rsplit("/", 1)[-1]
        self._threads = tuple(
            threading.Thread(target=work, name=f"{work.__name__} {name}", daemon=True)
            for work in works
        )
        for thread in self._threads:
            thread.start()

    @abstractmethod
    def _acknowledge(self, done: Sequence[Held]) -> None:
        """All outcomes of these are durable; they are no longer held."""

    @abstractmethod
    def _give_back(self, given_up: Sequence[Held], seconds: float) -> None:
        """Have these, which are no longer held, delivered again; the broker has so many seconds."""

    @abstractmethod
    def _end(self, rest: Sequence[Held], seconds: float) -> None:
        """The last thing: give back what is left, and have acknowledgements taken."""

    def _late(self) -> int:
        """How many messages are acknowledged, and the broker does not know it."""
        return 0

    def _backlog(self) -> int:
        """How many messages wait in the stream, as far as that is known here."""
        return 0

    @property
    def held(self) -> int:
        """How many messages are pulled and not yet acknowledged."""
        with self._lock:
            return len(self._held)

    @property
    def progress(self) -> Progress:
        """How it gets on now."""
        with self._lock:
            now = time.monotonic()
            # In the order in which they were pulled.
            first = next(iter(self._held.values()), None)
            since, error = self._failing or (now, "")
            ended = () if self._draining else (one for one in self._threads if not one.is_alive())
            return Progress(
                held=len(self._held),
                oldest=now - first.since if first else 0.0,
                still=now - self._released_at,
                away=now - since,
                error=error,
                ended=tuple(one.name for one in ended),
                backlog=self._backlog(),
            )

    @property
    def waiting(self) -> int:
        """How many messages are pulled and not yet taken."""
        with self._lock:
            return len(self._queue)

    def take_bundle(self, wait: float, yields: Callable[[], bool] | None = None) -> list[Held]:
        """As many messages as one bundle should have; waits up to ``wait`` seconds for the first.

        A bundle's messages are published together: the slower each is, the fewer are taken, so
        that the first of them does not wait long for the last. A message that was delivered often
        is a bundle of its own.

        Args:
            wait: Seconds to wait for the first.
            yields: Is called before; few are taken if it is true, so that others come first.

        Raises:
            EngineUnavailable: If the stream is gone, for longer than a job waits for it.
        """
        limit = self._pace.bundle(time.monotonic())
        if yields is not None and yields():
            limit = LEAST_BUNDLE
        taken = self.take(limit, wait)
        self._pace.began(len(taken), time.monotonic())
        return taken

    def take(self, limit: int, wait: float) -> list[Held]:
        """Up to ``limit`` messages; waits up to ``wait`` seconds for the first.

        Those with a ``refusal`` must not be processed: their outcome is a dead letter.

        Raises:
            EngineUnavailable: If the stream is gone, for longer than a job waits for it.
        """
        end = time.monotonic() + wait
        with self._lock:
            while True:
                if self._failure and not self._draining:
                    raise EngineUnavailable(self._failure)
                if self._stopping:
                    return []
                now = time.monotonic()
                had_suspects = self._queue.has_suspects
                taken = self._queue.take(limit, now)
                if taken or had_suspects != self._queue.has_suspects:
                    self._lock.notify_all()
                if taken:
                    return taken
                if now >= end:
                    return []
                self._lock.wait(max(0.001, min(end, self._queue.ready_at() or end) - now))

    def put_back(self, held: Held) -> None:
        """Undo the taking of a message that was not processed."""
        with self._lock:
            self._queue.put_back(held)
            self._lock.notify_all()

    def ack_id(self, held: Held) -> str:
        """What to give to ``acknowledge`` later."""
        return ack_id(self.path, held.ack_id)

    def pause(self) -> None:
        """Pull no more until ``resume``: nobody is there to take it."""
        with self._lock:
            self._paused = True

    def resume(self) -> None:
        """Pull again."""
        with self._lock:
            self._paused = False
            self._lock.notify_all()

    def again(self, ack_ids: Iterable[str]) -> None:
        """Have messages taken again, whose bundles failed: the next delivery of each, from here.

        What would be suspect by now goes back to the broker, which counts what others deliver, too.
        """
        with self._lock:
            found = [held for one in ack_ids if (held := self._held.get(one)) is not None]
            for held in found:
                held.attempt += 1
            self._queue.put_again([held for held in found if not held.is_suspect])
            self._lock.notify_all()
        self.abandon(held.ack_id for held in found if held.is_suspect)

    def add_outcomes(self, ack_id: str, count: int) -> None:
        """Acknowledge this message only after ``count`` more calls of ``release``."""
        with self._lock:
            if held := self._held.get(ack_id):
                held.outcomes += count

    def release(self, ack_ids: Iterable[str]) -> None:
        """One outcome of each message is durable; acknowledge those without outcomes left.

        A message that is no longer held was given back, and is left to its next delivery: its other
        outcomes may never come about.
        """
        done = []
        with self._lock:
            self._released_at = time.monotonic()
            for ack_id in ack_ids:
                held = self._held.get(ack_id)
                if held is None:
                    self._unknown(ack_id)
                    continue
                held.outcomes -= 1
                if held.outcomes <= 0:
                    self._drop(held)
                    done.append(held)
            self._lock.notify_all()
        self._acknowledge(done)

    def _unknown(self, ack_id: str) -> None:
        """An outcome came of a message that is not held."""
        del ack_id

    def abandon(self, ack_ids: Iterable[str]) -> None:
        """An outcome of each message will never be durable: give them back."""
        with self._lock:
            given_up = [held for one in ack_ids if (held := self._held.get(one)) is not None]
            for held in given_up:
                self._drop(held)
            self._lock.notify_all()
        self._give_back(given_up, NACK_SECONDS)

    def drain(self, grace: float, nacking: float = NACK_SECONDS) -> int:
        """Pull no more, wait for what is held, then give back the rest.

        What was pulled and not yet taken is still handed on for half of the time: to give it back
        may count as a delivery.

        Args:
            grace: Seconds to wait for messages that are being processed.
            nacking: Seconds that the broker has to take messages back, before and after; what it
                does not take back in time is delivered again later.

        Returns:
            How many messages were to be returned to the broker, which delivers them again.
        """
        began = time.monotonic()
        with self._lock:
            self._draining = True
            self._lock.notify_all()
            while len(self._queue) and (left := began + grace / 2 - time.monotonic()) > 0:
                self._lock.wait(left)
            self._stopping = True
            untaken = self._queue.clear()
            for held in untaken:
                self._drop(held)
            self._lock.notify_all()
        self._give_back(untaken, nacking)
        with self._lock:
            while self._held and (left := began + grace - time.monotonic()) > 0:
                self._lock.wait(left)
            rest = list(self._held.values())
            for held in rest:
                self._drop(held)
            self._closed = True
            self._lock.notify_all()
        self._end(rest, nacking)
        return len(untaken) + len(rest)

    def _keep(self, held: Held) -> None:
        self._held[held.ack_id] = held
        self._bytes += len(held.data)

    def _drop(self, held: Held) -> None:
        if self._held.pop(held.ack_id, None) is not None:
            self._bytes -= len(held.data)
        self._queue.settle(held.ack_id)

    def _enqueue(self, pulled: Sequence[Held]) -> bool:
        """Hold messages that were pulled; whether it does: it does not once it is stopping."""
        with self._lock:
            self._window.pulled(pulled, self.max_held)
            if self._stopping:
                return False
            for held in pulled:
                self._keep(held)
            self._queue.add(pulled)
            self._lock.notify_all()
            return True

    def _held_since(self, oldest: float) -> list[Held]:
        """Stop holding what is held since before a time of the monotonic clock; what that was."""
        with self._lock:
            found = [held for held in self._held.values() if held.since < oldest]
            for held in found:
                self._drop(held)
        return found

    def _room(self) -> int:
        """How many messages may be pulled now; 0 for none."""
        if self._paused or self._queue.has_suspects or self._bytes >= MAX_HELD_BYTES:
            return 0
        ahead = min(self._window.size, self._pace.ahead(self.max_held))
        free = self.max_held - len(self._held) - self._late()
        room = min(_MOST_A_PULL, free, ahead - len(self._queue))
        # A request costs the broker as much as many messages: not for each message that is taken.
        return max(0, room) if 4 * room >= ahead or not len(self._queue) else 0

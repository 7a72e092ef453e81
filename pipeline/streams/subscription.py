"""Messages held from a Pub/Sub subscription until all that they led to is durable.

One ``Subscription`` a process and path pulls ahead, extends the leases of what is held, and
acknowledges. An ack id names a held message: the subscription's path and an id of its own, with a
count of the outcomes that must be durable before the message may be acknowledged.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

from google.api_core import exceptions as google_errors
from google.pubsub_v1.types import PullResponse

from quorum.core.errors import EngineUnavailable
from quorum.core.metrics import HELD
from quorum.pipeline.streams.acks import ack_id, register, split_by_name
from quorum.pipeline.streams.away import ABSENCE_SECONDS, AWAY, GONE
from quorum.pipeline.streams.deliveries import Deliveries
from quorum.pipeline.streams.leases import Leases
from quorum.pipeline.streams.progress import Progress
from quorum.pipeline.streams.pubsub_clients import emulator_host, subscriber_client
from quorum.pipeline.streams.waiting import LEAST_BUNDLE, Held, Pace, PullWindow, WaitingQueue

__all__ = [
    "NACK_SECONDS",
    "Held",
    "Subscription",
    "add_outcomes",
    "open_subscriptions",
    "subscription",
]

_log = logging.getLogger(__name__)

#: Messages held at once, and their bytes. Guards memory, and against taking more than can be
#: decided in time.
MAX_HELD = 5_000
MAX_HELD_BYTES = 256 * 1024 * 1024

#: Seconds that a lease is extended to, again at a third of it. Short, so that another worker
#: soon gets what a killed one held; Pub/Sub allows 10 to 600.
LEASE_SECONDS = 15

#: Seconds after which a lease is no longer extended. Guards against a message that nothing
#: ever acknowledges: it is delivered again, and in the end is a dead letter.
MAX_LEASE_SECONDS = 3_600.0

#: Seconds in which the broker takes messages back when a worker stops.
NACK_SECONDS = 2.0

#: Messages that one pull asks for at most.
_MOST_A_PULL = 1_000
_PULL_SECONDS = 60.0
_PULL_AGAIN_SECONDS = 10.0

#: Ids that are remembered after their subscription is gone.
_MOST_VOID = 100_000

#: Waits between requests that fail: from the first to the last of these seconds.
_BACKOFF = (0.1, 5.0)


class Subscription:
    """Pulls ahead from one subscription, and holds what it pulled.

    Args:
        path: ``projects/P/subscriptions/S``.
        max_held: Pulling pauses while this many messages are held.
    """

    def __init__(self, path: str, max_held: int = MAX_HELD) -> None:
        self.path = path
        self.max_held = max_held
        self._client: Any = subscriber_client()
        self._leases = Leases(self._client, path)
        self._deliveries = Deliveries(self._client, path)
        self._lock = threading.Condition()
        self._queue = WaitingQueue()
        self._window = PullWindow()
        self._pace = Pace()
        self._held: dict[str, Held] = {}
        self._bytes = 0
        #: Grows when the subscription is made anew: the ids of the one before mean nothing to it.
        self._life = 0
        #: Ids of the subscription before whose outcome may still come.
        self._void: set[str] = set()
        self._gone_since: float | None = None
        self._failure = ""
        self._draining = False
        self._stopping = False
        self._closed = False
        self._released_at = time.monotonic()
        #: Since when pulling fails, and why it failed last; None while it works.
        self._failing: tuple[float, str] | None = None
        self._threads = tuple(
            threading.Thread(
                target=work, name=f"{work.__name__} {path.rsplit('/', 1)[-1]}", daemon=True
            )
            for work in (self._pull_ahead, self._extend)
        )
        for thread in self._threads:
            thread.start()

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
            EngineUnavailable: If the subscription is gone, for longer than a job waits for it.
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
            EngineUnavailable: If the subscription is gone, for longer than a job waits for it.
        """
        end = time.monotonic() + wait
        with self._lock:
            while True:
                if self._failure and not self._draining:
                    raise EngineUnavailable(self._failure)
                if self._stopping:
                    return []
                now = time.monotonic()
                if taken := self._queue.take(limit, now):
                    self._lock.notify_all()
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

    def add_outcomes(self, ack_id: str, count: int) -> None:
        """Acknowledge this message only after ``count`` more calls of ``release``."""
        with self._lock:
            if held := self._held.get(ack_id):
                held.outcomes += count

    def release(self, ack_ids: Iterable[str]) -> None:
        """One outcome of each message is durable; acknowledge those without outcomes left.

        A message that is no longer held was nacked, and is left to its next delivery: its other
        outcomes may never come about.
        """
        done = []
        with self._lock:
            self._released_at = time.monotonic()
            for ack_id in ack_ids:
                held = self._held.get(ack_id)
                if held is None:
                    self._void.discard(ack_id)
                    continue
                held.outcomes -= 1
                if held.outcomes <= 0:
                    self._drop(held)
                    done.append(held.lease)
            self._lock.notify_all()
        self._leases.acknowledge(done)

    def abandon(self, ack_ids: Iterable[str]) -> None:
        """An outcome of each message will never be durable: nack them."""
        with self._lock:
            given_up = [held for one in ack_ids if (held := self._held.get(one)) is not None]
            for held in given_up:
                self._drop(held)
            self._lock.notify_all()
        self._leases.give_back([held.lease for held in given_up], NACK_SECONDS)

    def drain(self, grace: float, nacking: float = NACK_SECONDS) -> int:
        """Pull no more, wait for what is held, then nack the rest.

        What was pulled and not yet taken is still handed on for half of the time: a nack counts as
        a delivery.

        Args:
            grace: Seconds to wait for messages that are being processed.
            nacking: Seconds that the broker has to take messages back, before and after; what it
                does not take back in time is delivered again when its lease ends.

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
        self._leases.give_back([held.lease for held in untaken], nacking)
        with self._lock:
            while self._held and (left := began + grace - time.monotonic()) > 0:
                self._lock.wait(left)
            rest = list(self._held.values())
            for held in rest:
                self._drop(held)
            self._closed = True
        self._leases.acknowledge_late(nacking / 2)
        self._leases.give_back([held.lease for held in rest], nacking / 2)
        return len(untaken) + len(rest)

    def _keep(self, held: Held) -> None:
        self._held[held.ack_id] = held
        self._bytes += len(held.data)

    def _drop(self, held: Held) -> None:
        if self._held.pop(held.ack_id, None) is not None:
            self._bytes -= len(held.data)
        self._queue.settle(held.ack_id)

    def _room(self) -> int:
        """How many messages may be pulled now; 0 for none."""
        if self._queue.has_suspects or self._bytes >= MAX_HELD_BYTES:
            return 0
        ahead = min(self._window.size, self._pace.ahead(self.max_held))
        free = self.max_held - len(self._held) - self._leases.late
        room = min(_MOST_A_PULL, free, ahead - len(self._queue))
        # A request costs the broker as much as many messages: not for each message that is taken.
        return max(0, room) if 4 * room >= ahead or not len(self._queue) else 0

    def _pull_ahead(self) -> None:
        pause = _BACKOFF[0]
        while True:
            with self._lock:
                while not self._draining and (self._failure or not (room := self._room())):
                    self._lock.wait(1.0)
                if self._draining:
                    return
            try:
                response = self._pull(room)
            except google_errors.DeadlineExceeded:
                continue
            except AWAY as error:
                if self._draining:
                    return
                self._note_absence(error)
                _log.warning("could not pull from %s, again in %.1f s: %s", self.path, pause, error)
                since = self._failing[0] if self._failing else time.monotonic()
                self._failing = (since, " ".join(str(error).split()))
                time.sleep(pause)
                pause = min(pause * 2, _BACKOFF[1])
                continue
            pause, self._gone_since, self._failing = _BACKOFF[0], None, None
            self._hold(PullResponse.pb(response).received_messages)

    def _pull(self, limit: int) -> Any:
        """Pull once; a failure is for the caller to note and to try again.

        A pull waits for messages for up to a minute. After a failure it does not: its answer says
        at once that the broker is back.
        """
        after_failure = self._failing is not None
        how = {"return_immediately": True} if after_failure else {}
        return self._client.pull(
            subscription=self.path,
            max_messages=limit,
            timeout=_PULL_AGAIN_SECONDS if after_failure else _PULL_SECONDS,
            retry=None,
            **how,
        )

    def _note_absence(self, error: Exception) -> None:
        """Note that the broker does not answer, or knows this subscription no more."""
        is_gone = isinstance(error, GONE)
        if is_gone or (emulator_host() and isinstance(error, google_errors.ServiceUnavailable)):
            # The emulator keeps nothing when it ends, and counts its ids from the beginning again:
            # an old one would acknowledge another message.
            with self._lock:
                self._life += 1
                if len(self._void) > _MOST_VOID:
                    self._void.clear()
                self._void |= self._held.keys()
                for held in list(self._held.values()):
                    self._drop(held)
            self._leases.forget()
            self._deliveries.forget()
        if not is_gone:
            return
        now = time.monotonic()
        if self._gone_since is None:
            self._gone_since = now
        elif now - self._gone_since >= ABSENCE_SECONDS:
            with self._lock:
                self._failure = (
                    f"{self.path} is gone, for {ABSENCE_SECONDS:g} s by now: {error} "
                    "(`quorum topics create` makes what a deployment needs)"
                )
                self._lock.notify_all()

    def _hold(self, messages: Iterable[Any]) -> None:
        now = time.monotonic()
        pulled = []
        for item in messages:
            attempt, refusal = self._deliveries.of(item)
            pulled.append(
                Held(
                    ack_id=f"{self._life}~{item.ack_id}"
                    if item.ack_id in self._void
                    else item.ack_id,
                    data=item.message.data,
                    attributes=dict(item.message.attributes),
                    since=now,
                    attempt=attempt,
                    refusal=refusal,
                    lease=item.ack_id,
                )
            )
        with self._lock:
            self._window.pulled(pulled, self.max_held)
            if not self._stopping:
                for held in pulled:
                    self._keep(held)
                self._queue.add(pulled)
                self._lock.notify_all()
                return
        self._leases.give_back([held.lease for held in pulled], NACK_SECONDS)

    def _extend(self) -> None:
        wait = LEASE_SECONDS / 3
        while not self._closed:
            time.sleep(wait)
            oldest = time.monotonic() - MAX_LEASE_SECONDS
            with self._lock:
                for held in [held for held in self._held.values() if held.since < oldest]:
                    _log.error("gave up a message of %s held for too long", self.path)
                    self._drop(held)
                leases = [held.lease for held in self._held.values()]
            self._leases.acknowledge_late()
            is_extended = self._leases.extend(leases, LEASE_SECONDS)
            wait = LEASE_SECONDS / 3 if is_extended else min(1.0, LEASE_SECONDS / 3)


#: The subscriptions of this process, by path: pulling ahead and leases outlive a bundle and a
#: DoFn's instance.
_SUBSCRIPTIONS: dict[str, Subscription] = {}
_SUBSCRIPTIONS_LOCK = threading.Lock()


def subscription(path: str) -> Subscription:
    """This process's Subscription of a path, made at the first call."""
    with _SUBSCRIPTIONS_LOCK:
        if path not in _SUBSCRIPTIONS:
            _SUBSCRIPTIONS[path] = Subscription(path)
            register(path, _SUBSCRIPTIONS[path])
        return _SUBSCRIPTIONS[path]


def open_subscriptions() -> tuple[Subscription, ...]:
    """The subscriptions that this process holds messages of."""
    with _SUBSCRIPTIONS_LOCK:
        return tuple(_SUBSCRIPTIONS.values())


def add_outcomes(ack_id: str, count: int) -> None:
    """Acknowledge a message only after ``count`` more outcomes than the one that each has."""
    for path, ids in split_by_name([ack_id]).items():
        for its_id in ids:
            subscription(path).add_outcomes(its_id, count)


HELD.set_function(lambda: float(sum(each.held for each in open_subscriptions())))

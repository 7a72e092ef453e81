"""Messages held from a Pub/Sub subscription until all that they led to is durable.

One ``Subscription`` a process and path pulls ahead, extends the leases of what is held, and
acknowledges. ``subscription`` gives that of a path, of Kafka's, too.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable, Sequence
from typing import Any

from google.api_core import exceptions as google_errors
from google.pubsub_v1.types import PullResponse

from quorum.core.metrics import HELD
from quorum.pipeline.streams.acks import register, split_by_name
from quorum.pipeline.streams.address import KAFKA
from quorum.pipeline.streams.away import ABSENCE_SECONDS, AWAY, GONE
from quorum.pipeline.streams.deliveries import Deliveries
from quorum.pipeline.streams.holding import MAX_HELD, NACK_SECONDS, Holding
from quorum.pipeline.streams.leases import Leases
from quorum.pipeline.streams.pubsub_clients import emulator_host, subscriber_client
from quorum.pipeline.streams.waiting import Held

__all__ = [
    "NACK_SECONDS",
    "Held",
    "Subscription",
    "add_outcomes",
    "detach_subscription",
    "open_subscriptions",
    "subscription",
]

_log = logging.getLogger(__name__)

#: Seconds that a lease is extended to, again at a third of it. Short, so that another worker
#: soon gets what a killed one held; Pub/Sub allows 10 to 600.
LEASE_SECONDS = 15

#: Seconds after which a lease is no longer extended. Guards against a message that nothing
#: ever acknowledges: it is delivered again, and in the end is a dead letter.
MAX_LEASE_SECONDS = 3_600.0

#: Seconds that one pull waits for messages, and after a failure.
_PULL_SECONDS = 60.0
_PULL_AGAIN_SECONDS = 10.0

#: Ids that are remembered after their subscription is gone.
_MOST_VOID = 100_000

#: Waits between requests that fail: from the first to the last of these seconds.
_BACKOFF = (0.1, 5.0)


class Subscription(Holding):
    """A Pub/Sub subscription. See ``Holding``.

    Args:
        path: ``projects/P/subscriptions/S``.
        max_held: Pulling pauses while this many messages are held.
    """

    def __init__(self, path: str, max_held: int = MAX_HELD) -> None:
        super().__init__(path, max_held)
        self._client: Any = subscriber_client()
        self._leases = Leases(self._client, path)
        self._deliveries = Deliveries(self._client, path)
        #: Grows when the subscription is made anew: the ids of the one before mean nothing to it.
        self._life = 0
        #: Ids of the subscription before whose outcome may still come.
        self._void: set[str] = set()
        self._gone_since: float | None = None
        self._start(self._pull_ahead, self._extend)

    def _acknowledge(self, done: Sequence[Held]) -> None:
        self._leases.acknowledge([held.lease for held in done])

    def _give_back(self, given_up: Sequence[Held], seconds: float) -> None:
        self._leases.give_back([held.lease for held in given_up], seconds)

    def _end(self, rest: Sequence[Held], seconds: float) -> None:
        self._leases.acknowledge_late(seconds / 2)
        self._give_back(rest, seconds / 2)

    def _late(self) -> int:
        return self._leases.late

    def _unknown(self, ack_id: str) -> None:
        self._void.discard(ack_id)

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
        if not self._enqueue(pulled):
            self._give_back(pulled, NACK_SECONDS)

    def _extend(self) -> None:
        wait = LEASE_SECONDS / 3
        while not self._closed:
            time.sleep(wait)
            for _ in self._held_since(time.monotonic() - MAX_LEASE_SECONDS):
                _log.error("gave up a message of %s held for too long", self.path)
            with self._lock:
                leases = [held.lease for held in self._held.values()]
            self._leases.acknowledge_late()
            is_extended = self._leases.extend(leases, LEASE_SECONDS)
            wait = LEASE_SECONDS / 3 if is_extended else min(1.0, LEASE_SECONDS / 3)


#: The subscriptions of this process, by path: pulling ahead and leases outlive a bundle and a
#: DoFn's instance.
_SUBSCRIPTIONS: dict[str, Holding] = {}
_SUBSCRIPTIONS_LOCK = threading.Lock()


def subscription(path: str) -> Holding:
    """What this process holds of a path, opened at the first call.

    Args:
        path: ``projects/P/subscriptions/S``, or ``kafka://BROKERS/TOPIC?group=GROUP``.
    """
    with _SUBSCRIPTIONS_LOCK:
        if path not in _SUBSCRIPTIONS:
            _SUBSCRIPTIONS[path] = _opened(path)
            register(path, _SUBSCRIPTIONS[path])
        return _SUBSCRIPTIONS[path]


def detach_subscription(path: str) -> Holding | None:
    """What this process holds of a path, to be drained: the next ``subscription`` opens it anew."""
    with _SUBSCRIPTIONS_LOCK:
        return _SUBSCRIPTIONS.pop(path, None)


def _opened(path: str) -> Holding:
    if path.startswith(KAFKA):
        from quorum.pipeline.streams.kafka_group import KafkaGroup

        return KafkaGroup(path)
    return Subscription(path)


def open_subscriptions() -> tuple[Holding, ...]:
    """The subscriptions that this process holds messages of."""
    with _SUBSCRIPTIONS_LOCK:
        return tuple(_SUBSCRIPTIONS.values())


def add_outcomes(ack_id: str, count: int) -> None:
    """Acknowledge a message only after ``count`` more outcomes than the one that each has."""
    for path, ids in split_by_name([ack_id]).items():
        for its_id in ids:
            subscription(path).add_outcomes(its_id, count)


HELD.set_function(lambda: float(sum(each.held for each in open_subscriptions())))

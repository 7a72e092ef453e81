"""Messages held from a Pub/Sub subscription until all that they led to is durable.

One ``Subscription`` a process and path pulls ahead, extends the leases of what is held, and
acknowledges. A ack_id names a held message: the subscription's path and the acknowledgement
id, with a count of the outcomes that must be durable before the message may be acknowledged.
"""

from __future__ import annotations

import collections
import logging
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from google.api_core import exceptions as google_errors
from google.auth import exceptions as auth_errors
from google.pubsub_v1.types import PullResponse

from quorum.pipeline.streams.acks import ack_id, register, split_by_name
from quorum.pipeline.streams.progress import Progress
from quorum.pipeline.streams.pubsub_clients import subscriber_client

__all__ = [
    "NACK_SECONDS",
    "Held",
    "Subscription",
    "add_outcomes",
    "open_subscriptions",
    "subscription",
]

_log = logging.getLogger(__name__)

#: Messages held at once. Guards memory, and against taking more than can be decided in time.
MAX_HELD = 5_000

#: Seconds that a lease is extended to, again at a third of it. Short, so that another worker
#: soon gets what a killed one held; Pub/Sub allows 10 to 600.
LEASE_SECONDS = 15

#: Seconds after which a lease is no longer extended. Guards against a message that nothing
#: ever acknowledges: it is delivered again, and ends in the subscription's dead-letter topic.
MAX_LEASE_SECONDS = 3_600.0

#: Seconds in which the broker takes messages back when a worker stops.
NACK_SECONDS = 2.0

#: How long a bundle should take, and its bounds. Longer, and its first upload waits for its
#: last; shorter, and the engine's own cost for each bundle is felt.
BUNDLE_SECONDS = 0.4
LEAST_BUNDLE = 8
MOST_BUNDLE = 256

#: Pub/Sub limits a request to 512 KB; an acknowledgement id has up to about 250 bytes.
_IDS_A_REQUEST = 1_000

#: Waits between pulls that fail: from the first to the last of these seconds.
_BACKOFF = (0.1, 10.0)

#: A broker that is away, refuses, or whose tokens cannot be had: it may come back.
_AWAY = (google_errors.GoogleAPIError, auth_errors.GoogleAuthError)


@dataclass(slots=True)
class Held:
    """A message that was pulled and is not yet acknowledged."""

    ack_id: str
    data: bytes
    attributes: dict[str, str]
    since: float
    outcomes: int = 1


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
        self._lock = threading.Condition()
        self._waiting: collections.deque[Held] = collections.deque()
        self._held: dict[str, Held] = {}
        self._stopping = False
        self._closed = False
        self._bundle = 0
        self._bundle_began = 0.0
        #: Seconds a message took in the last bundles, smoothed.
        self._pace: float | None = None
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
            ended = () if self._stopping else (one for one in self._threads if not one.is_alive())
            return Progress(
                held=len(self._held),
                oldest=now - first.since if first else 0.0,
                still=now - self._released_at,
                away=now - since,
                error=error,
                ended=tuple(one.name for one in ended),
            )

    def take_bundle(self, wait: float) -> list[Held]:
        """As many messages as one bundle should have; waits up to ``wait`` seconds for the first.

        A bundle's messages are published together: the slower each is, the fewer are taken, so
        that the first of them does not wait long for the last.
        """
        if self._bundle:
            each = (time.monotonic() - self._bundle_began) / self._bundle
            self._pace = each if self._pace is None else 0.7 * self._pace + 0.3 * each
        limit = LEAST_BUNDLE
        if self._pace is not None:
            limit = min(MOST_BUNDLE, max(LEAST_BUNDLE, int(BUNDLE_SECONDS / self._pace)))
        taken = self.take(limit, wait)
        self._bundle, self._bundle_began = len(taken), time.monotonic()
        return taken

    def take(self, limit: int, wait: float) -> list[Held]:
        """Up to ``limit`` messages; waits up to ``wait`` seconds for the first."""
        deadline = time.monotonic() + wait
        with self._lock:
            while not self._waiting and not self._stopping:
                left = deadline - time.monotonic()
                if left <= 0 or not self._lock.wait(left):
                    break
            if self._stopping:
                return []
            count = min(limit, len(self._waiting))
            return [self._waiting.popleft() for _ in range(count)]

    def put_back(self, held: Held) -> None:
        """Undo the taking of a message that was not processed."""
        with self._lock:
            self._waiting.appendleft(held)
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
        outcomes may never come about. A failure to acknowledge is only logged: the messages are
        delivered again, and decided again to the same verdict.
        """
        done = []
        with self._lock:
            self._released_at = time.monotonic()
            for ack_id in ack_ids:
                held = self._held.get(ack_id)
                if held is None:
                    continue
                held.outcomes -= 1
                if held.outcomes <= 0:
                    del self._held[ack_id]
                    done.append(ack_id)
            self._lock.notify_all()
        for start in range(0, len(done), _IDS_A_REQUEST):
            chunk = done[start : start + _IDS_A_REQUEST]
            try:
                self._client.acknowledge(subscription=self.path, ack_ids=chunk, timeout=30.0)
            except _AWAY as error:
                _log.warning(
                    "could not acknowledge %d messages of %s: %s", len(chunk), self.path, error
                )

    def drain(self, grace: float, nacking: float = NACK_SECONDS) -> int:
        """Take no more, wait for what is held, then nack the rest.

        Args:
            grace: Seconds to wait for messages that are being processed.
            nacking: Seconds that the broker has to take messages back, before and after; what it
                does not take back in time is delivered again when its lease ends.

        Returns:
            How many messages were to be returned to the broker, which delivers them again.
        """
        deadline = time.monotonic() + grace
        with self._lock:
            self._stopping = True
            untaken = [held.ack_id for held in self._waiting]
            self._waiting.clear()
            for ack_id in untaken:
                self._held.pop(ack_id, None)
            self._lock.notify_all()
        self._nack(untaken, nacking)
        with self._lock:
            while self._held and (left := deadline - time.monotonic()) > 0:
                self._lock.wait(left)
            rest = list(self._held)
            self._held.clear()
            self._closed = True
        self._nack(rest, nacking)
        return len(untaken) + len(rest)

    def _nack(self, ack_ids: list[str], seconds: float = NACK_SECONDS) -> None:
        """Return messages; the broker has so many seconds for all of them, without a retry."""
        end = time.monotonic() + seconds
        for start in range(0, len(ack_ids), _IDS_A_REQUEST):
            if (left := end - time.monotonic()) <= 0:
                return
            self._modify(
                ack_ids[start : start + _IDS_A_REQUEST], 0, timeout=max(0.1, left), retry=None
            )

    def _modify(self, ack_ids: list[str], seconds: int, **how: Any) -> None:
        for start in range(0, len(ack_ids), _IDS_A_REQUEST):
            chunk = ack_ids[start : start + _IDS_A_REQUEST]
            try:
                self._client.modify_ack_deadline(
                    subscription=self.path,
                    ack_ids=chunk,
                    ack_deadline_seconds=seconds,
                    **{"timeout": 10.0, **how},
                )
            except _AWAY as error:
                _log.warning(
                    "could not change the leases of %d messages of %s: %s",
                    len(chunk),
                    self.path,
                    error,
                )

    def _pull_ahead(self) -> None:
        pause = _BACKOFF[0]
        while True:
            with self._lock:
                while not self._stopping and len(self._held) >= self.max_held:
                    self._lock.wait(1.0)
                if self._stopping:
                    return
                room = self.max_held - len(self._held)
            try:
                response = self._pull(min(1_000, room))
            except google_errors.DeadlineExceeded:
                continue
            except _AWAY as error:
                if self._stopping:
                    return
                _log.warning("could not pull from %s, again in %.1f s: %s", self.path, pause, error)
                since = self._failing[0] if self._failing else time.monotonic()
                self._failing = (since, " ".join(str(error).split()))
                time.sleep(pause)
                pause = min(pause * 2, _BACKOFF[1])
                continue
            pause = _BACKOFF[0]
            self._failing = None
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
            timeout=10.0 if after_failure else 60.0,
            retry=None,
            **how,
        )

    def _hold(self, messages: Iterable[Any]) -> None:
        now = time.monotonic()
        pulled = [
            Held(
                ack_id=item.ack_id,
                data=item.message.data,
                attributes=dict(item.message.attributes),
                since=now,
            )
            for item in messages
        ]
        with self._lock:
            if not self._stopping:
                for held in pulled:
                    self._held[held.ack_id] = held
                self._waiting.extend(pulled)
                self._lock.notify_all()
                return
        self._nack([held.ack_id for held in pulled])

    def _extend(self) -> None:
        while not self._closed:
            time.sleep(LEASE_SECONDS / 3)
            oldest = time.monotonic() - MAX_LEASE_SECONDS
            with self._lock:
                for ack_id in [key for key, held in self._held.items() if held.since < oldest]:
                    _log.error("gave up a message of %s held for too long", self.path)
                    del self._held[ack_id]
                ack_ids = list(self._held)
            if ack_ids:
                self._modify(ack_ids, LEASE_SECONDS)


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

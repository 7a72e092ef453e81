"""Places of the messages whose upload is unknown, bounded for each stream and publisher.

On Prism all of them are in one table, and a worker of another engine sees one case at a time.

Anyone who may publish can send predictions for uploads that do not exist. Each holds a message of
its subscription until its upload comes or its time is over. Beyond the bound the oldest gives up
its place at once: a message that is only a little ahead of its upload keeps it.
"""

from __future__ import annotations

import collections
from collections.abc import Iterable
from typing import Final, NamedTuple

from quorum.core.identity.signing import PUBLISHER
from quorum.core.metrics import ORPHANS
from quorum.pipeline.streams.base import Received

__all__ = [
    "MOST_OF_A_PUBLISHER",
    "MOST_OF_A_STREAM",
    "OrphanPace",
    "OrphanPlaces",
    "Place",
    "Waiting",
]

#: Messages that wait for unknown uploads, of one publisher and of one stream; less than half of
#: what a subscription may hold, so that the others always have room.
MOST_OF_A_PUBLISHER: Final = 1_000
MOST_OF_A_STREAM: Final = 2_000

#: The same in bytes.
MOST_BYTES_OF_A_PUBLISHER: Final = 32 * 1024 * 1024
MOST_BYTES_OF_A_STREAM: Final = 64 * 1024 * 1024

#: Seconds for which a message waits on other engines, however many there are.
LEAST_WAIT: Final = 1.0


class Place(NamedTuple):
    """Who shares a bound: the messages of one publisher on one stream."""

    stream: str
    publisher: str

    @classmethod
    def of(cls, received: Received) -> Place:
        """The place of a message, whose publisher was checked."""
        return cls(received.stream, received.attributes.get(PUBLISHER, ""))


class Waiting(NamedTuple):
    """A message that waits for its upload.

    Attributes:
        key: Names the message within its case.
        place: Where it is counted.
        messages: How many messages of the broker it holds: each delivery is one.
        size: Its bytes.
    """

    key: str
    place: Place
    messages: int
    size: int


class OrphanPace:
    """How long a message may wait where each case has a state of its own.

    No case can take the place of a message of another one there. Instead a message waits for as
    long as the last messages of its publisher took to come, as many as the bound: so long it would
    have its place in one queue of that bound at that pace.
    """

    def __init__(self) -> None:
        self._times: dict[Place | str, collections.deque[float]] = {}

    def wait(self, place: Place, at: float) -> float | None:
        """Count a message whose upload is unknown.

        Args:
            place: Where it is counted.
            at: When it came, in seconds.

        Returns:
            Seconds for which it may wait; None if no bound is reached.
        """
        waits: list[float] = []
        bounds: tuple[tuple[Place | str, int], ...] = (
            (place, MOST_OF_A_PUBLISHER),
            (place.stream, MOST_OF_A_STREAM),
        )
        for key, most in bounds:
            times = self._times.setdefault(key, collections.deque(maxlen=most))
            if len(times) == most:
                waits.append(max(LEAST_WAIT, at - times[0]))
            times.append(at)
        return min(waits, default=None)


class _Queue:
    """Waiting messages that share a bound, oldest first."""

    __slots__ = ("messages", "order", "size")

    def __init__(self) -> None:
        self.order: collections.OrderedDict[tuple[str, str], Waiting] = collections.OrderedDict()
        self.messages = 0
        self.size = 0

    def add(self, upload_id: str, one: Waiting) -> None:
        """Append a message."""
        self.order[upload_id, one.key] = one
        self.messages += one.messages
        self.size += one.size

    def remove(self, upload_id: str, key: str) -> None:
        """Remove a message."""
        one = self.order.pop((upload_id, key))
        self.messages -= one.messages
        self.size -= one.size

    def is_over(self, messages: int, size: int) -> bool:
        """Whether there are more messages or bytes than these."""
        return self.messages > messages or self.size > size


class OrphanPlaces:
    """Which messages wait for their uploads, and which have lost their place; for one lock."""

    def __init__(self) -> None:
        self._cases: dict[str, dict[str, Waiting]] = {}
        self._publishers: dict[Place, _Queue] = {}
        self._streams: dict[str, _Queue] = {}
        self._evicted: dict[str, set[str]] = {}

    def update(self, upload_id: str, waiting: Iterable[Waiting]) -> list[str]:
        """Note what waits for an upload now, in place of what did.

        Returns:
            Uploads of which messages lost their place by it; see ``take_evicted``.
        """
        before = self._cases.pop(upload_id, {})
        after = {one.key: one for one in waiting}
        evicted = self._evicted.get(upload_id, set()) & after.keys()
        self._evicted.pop(upload_id, None)
        if evicted:
            self._evicted[upload_id] = evicted
        for key, one in before.items():
            if after.get(key) != one:
                self._remove(upload_id, one)
        same = {key: one for key, one in after.items() if before.get(key) == one}
        if same:
            self._cases[upload_id] = same
        lost: list[str] = []
        for key, one in after.items():
            if key not in same and key not in evicted:
                lost += self._add(upload_id, one)
        return lost

    def take_evicted(self, upload_id: str) -> set[str]:
        """The keys of an upload's messages that lost their place; each is returned once."""
        return self._evicted.pop(upload_id, set())

    def has_evicted(self, upload_id: str) -> bool:
        """Whether messages of this upload have lost their place and were not taken yet."""
        return upload_id in self._evicted

    @property
    def streams(self) -> tuple[str, ...]:
        """Streams of which messages have waited."""
        return tuple(self._streams)

    def is_crowded(self, stream: str) -> bool:
        """Whether half of a bound of this stream is reached."""
        found = self._streams.get(stream)
        if found is None:
            return False
        return found.is_over(
            min(MOST_OF_A_STREAM, MOST_OF_A_PUBLISHER) // 2,
            min(MOST_BYTES_OF_A_STREAM, MOST_BYTES_OF_A_PUBLISHER) // 2,
        )

    def messages(self, stream: str) -> int:
        """How many messages of a stream have a place."""
        found = self._streams.get(stream)
        return 0 if found is None else found.messages

    def _add(self, upload_id: str, one: Waiting) -> list[str]:
        self._cases.setdefault(upload_id, {})[one.key] = one
        publisher = self._publishers.setdefault(one.place, _Queue())
        stream = self._streams.setdefault(one.place.stream, _Queue())
        publisher.add(upload_id, one)
        stream.add(upload_id, one)
        lost: list[str] = []
        for queue, messages, size in (
            (publisher, MOST_OF_A_PUBLISHER, MOST_BYTES_OF_A_PUBLISHER),
            (stream, MOST_OF_A_STREAM, MOST_BYTES_OF_A_STREAM),
        ):
            while queue.is_over(messages, size):
                (oldest, key), evicted = next(iter(queue.order.items()))
                self._remove(oldest, evicted)
                case = self._cases[oldest]
                del case[key]
                if not case:
                    del self._cases[oldest]
                self._evicted.setdefault(oldest, set()).add(key)
                lost.append(oldest)
        self._count(one.place.stream)
        return lost

    def _remove(self, upload_id: str, one: Waiting) -> None:
        publisher, stream = self._publishers[one.place], self._streams[one.place.stream]
        publisher.remove(upload_id, one.key)
        stream.remove(upload_id, one.key)
        if not publisher.order:
            del self._publishers[one.place]
        self._count(one.place.stream)

    def _count(self, stream: str) -> None:
        ORPHANS.labels(stream).set(self._streams[stream].messages)

"""Messages that were pulled and wait to be processed: in which order, how many, and which alone.

A worker that a message kills takes along all that was pulled with it: each of these counts one more
delivery. So a message that was delivered often is processed alone, and is pulled alone, too, so
that the innocent do not come near the limit of deliveries at which a message is set aside.
"""

from __future__ import annotations

import collections
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

__all__ = ["ALONE_FROM", "LEAST_BUNDLE", "Held", "Pace", "PullWindow", "WaitingQueue"]

#: From this delivery on a message is processed alone.
ALONE_FROM = 3

#: Seconds that others wait at most for the outcome of a message that is processed alone. It is
#: halved each time that it did not suffice: some jobs hold a message until others arrive.
ALONE_SECONDS = 1.0

#: How long a bundle should take, and its bounds. Longer, and its first upload waits for its
#: last; shorter, and the engine's own cost for each bundle is felt.
BUNDLE_SECONDS = 0.4
LEAST_BUNDLE = 8
MOST_BUNDLE = 256

#: Seconds of work that are pulled ahead. More gains no throughput, and all of it counts a
#: delivery when the worker is killed.
AHEAD_SECONDS = 2.0
#: Messages that are pulled ahead while the pace is unknown.
AHEAD_AT_FIRST = 1_000


@dataclass(slots=True)
class Held:
    """A message that was pulled and is not yet acknowledged.

    Attributes:
        ack_id: Names it in this process.
        data: The bytes of its body.
        attributes: Its attributes.
        since: When it was pulled, on the monotonic clock.
        outcomes: How many outcomes must be durable before it is acknowledged.
        attempt: Which delivery this is, from 1.
        refusal: Why it must not be processed, and becomes a dead letter; else empty.
        lease: The broker's acknowledgement id.
    """

    ack_id: str
    data: bytes
    attributes: dict[str, str]
    since: float
    outcomes: int = 1
    attempt: int = 1
    refusal: str = ""
    lease: str = ""

    @property
    def is_suspect(self) -> bool:
        """Whether it is processed alone: it may be what ended the workers before."""
        return self.attempt >= ALONE_FROM and not self.refusal


class WaitingQueue:
    """Pulled messages in the order in which they are processed: suspects last, each alone."""

    def __init__(self) -> None:
        self._ordinary: collections.deque[Held] = collections.deque()
        self._suspects: collections.deque[Held] = collections.deque()
        self._alone: str | None = None
        self._alone_until = 0.0
        self._patience = ALONE_SECONDS

    def __len__(self) -> int:
        return len(self._ordinary) + len(self._suspects)

    @property
    def has_suspects(self) -> bool:
        """Whether a suspect waits or is being processed."""
        return bool(self._suspects) or self._alone is not None

    def add(self, pulled: Iterable[Held]) -> None:
        """Append messages."""
        for held in pulled:
            (self._suspects if held.is_suspect else self._ordinary).append(held)

    def put_back(self, held: Held) -> None:
        """Undo the taking of a message that was not processed."""
        if held.is_suspect:
            self._suspects.appendleft(held)
            self.settle(held.ack_id)
        else:
            self._ordinary.appendleft(held)

    def put_again(self, taken: Sequence[Held]) -> None:
        """Put ordinary messages that were taken before those that wait, in their order."""
        self._ordinary.extendleft(reversed(taken))
        for held in taken:
            self.settle(held.ack_id)

    def take(self, limit: int, now: float) -> list[Held]:
        """Up to ``limit`` ordinary messages, or one suspect.

        Empty while a suspect is being processed: until ``settle``, or until its time has passed.

        Args:
            limit: How many at most.
            now: The monotonic clock.
        """
        if self._alone is not None:
            if now < self._alone_until:
                return []
            self._alone = None
            self._patience = self._patience / 2 if self._patience > 0.01 else 0.0
        if self._ordinary:
            return [self._ordinary.popleft() for _ in range(min(limit, len(self._ordinary)))]
        if not self._suspects:
            return []
        held = self._suspects.popleft()
        self._alone, self._alone_until = held.ack_id, now + self._patience
        return [held]

    def ready_at(self) -> float | None:
        """When ``take`` gives a message for sure, on the monotonic clock; None if none waits."""
        if not len(self):
            return None
        return self._alone_until if self._alone is not None else 0.0

    def settle(self, ack_id: str) -> None:
        """Note that a message has its outcome, or will have none here."""
        if ack_id == self._alone:
            self._alone, self._patience = None, ALONE_SECONDS

    def clear(self) -> list[Held]:
        """Remove and return all."""
        taken = [*self._ordinary, *self._suspects]
        self._ordinary.clear()
        self._suspects.clear()
        return taken


class PullWindow:
    """How many messages may be pulled ahead: one after a start and after a suspect, then more.

    After a crash the first messages tell whether there are suspects among those that come, before
    many are pulled together with them. As many more may be pulled as have come without a suspect.
    """

    def __init__(self) -> None:
        self.size = 1

    def pulled(self, messages: Sequence[Held], most: int) -> None:
        """Note what a pull brought.

        Args:
            messages: What it brought.
            most: The largest window.
        """
        if any(held.attempt >= ALONE_FROM for held in messages):
            self.size = 1
        else:
            self.size = min(most, self.size + len(messages))


class Pace:
    """How long bundles take: how many messages fit into one, and how many are pulled ahead.

    A bundle costs the engine something whatever its size, and each message costs something. Both
    are told apart by bundles of different sizes: else a slow engine would be taken for slow
    messages, and bundles be small, which makes a slow engine slower.
    """

    def __init__(self) -> None:
        self._limit = LEAST_BUNDLE
        self._size = 0
        self._began = 0.0
        #: The size and the seconds of the smallest bundles.
        self._least: tuple[int, float] | None = None
        #: Seconds of one more message.
        self._each: float | None = None

    def bundle(self, now: float) -> int:
        """The bundle before is done: how many messages the next should have."""
        if self._size:
            self._measure(self._size, now - self._began)
            was_full = self._size >= self._limit
            largest = min(MOST_BUNDLE, 2 * self._limit if was_full else self._limit)
            fit = MOST_BUNDLE if not self._each else int(BUNDLE_SECONDS / self._each)
            self._limit = max(LEAST_BUNDLE, min(largest, fit))
            self._size = 0
        return self._limit

    def began(self, size: int, now: float) -> None:
        """A bundle of this size is being processed."""
        self._size, self._began = size, now

    def ahead(self, most: int) -> int:
        """How many messages are pulled ahead at most."""
        if self._least is None:
            return min(most, AHEAD_AT_FIRST)
        seconds = self._least[1] + (self._each or 0.0) * self._limit
        bundles = max(2, int(AHEAD_SECONDS / max(0.001, seconds)))
        return min(most, bundles * self._limit)

    def _measure(self, size: int, seconds: float) -> None:
        if self._least is None or size < self._least[0]:
            self._least = size, seconds
            return
        least, fewest = self._least
        if size == least:
            fewest = 0.7 * fewest + 0.3 * seconds
        elif size >= 2 * least:
            each = max(0.0, seconds - fewest) / (size - least)
            self._each = each if self._each is None else (self._each + each) / 2
        if self._each is not None and size >= self._limit:
            # Larger bundles are tried again now and then.
            self._each = min(0.95 * self._each, fewest / least)
        self._least = least, min(fewest, seconds)

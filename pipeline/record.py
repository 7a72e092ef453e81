"""The recorder: one more consumer of the streams, which writes what passes into the ledger.

It has subscriptions of its own, so that it never slows a verdict; a message is given back only
when the ledger has it. While the ledger is away it holds what it has and takes no more.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from quorum.core.errors import MalformedMessage
from quorum.core.messages import DeadLetter, Message, Prediction, Review, Upload, Verdict, now
from quorum.store.ledger import Delivery, Ledger, LedgerRefused, LedgerUnavailable, StatementRecord

__all__ = ["STREAMS", "Feed", "FileFeed", "Recorder", "SubscriptionFeed", "Taken"]

_log = logging.getLogger(__name__)

#: The streams that can be recorded, and what travels on each.
STREAMS: dict[str, type[Message]] = {
    "uploads": Upload,
    "predictions": Prediction,
    "verdicts": Verdict,
    "reviews": Review,
    "dead-letters": DeadLetter,
}

#: Messages of one transaction: enough that its cost is shared, few enough that it ends within
#: a lease.
BATCH = 500

#: Seconds to wait for messages before looking whether to end.
WAIT_SECONDS = 0.5

#: Seconds between tries while the ledger is away, from the first to the longest.
AWAY_SECONDS = (0.5, 15.0)


@dataclass(frozen=True, slots=True)
class Taken:
    """A message that was taken from a stream.

    Attributes:
        data: Its body.
        attributes: Its attributes.
        ack_id: What to give back.
    """

    data: bytes
    attributes: Mapping[str, str]
    ack_id: str = ""


class Feed(Protocol):
    """Where a stream's messages come from."""

    def take(self, limit: int, wait: float) -> Sequence[Taken] | None:
        """Up to so many messages, none if none came in time; None at the end."""

    def give_back(self, ack_ids: Sequence[str]) -> None:
        """These are durable."""

    def close(self) -> None:
        """Return what was taken and is not durable."""


class SubscriptionFeed:
    """A Pub/Sub subscription."""

    def __init__(self, path: str) -> None:
        from quorum.pipeline.streams.subscription import subscription

        self._subscription: Any = subscription(path)

    def take(self, limit: int, wait: float) -> Sequence[Taken] | None:
        """See Feed."""
        return [
            Taken(held.data, held.attributes, held.ack_id)
            for held in self._subscription.take(limit, wait)
        ]

    def give_back(self, ack_ids: Sequence[str]) -> None:
        """See Feed."""
        self._subscription.release(ack_ids)

    def close(self) -> None:
        """See Feed."""
        self._subscription.drain(0.0)


class FileFeed:
    """A file of JSON lines; its end is the stream's."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")

    def take(self, limit: int, wait: float) -> Sequence[Taken] | None:
        """See Feed."""
        found: list[Taken] = []
        for line in self._file:
            if line.strip():
                found.append(Taken(line.rstrip(b"\r\n"), {}))
            if len(found) >= limit:
                break
        return found or None

    def give_back(self, ack_ids: Sequence[str]) -> None:
        """See Feed."""

    def close(self) -> None:
        """See Feed."""
        self._file.close()


class Recorder:
    """Records streams until they end or it is told to stop.

    Args:
        ledger: Where to.
        feeds: By stream, where its messages come from.
        deliveries: What is to be told of verdicts, recorded together with them.
    """

    def __init__(
        self,
        ledger: Ledger,
        feeds: Mapping[str, Feed],
        deliveries: Any = None,
    ) -> None:
        self._ledger = ledger
        self._feeds = dict(feeds)
        self._deliveries = deliveries or (lambda _verdict: ())
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self.recorded: Counter[str] = Counter()

    def stop(self) -> None:
        """Take no more; what was taken is recorded, if the ledger is there, or returned."""
        self._stopping.set()

    def run(self) -> None:
        """Record until all streams have ended, or until ``stop``."""
        threads = [
            threading.Thread(target=self._follow, args=item, name=f"record-{item[0]}", daemon=True)
            for item in self._feeds.items()
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            # Not one long wait: the main thread must see a signal.
            while thread.is_alive():
                thread.join(0.2)

    def _follow(self, stream: str, feed: Feed) -> None:
        try:
            while not self._stopping.is_set():
                taken = feed.take(BATCH, WAIT_SECONDS)
                if taken is None:
                    return
                if taken and self._write(stream, taken):
                    feed.give_back([one.ack_id for one in taken if one.ack_id])
                    with self._lock:
                        self.recorded[stream] += len(taken)
        finally:
            feed.close()

    def _write(self, stream: str, taken: Sequence[Taken]) -> bool:
        messages = list(self._messages(stream, taken))
        pause = AWAY_SECONDS[0]
        while True:
            try:
                self._ledger.record(messages)
            except LedgerUnavailable as error:
                if self._stopping.is_set():
                    return False
                _log.warning("%s; %d %s wait %.1f s", error, len(taken), stream, pause)
                self._stopping.wait(pause)
                pause = min(pause * 2, AWAY_SECONDS[1])
            except LedgerRefused as error:
                if len(taken) > 1:
                    # One bad message takes no other with it.
                    return all(self._write(stream, [one]) for one in taken)
                messages = list(self._letters(stream, taken[0], str(error)))
            else:
                return True

    def _letters(self, stream: str, taken: Taken, error: str) -> Sequence[DeadLetter]:
        _log.warning("a message of %s is kept as a dead letter: %s", stream, error)
        attributes = dict(taken.attributes)
        return DeadLetter.of(taken.data, attributes, f"record.{stream}", error, now())

    def _messages(
        self, stream: str, taken: Iterable[Taken]
    ) -> Iterator[Message | StatementRecord | Delivery]:
        for one in taken:
            try:
                message = STREAMS[stream].from_bytes(one.data)
            except MalformedMessage as error:
                yield from self._letters(stream, one, str(error))
                continue
            yield message
            if isinstance(message, Verdict):
                yield from self._deliveries(message)

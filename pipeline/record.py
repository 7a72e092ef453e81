"""The recorder: one more consumer of the streams, which writes their messages into the ledger.

It has subscriptions of its own, so that it never delays a verdict. A message is acked once the
ledger has it; while the ledger is away, the recorder keeps what it has pulled and pulls no more.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from quorum.core.errors import EngineUnavailable, InputError
from quorum.core.identity import Admission
from quorum.core.messages import (
    DeadLetter,
    Message,
    PolicyRelease,
    Prediction,
    Review,
    Upload,
    Verdict,
    now,
)
from quorum.core.metrics import RECORDED
from quorum.core.tracing import context_of, is_on, now_ns, root, span
from quorum.pipeline.metrics import Meter
from quorum.store.ledger import Delivery, Ledger, SignedRelease
from quorum.store.writer import Entry, LedgerWriter

__all__ = ["STREAMS", "Feed", "FeedMessage", "FileFeed", "StreamRecorder", "SubscriptionFeed"]

_log = logging.getLogger(__name__)

#: The streams that can be recorded, each with its type of message.
STREAMS: dict[str, type[Message]] = {
    "uploads": Upload,
    "predictions": Prediction,
    "verdicts": Verdict,
    "reviews": Review,
    "policies": PolicyRelease,
    "dead-letters": DeadLetter,
}

#: Messages of one transaction: enough to share its cost, few enough to end within a lease.
BATCH = 500

#: Seconds to wait for messages before checking whether to stop.
WAIT_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class FeedMessage:
    """A message pulled from a stream.

    Attributes:
        data: Its body.
        attributes: Its attributes.
        ack_id: Its ack id; empty where the feed needs no ack.
        has_attributes: Whether the feed's messages have attributes, and so can be signed.
        refusal: Why it is to be kept as a dead letter, unread: it was delivered too often. Else
            empty.
    """

    data: bytes
    attributes: Mapping[str, str]
    ack_id: str = ""
    has_attributes: bool = True
    refusal: str = ""


class Feed(Protocol):
    """The source of a stream's messages."""

    def pull(self, limit: int, wait: float) -> Sequence[FeedMessage] | None:
        """Up to ``limit`` messages, empty if none came in ``wait`` seconds; None at the end."""

    def ack(self, ack_ids: Sequence[str]) -> None:
        """Acknowledge messages that are durable."""

    def close(self) -> None:
        """Nack the messages that were pulled and not acked."""


class SubscriptionFeed:
    """A Pub/Sub subscription, or a consumer group of Kafka.

    Args:
        path: As ``quorum.pipeline.streams.subscription.subscription`` takes it.
    """

    def __init__(self, path: str) -> None:
        from quorum.pipeline.streams.subscription import subscription

        self._subscription: Any = subscription(path)

    def pull(self, limit: int, wait: float) -> Sequence[FeedMessage] | None:
        """See Feed."""
        return [
            FeedMessage(held.data, held.attributes, held.ack_id, refusal=held.refusal)
            for held in self._subscription.take(limit, wait)
        ]

    def ack(self, ack_ids: Sequence[str]) -> None:
        """See Feed."""
        self._subscription.release(ack_ids)

    def close(self) -> None:
        """See Feed."""
        self._subscription.drain(0.0)


class FileFeed:
    """A file of JSON lines; the stream ends with the file."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")

    def pull(self, limit: int, wait: float) -> Sequence[FeedMessage] | None:
        """See Feed."""
        found: list[FeedMessage] = []
        for line in self._file:
            if line.strip():
                found.append(FeedMessage(line.rstrip(b"\r\n"), {}, has_attributes=False))
            if len(found) >= limit:
                break
        return found or None

    def ack(self, ack_ids: Sequence[str]) -> None:
        """See Feed."""

    def close(self) -> None:
        """See Feed."""
        self._file.close()


class StreamRecorder:
    """Records streams until they end or ``stop`` is called.

    Args:
        ledger: The ledger.
        feeds: The source of messages by stream.
        deliveries: The webhook deliveries of a verdict, recorded together with it; they continue
            the trace whose context they are given.
        admission: Who may say what.
    """

    def __init__(
        self,
        ledger: Ledger,
        feeds: Mapping[str, Feed],
        deliveries: Callable[[Verdict, str], Iterable[Delivery]] = lambda _verdict, _trace: (),
        admission: Admission | None = None,
    ) -> None:
        self._admission = admission or Admission()
        self._meter = Meter()
        self._feeds = dict(feeds)
        self._deliveries = deliveries
        self._stopping = threading.Event()
        self._writer = LedgerWriter(ledger, self._stopping)
        self._lock = threading.Lock()
        self._failure: EngineUnavailable | None = None
        self.recorded: Counter[str] = Counter()

    def stop(self) -> None:
        """Pull no more; what was pulled is recorded if the ledger is reachable, else nacked."""
        self._stopping.set()

    def lag(self) -> str | None:
        """Why the ledger lags behind the streams; None if it does not."""
        return self._writer.lag()

    def run(self, drain_seconds: float = 20.0) -> None:
        """Record until all streams have ended, or until ``stop``.

        Args:
            drain_seconds: How long to wait after ``stop`` for what was pulled to be recorded; then
                it is nacked, whatever the ledger does.

        Raises:
            EngineUnavailable: If a subscription is gone; the other streams are not recorded on.
        """
        threads = [
            threading.Thread(target=self._follow, args=item, name=f"record-{item[0]}", daemon=True)
            for item in self._feeds.items()
        ]
        for thread in threads:
            thread.start()
        end = float("inf")
        while any(thread.is_alive() for thread in threads):
            # Not one long wait: the main thread must see a signal.
            self._stopping.wait(0.2)
            if self._stopping.is_set():
                end = min(end, time.monotonic() + drain_seconds)
                if time.monotonic() >= end:
                    break
                time.sleep(0.05)
        for thread, feed in zip(threads, self._feeds.values(), strict=True):
            if thread.is_alive():
                _log.error("%s did not stop in time: what it pulled is nacked", thread.name)
                feed.close()
        if self._failure is not None:
            raise self._failure

    def _follow(self, stream: str, feed: Feed) -> None:
        try:
            while not self._stopping.is_set():
                pulled = feed.pull(BATCH, WAIT_SECONDS)
                begin = now_ns()
                if pulled is None:
                    return
                if pulled and self._writer.write([self._entry(stream, one) for one in pulled]):
                    feed.ack([one.ack_id for one in pulled if one.ack_id])
                    with self._lock:
                        self.recorded[stream] += len(pulled)
                    RECORDED.labels(stream).inc(len(pulled))
                    for one in pulled if is_on() else ():
                        span(f"record {stream}", context_of(one.attributes), begin, kind="consumer")
        except EngineUnavailable as error:
            self._failure = error
            self.stop()
        finally:
            feed.close()

    def _entry(self, stream: str, one: FeedMessage) -> Entry:
        refused = partial(_dead_letters, stream, one)
        if one.refusal:
            return Entry(refused(one.refusal), refused)
        given = self._admission
        admission = given if one.has_attributes else given.without_signatures()
        try:
            message = admission.admit(STREAMS[stream], one.data, one.attributes)
        except InputError as error:
            self._meter.refused(f"record.{stream}", error)
            return Entry(refused(str(error)), refused)
        if isinstance(message, Verdict):
            trace = _trace_of(message, one.attributes) if is_on() else ""
            return Entry([message, *self._deliveries(message, trace)], refused)
        if isinstance(message, PolicyRelease):
            return Entry([SignedRelease(message, one.data, one.attributes)], refused)
        return Entry([message], refused)


def _trace_of(verdict: Verdict, attributes: Mapping[str, str]) -> str:
    """The context of a verdict's trace: what it carries, else where its upload's trace begins."""
    return context_of(attributes) or root(verdict.upload_id, verdict.digest)


def _dead_letters(stream: str, one: FeedMessage, error: str) -> Sequence[DeadLetter]:
    _log.warning("a message of %s is kept as a dead letter: %s", stream, error)
    return DeadLetter.of(one.data, dict(one.attributes), f"record.{stream}", error, now())

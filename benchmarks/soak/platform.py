"""The platform around the job: publishes the workload, and receives verdicts and dead letters."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime

from benchmarks.soak.broker import Broker
from benchmarks.soak.history import DeadLetterSeen, History, Published, VerdictSeen, key_of
from benchmarks.soak.workload import PARTNER, Operation, prediction
from quorum.core.errors import MalformedMessage
from quorum.core.messages import DeadLetter, Review, Upload, Verdict, now

__all__ = ["Platform", "is_accepted", "is_null"]

#: Kinds of predictions, reviews and uploads that must count for nothing.
_NULL_KINDS = ("future", "unknown", "stranger")

#: Publishing catches up in parts: so many operations go out together at most.
_AT_ONCE = 200


def is_accepted(published: Published) -> bool:
    """Whether a message is an upload that must have a verdict."""
    return published.stream == "uploads" and bool(published.upload_id)


def is_null(published: Published) -> bool:
    """Whether a message must become a dead letter and count for nothing."""
    return not published.upload_id or published.kind.split(":", 1)[0] in _NULL_KINDS


class Platform:
    """Publishes operations at their times, and listens.

    Args:
        broker: The broker.
        history: Takes all that is published and received.
    """

    def __init__(self, broker: Broker, history: History) -> None:
        self._broker = broker
        self._history = history
        self._lock = threading.Lock()
        self._stop = threading.Event()
        #: Uploads that were accepted and have neither verdict nor dead letter, by content.
        self._open: dict[str, tuple[Published, Upload]] = {}
        self._closed: set[str] = set()
        #: Predictions and reviews that the job has not acked, by stream and content.
        self._unacked: dict[tuple[str, str], Published] = {}
        self._verdicts: dict[str, Verdict] = {}
        #: Messages that must become dead letters, and did not yet.
        self._undead: dict[str, Published] = {}
        self.uploads = 0
        self.verdicts = 0
        broker.remade = self._publish_again
        broker.tap.acked = self._acked
        self._threads = [
            threading.Thread(target=self._listen, args=(name, take), daemon=True)
            for name, take in (
                ("verdicts-platform", self._verdict),
                ("dead-letters-kept", self._dead_letter),
            )
        ]
        for thread in self._threads:
            thread.start()

    @property
    def waiting(self) -> int:
        """How many messages that must end as a verdict or a dead letter have not yet."""
        with self._lock:
            return len(self._open) + len(self._undead)

    @property
    def unacked(self) -> int:
        """How many predictions and reviews the job has not acked, leased to a killed one or not."""
        with self._lock:
            return len(self._unacked)

    def run(self, planned: list[Operation], began: float, stop: threading.Event) -> None:
        """Publish operations at their times after ``began`` (of ``time.monotonic``)."""
        index = 0
        while index < len(planned) and not stop.wait(
            max(0.0, began + planned[index].at - time.monotonic())
        ):
            elapsed = time.monotonic() - began
            due = [one for one in planned[index : index + _AT_ONCE] if one.at <= elapsed]
            index += len(due)
            for operation in due:
                self._do(operation)

    def close(self) -> None:
        """Stop listening."""
        self._stop.set()
        for thread in self._threads:
            thread.join(5.0)

    def _do(self, operation: Operation) -> None:
        if operation.data is not None:
            self._publish(operation, operation.data)
        elif operation.stream == "reviews":
            if (review := self._review(operation.upload_id)) is not None:
                self._publish(operation, review)
        else:
            self._flood(operation)

    def _review(self, upload_id: str) -> bytes | None:
        with self._lock:
            verdict = self._verdicts.get(upload_id)
        if verdict is None:
            return None
        action = "allow" if verdict.action != "allow" else "restrict"
        return Review.model_validate(
            {"upload_id": upload_id, "verdict_id": verdict.id, "action": action,
             "reviewer": "ada", "at": now()}
        ).to_bytes()  # fmt: skip

    def _flood(self, operation: Operation) -> None:
        at = datetime.now(UTC)
        names = [f"stranger-{operation.at:.3f}-{number}" for number in range(operation.count)]
        messages = [prediction(name, PARTNER, 0.5, at).to_bytes() for name in names]
        published = time.time()
        self._broker.publish(operation.stream, messages)
        for name, data in zip(names, messages, strict=True):
            self._add(operation, name, data, published)

    def _publish(self, operation: Operation, data: bytes) -> None:
        event = self._add(operation, operation.upload_id, data, time.time())
        with self._lock:
            if is_accepted(event):
                self.uploads += 1
                if event.key not in self._closed:
                    self._open[event.key] = event, Upload.from_bytes(data)
            elif not is_null(event):
                self._unacked[event.stream, event.key] = event
        self._broker.publish(operation.stream, [data])

    def _add(self, operation: Operation, upload_id: str, data: bytes, at: float) -> Published:
        event = Published(
            at=at, stream=operation.stream, kind=operation.kind, upload_id=upload_id, data=data
        )
        self._history.add(event)
        if is_null(event):
            with self._lock:
                self._undead[event.key] = event
        return event

    def _acked(self, stream: str, key: str) -> None:
        with self._lock:
            self._unacked.pop((stream, key), None)

    def _publish_again(self) -> None:
        """Publish what has no outcome, as publishers do whose broker lost all."""
        with self._lock:
            uploads = [event for event, _ in self._open.values()]
            others = [*self._unacked.values(), *self._undead.values()]
        for event in uploads:
            operation = Operation(0.0, event.stream, event.kind, event.upload_id)
            self._add(operation, event.upload_id, event.data, time.time())
        for event in uploads + others:
            self._broker.publish(event.stream, [event.data])

    def _listen(self, name: str, take: Callable[[bytes], None]) -> None:
        while not self._stop.is_set():
            for received in self._broker.pull(name):
                take(received.message.data)

    def _verdict(self, data: bytes) -> None:
        self._history.add(VerdictSeen(at=time.time(), data=data))
        verdict = Verdict.from_bytes(data)
        with self._lock:
            self.verdicts += 1
            known = self._verdicts.get(verdict.upload_id)
            if known is None or known.order <= verdict.order:
                self._verdicts[verdict.upload_id] = verdict
            decided = verdict.published_at
            for key, (_, upload) in list(self._open.items()):
                # An edit that comes before the verdict on a content replaces it.
                if upload.id == verdict.upload_id and decided and upload.published_at <= decided:
                    self._close(key)

    def _close(self, key: str) -> None:
        self._open.pop(key, None)
        self._closed.add(key)

    def _dead_letter(self, data: bytes) -> None:
        try:
            letter = DeadLetter.from_bytes(data)
            original, stage, error = letter.data, letter.stage, letter.error
        except MalformedMessage:
            original, stage, error = data, "broker", "delivered too often"
        self._history.add(
            DeadLetterSeen(at=time.time(), original=original, stage=stage, error=error)
        )
        with self._lock:
            self._close(key_of(original))
            self._undead.pop(key_of(original), None)

"""The other acknowledgement rule: at the checkpoint, in a bundle finalizer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.io.restriction_trackers import OffsetRange

from quorum.core.messages import DeadLetter, now
from quorum.pipeline.engines import Engine, cancel, launch
from quorum.pipeline.streams import pubsub_source as module
from quorum.pipeline.streams import sink
from quorum.pipeline.streams.base import Acknowledge, Outgoing, Received
from quorum.pipeline.streams.pubsub_source import (
    PubSubSource,
    _PullUntilCheckpoint,
    _PullUntilVerdict,
)
from quorum.pipeline.streams.subscription import Held, subscription
from tests.pipeline.doubles import lines, upload
from tests.pipeline.jobs import Streams, wait_until


class Holding:
    """A Subscription with five messages."""

    def __init__(self) -> None:
        self.waiting = [Held(f"a{n}", f"m{n}".encode(), {"n": str(n)}, 0.0) for n in range(5)]
        self.released: list[str] = []

    def take_bundle(self, _wait: float, _yields: Callable[[], bool] | None = None) -> list[Held]:
        taken, self.waiting = self.waiting, []
        return taken

    def put_back(self, held: Held) -> None:
        self.waiting.append(held)

    def ack_id(self, held: Held) -> str:
        return f"path|{held.ack_id}"

    def release(self, ack_ids: list[str]) -> None:
        self.released += ack_ids


class Tracker:
    """Claims up to a position, as when the engine splits the bundle."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.deferred = False

    def current_restriction(self) -> OffsetRange:
        return OffsetRange(0, 2**62)

    def try_claim(self, position: int) -> bool:
        return position < self.most

    def defer_remainder(self, _duration: Any) -> None:
        self.deferred = True


class Finalizer:
    def __init__(self) -> None:
        self.callbacks: list[Callable[[], None]] = []

    def register(self, callback: Callable[[], None]) -> None:
        self.callbacks.append(callback)


@pytest.fixture
def holding(monkeypatch: pytest.MonkeyPatch) -> Holding:
    made = Holding()
    monkeypatch.setattr(module, "subscription", lambda _path: made)
    return made


def test_nothing_is_acknowledged_before_the_checkpoint(holding: Holding) -> None:
    finalizer, tracker = Finalizer(), Tracker(3)
    pull = _PullUntilCheckpoint("uploads")
    received = list(pull.process("path", finalizer, tracker))
    assert [one.data for one in received] == [b"m0", b"m1", b"m2"]
    assert all(one.ack_id == "" for one in received)
    assert tracker.deferred
    assert holding.released == []
    assert [held.ack_id for held in holding.waiting] == ["a3", "a4"]
    for callback in finalizer.callbacks:
        callback()
    assert holding.released == ["a0", "a1", "a2"]


def test_each_bundle_acknowledges_its_own(holding: Holding) -> None:
    finalizer = Finalizer()
    pull = _PullUntilCheckpoint("uploads")
    list(pull.process("path", finalizer, Tracker(2)))
    list(pull.process("path", finalizer, Tracker(9)))
    first, second = finalizer.callbacks
    second()
    assert holding.released == ["a2", "a3", "a4"]
    first()
    assert holding.released[3:] == ["a0", "a1"]


def test_until_the_verdict_each_message_carries_its_receipt(holding: Holding) -> None:
    received = list(_PullUntilVerdict("reviews").process("path", Tracker(4)))
    assert [one.ack_id for one in received] == ["path|a0", "path|a1", "path|a2", "path|a3"]
    assert {one.stream for one in received} == {"reviews"}
    assert [held.ack_id for held in holding.waiting] == ["a4"]


def _kept(received: Received) -> Outgoing:
    assert not received.ack_id
    return Outgoing(DeadLetter.of(received.data, {}, "test", "kept", now()))


@pytest.mark.emulator
@pytest.mark.prism
def test_on_an_engine_messages_are_acknowledged_by_its_finalizer(
    emulator: str, prism: str, tmp_path: Path
) -> None:
    streams = Streams()
    path = streams.subscription("uploads-stream")
    streams.publish("uploads", [upload(f"u{n}") for n in range(20)])
    kept = tmp_path / "kept.jsonl"

    def build(pipeline: beam.Pipeline) -> None:
        received = pipeline | PubSubSource(path, "uploads", Acknowledge.CHECKPOINT).transform()
        received | beam.Map(_kept) | sink(str(kept), origin="/test").transform()

    with launch(build, Engine.PRISM, streaming=True) as result:
        wait_until(lambda: len(lines(kept)) == 20, 60, lambda: f"{len(lines(kept))} arrived")
        wait_until(lambda: subscription(path).held == 0, 30, lambda: "they are still held")
        assert subscription(path).drain(1.0) == 0
        cancel(result)
    assert streams.pull("uploads-stream") == []

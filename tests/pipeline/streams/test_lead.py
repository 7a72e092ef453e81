"""Messages that are far ahead of their uploads let the uploads be read first."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from quorum.pipeline.streams import lead, pubsub_source
from quorum.pipeline.streams.pubsub_source import _PullUntilVerdict
from quorum.pipeline.streams.subscription import Subscription
from quorum.pipeline.streams.waiting import LEAST_BUNDLE
from tests.pipeline.streams.test_checkpoint import Tracker
from tests.pipeline.streams.test_subscription_faults import Broker, until


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, tuple[Subscription, Broker]]]:
    from quorum.pipeline.streams import subscription as module

    monkeypatch.setattr(lead, "_CROWDED", set())
    monkeypatch.setattr(lead, "_UPLOADS", {})
    found = {}
    for stream in ("uploads", "predictions"):
        broker = Broker()
        monkeypatch.setattr(module, "subscriber_client", lambda made=broker: made)
        found[stream] = Subscription(f"projects/p/subscriptions/{stream}"), broker
    monkeypatch.setattr(pubsub_source, "subscription", lambda path: found[path][0])
    yield found
    for source, _ in found.values():
        source.drain(0.0)


def read(stream: str) -> list[Any]:
    return list(_PullUntilVerdict(stream).process(stream, Tracker(10_000)))


def filled(opened: dict[str, tuple[Subscription, Broker]], stream: str, count: int) -> None:
    source, broker = opened[stream]
    broker.messages = [f"{stream}-{number}" for number in range(count)]
    until(lambda: source.waiting >= count)


def test_many_strangers_let_the_uploads_be_read_first(
    opened: dict[str, tuple[Subscription, Broker]],
) -> None:
    filled(opened, "uploads", 8)
    read("uploads")
    filled(opened, "uploads", 40)
    filled(opened, "predictions", 100)
    opened["predictions"][0]._pace._limit = 64

    began = time.monotonic()
    assert len(read("predictions")) == 64
    assert time.monotonic() - began < 0.5

    lead.note_crowded(1, "predictions", True)
    filled(opened, "predictions", 100)
    began = time.monotonic()
    assert len(read("predictions")) == LEAST_BUNDLE
    assert time.monotonic() - began >= 0.9

    took: list[int] = []
    waiting = threading.Thread(target=lambda: took.append(len(read("predictions"))))
    began = time.monotonic()
    waiting.start()
    while opened["uploads"][0].waiting:
        read("uploads")
    waiting.join(5)
    assert time.monotonic() - began < 0.9
    assert took[0] > LEAST_BUNDLE


def test_only_messages_of_the_crowded_stream_wait(
    opened: dict[str, tuple[Subscription, Broker]],
) -> None:
    filled(opened, "uploads", 8)
    read("uploads")
    filled(opened, "uploads", 8)
    lead.note_crowded(1, "reviews", True)
    assert not lead.uploads_wait("predictions")
    lead.note_crowded(1, "reviews", False)
    assert not lead.uploads_wait("reviews")

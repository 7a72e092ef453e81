"""Leases, back-pressure and both acknowledgement rules, on the real emulator."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable

import pytest
from google.pubsub_v1.types import PubsubMessage

from quorum.pipeline.streams import subscription as module
from quorum.pipeline.streams.acks import acknowledge
from quorum.pipeline.streams.pubsub_clients import publisher_client, subscriber_client
from quorum.pipeline.streams.subscription import Held, Subscription, add_outcomes
from quorum.pipeline.streams.topics import create_topics, planned

pytestmark = pytest.mark.emulator

_names = itertools.count()


class Broker:
    """A topic and a subscription of their own for one test."""

    def __init__(self) -> None:
        prefix = f"lease{next(_names)}"
        create_topics(planned("quorum-test", prefix))
        self.topic = f"projects/quorum-test/topics/{prefix}-uploads"
        self.path = f"projects/quorum-test/subscriptions/{prefix}-uploads-stream"
        self.publisher = publisher_client()
        self.subscriber = subscriber_client()

    def publish(self, count: int) -> None:
        messages = [PubsubMessage(data=f"m{index}".encode()) for index in range(count)]
        self.publisher.publish(topic=self.topic, messages=messages)

    def left(self, wait: float = 1.5) -> int:
        """How many messages another reader can still get."""
        try:
            response = self.subscriber.pull(
                subscription=self.path, max_messages=1000, timeout=wait, retry=None
            )
        except Exception:
            return 0
        return len(response.received_messages)


@pytest.fixture
def broker(emulator: str) -> Broker:
    return Broker()


def wait_until(true: Callable[[], bool], seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not come about in time"
        time.sleep(0.02)


def take(source: Subscription, count: int) -> list[Held]:
    taken: list[Held] = []
    end = time.monotonic() + 10
    while len(taken) < count and time.monotonic() < end:
        taken += source.take(count - len(taken), 1.0)
    assert len(taken) == count
    return taken


def test_what_is_released_is_acknowledged_and_what_is_not_comes_back(broker: Broker) -> None:
    broker.publish(10)
    source = Subscription(broker.path)
    taken = take(source, 10)
    source.release([held.ack_id for held in taken[:7]])
    assert source.held == 3
    assert source.drain(0.0) == 3
    wait_until(lambda: broker.left() == 3)


def test_no_more_is_held_than_allowed(broker: Broker) -> None:
    broker.publish(50)
    source = Subscription(broker.path, max_held=10)
    taken = take(source, 10)
    time.sleep(0.5)
    assert source.held == 10
    assert source.take(10, 0.2) == []
    source.release([held.ack_id for held in taken])
    assert len(take(source, 10)) == 10
    source.drain(0.0)


def test_a_message_waits_for_all_of_its_outcomes(broker: Broker) -> None:
    broker.publish(1)
    source = module.subscription(broker.path)
    (held,) = take(source, 1)
    ack_id = source.ack_id(held)
    add_outcomes(ack_id, 2)
    acknowledge([ack_id])
    acknowledge([ack_id])
    assert source.held == 1
    acknowledge([ack_id])
    assert source.held == 0
    source.drain(0.0)
    assert broker.left() == 0


def test_a_put_back_message_is_taken_again(broker: Broker) -> None:
    broker.publish(1)
    source = Subscription(broker.path)
    (held,) = take(source, 1)
    source.put_back(held)
    assert take(source, 1) == [held]
    source.drain(0.0)


def test_draining_waits_for_what_is_being_processed(broker: Broker) -> None:
    import threading

    broker.publish(2)
    source = Subscription(broker.path)
    first, _second = take(source, 2)
    threading.Timer(0.3, lambda: source.release([first.ack_id])).start()
    assert source.drain(1.0) == 1
    assert source.take(1, 0.0) == []


@pytest.mark.slow
def test_leases_are_extended_past_the_subscriptions_own_deadline(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LEASE_SECONDS", 10)
    broker.publish(3)
    source = Subscription(broker.path)
    taken = take(source, 3)
    time.sleep(18)
    assert broker.left() == 0
    source.release([held.ack_id for held in taken])
    source.drain(0.0)


def test_ack_ids_of_several_subscriptions_find_their_own(emulator: str) -> None:
    one, other = Broker(), Broker()
    one.publish(1)
    other.publish(1)
    first, second = module.subscription(one.path), module.subscription(other.path)
    ack_ids = [first.ack_id(take(first, 1)[0]), second.ack_id(take(second, 1)[0])]
    acknowledge([*ack_ids, ""])
    assert first.held == second.held == 0
    first.drain(0.0)
    second.drain(0.0)

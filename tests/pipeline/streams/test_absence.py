"""A broker that is away, a subscription that is gone: borne as long as is said, and no longer."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from google.api_core import exceptions as google_errors
from google.auth import exceptions as auth_errors

from quorum.core.errors import EngineUnavailable
from quorum.pipeline.streams import away, leases, pubsub_sink
from quorum.pipeline.streams import subscription as module
from quorum.pipeline.streams.base import Outgoing
from quorum.pipeline.streams.subscription import Subscription
from tests.pipeline.streams.test_pubsub_sink import review
from tests.pipeline.streams.test_subscription_faults import PATH, Broker, until

GONE = google_errors.NotFound("Subscription does not exist")


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch) -> Broker:
    made = Broker()
    monkeypatch.setattr(module, "subscriber_client", lambda: made)
    monkeypatch.setattr(module, "_BACKOFF", (0.01, 0.02))
    monkeypatch.setattr(module, "LEASE_SECONDS", 0.3)
    return made


@pytest.fixture
def source(broker: Broker) -> Iterator[Subscription]:
    made = Subscription(PATH)
    yield made
    made.drain(0.0)


@pytest.mark.parametrize(
    "fault",
    [
        google_errors.ServiceUnavailable("away"),
        google_errors.DeadlineExceeded("stalled"),
        google_errors.NotFound("not there yet"),
        auth_errors.TransportError("no token"),
    ],
    ids=lambda fault: type(fault).__name__,
)
def test_an_acknowledgement_is_tried_again_until_the_broker_takes_it(
    broker: Broker, source: Subscription, fault: Exception
) -> None:
    broker.messages = ["a", "b"]
    until(lambda: source.held == 2)
    source.take(2, 5.0)
    broker.ack_fault = fault
    source.release(["a", "b"])
    assert source.held == 0
    time.sleep(0.3)
    assert broker.acknowledged == []
    broker.ack_fault = None
    until(lambda: broker.acknowledged == ["a", "b"])
    assert ("a", 0) not in broker.leases


def test_what_waits_to_be_acknowledged_is_bounded_by_what_may_be_held(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = Subscription(PATH, max_held=10)
    broker.ack_fault = google_errors.ServiceUnavailable("away")
    broker.messages = [str(number) for number in range(10)]
    until(lambda: source.held == 10)
    source.take(10, 0.0)
    source.release([str(number) for number in range(10)])
    broker.messages = ["more"]
    time.sleep(0.2)
    assert (source._leases.late, source.held, broker.messages) == (10, 0, ["more"])
    broker.ack_fault = None
    until(lambda: source.held == 1)
    source.drain(0.0)


def test_an_acknowledgement_that_the_broker_never_takes_is_given_up(
    broker: Broker, source: Subscription, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "ABSENCE_SECONDS", 0.2)
    broker.messages = ["a"]
    source.take(1, 5.0)
    broker.ack_fault = google_errors.ServiceUnavailable("away")
    source.release(["a"])
    until(lambda: source._leases.late == 0)
    assert broker.acknowledged == []


def test_a_drain_acknowledges_what_the_broker_did_not_take_before(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LEASE_SECONDS", 100.0)
    source = Subscription(PATH)
    broker.messages = ["a"]
    source.take(1, 5.0)
    broker.ack_fault = google_errors.ServiceUnavailable("away")
    source.release(["a"])
    broker.ack_fault = None
    source.drain(0.0)
    assert broker.acknowledged == ["a"]


def test_a_subscription_that_is_gone_is_waited_for(broker: Broker) -> None:
    broker.faults = [google_errors.ServiceUnavailable("away"), GONE, GONE, GONE]
    broker.messages = ["a"]
    source = Subscription(PATH)
    assert [held.data for held in source.take(1, 5.0)] == [b"a"]
    source.drain(0.0)


def test_a_subscription_that_stays_gone_ends_the_job_with_the_reason(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ABSENCE_SECONDS", 0.3)
    broker.faults = [GONE] * 1_000
    source = Subscription(PATH)
    began = time.monotonic()
    with pytest.raises(EngineUnavailable) as caught:
        source.take(1, 10.0)
    assert 0.25 < time.monotonic() - began < 5.0
    assert f"{PATH} is gone, for 0.3 s by now" in str(caught.value)
    assert "Subscription does not exist" in str(caught.value)
    assert "quorum topics create" in str(caught.value)
    source.drain(0.0)


def test_a_broker_that_is_away_for_longer_than_that_does_not_end_the_job(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ABSENCE_SECONDS", 0.05)
    broker.faults = [google_errors.ServiceUnavailable("away")] * 30
    broker.messages = ["a"]
    source = Subscription(PATH)
    assert [held.data for held in source.take(1, 10.0)] == [b"a"]
    source.drain(0.0)


def test_an_id_of_a_subscription_before_acknowledges_nothing_of_the_one_after(
    broker: Broker, source: Subscription
) -> None:
    """The emulator counts its ids from the beginning again."""
    broker.messages = ["a"]
    (before,) = source.take(1, 5.0)
    broker.faults = [GONE]
    until(lambda: not broker.faults and source.held == 0)
    broker.messages = ["a"]
    (after,) = source.take(1, 5.0)
    source.release([before.ack_id])
    assert (broker.acknowledged, source.held) == ([], 1)
    source.release([after.ack_id])
    assert (broker.acknowledged, source.held) == (["a"], 0)


def test_a_message_without_an_outcome_is_given_back_at_once(
    broker: Broker, source: Subscription
) -> None:
    broker.messages = ["a", "b"]
    until(lambda: source.held == 2)
    source.take(2, 5.0)
    source.abandon(["a", "unknown"])
    assert (broker.leases[-1], source.held) == (("a", 0), 1)
    source.release(["a", "b"])
    assert broker.acknowledged == ["b"]


class Topic:
    """A client whose topic fails as told, through the retries of the sink."""

    def __init__(self, faults: list[Exception], *, for_ever: bool = False) -> None:
        self.faults = faults
        self.for_ever = for_ever
        self.published = 0

    def publish(self, *, retry: Any, **_: Any) -> None:
        def once() -> None:
            if self.faults:
                raise self.faults[0] if self.for_ever else self.faults.pop(0)
            self.published += 1

        retry(once)()


def _sent(topic: Topic, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    acked: list[str] = []
    monkeypatch.setattr(pubsub_sink, "publisher_client", lambda: topic)
    monkeypatch.setattr(pubsub_sink, "acknowledge", acked.extend)
    sink = pubsub_sink._Publish("projects/p/topics/t", "/test")
    sink.setup()
    sink.start_bundle()
    sink.process(Outgoing((review(1),), ("r",)))
    sink.finish_bundle()
    return acked


@pytest.mark.parametrize(
    "fault",
    [
        google_errors.NotFound("Topic not found"),
        google_errors.Unknown("stream removed"),
        google_errors.PermissionDenied("not yet"),
        auth_errors.RefreshError("no token"),
    ],
    ids=lambda fault: type(fault).__name__,
)
def test_a_publish_waits_for_its_topic(fault: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    topic = Topic([fault, fault])
    assert _sent(topic, monkeypatch) == ["r"]
    assert topic.published == 1


def test_a_topic_that_stays_gone_ends_the_job_with_the_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(away, "ABSENCE_SECONDS", 0.3)
    topic = Topic([google_errors.NotFound("Topic not found")], for_ever=True)
    with pytest.raises(EngineUnavailable, match=r"topics/t took no message for .*Topic not found"):
        _sent(topic, monkeypatch)

"""A Subscription whose broker goes away, and what is given back stays given back."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from google.api_core import exceptions as google_errors
from google.auth import exceptions as auth_errors
from google.pubsub_v1.types import PubsubMessage, PullResponse, ReceivedMessage

from quorum.pipeline.streams import subscription as module
from quorum.pipeline.streams.subscription import Subscription

PATH = "projects/p/subscriptions/s"


class Broker:
    """A client of a broker that fails as told, and remembers what it was asked."""

    def __init__(self) -> None:
        self.faults: list[Exception] = []
        self.messages: list[str] = []
        self.acknowledged: list[str] = []
        self.leases: list[tuple[str, int]] = []
        self.ack_fault: Exception | None = None
        self.lease_fault: Exception | None = None

    def pull(self, **_: Any) -> PullResponse:
        if self.faults:
            raise self.faults.pop(0)
        ids, self.messages = self.messages, []
        if not ids:
            time.sleep(0.02)
        return PullResponse(
            received_messages=[
                ReceivedMessage(ack_id=one, message=PubsubMessage(data=one.encode())) for one in ids
            ]
        )

    def acknowledge(self, *, ack_ids: list[str], **_: Any) -> None:
        if self.ack_fault:
            raise self.ack_fault
        self.acknowledged += ack_ids

    def modify_ack_deadline(
        self, *, ack_ids: list[str], ack_deadline_seconds: int, **_: Any
    ) -> None:
        if self.lease_fault:
            fault, self.lease_fault = self.lease_fault, None
            raise fault
        self.leases += [(one, ack_deadline_seconds) for one in ack_ids]


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


def until(true: Callable[[], Any], seconds: float = 5.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not come about in time"
        time.sleep(0.01)


AWAY = [
    google_errors.ServiceUnavailable("away"),
    google_errors.RetryError("timeout of 60.0s exceeded", None),
    google_errors.PermissionDenied("no"),
    auth_errors.TransportError("no token"),
    auth_errors.RefreshError("no token"),
]


@pytest.mark.parametrize("fault", AWAY, ids=lambda fault: type(fault).__name__)
def test_a_broker_that_was_away_is_pulled_from_again(broker: Broker, fault: Exception) -> None:
    broker.faults = [fault, fault]
    broker.messages = ["a"]
    source = Subscription(PATH)
    assert [held.ack_id for held in source.take(1, 5.0)] == ["a"]
    source.drain(0.0)


@pytest.mark.parametrize("fault", AWAY, ids=lambda fault: type(fault).__name__)
def test_leases_are_extended_after_a_failure_to(
    broker: Broker, source: Subscription, fault: Exception
) -> None:
    broker.lease_fault = fault
    broker.messages = ["a"]
    source.take(1, 5.0)
    until(lambda: broker.lease_fault is None and broker.leases)


@pytest.mark.parametrize("fault", AWAY, ids=lambda fault: type(fault).__name__)
def test_a_failure_to_acknowledge_stops_nothing(
    broker: Broker, source: Subscription, fault: Exception
) -> None:
    broker.ack_fault = fault
    broker.messages = ["a"]
    source.take(1, 5.0)
    source.release(["a"])
    assert source.held == 0


def test_what_was_given_back_is_not_acknowledged_by_one_of_its_outcomes(
    broker: Broker, source: Subscription
) -> None:
    broker.messages = ["a"]
    source.take(1, 5.0)
    source.add_outcomes("a", 1)
    assert source.drain(0.0) == 1
    source.release(["a"])
    assert broker.acknowledged == []
    assert broker.leases[-1] == ("a", 0)


def test_leases_are_extended_while_draining(broker: Broker, source: Subscription) -> None:
    broker.messages = ["a"]
    source.take(1, 5.0)
    draining = threading.Thread(target=source.drain, args=(5.0,))
    draining.start()
    until(lambda: not source.take(1, 0.0))
    before = len(broker.leases)
    until(lambda: len(broker.leases) >= before + 3)
    source.release(["a"])
    draining.join(5.0)
    assert broker.acknowledged == ["a"]


def test_what_nothing_gives_back_is_left_to_its_next_delivery(
    broker: Broker, source: Subscription, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker.messages = ["a"]
    source.take(1, 5.0)
    monkeypatch.setattr(module, "MAX_LEASE_SECONDS", 0.0)
    until(lambda: source.held == 0)
    source.release(["a"])
    assert broker.acknowledged == []


def test_what_a_failed_bundle_took_is_taken_again_before_the_rest(
    broker: Broker, source: Subscription
) -> None:
    broker.messages = ["first", "second", "third"]
    until(lambda: source.waiting == 3)
    taken = source.take(2, 0.0)
    source.again([held.ack_id for held in taken])
    assert [(held.data, held.attempt) for held in source.take(3, 0.0)] == [
        (b"first", 2), (b"second", 2), (b"third", 1),
    ]  # fmt: skip
    assert broker.leases == [one for one in broker.leases if one[1] > 0]
    # The broker counts its third delivery, from which on it is processed alone.
    source.again(["second", "unknown"])
    assert ("second", 0) in broker.leases
    source.release(["first", "third"])
    assert source.held == 0


def test_nothing_is_pulled_while_nobody_is_there_to_take_it(
    broker: Broker, source: Subscription
) -> None:
    source.pause()
    assert source._room() == 0
    source.resume()
    broker.messages = ["m"]
    until(lambda: source.waiting == 1)


def test_suspects_follow_one_another_as_soon_as_their_time_has_passed(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On Flink a message is acknowledged later than that; each waited a second for its pull."""
    names = [f"suspect {number}" for number in range(20)]
    waiting, pull = list(names), broker.pull

    def one_by_one(**_: Any) -> PullResponse:
        broker.messages = [waiting.pop(0)] if waiting else []
        return pull()

    monkeypatch.setattr(broker, "pull", one_by_one)
    monkeypatch.setattr(module.Deliveries, "of", lambda *_: (3, ""))
    source = Subscription(PATH)
    source._queue._patience = 0.0
    taken: list[str] = []

    def all_came() -> bool:
        taken.extend(held.data.decode() for held in source.take(10, 0.01))
        return len(taken) == len(names)

    until(all_came, 15.0)
    assert taken == names
    source.drain(0.0)


def test_its_progress_is_told(broker: Broker, source: Subscription) -> None:
    assert source.progress.held == 0
    broker.messages = ["a", "b"]
    until(lambda: source.progress.held == 2)
    time.sleep(0.1)
    before = source.progress
    assert before.oldest >= 0.1
    assert before.still >= before.oldest
    source.take(1, 1.0)
    source.release(["a"])
    assert source.progress.held == 1
    assert source.progress.still < before.still
    assert source.progress.ended == ()


def test_a_broker_that_is_away_is_told_until_it_is_back(
    broker: Broker, source: Subscription
) -> None:
    broker.faults = [google_errors.ServiceUnavailable("away")] * 30
    until(lambda: source.progress.away > 0.1)
    assert "away" in source.progress.error
    until(lambda: source.progress.away == 0.0)


def test_a_thread_that_ends_is_told(broker: Broker, source: Subscription) -> None:
    broker.faults = [RuntimeError("a fault of ours")]
    until(lambda: source.progress.ended)
    assert source.progress.ended == ("_pull_ahead s",)


class Stalled(Broker):
    """Takes requests, and answers none of them in time."""

    def modify_ack_deadline(self, *, timeout: float, retry: Any = "default", **_: Any) -> None:
        # The generated client tries again for a minute unless it is told not to.
        time.sleep(timeout if retry is None else 60.0)
        msg = "no answer"
        raise google_errors.DeadlineExceeded(msg)


def test_a_drain_ends_in_time_though_the_broker_answers_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    broker = Stalled()
    monkeypatch.setattr(module, "subscriber_client", lambda: broker)
    made = Subscription(PATH)
    broker.messages = [str(number) for number in range(2_500)]
    until(lambda: made.progress.held == 2_500)
    made.take(1_200, 1.0)
    began = time.monotonic()
    assert made.drain(1.0, 0.5) == 2_500
    assert time.monotonic() - began < 1.0 + 0.5 + 0.5

"""Which of the pulled messages is processed next, how many are pulled, and which alone."""

from __future__ import annotations

from typing import Any

import pytest
from google.api_core import exceptions as google_errors
from google.pubsub_v1.types import PubsubMessage, ReceivedMessage, Subscription

from quorum.pipeline.streams import deliveries as module
from quorum.pipeline.streams.deliveries import Deliveries
from quorum.pipeline.streams.waiting import (
    ALONE_SECONDS,
    LEAST_BUNDLE,
    MOST_BUNDLE,
    Held,
    Pace,
    PullWindow,
    WaitingQueue,
)


def held(name: str, attempt: int = 1, refusal: str = "") -> Held:
    return Held(name, b"", {}, 0.0, attempt=attempt, refusal=refusal)


def names(taken: list[Held]) -> list[str]:
    return [one.ack_id for one in taken]


def test_from_its_third_delivery_on_a_message_is_taken_alone_after_the_others() -> None:
    queue = WaitingQueue()
    queue.add([held("a", 3), held("b"), held("c", 4), held("d", 2)])
    assert names(queue.take(10, 0.0)) == ["b", "d"]
    assert names(queue.take(10, 0.0)) == ["a"]
    assert queue.take(10, 0.0) == []
    queue.add([held("e")])
    assert queue.take(10, 0.0) == []
    queue.settle("a")
    assert names(queue.take(10, 0.0)) == ["e"]
    assert names(queue.take(10, 0.0)) == ["c"]
    assert queue.has_suspects
    queue.settle("c")
    assert not queue.has_suspects


def test_a_message_that_stays_without_an_outcome_does_not_hold_up_the_others_for_long() -> None:
    """Some jobs hold a message until another arrives: each such one halves the wait."""
    queue = WaitingQueue()
    queue.add([held(f"s{number}", 3) for number in range(100)])
    now, taken = 0.0, 0
    while len(queue):
        if queue.take(10, now):
            taken += 1
        now = max(now + 0.001, queue.ready_at() or 0.0)
    assert taken == 100
    assert now < 2 * ALONE_SECONDS + 0.2


def test_one_that_must_not_be_processed_does_not_wait_its_turn() -> None:
    queue = WaitingQueue()
    queue.add([held("a", 5, "too often"), held("b")])
    assert names(queue.take(10, 0.0)) == ["a", "b"]


def test_a_suspect_that_is_put_back_is_taken_again() -> None:
    queue = WaitingQueue()
    queue.add([held("a", 3)])
    (taken,) = queue.take(10, 0.0)
    queue.put_back(taken)
    assert names(queue.take(10, 0.0)) == ["a"]


def test_little_is_pulled_until_it_is_known_that_no_suspects_come() -> None:
    window = PullWindow()
    assert window.size == 1
    for _ in range(5):
        window.pulled([held("a")] * window.size, 5_000)
    assert window.size == 32
    window.pulled([], 5_000)
    assert window.size == 32
    window.pulled([held("a"), held("b", 3)], 5_000)
    assert window.size == 1
    for _ in range(20):
        window.pulled([held("a")] * window.size, 5_000)
    assert window.size == 5_000


def sizes(pace: Pace, fixed: float, each: float, bundles: int, most: int = 10_000) -> list[int]:
    """The bundles of a stream that has always as many messages as are taken, or ``most``."""
    now, made = 0.0, []
    for _ in range(bundles):
        size = min(most, pace.bundle(now))
        pace.began(size, now)
        now += fixed + each * size
        made.append(size)
    pace.bundle(now)
    return made


def test_a_slow_engine_is_not_taken_for_slow_messages() -> None:
    """Bundles stayed at eight where each of them took the engine 0.4 s."""
    assert sizes(Pace(), fixed=0.4, each=0.0005, bundles=10)[-1] == MOST_BUNDLE


def test_slow_messages_are_taken_a_few_at_a_time() -> None:
    made = sizes(Pace(), fixed=0.05, each=1.0, bundles=60)
    assert made.count(LEAST_BUNDLE) >= 55
    assert max(made) == 2 * LEAST_BUNDLE
    made = sizes(Pace(), fixed=0.05, each=0.005, bundles=40)[-20:]
    assert all(40 <= size <= 160 for size in made)


def test_messages_that_become_fast_are_taken_in_larger_bundles_again() -> None:
    pace = Pace()
    sizes(pace, fixed=0.05, each=1.0, bundles=20)
    assert sizes(pace, fixed=0.05, each=0.0005, bundles=60)[-1] == MOST_BUNDLE


def test_one_message_now_and_then_tells_little() -> None:
    pace = Pace()
    sizes(pace, fixed=0.6, each=0.0005, bundles=20, most=1)
    assert sizes(pace, fixed=0.4, each=0.0005, bundles=10)[-1] == MOST_BUNDLE


def test_no_more_is_pulled_ahead_than_a_worker_processes_in_seconds() -> None:
    slow, fast = Pace(), Pace()
    sizes(slow, fixed=0.0, each=1.0, bundles=10)
    sizes(fast, fixed=0.001, each=0.0001, bundles=20)
    assert slow.ahead(5_000) == 2 * LEAST_BUNDLE
    assert fast.ahead(5_000) == 5_000
    assert Pace().ahead(10) == 10


class Client:
    """A client that knows a subscription's dead-letter policy, or may not read it."""

    def __init__(self, most: int = 0, fault: Exception | None = None) -> None:
        self.most, self.fault, self.asked = most, fault, 0

    def get_subscription(self, **_: Any) -> Subscription:
        self.asked += 1
        if self.fault:
            raise self.fault
        return Subscription(name="s", dead_letter_policy={"max_delivery_attempts": self.most})


def received(attempt: int = 0, message_id: str = "1") -> Any:
    message = PubsubMessage(data=b"x", message_id=message_id)
    return ReceivedMessage.pb(
        ReceivedMessage(ack_id="a", delivery_attempt=attempt, message=message)
    )


def test_the_last_delivery_that_a_policy_allows_is_refused_with_the_reason() -> None:
    client = Client(7)
    deliveries = Deliveries(client, "s")
    assert [bool(deliveries.of(received(n))[1]) for n in range(1, 8)] == [False] * 6 + [True]
    attempt, reason = deliveries.of(received(7))
    assert (attempt, reason[:17]) == (7, "delivered 7 times")
    assert client.asked == 1


@pytest.mark.parametrize(
    "fault", [google_errors.PermissionDenied("no"), google_errors.ServiceUnavailable("away")]
)
def test_a_policy_that_cannot_be_read_is_taken_for_the_strictest(fault: Exception) -> None:
    deliveries = Deliveries(Client(fault=fault), "s")
    assert [bool(deliveries.of(received(n))[1]) for n in (4, 5)] == [False, True]


def test_without_a_policy_deliveries_to_this_process_are_counted() -> None:
    deliveries = Deliveries(Client(), "s")
    assert [deliveries.of(received())[0] for _ in range(4)] == [1, 2, 3, 4]
    assert deliveries.of(received(message_id="2")) == (1, "")
    assert deliveries.of(received())[1].startswith("delivered 5 times")


def test_what_is_counted_here_does_not_grow_with_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_KEPT", 100)
    deliveries = Deliveries(Client(), "s")
    for number in range(1_000):
        deliveries.of(received(message_id=str(number)))
    assert len(deliveries._seen) == 100

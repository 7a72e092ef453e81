"""The Pub/Sub sink within the broker's limits, and what it gives back when."""

from __future__ import annotations

from typing import Any

import pytest
from google.api_core.exceptions import DeadlineExceeded, InvalidArgument, ServiceUnavailable
from google.pubsub_v1.types import PublishRequest
from hypothesis import given, settings
from hypothesis import strategies as st

from quorum.core.messages import DeadLetter, Message, Review, now
from quorum.pipeline.streams import pubsub_sink as module
from quorum.pipeline.streams.base import Outgoing
from quorum.pipeline.streams.pubsub_sink import _Publish

#: Pub/Sub's own limits for a request.
MOST_BYTES = 10_000_000
MOST_MESSAGES = 1_000

TOPIC = "projects/p/topics/t"


class Broker:
    """A client that publishes as Pub/Sub does: within its limits, or not at all."""

    def __init__(self) -> None:
        self.published: list[bytes] = []
        self.given_back: list[str] = []
        self.abandoned: list[str] = []
        self.order: list[str] = []
        self.refused = b"\0"
        self.away = False

    def publish(self, *, request: PublishRequest, **_: Any) -> None:
        messages = request.messages
        too_large = PublishRequest.pb(request).ByteSize() > MOST_BYTES
        if too_large or len(messages) > MOST_MESSAGES:
            msg = "the request is too large"
            raise InvalidArgument(msg)
        if any(self.refused in one.data for one in messages):
            msg = "a message is refused"
            raise InvalidArgument(msg)
        if self.away:
            msg = "away"
            raise ServiceUnavailable(msg)
        self.published += [one.data for one in messages]
        self.order.append("publish")

    def acknowledge(self, ack_ids: Any) -> None:
        self.given_back += list(ack_ids)
        self.order.append("give back")


def published(monkeypatch: pytest.MonkeyPatch, elements: list[Outgoing], **told: Any) -> Broker:
    broker = Broker()
    vars(broker).update(told)
    monkeypatch.setattr(module, "publisher_client", lambda: broker)
    monkeypatch.setattr(module, "acknowledge", broker.acknowledge)
    monkeypatch.setattr(module, "abandon", broker.abandoned.extend)
    sink = _Publish(TOPIC, "/test")
    sink.setup()
    sink.start_bundle()
    for element in elements:
        sink.process(element)
    sink.finish_bundle()
    return broker


def review(number: int, note: str = "") -> Message:
    return Review(
        upload_id=f"u{number}", verdict_id="v", action="allow", reviewer="ada", note=note, at=now()
    )


def test_the_largest_dead_letter_is_published_whole_and_given_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = b"\xff" * 9_900_000
    letters = DeadLetter.of(data, {"a": "b"}, "stage", "error", now())
    broker = published(monkeypatch, [Outgoing(letters, ("r",))])
    read = sorted((DeadLetter.from_bytes(one) for one in broker.published), key=lambda x: x.part)
    assert b"".join(letter.data for letter in read) == data
    assert broker.given_back == ["r"]
    assert broker.order[-1] == "give back"


def test_one_refused_message_takes_nothing_else_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    elements = [Outgoing((review(n, "refuse-me" if n == 3 else ""),), (f"r{n}",)) for n in range(6)]
    broker = published(monkeypatch, elements, refused=b"refuse-me")
    assert sorted(broker.given_back) == ["r0", "r1", "r2", "r4", "r5"]
    assert len(broker.published) == 5
    assert broker.abandoned == ["r3"]


def test_a_broker_that_is_away_stops_the_bundle_and_gives_nothing_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given_back: list[str] = []
    with pytest.raises(ServiceUnavailable):
        published(
            monkeypatch, [Outgoing((review(1),), ("r",))], away=True, acknowledge=given_back.extend
        )
    assert given_back == []


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 4), st.sampled_from([10, 200_000, 1_500_000]), st.integers(0, 2)),
        max_size=12,
    )
)
def test_everything_is_published_and_each_ack_id_is_given_back_once(
    parts: list[tuple[int, int, int]],
) -> None:
    elements = [
        Outgoing(
            tuple(review(100 * n + m, "x" * size) for m in range(count)),
            tuple(f"{n}-{r}" for r in range(ack_ids)),
        )
        for n, (count, size, ack_ids) in enumerate(parts)
    ]
    with pytest.MonkeyPatch.context() as monkeypatch:
        broker = published(monkeypatch, elements)
    assert broker.published == [m.to_bytes() for one in elements for m in one.messages]
    assert sorted(broker.given_back) == sorted(r for one in elements for r in one.ack_ids)


def test_a_broker_that_stalls_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A request that runs into its own deadline is retried, as one that is refused."""
    broker = Broker()
    faults = [DeadlineExceeded("stalled"), ServiceUnavailable("away")]
    publish = broker.publish

    def stalling(*, retry: Any, **request: Any) -> None:
        def once() -> None:
            if faults:
                raise faults.pop(0)
            publish(**request)

        retry(once)()

    broker.publish = stalling  # type: ignore[method-assign]
    monkeypatch.setattr(module, "publisher_client", lambda: broker)
    monkeypatch.setattr(module, "acknowledge", broker.acknowledge)
    sink = _Publish(TOPIC, "/test")
    sink.setup()
    sink.start_bundle()
    sink.process(Outgoing((review(1),), ("r",)))
    sink.finish_bundle()
    assert (faults, broker.given_back, len(broker.published)) == ([], ["r"], 1)

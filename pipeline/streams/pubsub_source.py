"""A portable, unbounded source of a Pub/Sub subscription.

Beam's own ``ReadFromPubSub`` acks before processing on the direct runner and does not run on
portable Flink. This is a splittable DoFn over the generated client, for every portable runner;
Dataflow uses the native source.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import apache_beam as beam
from apache_beam.utils.timestamp import Duration

from quorum.pipeline.streams.base import Acknowledge, Received, Source
from quorum.pipeline.streams.pulse import Pulse
from quorum.pipeline.streams.subscription import Held, Subscription, subscription
from quorum.pipeline.streams.unbounded import Unbounded

__all__ = ["NativePubSubSource", "PubSubSource"]

#: Seconds that a bundle waits for its first message, so that an idle stream costs little.
_IDLE_WAIT = 0.5


class _PullUntilVerdict(beam.DoFn):
    """Pulls messages with their ack ids: the sink of a message's outcome acks it."""

    def __init__(self, stream: str) -> None:
        self.stream = stream

    @beam.DoFn.unbounded_per_element()  # type: ignore[untyped-decorator]
    def process(
        self,
        path: str,
        tracker: Any = beam.DoFn.RestrictionParam(Unbounded()),  # noqa: B008
    ) -> Iterator[Received]:
        source = subscription(path)
        for held in _claimed(source, tracker):
            yield Received(held.data, held.attributes, source.ack_id(held), self.stream)
        tracker.defer_remainder(Duration(0))


class _PullUntilCheckpoint(beam.DoFn):
    """Pulls messages and acks them in a finalizer, which the runner calls at its checkpoint."""

    def __init__(self, stream: str) -> None:
        self.stream = stream

    @beam.DoFn.unbounded_per_element()  # type: ignore[untyped-decorator]
    def process(
        self,
        path: str,
        finalizer: Any = beam.DoFn.BundleFinalizerParam,
        tracker: Any = beam.DoFn.RestrictionParam(Unbounded()),  # noqa: B008
    ) -> Iterator[Received]:
        source = subscription(path)
        taken = []
        for held in _claimed(source, tracker):
            taken.append(held.ack_id)
            yield Received(held.data, held.attributes, "", self.stream)
        finalizer.register(lambda: source.release(taken))
        tracker.defer_remainder(Duration(0))


def _claimed(source: Subscription, tracker: Any) -> Iterator[Held]:
    position = tracker.current_restriction().start
    for held in source.take_bundle(_IDLE_WAIT):
        if tracker.try_claim(position):
            position += 1
            yield held
        else:
            source.put_back(held)


class PubSubSource(Source):
    """Reads a subscription through the generated Pub/Sub client.

    Args:
        path: ``projects/P/subscriptions/S``.
        stream: The stream of the messages.
        acknowledge: When they are acked.
    """

    bounded = False

    def __init__(self, path: str, stream: str, acknowledge: Acknowledge) -> None:
        self.path = path
        self.stream = stream
        self.acknowledge = acknowledge
        self.in_process = acknowledge is Acknowledge.VERDICT
        self.subscription = path if self.in_process else ""

    def transform(self) -> beam.PTransform[beam.pvalue.PBegin, beam.PCollection[Received]]:
        """See Source."""
        by_verdict = self.acknowledge is Acknowledge.VERDICT
        pull = (_PullUntilVerdict if by_verdict else _PullUntilCheckpoint)(self.stream)
        return _Read(beam.ParDo(pull), self.path, by_verdict)


class _Read(beam.PTransform[beam.pvalue.PBegin, beam.PCollection[Received]]):
    def __init__(self, pull: beam.ParDo, path: str, in_process: bool) -> None:
        super().__init__()
        self.pull = pull
        self.path = path
        self.in_process = in_process

    def expand(self, begin: beam.pvalue.PBegin) -> beam.PCollection[Received]:
        if self.in_process:
            begin | "Pulse" >> Pulse(self.path)
        received: beam.PCollection[Received] = (
            begin
            | "Subscription" >> beam.Create([self.path], reshuffle=False)
            | "Pull" >> self.pull.with_output_types(Received)
        )
        return received


class NativePubSubSource(Source):
    """Beam's own source, which Dataflow replaces by that of its service.

    The service de-duplicates messages by their ``ce-id`` and acks them once they are durable there.
    """

    bounded = False

    def __init__(self, path: str, stream: str) -> None:
        self.path = path
        self.stream = stream

    def transform(self) -> beam.PTransform[beam.pvalue.PBegin, beam.PCollection[Received]]:
        """See Source."""
        return _ReadNative(self.path, self.stream)


class _ReadNative(beam.PTransform[beam.pvalue.PBegin, beam.PCollection[Received]]):
    def __init__(self, path: str, stream: str) -> None:
        super().__init__()
        self.path = path
        self.stream = stream

    def expand(self, begin: beam.pvalue.PBegin) -> beam.PCollection[Received]:
        from apache_beam.io.gcp.pubsub import ReadFromPubSub

        stream = self.stream
        received: beam.PCollection[Received] = (
            begin
            | "Native"
            >> ReadFromPubSub(subscription=self.path, id_label="ce-id", with_attributes=True)
            | "Receive"
            >> beam.Map(
                lambda message: Received(message.data, message.attributes or {}, "", stream)
            ).with_output_types(Received)
        )
        return received

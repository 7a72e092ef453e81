"""A portable, unbounded source of a Pub/Sub subscription.

Beam's own ``ReadFromPubSub`` acks before processing on the direct runner and does not run on
portable Flink. This is a splittable DoFn over the generated client, for every portable runner;
Dataflow uses the native source.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import apache_beam as beam
from apache_beam.utils.timestamp import Duration

from quorum.pipeline.streams.base import Acknowledge, Received, Refused, Source
from quorum.pipeline.streams.lead import is_crowded, note_uploads, uploads_wait
from quorum.pipeline.streams.pulse import Pulse
from quorum.pipeline.streams.subscription import Held, Subscription, subscription
from quorum.pipeline.streams.unbounded import Unbounded

__all__ = ["NativePubSubSource", "PubSubSource"]

#: Seconds that a bundle waits for its first message, so that an idle stream costs little.
_IDLE_WAIT = 0.5


#: The output of messages that must not be processed, each with the reason.
_REFUSED = "refused"


class _PullUntilVerdict(beam.DoFn):
    """Pulls messages with their ack ids: the sink of a message's outcome acks it."""

    def __init__(self, stream: str, *, refuses: bool = False) -> None:
        self.stream = stream
        self.refuses = refuses

    @beam.DoFn.unbounded_per_element()  # type: ignore[untyped-decorator]
    def process(
        self,
        path: str,
        tracker: Any = beam.DoFn.RestrictionParam(Unbounded()),  # noqa: B008
    ) -> Iterator[Any]:
        source = subscription(path)
        if self.stream == "uploads":
            note_uploads(path, lambda: source.waiting)
        for held in _claimed(source, tracker, self.stream):
            received = Received(held.data, held.attributes, source.ack_id(held), self.stream)
            yield _output(received, held.refusal if self.refuses else "")
        tracker.defer_remainder(Duration(0))


class _PullUntilCheckpoint(beam.DoFn):
    """Pulls messages and acks them in a finalizer, which the runner calls at its checkpoint."""

    def __init__(self, stream: str, *, refuses: bool = False) -> None:
        self.stream = stream
        self.refuses = refuses

    @beam.DoFn.unbounded_per_element()  # type: ignore[untyped-decorator]
    def process(
        self,
        path: str,
        finalizer: Any = beam.DoFn.BundleFinalizerParam,
        tracker: Any = beam.DoFn.RestrictionParam(Unbounded()),  # noqa: B008
    ) -> Iterator[Any]:
        source = subscription(path)
        taken = []
        for held in _claimed(source, tracker):
            taken.append(held.ack_id)
            received = Received(held.data, held.attributes, "", self.stream)
            yield _output(received, held.refusal if self.refuses else "")
        finalizer.register(lambda: source.release(taken))
        tracker.defer_remainder(Duration(0))


def _output(received: Received, refusal: str) -> Any:
    if refusal:
        return beam.pvalue.TaggedOutput(_REFUSED, (received, refusal))
    return received


def _claimed(source: Subscription, tracker: Any, stream: str = "uploads") -> Iterator[Held]:
    position = tracker.current_restriction().start
    if stream != "uploads" and is_crowded(stream):
        taken = source.take_bundle(_IDLE_WAIT, partial(uploads_wait, stream))
    else:
        taken = source.take_bundle(_IDLE_WAIT)
    for held in taken:
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
        refused: Takes ``(received, reason)`` of each message that was delivered so often that it
            must not be processed again; without one, they are read like any other.
    """

    bounded = False

    def __init__(
        self, path: str, stream: str, acknowledge: Acknowledge, refused: Refused | None = None
    ) -> None:
        self.path = path
        self.stream = stream
        self.acknowledge = acknowledge
        self.refused = refused
        self.in_process = acknowledge is Acknowledge.VERDICT
        self.subscription = path if self.in_process else ""

    def transform(self) -> beam.PTransform[beam.pvalue.PBegin, beam.PCollection[Received]]:
        """See Source."""
        by_verdict = self.acknowledge is Acknowledge.VERDICT
        kind = _PullUntilVerdict if by_verdict else _PullUntilCheckpoint
        return _Read(beam.ParDo(kind(self.stream, refuses=self.refused is not None)), self)


class _Read(beam.PTransform[beam.pvalue.PBegin, beam.PCollection[Received]]):
    def __init__(self, pull: beam.ParDo, source: PubSubSource) -> None:
        super().__init__()
        self.pull = pull
        self.path = source.path
        self.in_process = source.in_process
        self.refused = source.refused

    def expand(self, begin: beam.pvalue.PBegin) -> beam.PCollection[Received]:
        if self.in_process:
            begin | "Pulse" >> Pulse(self.path)
        subscription = begin | "Subscription" >> beam.Create([self.path], reshuffle=False)
        pulled = subscription | "Pull" >> self.pull.with_output_types(Received).with_outputs(
            _REFUSED, main="received"
        )
        if self.refused is not None:
            pulled[_REFUSED] | "Refused" >> self.refused
        received: beam.PCollection[Received] = pulled.received
        return received


class NativePubSubSource(Source):
    """Beam's own source, which Dataflow replaces by that of its service.

    The service acks messages once they are durable there.

    Args:
        path: ``projects/P/subscriptions/S``.
        stream: The stream of the messages.
        by_event_id: Whether the service drops messages with a ``ce-id`` that it has seen: it does
            so before anybody verifies who sent them, and a forgery could suppress the true one.
    """

    bounded = False

    def __init__(self, path: str, stream: str, by_event_id: bool = True) -> None:
        self.path = path
        self.stream = stream
        self.id_label = "ce-id" if by_event_id else None

    def transform(self) -> beam.PTransform[beam.pvalue.PBegin, beam.PCollection[Received]]:
        """See Source."""
        return _ReadNative(self.path, self.stream, self.id_label)


class _ReadNative(beam.PTransform[beam.pvalue.PBegin, beam.PCollection[Received]]):
    def __init__(self, path: str, stream: str, id_label: str | None) -> None:
        super().__init__()
        self.path = path
        self.stream = stream
        self.id_label = id_label

    def expand(self, begin: beam.pvalue.PBegin) -> beam.PCollection[Received]:
        from apache_beam.io.gcp.pubsub import ReadFromPubSub

        stream = self.stream
        received: beam.PCollection[Received] = (
            begin
            | "Native"
            >> ReadFromPubSub(subscription=self.path, id_label=self.id_label, with_attributes=True)
            | "Receive"
            >> beam.Map(
                lambda message: Received(message.data, message.attributes or {}, "", stream)
            ).with_output_types(Received)
        )
        return received

"""Unbounded sources of a Pub/Sub subscription, on one machine and on Dataflow.

Beam's own ``ReadFromPubSub`` acks before processing on the direct runner, and there is none for
Prism: on one machine the source is a splittable DoFn over the generated client. Dataflow replaces
Beam's own by that of its service. The source on Flink is in ``flink_source``.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from functools import partial
from typing import Any

import apache_beam as beam
from apache_beam.utils.timestamp import Duration

from quorum.pipeline.streams.base import Received, Refused, Source
from quorum.pipeline.streams.holding import Holding
from quorum.pipeline.streams.lead import is_crowded, note_uploads, uploads_wait
from quorum.pipeline.streams.pulse import Pulse
from quorum.pipeline.streams.subscription import Held, subscription
from quorum.pipeline.streams.unbounded import Unbounded

__all__ = ["NativePubSubSource", "PubSubSource", "PullingSource", "output"]

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
            yield output(received, held.refusal if self.refuses else "")
        tracker.defer_remainder(Duration(0))


def output(received: Received, refusal: str) -> Any:
    """The output of a received message, with the reason why it must not be processed, if any."""
    if refusal:
        return beam.pvalue.TaggedOutput(_REFUSED, (received, refusal))
    return received


def _claimed(source: Holding, tracker: Any, stream: str = "uploads") -> Iterator[Held]:
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


class PullingSource(Source):
    """Pulls from a subscription through the generated Pub/Sub client.

    Args:
        path: ``projects/P/subscriptions/S``.
        stream: The stream of the messages.
        refused: Takes ``(received, reason)`` of each message that was delivered so often that it
            must not be processed again; without one, they are read like any other.
    """

    bounded = False

    def __init__(self, path: str, stream: str, refused: Refused | None = None) -> None:
        self.path = path
        self.stream = stream
        self.refused = refused

    @abstractmethod
    def pull(self, begin: beam.pvalue.PBegin) -> tuple[beam.PCollection[Any], beam.DoFn]:
        """What makes the source pull, and the DoFn that does so, whose messages are ``output``s."""

    def transform(self) -> beam.PTransform[beam.pvalue.PBegin, beam.PCollection[Received]]:
        """See Source."""
        return _Read(self)


class _Read(beam.PTransform[beam.pvalue.PBegin, beam.PCollection[Received]]):
    def __init__(self, source: PullingSource) -> None:
        super().__init__()
        self.source = source

    def expand(self, begin: beam.pvalue.PBegin) -> beam.PCollection[Received]:
        occasions, pull = self.source.pull(begin)
        pulled = occasions | "Pull" >> beam.ParDo(pull).with_output_types(Received).with_outputs(
            _REFUSED, main="received"
        )
        if self.source.refused is not None:
            pulled[_REFUSED] | "Refused" >> self.source.refused
        received: beam.PCollection[Received] = pulled.received
        return received


class PubSubSource(PullingSource):
    """Reads a subscription in the process of the job. See ``PullingSource``."""

    in_process = True

    def __init__(self, path: str, stream: str, refused: Refused | None = None) -> None:
        super().__init__(path, stream, refused)
        self.subscription = path

    def pull(self, begin: beam.pvalue.PBegin) -> tuple[beam.PCollection[Any], beam.DoFn]:
        """See PullingSource."""
        begin | "Pulse" >> Pulse(self.path)
        subscription = begin | "Subscription" >> beam.Create([self.path], reshuffle=False)
        return subscription, _PullUntilVerdict(self.stream, refuses=self.refused is not None)


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

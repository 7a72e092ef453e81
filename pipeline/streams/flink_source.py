"""An unbounded source of a Pub/Sub subscription on Flink, whose checkpoint keeps no history.

Beam's own ``ReadFromPubSub`` does not run on portable Flink. A splittable DoFn does, but each time
that it defers its remainder Beam's Flink runner keeps it under a name of its own, and the names of
all of them stay in every later checkpoint (https://github.com/apache/beam/issues/27648). Here Flink
itself sends an impulse to each of the job's slots, and a plain DoFn pulls at each: nothing of the
source is in the state.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import apache_beam as beam
from apache_beam.io.flink.flink_streaming_impulse_source import FlinkStreamingImpulseSource

from quorum.pipeline.streams.base import Received
from quorum.pipeline.streams.pubsub_source import PullingSource, output
from quorum.pipeline.streams.subscription import subscription

__all__ = ["FlinkPubSubSource"]

#: Milliseconds between impulses: a message waits half as long for its pull on average, and an idle
#: slot costs a bundle at each.
_IMPULSE_MILLISECONDS = 25


class _PullUntilCheckpoint(beam.DoFn):
    """Pulls at each impulse; acks in a finalizer, which Flink calls at its checkpoint."""

    def __init__(
        self, path: str, stream: str, *, refuses: bool = False, paused: bool = False
    ) -> None:
        self.path = path
        self.stream = stream
        self.refuses = refuses
        self.paused = paused

    def process(
        self, _impulse: bytes, finalizer: Any = beam.DoFn.BundleFinalizerParam
    ) -> Iterator[Any]:
        if self.paused:
            return
        source = subscription(self.path)
        taken = source.take_bundle(0.0)
        if not taken:
            return
        for held in taken:
            received = Received(held.data, held.attributes, "", self.stream)
            yield output(received, held.refusal if self.refuses else "")
        finalizer.register(lambda: source.release([held.ack_id for held in taken]))


class FlinkPubSubSource(PullingSource):
    """Reads a subscription in every slot of a Flink job. See ``PullingSource``.

    A message is acked at the checkpoint after its bundle, whose state then has its effect.

    Attributes:
        paused: Whether it pulls nothing: for a job that is to finish the cases that are open. The
            graph stays the same, so that the state fits.
    """

    paused = False

    def pull(self, begin: beam.pvalue.PBegin) -> tuple[beam.PCollection[Any], beam.DoFn]:
        """See PullingSource."""
        impulse = FlinkStreamingImpulseSource().set_interval_ms(_IMPULSE_MILLISECONDS)
        refuses = self.refused is not None
        return begin | "Impulses" >> impulse, _PullUntilCheckpoint(
            self.path, self.stream, refuses=refuses, paused=self.paused
        )

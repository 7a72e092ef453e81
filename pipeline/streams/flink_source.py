"""An unbounded source of a Pub/Sub subscription on Flink, whose checkpoint keeps no history.

Beam's own ``ReadFromPubSub`` does not run on portable Flink. A splittable DoFn does, but each time
that it defers its remainder Beam's Flink runner keeps it under a name of its own, and the names of
all of them stay in every later checkpoint (https://github.com/apache/beam/issues/27648). Here Flink
itself sends an impulse to each of the job's slots, and a plain DoFn pulls at each: nothing of the
source is in the state.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import apache_beam as beam
from apache_beam.io.flink.flink_streaming_impulse_source import FlinkStreamingImpulseSource
from apache_beam.runners.worker.statesampler import get_current_tracker

from quorum.pipeline.streams.base import Received
from quorum.pipeline.streams.in_flight import Slot, in_flight, leave, worker_here
from quorum.pipeline.streams.pubsub_source import PullingSource, output

__all__ = ["FlinkPubSubSource"]

#: Milliseconds from the end of a pull to the next impulse.
_IMPULSE_MILLISECONDS = 5

#: Seconds that a bundle waits for its first message, so that an idle slot costs little. A
#: checkpoint waits as long for the bundle.
_IDLE_WAIT = 0.05

#: Flink's impulses are counted in each slot, from the start of the job and from each start anew.
_FIRST = b"0"


class _PullUntilCheckpoint(beam.DoFn):
    """Pulls at each impulse; acks once the checkpoint has what it pulled.

    The first pull of a bundle waits for a message: so long, no impulse follows.
    """

    def __init__(
        self, path: str, stream: str, *, refuses: bool = False, paused: bool = False
    ) -> None:
        self.path = path
        self.stream = stream
        self.refuses = refuses
        self.paused = paused

    def start_bundle(self) -> None:
        tracker = get_current_tracker()
        self._slot = Slot(worker_here(), tracker.stage_name if tracker else "")
        self._began = time.monotonic()
        self._wait = _IDLE_WAIT

    def process(
        self, impulse: bytes, finalizer: Any = beam.DoFn.BundleFinalizerParam
    ) -> Iterator[Any]:
        wait, self._wait = self._wait, 0.0
        if self.paused:
            if impulse == _FIRST:
                leave(self.path)
            time.sleep(wait)
            return
        flight = in_flight(self.path)
        taken = flight.source.take_bundle(wait)
        if taken or flight.wants_later(self._slot):
            ack_ids = [held.ack_id for held in taken]
            finalizer.register(flight.began(self._slot, ack_ids, self._began))
        for held in taken:
            received = Received(held.data, held.attributes, "", self.stream)
            yield output(received, held.refusal if self.refuses else "")


class FlinkPubSubSource(PullingSource):
    """Reads a subscription in every slot of a Flink job. See ``PullingSource``.

    A message is acked once a checkpoint has its effect: at the second one after its bundle.

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

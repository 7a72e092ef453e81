"""An unbounded source of a Pub/Sub subscription on Flink, whose checkpoint keeps no history.

Beam's own ``ReadFromPubSub`` does not run on portable Flink. A splittable DoFn does, but each time
that it defers its remainder Beam's Flink runner keeps it under a name of its own, and the names of
all of them stay in every later checkpoint (https://github.com/apache/beam/issues/27648). Here Flink
itself sends an impulse to each of the job's slots, and a plain DoFn pulls at each: nothing of the
source is in the state.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
from apache_beam.io.flink.flink_streaming_impulse_source import FlinkStreamingImpulseSource

from quorum.pipeline.streams.base import Received
from quorum.pipeline.streams.holding import Holding
from quorum.pipeline.streams.pubsub_source import PullingSource, output
from quorum.pipeline.streams.subscription import subscription

__all__ = ["FlinkPubSubSource", "InFlight"]

#: Milliseconds from the end of a pull to the next impulse.
_IMPULSE_MILLISECONDS = 5

#: Seconds that a bundle waits for its first message, so that an idle slot costs little. A
#: checkpoint waits as long for the bundle.
_IDLE_WAIT = 0.25

#: A bundle is overtaken once one that began so many seconds later has its checkpoint.
_OVERTAKEN_SECONDS = 10.0

#: Seconds in which all slots are told of a checkpoint.
_TOLD_SECONDS = 2.0

_log = logging.getLogger(__name__)


@dataclass(eq=False, slots=True)
class _Bundle:
    began: float
    ack_ids: tuple[str, ...]
    overtaken: float | None = None


class InFlight:
    """What the bundles of one subscription took, until the checkpoint after them.

    Where Flink starts the job again from a checkpoint, in workers that live on, it calls no
    finalizer of the bundles after that checkpoint. Later ones overtake them then: what they took is
    given back, to be delivered again. Thread-safe.

    Args:
        source: The subscription.
        clock: Seconds that only grow.
    """

    def __init__(self, source: Holding, clock: Callable[[], float] = time.monotonic) -> None:
        self._source = source
        self._clock = clock
        self._lock = threading.Lock()
        self._bundles: dict[_Bundle, None] = {}

    @property
    def wants_later(self) -> bool:
        """Whether a bundle that took nothing should overtake one that waits for long."""
        now = self._clock()
        with self._lock:
            if not self._bundles:
                return False
            first, last = next(iter(self._bundles)), next(reversed(self._bundles))
        return first.began < now - _OVERTAKEN_SECONDS and last.began < now - _TOLD_SECONDS

    def began(self, ack_ids: Sequence[str]) -> Callable[[], None]:
        """A bundle took these; what to call at its checkpoint."""
        bundle = _Bundle(self._clock(), tuple(ack_ids))
        with self._lock:
            self._bundles[bundle] = None
        return lambda: self._finalize(bundle)

    def _finalize(self, bundle: _Bundle) -> None:
        now = self._clock()
        lost: list[str] = []
        with self._lock:
            self._bundles.pop(bundle, None)
            for one in list(self._bundles):
                if one.began >= bundle.began - _OVERTAKEN_SECONDS:
                    break
                if one.overtaken is None:
                    # Its own finalizer may follow: the slots are told of a checkpoint one by one.
                    one.overtaken = now
                elif now - one.overtaken >= _TOLD_SECONDS:
                    del self._bundles[one]
                    lost += one.ack_ids
        if bundle.ack_ids:
            self._source.release(bundle.ack_ids)
        if lost:
            _log.warning("%d messages were taken after the checkpoint that was restored", len(lost))
            self._source.abandon(lost)


_IN_FLIGHT: dict[Holding, InFlight] = {}
_IN_FLIGHT_LOCK = threading.Lock()


def _in_flight(source: Holding) -> InFlight:
    with _IN_FLIGHT_LOCK:
        return _IN_FLIGHT.setdefault(source, InFlight(source))


class _PullUntilCheckpoint(beam.DoFn):
    """Pulls at each impulse; acks in a finalizer, which Flink calls at its checkpoint.

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
        self._wait = _IDLE_WAIT

    def process(
        self, _impulse: bytes, finalizer: Any = beam.DoFn.BundleFinalizerParam
    ) -> Iterator[Any]:
        wait, self._wait = self._wait, 0.0
        if self.paused:
            time.sleep(wait)
            return
        source = subscription(self.path)
        taken = source.take_bundle(wait)
        in_flight = _in_flight(source)
        if taken or in_flight.wants_later:
            finalizer.register(in_flight.began([held.ack_id for held in taken]))
        for held in taken:
            received = Received(held.data, held.attributes, "", self.stream)
            yield output(received, held.refusal if self.refuses else "")


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

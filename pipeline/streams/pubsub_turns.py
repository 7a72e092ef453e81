"""Pub/Sub in turns: bounded batches of a subscription, for an engine that cannot stream.

Beam's direct runner does not take the portable source on an unbounded stream, and its own source
acks before processing. So a job there is a loop of bounded runs, each over the messages that have
arrived meanwhile; they are acked once their verdicts are published, as on Prism.
"""

from __future__ import annotations

import apache_beam as beam

from quorum.pipeline.streams.base import Received, Refused, Source
from quorum.pipeline.streams.subscription import subscription

__all__ = ["TurnSource"]

#: Messages in a turn at most. A turn has a fixed cost of about a second; a larger one delays the
#: first verdict of its uploads.
_TURN = 256


class TurnSource(Source):
    """Reads the messages of one turn from a subscription.

    Args:
        path: ``projects/P/subscriptions/S``.
        stream: The stream of the messages.
        refused: See ``PubSubSource``.
    """

    bounded = True

    def __init__(self, path: str, stream: str, refused: Refused | None = None) -> None:
        self.path = self.subscription = path
        self.stream = stream
        self.refused = refused
        self._taken: list[Received] = []
        self._refused: list[tuple[Received, str]] = []

    def fill(self, wait: float) -> bool:
        """Take the messages of the next turn, waiting up to ``wait`` seconds for the first.

        Returns:
            Whether there are any.
        """
        held = subscription(self.path)
        self._taken, self._refused = [], []
        for one in held.take(_TURN, wait):
            received = Received(one.data, one.attributes, held.ack_id(one), self.stream)
            if one.refusal and self.refused is not None:
                self._refused.append((received, one.refusal))
            else:
                self._taken.append(received)
        return bool(self._taken or self._refused)

    def transform(self) -> beam.PTransform[beam.pvalue.PBegin, beam.PCollection[Received]]:
        """See Source."""
        return _Turn(self._taken, self._refused, self.refused)


class _Turn(beam.PTransform[beam.pvalue.PBegin, beam.PCollection[Received]]):
    def __init__(
        self,
        taken: list[Received],
        kept_out: list[tuple[Received, str]],
        refused: Refused | None,
    ) -> None:
        super().__init__()
        self.taken = taken
        self.kept_out = kept_out
        self.refused = refused

    def expand(self, begin: beam.pvalue.PBegin) -> beam.PCollection[Received]:
        if self.refused is not None and self.kept_out:
            begin | "Kept out" >> beam.Create(self.kept_out, reshuffle=False) | self.refused
        create = beam.Create(self.taken, reshuffle=False).with_output_types(Received)
        received: beam.PCollection[Received] = begin | "Turn" >> create
        return received

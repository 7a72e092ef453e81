"""Pub/Sub in turns: bounded batches of a subscription, for an engine that cannot stream.

Beam's direct runner does not take the portable source on an unbounded stream, and its own source
acks before processing. So a job there is a loop of bounded runs, each over the messages that have
arrived meanwhile; they are acked once their verdicts are published, as on Prism.
"""

from __future__ import annotations

import apache_beam as beam

from quorum.pipeline.streams.base import Received, Source
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
    """

    bounded = True

    def __init__(self, path: str, stream: str) -> None:
        self.path = self.subscription = path
        self.stream = stream
        self._taken: list[Received] = []

    def fill(self, wait: float) -> bool:
        """Take the messages of the next turn, waiting up to ``wait`` seconds for the first.

        Returns:
            Whether there are any.
        """
        held = subscription(self.path)
        self._taken = [
            Received(one.data, one.attributes, held.ack_id(one), self.stream)
            for one in held.take(_TURN, wait)
        ]
        return bool(self._taken)

    def transform(self) -> beam.PTransform[beam.pvalue.PBegin, beam.PCollection[Received]]:
        """See Source."""
        create = beam.Create(self._taken, reshuffle=False)
        typed: beam.PTransform[beam.pvalue.PBegin, beam.PCollection[Received]] = (
            create.with_output_types(Received)
        )
        return typed

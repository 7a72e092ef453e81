"""One producer event, three consumers: each ride gets a tip, a duration and a cost.

The three do not know each other: a fourth is one more line in ``WHATS``, and one that fails
takes nothing from the others. Sources, sinks, engines and dead letters are Quorum's own.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import apache_beam as beam
from apache_beam.ml.inference.base import ModelHandler, RunInference

from examples.rides.estimators import WHATS, Estimator, train
from examples.rides.messages import Estimate, Ride
from quorum.messages import DeadLetter, MalformedMessage, now
from quorum.pipeline.engines import Engine, launch
from quorum.pipeline.streams.base import Outgoing, Received, Sink, Source
from quorum.pipeline.streams.open import sink, source

__all__ = ["build", "run"]


class Decode(beam.DoFn):
    """From received bytes to rides; what is none goes to ``dead``."""

    def process(self, received: Received) -> Iterator[Any]:
        """See DoFn."""
        try:
            yield Ride.from_bytes(received.data)
        except MalformedMessage as error:
            attributes = dict(received.attributes)
            letters = DeadLetter.of(received.data, attributes, "rides", str(error), now())
            yield beam.pvalue.TaggedOutput("dead", Outgoing(letters))


class Handler(ModelHandler[Ride, Outgoing, Estimator]):
    """Runs one estimator in RunInference, which batches and shares the model."""

    def __init__(self, what: str) -> None:
        super().__init__(max_batch_size=64)
        self.what = what

    def load_model(self) -> Estimator:
        """See ModelHandler; a real one would load a file here."""
        return train(self.what)

    def run_inference(
        self,
        batch: Sequence[Ride],
        model: Estimator,
        inference_args: dict[str, Any] | None = None,
    ) -> Iterable[Outgoing]:
        """See ModelHandler."""
        at = now()
        for ride, value in zip(batch, model.estimate(batch), strict=True):
            estimate = Estimate(ride_id=ride.id, what=self.what, value=round(value, 2), at=at)
            yield Outgoing((estimate,))


def build(pipeline: beam.Pipeline, rides: Source, estimates: Sink, dead_letters: Sink) -> None:
    """The whole graph."""
    decoded = (
        pipeline
        | "Rides" >> rides.transform()
        | "Decode" >> beam.ParDo(Decode()).with_outputs("dead", main="rides")
    )
    estimated = [
        decoded.rides | f"Estimate {what}" >> RunInference(Handler(what)) for what in WHATS
    ]
    estimated | "All" >> beam.Flatten() | "Estimates" >> estimates.transform()
    decoded.dead | "Dead letters" >> dead_letters.transform()


def run(rides: str, estimates: str, dead_letters: str) -> None:
    """Run it on files; with ``Engine.PRISM`` and ack_ids it would run on Pub/Sub."""
    origin = "/examples/rides"
    with launch(
        lambda pipeline: build(
            pipeline,
            source(rides, "rides"),
            sink(estimates, origin=origin),
            sink(dead_letters, origin=origin),
        ),
        Engine.DIRECT,
        streaming=False,
    ) as result:
        result.wait_until_finish()


if __name__ == "__main__":
    run(*sys.argv[1:4])

"""Dead letters of messages that were delivered so often that nothing processes them any more."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import apache_beam as beam

from quorum.pipeline.metrics import Meter
from quorum.pipeline.streams.base import Outgoing, Received, Sink, dead_letter

__all__ = ["KeepRefused"]


class KeepRefused(beam.PTransform[beam.PCollection[tuple[Received, str]], Any]):
    """Publishes ``(received, reason)`` as dead letters, and then acks them.

    Args:
        stage: What the dead letters name as their stage.
        sink: The sink of dead letters.
    """

    def __init__(self, stage: str, sink: Sink) -> None:
        super().__init__()
        self.stage = stage
        self.sink = sink

    def expand(self, refused: beam.PCollection[tuple[Received, str]]) -> Any:
        """See PTransform."""
        letters = refused | "Dead letters" >> beam.ParDo(_DeadLetters(self.stage))
        return letters | "Publish" >> self.sink.transform()


class _DeadLetters(beam.DoFn):
    def __init__(self, stage: str) -> None:
        self.stage = stage

    def setup(self) -> None:
        self._meter = Meter()

    def process(self, element: tuple[Received, str]) -> Iterator[Outgoing]:
        received, reason = element
        self._meter.dead_letter(self.stage)
        yield dead_letter(received, self.stage, reason)

"""The first half of the graph: from received uploads to predictions.

Features are made and detectors run in supervised children (``quorum.models.supervision``). One
upload that cannot be read or scored takes nothing else with it.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import apache_beam as beam
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.windowed_value import WindowedValue

from quorum.core.errors import InputError
from quorum.core.identity import Admission
from quorum.core.messages import Prediction, Status, Upload
from quorum.core.tracing import ids
from quorum.models.supervision.shared import shared_supervisor
from quorum.models.supervision.spec import EnsembleSpec
from quorum.pipeline.detection import Arrival, TakeScored, Times, detection
from quorum.pipeline.metrics import Meter
from quorum.pipeline.streams.base import Received, as_plain, dead_letter
from quorum.pipeline.traced import received_in_trace

__all__ = ["Arrival", "DecodeUploads", "Detect", "DetectInProcess", "Times"]

_log = logging.getLogger(__name__)

#: The most uploads of a bundle that are scored at once.
_BATCH = 256


class DecodeUploads(beam.DoFn):
    """Parses received bytes into uploads; invalid ones become dead letters (tag ``dead``).

    Args:
        stage: What its dead letters name as their stage.
        outcomes: How many things must be durable before an upload may be acknowledged.
        admission: Who may publish uploads.
    """

    def __init__(self, stage: str, outcomes: int = 1, admission: Admission | None = None) -> None:
        self.stage = stage
        self.outcomes = outcomes
        self.admission = admission or Admission()

    def setup(self) -> None:
        self._meter = Meter()

    def process(self, received: Received) -> Iterator[Any]:
        try:
            upload = self.admission.admit(Upload, received.data, received.attributes)
        except InputError as error:
            self._meter.refused(self.stage, error)
            yield beam.pvalue.TaggedOutput("dead", dead_letter(received, self.stage, str(error)))
            return
        if received.ack_id and self.outcomes > 1:
            from quorum.pipeline.streams.subscription import add_outcomes

            add_outcomes(received.ack_id, self.outcomes - 1)
        self._meter.upload(received.arrived - upload.published_at.timestamp())
        yield Arrival(received_in_trace(as_plain(received, upload), upload), upload)


class Detect(beam.PTransform[beam.PCollection[Arrival], beam.PCollection[Arrival]]):
    """Scores each bundle of arrivals, and waits for its predictions.

    Args:
        ensemble: The ensemble.
        times: How long an upload may be scored.
        bounded: Whether it may be scored for as long as its detectors' timeouts allow.
    """

    def __init__(self, ensemble: EnsembleSpec, times: Times, *, bounded: bool) -> None:
        super().__init__()
        self._ensemble = ensemble
        self._times = times
        self._bounded = bounded

    def expand(self, arrivals: beam.PCollection[Arrival]) -> beam.PCollection[Arrival]:
        score = _ScoreBundle(self._ensemble, self._times, self._bounded)
        scored: beam.PCollection[Arrival] = arrivals | "Score" >> beam.ParDo(score)
        return scored


class DetectInProcess(beam.PTransform[beam.PCollection[Arrival], beam.PCollection[Arrival]]):
    """``Detect`` for workers in this process: no upload waits for another.

    An arrival goes on when its predictions are complete, or when its first deadline has come;
    predictions that are made after that follow it.

    Args:
        ensemble: The ensemble.
        times: How long an upload may be scored.
    """

    def __init__(self, ensemble: EnsembleSpec, times: Times) -> None:
        super().__init__()
        self._ensemble = ensemble
        self._times = times

    def expand(self, arrivals: beam.PCollection[Arrival]) -> beam.PCollection[Arrival]:
        _ = arrivals | "Begin" >> beam.ParDo(_Begin(self._ensemble, self._times))
        take = TakeScored(self._ensemble, self._times)
        scored: beam.PCollection[Arrival] = (
            arrivals.pipeline
            | "Detection" >> beam.Create([self._ensemble.key], reshuffle=False)
            | "Take" >> beam.ParDo(take).with_output_types(Arrival)
            | "Count" >> beam.ParDo(_Count())  # type: ignore[no-untyped-call]
        )
        return scored


class _Begin(beam.DoFn):
    def __init__(self, ensemble: EnsembleSpec, times: Times) -> None:
        self.ensemble = ensemble
        self.times = times

    def setup(self) -> None:
        self._detection = detection(self.ensemble, self.times)

    def process(self, arrival: Arrival) -> None:
        self._detection.put(arrival.received, arrival.upload)


class _Count(beam.DoFn):
    def setup(self) -> None:
        self._meter = Meter()

    def process(self, arrival: Arrival) -> Iterator[Arrival]:
        _count(self._meter, arrival.predictions, arrival.received.trace)
        yield arrival


class _ScoreBundle(beam.DoFn):
    def __init__(self, ensemble: EnsembleSpec, times: Times, bounded: bool) -> None:
        self.ensemble = ensemble
        self.times = times
        self.bounded = bounded

    def setup(self) -> None:
        self._meter = Meter()
        self._supervisor = shared_supervisor(self.ensemble)

    def start_bundle(self) -> None:
        self._arrivals: list[Arrival] = []

    def process(
        self, arrival: Arrival, timestamp: Any = beam.DoFn.TimestampParam
    ) -> Iterator[Arrival]:
        self._arrivals.append(arrival)
        self._timestamp = timestamp
        if len(self._arrivals) >= _BATCH:
            yield from self._flush()

    def finish_bundle(self) -> Iterator[WindowedValue]:
        for arrival in self._flush():
            yield WindowedValue(arrival, self._timestamp, (GlobalWindow(),))

    def _flush(self) -> Iterator[Arrival]:
        arrivals, self._arrivals = self._arrivals, []
        due = math.inf if self.bounded else time.monotonic() + self.times.now().last
        running, times = self._supervisor.versions, self.times
        scored = self._supervisor.score(
            [arrival.upload for arrival in arrivals],
            due,
            [arrival.received.trace for arrival in arrivals],
            lambda upload: times.left_out(upload, running),
        )
        for arrival, predictions in zip(arrivals, scored, strict=True):
            _count(self._meter, predictions, arrival.received.trace)
            yield replace(arrival, predictions=tuple(predictions))


def _count(meter: Meter, predictions: Sequence[Prediction], trace: str) -> None:
    for made in predictions:
        meter.prediction(made)
        if made.status is Status.FAILED:
            extra = {
                "upload_id": made.upload_id,
                "detector": made.detector,
                "reason": made.reason,
                **ids(trace),
            }
            _log.warning("a detector failed", extra=extra)

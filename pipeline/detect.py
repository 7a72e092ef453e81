"""The first half of the graph: from received uploads to predictions.

Features are made once an upload, in batches, and shared by all detectors; each detector runs
in ``RunInference`` through one adapting ``ModelHandler``. One upload that cannot be read or
scored takes nothing else with it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import apache_beam as beam
from apache_beam.ml.inference.base import ModelHandler, RunInference
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.windowed_value import WindowedValue

from quorum.aggregator.decision.settling import settled
from quorum.aggregator.policy.policy import Policy
from quorum.core.errors import InputError
from quorum.core.identity import Admission
from quorum.core.messages import Prediction, Status, Upload
from quorum.core.settings import MediaAccess
from quorum.models.configured import ConfiguredDetector
from quorum.models.detectors import Detector
from quorum.models.ensemble import Ensemble
from quorum.models.plan import Score, ScoringState, Step
from quorum.pipeline.metrics import Meter
from quorum.pipeline.streams.base import Received, dead_letter

__all__ = ["Arrival", "DecodeUploads", "Detect", "Gate"]

_log = logging.getLogger(__name__)

#: The most uploads whose features are made at once. More gains nothing on a CPU, and holds more
#: frames in memory.
_FEATURE_BATCH = 16


@dataclass(frozen=True)
class Gate:
    """A cascade: its first stage, and the policies that settle uploads.

    Attributes:
        first: See ``Settings.cascade``.
        policies: The policy that decides, and the shadow policies.
    """

    first: bool | tuple[str, ...]
    policies: tuple[Policy, ...]


@dataclass(frozen=True, slots=True)
class Arrival:
    """An upload on its way through the detectors.

    Attributes:
        received: The message that brought it.
        state: The upload, its features and its predictions so far.
    """

    received: Received
    state: ScoringState

    @property
    def upload(self) -> Upload:
        """The upload."""
        return self.state.upload

    @property
    def predictions(self) -> tuple[Prediction, ...]:
        """The predictions so far."""
        return self.state.predictions


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
        yield Arrival(received, ScoringState.of(upload))


class _Extract(beam.DoFn):
    """Runs a step of the plan on batches of up to ``_FEATURE_BATCH`` uploads of a bundle."""

    def __init__(self, step: Step) -> None:
        self.step = step

    def start_bundle(self) -> None:
        self._arrivals: list[Arrival] = []

    def process(
        self, arrival: Arrival, timestamp: Any = beam.DoFn.TimestampParam
    ) -> Iterator[Arrival]:
        self._arrivals.append(arrival)
        self._timestamp = timestamp
        if len(self._arrivals) >= _FEATURE_BATCH:
            yield from self._flush()

    def finish_bundle(self) -> Iterator[WindowedValue]:
        for arrival in self._flush():
            yield WindowedValue(arrival, self._timestamp, (GlobalWindow(),))

    def _flush(self) -> Iterator[Arrival]:
        arrivals, self._arrivals = self._arrivals, []
        if arrivals:
            states = self.step.run([arrival.state for arrival in arrivals])
            for arrival, state in zip(arrivals, states, strict=True):
                yield replace(arrival, state=state)


class _Handler(ModelHandler[Arrival, Arrival, Detector]):
    """Runs a scoring step of the plan in RunInference; a failure is a prediction, too."""

    def __init__(self, step: Score) -> None:
        size = step.detector.settings.max_batch
        super().__init__(min_batch_size=size, max_batch_size=size)
        self.step = step

    def load_model(self) -> Detector:
        return self.step.detector.detector

    def run_inference(
        self,
        batch: Sequence[Arrival],
        model: Detector,
        inference_args: dict[str, Any] | None = None,
    ) -> Iterable[Arrival]:
        meter = Meter()
        states = self.step.run([arrival.state for arrival in batch])
        for arrival, state in zip(batch, states, strict=True):
            if state is arrival.state:
                yield arrival
                continue
            made = state.predictions[-1]
            meter.prediction(made.detector, made.status.value, made.elapsed)
            if made.status is Status.FAILED:
                _log.warning(
                    "a detector failed",
                    extra={
                        "upload_id": made.upload_id,
                        "detector": made.detector,
                        "reason": made.reason,
                    },
                )
            yield replace(arrival, state=state)

    def get_num_bytes(self, batch: Sequence[Arrival]) -> int:
        """Not pickled to be measured: a batch may hold frames."""
        return len(batch)

    def get_metrics_namespace(self) -> str:
        return f"quorum.{self.step.detector.name}"


class Detect(beam.PTransform[beam.PCollection[Arrival], beam.PCollection[Arrival]]):
    """Runs the ensemble's plan: from arrivals to arrivals with a prediction of each detector.

    The steps stand in a row, and each adds its prediction to the arrival. Side by side, every
    prediction would cross the engine by itself, and the join would read its state once for each
    (``docs/decisions/0001-detectors-in-a-row.md``).

    Args:
        detectors: The detectors of the ensemble.
        media: Where media may be fetched from.
        gate: The cascade; None for none.
    """

    def __init__(
        self, detectors: Sequence[ConfiguredDetector], media: MediaAccess, gate: Gate | None = None
    ) -> None:
        super().__init__()
        ensemble = Ensemble(detectors, media, gate.first if gate else False)
        self._plan = ensemble.plan(partial(settled, gate.policies if gate else ()))

    def expand(self, arrivals: beam.PCollection[Arrival]) -> beam.PCollection[Arrival]:
        scored = arrivals
        for step in self._plan.steps:
            if isinstance(step, Score):
                scored = scored | step.name >> RunInference(_Handler(step))
            else:
                scored = scored | step.name >> beam.ParDo(_Extract(step))
        return scored

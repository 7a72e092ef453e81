"""The first half of the graph: from received uploads to predictions.

Features are made once an upload, in batches, and shared by all detectors; each detector runs
in ``RunInference`` through one adapting ``ModelHandler``. One upload that cannot be read or
scored takes nothing else with it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import apache_beam as beam
from apache_beam.ml.inference.base import ModelHandler, RunInference
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.windowed_value import WindowedValue

from quorum.aggregator.decision.settling import settled
from quorum.aggregator.policy.policy import Policy
from quorum.core.errors import MalformedMessage
from quorum.core.messages import DeadLetter, Prediction, Status, Upload, now
from quorum.core.settings import MediaAccess, Settings
from quorum.models.cascade import Cascade, ScoringState, ask, first_line
from quorum.models.configured import ConfiguredDetector, chosen_members
from quorum.models.detectors import Detector, Features
from quorum.models.installed import installed, load_class
from quorum.models.pinning import pinned
from quorum.pipeline.metrics import Meter
from quorum.pipeline.streams.base import Outgoing, Received

__all__ = [
    "Arrival",
    "DecodeUploads",
    "Detect",
    "Gate",
    "dead_letter",
    "members",
]

_log = logging.getLogger(__name__)

#: The most uploads whose features are made at once. More gains nothing on a CPU, and holds more
#: frames in memory.
_FEATURE_BATCH = 16


@dataclass(frozen=True)
class Gate:
    """Where a cascade stands: which detectors are asked first, and whom it asks about the rest.

    Attributes:
        first: See ``Settings.cascade``.
        policies: The one that decides, and those that watch in shadow.
    """

    first: bool | tuple[str, ...]
    policies: tuple[Policy, ...]


def members(settings: Settings) -> tuple[ConfiguredDetector, ...]:
    """The detectors that the settings choose; by default all that are installed.

    Where a model's reference may move, the job keeps the version that it names now to its end, on
    all of its workers.

    Raises:
        ConfigurationError: If a name is unknown, or its module cannot be imported.
        QuorumError: If a movable reference's model cannot be had; see ``quorum.models.pinning``.
    """
    settings = pinned(settings).tell()
    chosen = chosen_members(settings)
    for name in {member.name for member in chosen} & installed().keys():
        load_class(name)
    return chosen


@dataclass(frozen=True, slots=True)
class Arrival:
    """An upload on its way through the detectors.

    Attributes:
        received: The message that brought it.
        state: The upload, what detectors look at, and what they have said so far.
    """

    received: Received
    state: ScoringState

    @property
    def upload(self) -> Upload:
        """The upload."""
        return self.state.upload

    @property
    def predictions(self) -> tuple[Prediction, ...]:
        """What the detectors have said so far."""
        return self.state.predictions


def dead_letter(received: Received, stage: str, error: str) -> Outgoing:
    """The dead letters of a received message, which is given back with them."""
    _log.warning("dead letter", extra={"stage": stage, "reason": error})
    letters = DeadLetter.of(received.data, dict(received.attributes), stage, error, now())
    return Outgoing(letters, (received.ack_id,) if received.ack_id else ())


class DecodeUploads(beam.DoFn):
    """From received bytes to uploads; what is none becomes a dead letter (tag ``dead``).

    Args:
        stage: What its dead letters name as their stage.
        outcomes: How many things must be durable before an upload may be acknowledged.
    """

    def __init__(self, stage: str, outcomes: int = 1) -> None:
        self.stage = stage
        self.outcomes = outcomes

    def setup(self) -> None:
        self._meter = Meter()

    def process(self, received: Received) -> Iterator[Any]:
        try:
            upload = Upload.from_bytes(received.data)
        except MalformedMessage as error:
            self._meter.dead_letter(self.stage)
            yield beam.pvalue.TaggedOutput("dead", dead_letter(received, self.stage, str(error)))
            return
        if received.ack_id and self.outcomes > 1:
            from quorum.pipeline.streams.subscription import add_outcomes

            add_outcomes(received.ack_id, self.outcomes - 1)
        self._meter.upload(received.arrived - upload.published_at.timestamp())
        yield Arrival(received, ScoringState(upload, Features(upload)))


class _Batch(beam.DoFn):
    """Makes features of up to a batch of uploads at once; a bundle's end ends a batch."""

    def __init__(
        self, chosen: Sequence[ConfiguredDetector], media: MediaAccess, gate: Gate | None
    ) -> None:
        self.members = tuple(chosen)
        self.media = media
        self.gate = gate

    def setup(self) -> None:
        first = False if self.gate is None else self.gate.first
        self._cascade = Cascade(self.members, first, self.media)

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
        for made in self._flush():
            yield WindowedValue(made, self._timestamp, (GlobalWindow(),))

    def _flush(self) -> Iterator[Arrival]:
        arrivals, self._arrivals = self._arrivals, []
        if arrivals:
            states = self._score_states([arrival.state for arrival in arrivals])
            for arrival, state in zip(arrivals, states, strict=True):
                yield replace(arrival, state=state)

    def _score_states(self, states: Sequence[ScoringState]) -> Sequence[ScoringState]:
        raise NotImplementedError


class _Begin(_Batch):
    """Makes the features of the detectors that are asked first."""

    def _score_states(self, states: Sequence[ScoringState]) -> Sequence[ScoringState]:
        return self._cascade.begin([state.upload for state in states])


class _GoOn(_Batch):
    """Makes the other features of the uploads whose action is not settled yet."""

    def _score_states(self, states: Sequence[ScoringState]) -> Sequence[ScoringState]:
        return self._cascade.go_on(states, self._settled)

    def _settled(self, upload: Upload, said: Sequence[Prediction]) -> str | None:
        return settled(self.gate.policies if self.gate else (), upload, said)


class _Handler(ModelHandler[Arrival, Arrival, Detector]):
    """Adapts a detector to RunInference: every upload of a batch gets a prediction, always."""

    def __init__(self, member: ConfiguredDetector, *, again: bool = False) -> None:
        size = member.settings.max_batch
        super().__init__(min_batch_size=size, max_batch_size=size)
        self.member = member
        self.again = again

    def load_model(self) -> Detector:
        return self.member.detector

    def run_inference(
        self,
        batch: Sequence[Arrival],
        model: Detector,
        inference_args: dict[str, Any] | None = None,
    ) -> Iterable[Arrival]:
        meter = Meter()
        states = ask(self.member, [arrival.state for arrival in batch], again=self.again)
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
        return f"quorum.{self.member.name}"


class Detect(beam.PTransform):
    """From arrivals to arrivals with a prediction of each member.

    The detectors are independent, yet stand in a row: each step adds its prediction to the
    arrival. Side by side, every prediction would cross the engine by itself, and the join would
    read its state once for each (``docs/decisions/0001-detectors-in-a-row.md``).

    Args:
        chosen: The members of the ensemble.
        media: Where media may be fetched from.
        gate: Where a cascade stands; None for none.
    """

    def __init__(
        self, chosen: Sequence[ConfiguredDetector], media: MediaAccess, gate: Gate | None = None
    ) -> None:
        super().__init__()
        self.members = tuple(chosen)
        self.media = media
        self.gate = gate

    def expand(self, arrivals: beam.PCollection[Arrival]) -> beam.PCollection[Arrival]:
        names = first_line(self.members, self.gate.first if self.gate else False)
        gate = self.gate and replace(self.gate, first=tuple(sorted(names)))
        begin = _Begin(self.members, self.media, gate)
        scored = arrivals | "Extract features" >> beam.ParDo(begin)
        first = [member for member in self.members if member.name in names]
        second = [member for member in self.members if member.name not in names]
        for member in first:
            scored = scored | f"Score {member.name}" >> RunInference(_Handler(member))
        if not second:
            return scored
        go_on = _GoOn(self.members, self.media, gate)
        scored = scored | "Extract what is lacking" >> beam.ParDo(go_on)
        for member in first:
            handler = _Handler(member, again=True)
            scored = scored | f"Score {member.name} again" >> RunInference(handler)
        for member in second:
            scored = scored | f"Score {member.name}" >> RunInference(_Handler(member))
        return scored

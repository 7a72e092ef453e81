"""The first half of the graph: from received uploads to predictions.

Features are made once an upload, in batches, and shared by all detectors; each detector runs
in ``RunInference`` through one adapting ``ModelHandler``. One upload that cannot be read or
scored takes nothing else with it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import apache_beam as beam
from apache_beam.ml.inference.base import ModelHandler, RunInference
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.windowed_value import WindowedValue

from models.base import Detector, Feature, Features
from models.features.extract import Extractor
from models.pinning import pinned
from models.registry import installed, load_class, load_detector, selected
from models.runner import predict, score_safely
from pipeline.metrics import Meter
from pipeline.streams.base import Outgoing, Received
from quorum.errors import MalformedMessage
from quorum.messages import DeadLetter, Prediction, Status, Upload, now
from quorum.settings import MediaAccess, Settings

__all__ = [
    "Arrival",
    "DecodeUploads",
    "Detect",
    "Member",
    "dead_letter",
    "loaded",
    "members",
    "warm_up",
]

_log = logging.getLogger(__name__)

#: The most uploads whose features are made at once. More gains nothing on a CPU, and holds more
#: frames in memory.
_FEATURE_BATCH = 16


@dataclass(frozen=True, slots=True)
class Member:
    """A detector as the graph runs it.

    Attributes:
        name: The detector's name, which is also its step's label.
        load: Makes the detector; called once in a process.
        timeout: Seconds that one batch may take.
        max_batch: The most uploads scored at once.
        shadow: Whether its predictions are recorded only.
    """

    name: str
    load: Callable[[], Detector]
    timeout: float = 30.0
    max_batch: int = 32
    shadow: bool = False


@dataclass(frozen=True, slots=True)
class _Load:
    name: str
    settings: Settings

    def __call__(self) -> Detector:
        return load_detector(self.name, self.settings)


def members(settings: Settings) -> tuple[Member, ...]:
    """The detectors that the settings choose; by default all that are installed.

    Where a model's reference may move, the job keeps the version that it names now to its end, on
    all of its workers.

    Raises:
        ConfigurationError: If a name is unknown, or its module cannot be imported.
        QuorumError: If a movable reference's model cannot be had; see ``models.pinning``.
    """
    settings = pinned(settings).tell()
    chosen = selected(settings)
    for name in chosen.keys() & installed().keys():
        load_class(name)
    return tuple(
        Member(
            name=name,
            load=_Load(name, settings),
            timeout=each.timeout,
            max_batch=each.max_batch,
            shadow=each.shadow,
        )
        for name, each in chosen.items()
    )


#: One detector of a kind in a process, shared by its threads and stages. Weights are large.
_LOADED: dict[tuple[str, str], Detector] = {}
_LOADING = threading.Lock()


def loaded(member: Member) -> Detector:
    """This process's detector of a member, loaded at the first call."""
    key = (member.name, repr(member.load))
    with _LOADING:
        if key not in _LOADED:
            _LOADED[key] = member.load()
        return _LOADED[key]


def warm_up(chosen: Sequence[Member], media: MediaAccess) -> None:
    """Load all that this process will share, so that the first upload does not wait for it.

    Raises:
        ArtifactError: If a detector's artifact is absent or altered.
        ConfigurationError: If a detector cannot be loaded with its settings.
    """
    upload = Upload(
        id="warm-up", uploader="quorum", title="A title to warm up with.", published_at=now()
    )
    (features,) = Extractor(_needs(chosen), media).extract([upload])
    for member in chosen:
        score_safely(loaded(member), [features], member.timeout)


def _needs(chosen: Sequence[Member]) -> frozenset[Feature]:
    return frozenset().union(*(loaded(member).needs for member in chosen))


@dataclass(frozen=True, slots=True)
class Arrival:
    """An upload on its way through the detectors.

    Attributes:
        upload: The upload.
        received: The message that brought it.
        features: What the detectors look at; None before it is made and after the last of them.
        predictions: What the detectors have said so far.
    """

    upload: Upload
    received: Received
    features: Features | None = None
    predictions: tuple[Prediction, ...] = ()


def dead_letter(received: Received, stage: str, error: str) -> Outgoing:
    """The dead letters of a received message, which is given back with them."""
    _log.warning("dead letter", extra={"stage": stage, "reason": error})
    letters = DeadLetter.of(received.data, dict(received.attributes), stage, error, now())
    return Outgoing(letters, (received.receipt,) if received.receipt else ())


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
        if received.receipt and self.outcomes > 1:
            from pipeline.streams.subscription import add_outcomes

            add_outcomes(received.receipt, self.outcomes - 1)
        self._meter.upload(received.arrived - upload.published_at.timestamp())
        yield Arrival(upload, received)


class _Extract(beam.DoFn):
    """Makes the features of up to a batch of uploads at once; a bundle's end ends a batch."""

    def __init__(self, chosen: Sequence[Member], media: MediaAccess) -> None:
        self.members = tuple(chosen)
        self.media = media

    def setup(self) -> None:
        self._extractor = Extractor(_needs(self.members), self.media)

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
            made = self._extractor.extract([arrival.upload for arrival in arrivals])
            for arrival, features in zip(arrivals, made, strict=True):
                yield replace(arrival, features=features)


class _Handler(ModelHandler[Arrival, Arrival, Detector]):
    """Adapts a detector to RunInference: every upload of a batch gets a prediction, always."""

    def __init__(self, member: Member) -> None:
        super().__init__(min_batch_size=member.max_batch, max_batch_size=member.max_batch)
        self.member = member

    def load_model(self) -> Detector:
        return loaded(self.member)

    def run_inference(
        self,
        batch: Sequence[Arrival],
        model: Detector,
        inference_args: dict[str, Any] | None = None,
    ) -> Iterable[Arrival]:
        meter = Meter()
        features = [arrival.features or Features(arrival.upload) for arrival in batch]
        started = time.perf_counter()
        findings = score_safely(model, features, self.member.timeout)
        elapsed = (time.perf_counter() - started) / max(1, len(batch))
        at = now()
        for arrival, seen, finding in zip(batch, features, findings, strict=True):
            meter.prediction(self.member.name, finding.status.value, elapsed)
            if finding.status is Status.FAILED:
                _log.warning(
                    "a detector failed",
                    extra={
                        "upload_id": seen.upload.id,
                        "detector": self.member.name,
                        "reason": finding.reason,
                    },
                )
            made = predict(model, seen, finding, at=at, elapsed=elapsed, shadow=self.member.shadow)
            yield replace(arrival, predictions=(*arrival.predictions, made))

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
    """

    def __init__(self, chosen: Sequence[Member], media: MediaAccess) -> None:
        super().__init__()
        self.members = tuple(chosen)
        self.media = media

    def expand(self, arrivals: beam.PCollection[Arrival]) -> beam.PCollection[Arrival]:
        scored = arrivals | "Extract features" >> beam.ParDo(_Extract(self.members, self.media))
        for member in self.members:
            scored = scored | f"Score {member.name}" >> RunInference(_Handler(member))
        return scored

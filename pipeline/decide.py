"""The second half of the graph: from uploads, predictions and reviews to verdicts.

``quorum.aggregator`` decides, and the DoFns of ``quorum.pipeline.cases`` drive it. There are three,
by where a case is stored between its events: in the worker's memory (Prism, which has no
checkpoint), in the engine's state (Flink, Dataflow), and until the end of a bounded input.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any
from uuid import uuid4

import apache_beam as beam

from quorum.aggregator.decision.compact import CompactPrediction
from quorum.aggregator.policy.policy import Policy
from quorum.core.errors import ConfigurationError, InputError, MalformedMessage
from quorum.core.identity import Admission, CameBack
from quorum.core.messages import Message, Prediction, Review, Upload
from quorum.pipeline.cases.dofn import STAGE
from quorum.pipeline.cases.features import WithFeatures
from quorum.pipeline.cases.in_memory import InMemoryCaseDoFn
from quorum.pipeline.cases.in_state import BoundedCaseDoFn, StreamCaseDoFn
from quorum.pipeline.cases.options import CaseOptions
from quorum.pipeline.cases.table import DueCases
from quorum.pipeline.metrics import Meter
from quorum.pipeline.streams.base import Joined, Outgoing, Received, as_plain, dead_letter
from quorum.pipeline.traced import received_in_trace

__all__ = [
    "KEYED",
    "MAX_JOINED_BYTES",
    "Decide",
    "DecideInProcess",
    "KeyByUpload",
    "fitted",
]

#: The largest prediction or review that joins a case. A case keeps predictions and orphans, and
#: its verdict lists them: larger ones could make a verdict over 10 MB, which Pub/Sub refuses.
MAX_JOINED_BYTES = 128 * 1024

_MESSAGES: dict[str, type[Message]] = {
    "uploads": Upload,
    "predictions": Prediction,
    "reviews": Review,
}

KEYED = tuple[str, Joined]


class KeyByUpload(beam.DoFn):
    """From received messages to ``(upload id, joined)``; invalid and refused ones go to ``dead``.

    Args:
        admission: Who may say what.
    """

    def __init__(self, admission: Admission | None = None) -> None:
        self.admission = admission or Admission()

    def setup(self) -> None:
        self._meter = Meter()

    def process(self, received: Received) -> Iterator[tuple[str, Joined]]:
        try:
            kind = _MESSAGES[received.stream]
            message = self.admission.admit(kind, received.data, received.attributes)
            yield _keyed(message, received_in_trace(received, message))
            return
        except CameBack:
            # The sink of dead letters acks it.
            outgoing = Outgoing((), (received.ack_id,) if received.ack_id else ())
        except InputError as error:
            stage = f"{STAGE}.{received.stream}"
            self._meter.refused(stage, error)
            outgoing = dead_letter(received, stage, str(error))
        yield beam.pvalue.TaggedOutput("dead", outgoing)  # type: ignore[misc]


def _keyed(message: Message, received: Received) -> tuple[str, Joined]:
    if isinstance(message, Upload):
        return message.id, Joined((as_plain(received, message),), upload=message)
    # The dead letter of a prediction or review has its bytes as they came.
    size = len(as_plain(received, message).data)
    if size > MAX_JOINED_BYTES:
        msg = f"{message.kind} of {size:,} bytes; the limit is {MAX_JOINED_BYTES:,}"
        raise MalformedMessage(msg)
    if isinstance(message, Prediction):
        return message.upload_id, Joined((received,), (CompactPrediction.of(message),))
    assert isinstance(message, Review)
    return message.upload_id, Joined((received,))


class Decide(beam.PTransform[beam.PCollection[KEYED], Any]):
    """From ``(upload id, joined)`` to verdicts (main) and dead letters (tag ``dead``).

    Args:
        policy: The policy that decides.
        bounded: Whether the input ends; then its end is every case's deadline.
        options: Further options.
    """

    def __init__(
        self, policy: Policy, *, bounded: bool, options: CaseOptions | None = None
    ) -> None:
        super().__init__()
        self.policy = policy
        self.bounded = bounded
        self.options = options

    def expand(self, keyed: beam.PCollection[KEYED]) -> Any:
        options = self.options
        if self.bounded:
            case = beam.ParDo(BoundedCaseDoFn(self.policy, options)).with_input_types(KEYED)
            return keyed | "Case" >> case.with_outputs("dead", main="verdicts")
        if _counts(self.policy, options):
            keyed = keyed | "Features" >> WithFeatures(self.policy, options)
        case = beam.ParDo(StreamCaseDoFn(self.policy, options)).with_input_types(KEYED)
        return keyed | "Case" >> case.with_outputs("dead", main="verdicts")


def _counts(policy: Policy, options: CaseOptions | None) -> bool:
    """Whether the graph counts features over time."""
    return any(one.has_features for one in (policy, *(options.shadows if options else ())))


def fitted(policy: Policy, options: CaseOptions | None) -> CaseOptions | None:
    """The options of a job across processes: it follows those policies that its graph can decide.

    Args:
        policy: The policy that decides at the start.
        options: As given.
    """
    if options is None or options.live is None or _counts(policy, options):
        return options
    fits = partial(_without_features, options.live.fits)
    return replace(options, live=replace(options.live, fits=fits))


def _without_features(given: Callable[[Policy], None], policy: Policy) -> None:
    given(policy)
    if policy.has_features:
        msg = (
            f"{policy.version} has `features`, and this job began with a policy without any: its "
            "graph does not count them; start the job again with this policy"
        )
        raise ConfigurationError(msg)


class DecideInProcess(beam.PTransform[Sequence[beam.PCollection[KEYED]], tuple[Any, ...]]):
    """``Decide`` for workers in this process: cases do not cross the engine.

    From collections of ``(upload id, joined)`` to one result of ``Decide`` for each of them, and
    one for the cases that are due: each collection is decided where it is made, on one table of
    cases.

    Args:
        policy: The policy that decides.
        options: Further options.
    """

    def __init__(self, policy: Policy, *, options: CaseOptions | None = None) -> None:
        super().__init__()
        self.policy = policy
        self.options = options

    def expand(self, keyed: Sequence[beam.PCollection[KEYED]]) -> tuple[Any, ...]:
        job = f"cases-{uuid4().hex}"
        due = keyed[0].pipeline | "Due cases" >> DueCases(job)
        step = beam.ParDo(InMemoryCaseDoFn(job, self.policy, self.options))
        return tuple(
            each | f"Case {number}" >> step.with_outputs("dead", main="verdicts")
            for number, each in enumerate([*keyed, due])
        )

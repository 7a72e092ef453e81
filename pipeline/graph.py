"""The whole graph: uploads in, verdicts out, and dead letters from every stage.

``stream`` is both halves in one job; ``detect`` and ``decide`` are the halves apart, which
share only the predictions stream. Each takes its sources and sinks as arguments; the pipeline
defines the runner.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import apache_beam as beam
from apache_beam.pvalue import DoOutputsTuple

from quorum.aggregator.decision.compact import CompactPrediction
from quorum.aggregator.policy.policy import Policy
from quorum.core.identity import Admission
from quorum.models.supervision.spec import EnsembleSpec
from quorum.pipeline.caps import CapRemovals, are_capped
from quorum.pipeline.cases.options import CaseOptions
from quorum.pipeline.decide import KEYED, Decide, DecideInProcess, KeyByUpload, fitted
from quorum.pipeline.detect import Arrival, DecodeUploads, Detect, DetectInProcess, Times
from quorum.pipeline.policies.live import LivePolicy
from quorum.pipeline.streams.base import Joined, Outgoing, Sink, Source
from quorum.pipeline.streams.busy import awaited_calmly

__all__ = ["decide", "detect", "stream"]

_Outgoing = beam.PCollection[Outgoing]
_Keyed = Sequence[beam.PCollection[KEYED]]


def stream(
    pipeline: beam.Pipeline,
    *,
    uploads: Source,
    verdicts: Sink,
    dead_letters: Sink,
    ensemble: EnsembleSpec,
    policy: Policy,
    predictions: Sink | None = None,
    others: Sequence[Source] = (),
    options: CaseOptions | None = None,
    admission: Admission | None = None,
) -> None:
    """Add both halves to a pipeline: predictions reach their case inside the job.

    Args:
        pipeline: The pipeline.
        uploads: The source of uploads.
        verdicts: The sink of verdicts.
        dead_letters: The sink of dead letters of all stages.
        ensemble: The detectors.
        policy: The policy that decides.
        predictions: The sink of predictions; None to not publish them.
        others: Sources of reviews, and of predictions made elsewhere.
        options: Further options of the decide step.
        admission: Who may say what; by default everyone, but for predictions of these detectors.
    """
    admission = admission or Admission()
    names = frozenset(each.name for each in ensemble.detectors)
    admission = replace(admission, own_detectors=names)
    outcomes = 2 if predictions else 1
    decoded = _decode(pipeline, uploads, "stream.uploads", outcomes, admission=admission)
    if not uploads.in_process:
        options = fitted(policy, options)
    times = Times.of(policy, _live(options), () if options is None else options.shadows)
    predicted = _detected(decoded.uploads, uploads, ensemble, times)
    calm = uploads.in_process
    if predictions:
        _publish(predicted, predictions, calm=calm)
    keyed, dead = _keyed(pipeline, others, admission)
    own: beam.PCollection[KEYED] = predicted | "Key uploads" >> beam.Map(
        _keyed_arrival
    ).with_output_types(KEYED)
    decided = _decided((own, *keyed), (uploads, *others), policy, options)
    _publish_verdicts(decided, policy, _live(options), verdicts, calm=calm)
    letters = [decoded.dead, *(each.dead for each in decided), *dead]
    _publish_dead_letters(letters, dead_letters, calm=calm)


def detect(
    pipeline: beam.Pipeline,
    *,
    uploads: Source,
    predictions: Sink,
    dead_letters: Sink,
    ensemble: EnsembleSpec,
    admission: Admission | None = None,
) -> None:
    """Add the first half: an upload is acked once all of its predictions are published."""
    decoded = _decode(pipeline, uploads, "detect.uploads", admission=admission)
    predicted = _detected(decoded.uploads, uploads, ensemble, _own_times(ensemble))
    _publish(predicted, predictions, calm=uploads.in_process)
    _publish_dead_letters([decoded.dead], dead_letters, calm=uploads.in_process)


def decide(
    pipeline: beam.Pipeline,
    *,
    sources: Sequence[Source],
    verdicts: Sink,
    dead_letters: Sink,
    policy: Policy,
    options: CaseOptions | None = None,
    admission: Admission | None = None,
) -> None:
    """Add the second half: its messages are acked once their verdict is published."""
    keyed, dead = _keyed(pipeline, sources, admission)
    calm = any(source.in_process for source in sources)
    if not calm:
        options = fitted(policy, options)
    decided = _decided(keyed, sources, policy, options)
    _publish_verdicts(decided, policy, _live(options), verdicts, calm=calm)
    letters = [*(each.dead for each in decided), *dead]
    _publish_dead_letters(letters, dead_letters, calm=calm)


def _decode(
    pipeline: beam.Pipeline,
    uploads: Source,
    stage: str,
    outcomes: int = 1,
    *,
    admission: Admission | None,
) -> DoOutputsTuple:
    received = pipeline | "Read uploads" >> uploads.transform()
    decode = beam.ParDo(DecodeUploads(stage, outcomes, _for_source(admission, uploads)))
    decoded: DoOutputsTuple = received | "Decode" >> decode.with_outputs("dead", main="uploads")
    return decoded


def _detected(
    uploads: beam.PCollection[Arrival], source: Source, ensemble: EnsembleSpec, times: Times
) -> beam.PCollection[Arrival]:
    score: beam.PTransform[beam.PCollection[Arrival], beam.PCollection[Arrival]]
    if source.in_process:
        score = DetectInProcess(ensemble, times)
    else:
        score = Detect(ensemble, times, bounded=source.bounded)
    scored: beam.PCollection[Arrival] = uploads | "Detect" >> score
    return scored


def _live(options: CaseOptions | None) -> LivePolicy | None:
    return None if options is None else options.live


def _own_times(ensemble: EnsembleSpec) -> Times:
    """Without a policy: as long as the slowest detector may take, after its features."""
    timeouts = [one.settings.timeout for one in ensemble.detectors]
    last = max(timeouts, default=0.0) + ensemble.workers.timeout
    return Times(last, last)


def _for_source(admission: Admission | None, source: Source) -> Admission:
    given = admission or Admission()
    return given if source.has_attributes else given.without_signatures()


def _keyed(
    pipeline: beam.Pipeline, sources: Sequence[Source], admission: Admission | None
) -> tuple[_Keyed, list[_Outgoing]]:
    made = []
    for source in sources:
        received = pipeline | f"Read {source.stream}" >> source.transform()
        key_by_upload = KeyByUpload(_for_source(admission, source))
        key = beam.ParDo(key_by_upload).with_output_types(KEYED)
        made.append(received | f"Key {source.stream}" >> key.with_outputs("dead", main="keyed"))
    return [each.keyed for each in made], [each.dead for each in made]


def _decided(
    keyed: _Keyed, sources: Sequence[Source], policy: Policy, options: CaseOptions | None
) -> tuple[DoOutputsTuple, ...]:
    """One result for each collection if workers are in this process, else one for all."""
    if any(source.in_process for source in sources):
        results: tuple[DoOutputsTuple, ...] = tuple(keyed) | "Decide" >> DecideInProcess(
            policy, options=options
        )
        return results
    joined = keyed | "Join" >> beam.Flatten() if len(keyed) > 1 else keyed[0]
    bounded = all(source.bounded for source in sources)
    return (joined | "Decide" >> Decide(policy, bounded=bounded, options=options),)


def _sunk(outgoing: _Outgoing, label: str, sink: Sink, *, calm: bool) -> None:
    """Publish; ``calm`` for Prism, which waits busily for a stage without an output."""
    done = outgoing | label >> sink.transform()
    if calm and isinstance(done, beam.PCollection):
        awaited_calmly(done, f"{label}: done")


def _publish(predicted: beam.PCollection[Arrival], sink: Sink, *, calm: bool) -> None:
    outgoing = predicted | "To publish" >> beam.Map(_published)
    _sunk(outgoing, "Publish predictions", sink, calm=calm)


def _publish_verdicts(
    decided: Sequence[DoOutputsTuple],
    policy: Policy,
    live: LivePolicy | None,
    sink: Sink,
    *,
    calm: bool,
) -> None:
    made: tuple[_Outgoing, ...] = tuple(each.verdicts for each in decided)
    if live is not None or are_capped(policy):
        made = made | "Cap removals" >> CapRemovals(policy, live)
    for number, verdicts in enumerate(made):
        _sunk(verdicts, f"Publish verdicts {number}", sink, calm=calm)


def _publish_dead_letters(dead: Sequence[_Outgoing], sink: Sink, *, calm: bool) -> None:
    _sunk(dead | "All dead letters" >> beam.Flatten(), "Publish dead letters", sink, calm=calm)


def _published(arrival: Arrival) -> Outgoing:
    ack_id = "" if arrival.late else arrival.received.ack_id
    return Outgoing(arrival.predictions, (ack_id,) if ack_id else (), arrival.received.trace)


def _keyed_arrival(arrival: Arrival) -> tuple[str, Joined]:
    predictions = tuple(CompactPrediction.of(prediction) for prediction in arrival.predictions)
    if arrival.late:
        return arrival.upload.id, Joined((), predictions)
    # An upload ends as a verdict, so its attributes are not needed for a dead letter.
    received = replace(arrival.received, attributes={})
    return arrival.upload.id, Joined((received,), predictions, arrival.upload)

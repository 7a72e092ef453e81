"""The whole graph: uploads in, verdicts out, and dead letters from every stage.

``stream`` is both halves in one job; ``detect`` and ``decide`` are the halves apart, which
share only the predictions stream. Each takes its sources and sinks as arguments; the runner is
the pipeline's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import apache_beam as beam

from quorum.aggregator.decision.compact import CompactPrediction
from quorum.aggregator.policy.policy import Policy
from quorum.core.settings import MediaAccess
from quorum.models.configured import ConfiguredDetector
from quorum.pipeline.caps import CapRemovals, are_capped
from quorum.pipeline.case_options import CaseOptions
from quorum.pipeline.decide import KEYED, Decide, DecideInProcess, KeyByUpload
from quorum.pipeline.detect import Arrival, DecodeUploads, Detect, Gate
from quorum.pipeline.streams.base import Joined, Outgoing, Sink, Source

__all__ = ["decide", "detect", "stream"]


def stream(
    pipeline: beam.Pipeline,
    *,
    uploads: Source,
    verdicts: Sink,
    dead_letters: Sink,
    members: Sequence[ConfiguredDetector],
    policy: Policy,
    media: MediaAccess,
    predictions: Sink | None = None,
    others: Sequence[Source] = (),
    options: CaseOptions | None = None,
    cascade: bool | tuple[str, ...] = False,
) -> None:
    """Both halves fused: predictions are joined in the job, and published where asked.

    With a cascade (see ``Settings.cascade``) the policies say which detectors are spared.
    """
    outcomes = 2 if predictions else 1
    decoded = _decode(pipeline, uploads, "stream.uploads", outcomes)
    watching = options.shadows if options else ()
    gate = Gate(cascade, (policy, *watching)) if cascade else None
    predicted = decoded.uploads | "Detect" >> Detect(members, media, gate)
    if predictions:
        _publish(predicted, predictions)
    keyed, dead = _keyed(pipeline, others)
    own = predicted | "Key uploads" >> beam.Map(_keyed_arrival).with_output_types(KEYED)
    decided = _decided((own, *keyed), (uploads, *others), policy, options)
    _publish_verdicts(decided, policy, verdicts)
    _bury([decoded.dead, *(each.dead for each in decided), *dead], dead_letters)


def detect(
    pipeline: beam.Pipeline,
    *,
    uploads: Source,
    predictions: Sink,
    dead_letters: Sink,
    members: Sequence[ConfiguredDetector],
    media: MediaAccess,
) -> None:
    """The first half: an upload is given back when all of its predictions are published."""
    decoded = _decode(pipeline, uploads, "detect.uploads")
    predicted = decoded.uploads | "Detect" >> Detect(members, media)
    _publish(predicted, predictions)
    _bury([decoded.dead], dead_letters)


def decide(
    pipeline: beam.Pipeline,
    *,
    sources: Sequence[Source],
    verdicts: Sink,
    dead_letters: Sink,
    policy: Policy,
    options: CaseOptions | None = None,
) -> None:
    """The second half: uploads, predictions and reviews are given back with their verdict."""
    keyed, dead = _keyed(pipeline, sources)
    decided = _decided(keyed, sources, policy, options)
    _publish_verdicts(decided, policy, verdicts)
    _bury([*(each.dead for each in decided), *dead], dead_letters)


def _decode(pipeline, uploads, stage, outcomes=1):
    received = pipeline | "Read uploads" >> uploads.transform()
    decode = beam.ParDo(DecodeUploads(stage, outcomes))
    return received | "Decode" >> decode.with_outputs("dead", main="uploads")


def _keyed(pipeline, sources):
    made = []
    for source in sources:
        received = pipeline | f"Read {source.stream}" >> source.transform()
        key = beam.ParDo(KeyByUpload()).with_output_types(KEYED)
        made.append(received | f"Key {source.stream}" >> key.with_outputs("dead", main="keyed"))
    return [each.keyed for each in made], [each.dead for each in made]


def _decided(keyed, sources, policy, options):
    """One result for each collection where workers are in this process, else one for all."""
    if any(source.in_process for source in sources):
        return tuple(keyed) | "Decide" >> DecideInProcess(policy, options=options)
    joined = keyed | "Join" >> beam.Flatten() if len(keyed) > 1 else keyed[0]
    bounded = all(source.bounded for source in sources)
    return (joined | "Decide" >> Decide(policy, bounded=bounded, options=options),)


def _publish(predicted, sink):
    outgoing = predicted | "To publish" >> beam.Map(_published)
    outgoing | "Publish predictions" >> sink.transform()


def _publish_verdicts(decided, policy, sink):
    made = tuple(each.verdicts for each in decided)
    if are_capped(policy):
        made = made | "Cap removals" >> CapRemovals(policy)
    for number, verdicts in enumerate(made):
        verdicts | f"Publish verdicts {number}" >> sink.transform()


def _bury(dead, sink):
    dead | "All dead letters" >> beam.Flatten() | "Publish dead letters" >> sink.transform()


def _published(arrival: Arrival) -> Outgoing:
    ack_id = arrival.received.ack_id
    return Outgoing(arrival.predictions, (ack_id,) if ack_id else ())


def _keyed_arrival(arrival: Arrival) -> tuple[str, Joined]:
    predictions = tuple(CompactPrediction.of(prediction) for prediction in arrival.predictions)
    # An upload ends with its verdict, so its attributes are not needed for a dead letter.
    received = replace(arrival.received, attributes={})
    return arrival.upload.id, Joined((received,), predictions, arrival.upload)

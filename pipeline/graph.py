"""The whole graph: uploads in, verdicts out, and dead letters from every stage.

``stream`` is both halves in one job; ``detect`` and ``decide`` are the halves apart, which
share only the predictions stream. Each takes its sources and sinks as arguments; the runner is
the pipeline's.
"""

from __future__ import annotations

from collections.abc import Sequence

import apache_beam as beam

from quorum.aggregator.policy.policy import Policy
from quorum.core.settings import MediaAccess
from quorum.models.configured import ConfiguredDetector
from quorum.pipeline.caps import CapRemovals
from quorum.pipeline.case_options import CaseOptions
from quorum.pipeline.decide import Decide, KeyByUpload
from quorum.pipeline.detect import Arrival, DecodeUploads, Detect, Gate
from quorum.pipeline.streams.base import Joined, Outgoing, Received, Sink, Source

__all__ = ["decide", "detect", "stream"]

KEYED = tuple[str, Joined]


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
    joined = (own, *keyed) | "Join" >> beam.Flatten() if keyed else own
    bounded = uploads.bounded and all(other.bounded for other in others)
    decided = joined | "Decide" >> Decide(policy, bounded=bounded, options=options)
    _publish_verdicts(decided.verdicts, policy, verdicts)
    _bury([decoded.dead, decided.dead, *dead], dead_letters)


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
    joined = keyed | "Join" >> beam.Flatten()
    bounded = all(source.bounded for source in sources)
    decided = joined | "Decide" >> Decide(policy, bounded=bounded, options=options)
    _publish_verdicts(decided.verdicts, policy, verdicts)
    _bury([decided.dead, *dead], dead_letters)


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


def _publish(predicted, sink):
    outgoing = predicted | "To publish" >> beam.Map(_published)
    outgoing | "Publish predictions" >> sink.transform()


def _publish_verdicts(decided, policy, sink):
    bounded = decided | "Cap removals" >> CapRemovals(policy)
    for verdicts, label in zip(bounded, ("Publish verdicts", "Publish removals"), strict=False):
        verdicts | label >> sink.transform()


def _bury(dead, sink):
    dead | "All dead letters" >> beam.Flatten() | "Publish dead letters" >> sink.transform()


def _published(arrival: Arrival) -> Outgoing:
    ack_id = arrival.received.ack_id
    return Outgoing(arrival.predictions, (ack_id,) if ack_id else ())


def _keyed_arrival(arrival: Arrival) -> tuple[str, Joined]:
    """Predictions first, so that the upload finds all of them in its case."""
    predictions = [
        Received(prediction.to_bytes(), stream="predictions") for prediction in arrival.predictions
    ]
    return arrival.upload.id, Joined((*predictions, arrival.received))

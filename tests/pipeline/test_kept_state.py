"""State that a job kept is read by this version: frozen bytes, and names of the graph.

A savepoint holds each case as bytes with a format number (``tests/pipeline/state/format_N.json``
has those of a released format, in base64), and finds its operators by the shape and names of the
graph. Whoever breaks one of these tests breaks `quorum jobs upgrade` from the last version: keep it
compatible, or write a *Breaking* entry that tells users to drain (docs/upgrade.md).
"""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions

from quorum.aggregator.case.state import STATE_FORMAT
from quorum.aggregator.decision.compact import CompactPrediction
from quorum.core.messages import Prediction, Status, Upload, Verdict, prediction_id
from quorum.core.settings import MediaAccess
from quorum.models.supervision.spec import EnsembleSpec
from quorum.pipeline import graph
from quorum.pipeline.cases.in_state import StreamCaseDoFn
from quorum.pipeline.streams.base import Acknowledge, Joined, Received
from quorum.pipeline.streams.open import sink, source
from tests.pipeline.doubles import ensemble, policy

STATE = Path(__file__).parent / "state"
AT = datetime(2026, 11, 26, 12, tzinfo=UTC)


@pytest.fixture
def step(monkeypatch: pytest.MonkeyPatch) -> StreamCaseDoFn:
    monkeypatch.setattr("quorum.pipeline.cases.dofn.now", lambda: AT)
    made = StreamCaseDoFn(policy())
    made.setup()
    return made


def kept(name: str) -> bytes:
    told = json.loads((STATE / f"format_{STATE_FORMAT}.json").read_text())
    assert told["format"] == STATE_FORMAT
    return base64.b64decode(told["cases"][name])


def predicted(upload_id: str, detector: str, score: float, version: str = "1") -> Joined:
    made = Prediction(
        id=prediction_id(upload_id, detector, version),
        upload_id=upload_id,
        detector=detector,
        version=version,
        status=Status.SCORED,
        score=score,
        at=AT,
    )
    received = Received(made.to_bytes(), {}, "", "predictions", AT.timestamp())
    return Joined((received,), (CompactPrediction.of(made),))


def arrived(upload_id: str) -> Joined:
    made = Upload(id=upload_id, uploader="someone", title="a title", published_at=AT)
    received = Received(made.to_bytes(), {}, "", "uploads", AT.timestamp())
    return Joined((received,), upload=made)


def verdicts(outputs: Any) -> list[Verdict]:
    return [
        message
        for one in outputs
        for message in getattr(one, "messages", ())
        if isinstance(message, Verdict)
    ]


def test_an_open_case_of_a_kept_state_is_decided_with_what_it_had(step: StreamCaseDoFn) -> None:
    stored = step.restored(kept("open"))
    (made,) = verdicts(step.on_joined(stored, predicted("u-open", "beta", 0.6)))
    assert (made.action.value, made.revision, made.rule) == ("restrict", 1, "beta-likely")
    assert [(one.detector, one.score) for one in made.predictions] == [
        ("alpha", 0.1),
        ("beta", 0.6),
    ]
    assert not made.missing


def test_a_decided_case_of_a_kept_state_goes_on_from_its_verdict(step: StreamCaseDoFn) -> None:
    stored = step.restored(kept("decided"))
    assert verdicts(step.on_joined(stored, arrived("u-decided"))) == []
    (made,) = verdicts(step.on_joined(stored, predicted("u-decided", "alpha", 0.95, "2")))
    assert (made.action.value, made.revision) == ("remove", 2)
    assert made.supersedes == "18f18871fa77176cc3ec77b7fd9b3a55"


def test_a_prediction_that_waited_in_a_kept_state_counts_for_its_upload(
    step: StreamCaseDoFn,
) -> None:
    stored = step.restored(kept("orphan"))
    assert verdicts(step.on_joined(stored, arrived("u-orphan"))) == []
    (made,) = verdicts(step.on_joined(stored, predicted("u-orphan", "alpha", 0.1)))
    assert (made.action.value, made.rule) == ("restrict", "beta-likely")


@pytest.mark.parametrize("name", ["open", "decided", "orphan"])
def test_a_kept_case_is_written_as_it_was(step: StreamCaseDoFn, name: str) -> None:
    assert step.restored(kept(name)).snapshot() == kept(name)


#: The transforms of `quorum stream` on Flink, down to the steps that keep state or read.
STREAM = [
    "All dead letters",
    "Decide",
    "Decide/Case",
    "Decode",
    "Detect",
    "Join",
    "Key predictions",
    "Key reviews",
    "Key uploads",
    "Publish dead letters",
    "Publish predictions",
    "Publish verdicts 0",
    "Read predictions",
    "Read predictions/Impulses",
    "Read predictions/Pull",
    "Read reviews",
    "Read reviews/Impulses",
    "Read reviews/Pull",
    "Read uploads",
    "Read uploads/Impulses",
    "Read uploads/Pull",
    "To publish",
]

_INNER = ("Decide/Case", "Impulses", "Pull")


def test_the_transforms_of_a_stream_have_the_names_that_its_state_is_found_by() -> None:
    pipeline = beam.Pipeline(options=PipelineOptions(["--streaming"]))

    def reads(stream: str) -> Any:
        path = f"projects/p/subscriptions/{stream}"
        return source(path, stream, acknowledge=Acknowledge.CHECKPOINT)

    def writes(stream: str) -> Any:
        return sink(f"projects/p/topics/{stream}", origin="/quorum/stream")

    graph.stream(
        pipeline,
        uploads=reads("uploads"),
        verdicts=writes("verdicts"),
        dead_letters=writes("dead-letters"),
        predictions=writes("predictions"),
        others=[reads("predictions"), reads("reviews")],
        ensemble=EnsembleSpec(ensemble(), MediaAccess()),
        policy=policy(),
    )
    made = pipeline.to_runner_api()
    root = set(made.root_transform_ids)
    transforms = made.components.transforms
    names = {one.unique_name for key, one in transforms.items() if key not in root}
    found = {
        name
        for name in names
        if ("/" not in name or name.endswith(_INNER)) and name.count("/") <= 1
    }
    assert sorted(found) == STREAM

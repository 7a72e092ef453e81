"""An upload's way is one trace: in one job, and across jobs that share a stream or a file."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from quorum.core import tracing
from quorum.core.messages import Upload
from quorum.core.settings import MediaAccess
from quorum.models.detectors import Features
from quorum.models.supervision.spec import EnsembleSpec
from quorum.pipeline import graph
from quorum.pipeline.decide import KeyByUpload
from quorum.pipeline.engines import Engine, launch
from quorum.pipeline.streams.base import Outgoing, Received, ReceivedCoder
from quorum.pipeline.streams.carrier import NO_KEY, Carrier
from quorum.pipeline.streams.open import sink, source
from quorum.pipeline.streams.pubsub_sink import _Publish
from tests.pipeline.doubles import ensemble, lines, policy, upload
from tests.tracing import PRODUCER, TRACE, Spans, traces_in_memory

SECRET = "a title that nobody may read"


@pytest.fixture
def spans() -> Iterator[Spans]:
    with traces_in_memory() as made:
        yield made


def run(build: Any) -> None:
    with launch(build, Engine.DIRECT, streaming=False) as result:
        result.wait_until_finish()


def test_a_trace_goes_on_across_the_halves_and_tells_each_step(
    tmp_path: Path, spans: Spans, monkeypatch: pytest.MonkeyPatch
) -> None:
    def at(name: str) -> str:
        return str(tmp_path / f"{name}.jsonl")

    bad = {"alpha": 0.95, "beta": "raise"}
    made = [upload("one", title=SECRET, script=bad), upload("two", title=SECRET)]
    (tmp_path / "uploads.jsonl").write_bytes(b"\n".join(made) + b"\n")
    run(
        lambda pipeline: graph.detect(
            pipeline,
            uploads=source(at("uploads"), "uploads"),
            predictions=sink(at("predictions"), origin="/test"),
            dead_letters=sink(at("dead"), origin="/test"),
            ensemble=EnsembleSpec(ensemble(), MediaAccess()),
        )
    )
    half = len(spans.of("one"))
    run(
        lambda pipeline: graph.decide(
            pipeline,
            sources=[source(at("uploads"), "uploads"), source(at("predictions"), "predictions")],
            verdicts=sink(at("verdicts"), origin="/test"),
            dead_letters=sink(at("dead"), origin="/test"),
            policy=policy(),
        )
    )
    assert len(lines(tmp_path / "verdicts.jsonl")) == 2
    found = spans.of("one")
    assert len({one.context.trace_id for one in found}) == 1
    assert {one.context.trace_id for one in found}.isdisjoint(
        one.context.trace_id for one in spans.of("two")
    )
    assert sorted(one.name for one in found[:half]) == [
        "features", "publish prediction", "receive upload", "score alpha", "score beta",
    ]  # fmt: skip
    assert sorted(one.name for one in found[half:]) == [
        "case", "publish verdict", "receive prediction", "receive prediction", "receive upload",
    ]  # fmt: skip
    by_name = {one.name: one for one in found}
    assert not by_name["score beta"].status.is_ok
    assert by_name["score alpha"].attributes["quorum.status"] == "scored"
    case = by_name["case"]
    assert case.attributes["quorum.action"] == "remove"
    assert by_name["publish verdict"].parent.span_id == case.context.span_id
    for one in spans.get_finished_spans():
        assert one.start_time <= one.end_time
        told = json.dumps(dict(one.attributes)) + str(one.status.description)
        assert SECRET not in told
        assert "broke" not in told


def test_a_job_that_makes_no_traces_hands_none_on(tmp_path: Path) -> None:
    keyed = KeyByUpload()
    keyed.setup()
    ((_, joined),) = keyed.process(Received(upload("one"), PRODUCER))
    assert joined.messages[0].trace == ""


def test_the_producers_trace_goes_on_in_the_attributes_of_what_is_published(spans: Spans) -> None:
    keyed = KeyByUpload()
    keyed.setup()
    ((_, joined),) = keyed.process(Received(upload("one"), PRODUCER))
    (received,) = joined.messages
    (made,) = spans.get_finished_spans()
    assert f"{made.context.trace_id:032x}" == TRACE
    assert received.trace.split("-")[2] == f"{made.context.span_id:016x}"
    assert dict(received.attributes) == PRODUCER  # a dead letter has them as they came
    publish = _Publish("projects/p/topics/t", "/test")
    publish._carrier = Carrier("/test", NO_KEY)
    message = publish._message(Upload.from_bytes(upload("one")), received.trace)
    assert message.attributes["traceparent"] == received.trace.partition(";")[0]
    assert message.attributes["tracestate"] == PRODUCER["tracestate"]
    plain = publish._message(Upload.from_bytes(upload("one")), "")
    assert not {"traceparent", "tracestate"} & set(plain.attributes)


def test_a_context_crosses_the_engine() -> None:
    received = Received(b"{}", PRODUCER, "a|1", "uploads", 1.5, tracing.context_of(PRODUCER))
    coder = ReceivedCoder()
    assert coder.decode(coder.encode(received)) == received
    assert Outgoing((), ("a|1",)).trace == ""


def test_the_fetch_of_media_has_a_span_of_its_own(spans: Spans, tmp_path: Path) -> None:
    from quorum.models.detectors import Feature
    from quorum.models.features.extract import Extractor, take_fetches

    media = tmp_path / "clip.mp4"
    media.write_bytes(b"no video")
    access = MediaAccess(folders=(str(tmp_path),))
    one = Upload.from_bytes(upload("one", media=str(media)))
    take_fetches()  # of other tests in this thread
    features: Sequence[Features] = Extractor(frozenset({Feature.FRAMES}), access).extract([one])
    assert Feature.FRAMES in features[0].absent
    ((upload_id, begin, end),) = take_fetches()
    assert upload_id == "one"
    assert 0 < begin <= end
    assert take_fetches() == []

"""Forged messages in graph, sinks and recorder: whole dead letters, counted by reason."""

from __future__ import annotations

import base64
import pickle
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import apache_beam as beam
import prometheus_client as prometheus
import pytest
from apache_beam.pvalue import TaggedOutput

from quorum.core.errors import ConfigurationError
from quorum.core.identity import Admission, Publisher, SigningKey
from quorum.core.messages import Message, Prediction, Review, Upload, now, prediction_id
from quorum.core.settings import MediaAccess
from quorum.models.supervision.spec import EnsembleSpec
from quorum.pipeline import graph
from quorum.pipeline.decide import KeyByUpload
from quorum.pipeline.detect import DecodeUploads
from quorum.pipeline.engines import Engine, launch
from quorum.pipeline.record import FeedMessage, StreamRecorder
from quorum.pipeline.streams import pubsub_sink as module
from quorum.pipeline.streams.base import Outgoing, Received
from quorum.pipeline.streams.open import sink, source
from quorum.pipeline.streams.pubsub_sink import PubSubSink
from quorum.store.ledger import Ledger
from tests.pipeline.doubles import ensemble, lines, policy, upload

PLATFORM = SigningKey.new("platform", "k1")
OURS = SigningKey.new("quorum", "k1")
LAB = SigningKey.new("lab", "k1")


def publisher(key: SigningKey, **rights: Any) -> Publisher:
    return Publisher.model_validate({"keys": {key.id: {"public": key.public}}, **rights})


ADMISSION = Admission(
    {
        "platform": publisher(PLATFORM, streams=["uploads"]),
        "quorum": publisher(OURS, streams=["predictions"], detectors=["alpha", "violence"]),
        "lab": publisher(LAB, streams=["predictions"], detectors=["audio"]),
    }
)


def prediction(detector: str, score: float, **more: Any) -> Prediction:
    made = {
        "id": prediction_id("u", detector, "1"), "upload_id": "u", "detector": detector,
        "version": "1", "status": "scored", "score": score, "at": now(),
    }  # fmt: skip
    return Prediction.model_validate(made | more)


def received(message: Message, key: SigningKey | None, stream: str) -> Received:
    data, attributes = message.to_bytes(), message.attributes("/test")
    return Received(data, key.sign(data, attributes) if key else attributes, "s|1", stream)


def counted(name: str, **labels: str) -> float:
    return prometheus.REGISTRY.get_sample_value(name, labels) or 0.0


@pytest.fixture(autouse=True)
def _no_key_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("QUORUM_SIGNING_KEY", raising=False)
    monkeypatch.delenv("QUORUM_SIGNING_KEY_FILE", raising=False)


def keyed(one: Received, admission: Admission | None = None) -> Any:
    step = KeyByUpload(admission or ADMISSION)
    step.setup()
    (output,) = step.process(one)
    return output


@pytest.mark.parametrize(
    ("message", "key", "reason"),
    [
        (prediction("violence", 0.0), LAB, "not_allowed"),
        (prediction("alpha", 1.0), PLATFORM, "not_allowed"),
        (prediction("violence", 0.0), None, "unsigned"),
        (prediction("violence", 0.0), SigningKey.new("quorum", "k1"), "wrong_signature"),
        (prediction("violence", 0.0), SigningKey.new("quorum", "k9"), "unknown_key"),
        (prediction("violence", 0.0), SigningKey.new("evil", "k1"), "unknown_publisher"),
    ],
)
def test_a_forged_prediction_is_a_dead_letter_and_counted(
    message: Prediction, key: SigningKey | None, reason: str
) -> None:
    labels = {"stage": "decide.predictions", "reason": reason}
    before = counted("quorum_refused_messages_total", **labels)
    one = received(message, key, "predictions")
    output = keyed(one)
    assert isinstance(output, TaggedOutput)
    (letter,) = output.value.messages
    assert (letter.data, letter.original) == (one.data, one.attributes)
    assert letter.stage == "decide.predictions"
    assert output.value.ack_ids == ("s|1",)
    assert counted("quorum_refused_messages_total", **labels) == before + 1


def test_true_predictions_reach_their_case() -> None:
    for message, key in ((prediction("violence", 0.9), OURS), (prediction("audio", 0.1), LAB)):
        upload_id, joined = keyed(received(message, key, "predictions"))
        assert (upload_id, joined.predictions[0].detector) == ("u", message.detector)


def test_a_prediction_of_an_edit_reaches_its_case() -> None:
    made = prediction("violence", 0.9).of_content("a digest of its content")
    assert keyed(received(made, OURS, "predictions"))[0] == "u"


def test_an_upload_counts_from_who_may_publish_uploads() -> None:
    step = DecodeUploads("stream.uploads", admission=ADMISSION)
    step.setup()
    made = Upload.from_bytes(upload("u"))
    (arrival,) = step.process(received(made, PLATFORM, "uploads"))
    assert arrival.upload == made
    (refused,) = step.process(received(made, LAB, "uploads"))
    assert "may not publish uploads" in refused.value.messages[0].error


def test_our_own_prediction_that_comes_back_is_acked_and_no_dead_letter() -> None:
    fused = Admission(own_detectors=frozenset({"violence"}))
    message = prediction("violence", 0.9)
    echo = Received(message.to_bytes(), message.attributes("/quorum/stream"), "s|1", "predictions")
    output = keyed(echo, fused)
    assert output.tag == "dead"
    assert output.value == Outgoing((), ("s|1",))
    forged = keyed(received(message, None, "predictions"), fused)
    assert "runs in this job" in forged.value.messages[0].error


def test_a_fused_job_takes_its_own_detectors_from_nowhere_else(tmp_path: Path) -> None:
    """Of files, which have no attributes; publishers do not apply to them."""
    at = {name: tmp_path / f"{name}.jsonl" for name in ("up", "pred", "out", "dead")}
    at["up"].write_bytes(upload("u", script={"alpha": 0.95}) + b"\n")
    forged, other = prediction("alpha", 0.0), prediction("stranger", 0.5)
    at["pred"].write_bytes(forged.to_bytes() + b"\n" + other.to_bytes() + b"\n")
    with launch(
        lambda pipeline: graph.stream(
            pipeline,
            uploads=source(str(at["up"]), "uploads"),
            others=[source(str(at["pred"]), "predictions")],
            verdicts=sink(str(at["out"]), origin="/test"),
            dead_letters=sink(str(at["dead"]), origin="/test"),
            ensemble=EnsembleSpec(ensemble(), MediaAccess()),
            policy=policy(),
            admission=ADMISSION,
        ),
        Engine.DIRECT,
        streaming=False,
    ) as result:
        result.wait_until_finish()
    (verdict,) = lines(at["out"])
    assert verdict["action"] == "remove"
    scores = {one["detector"]: one["score"] for one in verdict["predictions"]}
    # The stranger's is listed if it came before the verdict.
    assert scores.pop("stranger", 0.5) == 0.5
    assert scores == {"alpha": 0.95, "beta": 0.1}
    (letter,) = lines(at["dead"])
    assert "runs in this job" in letter["error"]
    assert base64.b64decode(letter["data"]) == forged.to_bytes()


class ListFeed:
    def __init__(self, *messages: FeedMessage) -> None:
        self.waiting: list[FeedMessage] | None = list(messages)

    def pull(self, limit: int, wait: float) -> list[FeedMessage] | None:
        pulled, self.waiting = self.waiting, None
        return pulled

    def ack(self, ack_ids: Any) -> None:
        pass

    def close(self) -> None:
        pass


def test_the_recorder_keeps_what_is_refused_as_dead_letters(tmp_path: Path) -> None:
    true, forged = prediction("violence", 0.9), prediction("violence", 0.0, version="2")
    given = [received(true, OURS, "predictions"), received(forged, LAB, "predictions")]
    from_file = FeedMessage(prediction("audio", 0.1).to_bytes(), {}, has_attributes=False)
    feed = ListFeed(*(FeedMessage(one.data, one.attributes, "x") for one in given), from_file)
    with Ledger(f"sqlite:///{tmp_path}/l.db", create=True) as ledger:
        StreamRecorder(ledger, {"predictions": feed}, admission=ADMISSION).run()
        assert ledger.stats()["predictions"] == 2
        (letter,) = ledger.dead_letters()
    assert (letter.data, letter.stage) == (forged.to_bytes(), "record.predictions")


@pytest.mark.parametrize(("verified", "label"), [(False, "ce-id"), (True, None)])
def test_a_forgery_does_not_suppress_the_true_message_on_dataflow(
    monkeypatch: pytest.MonkeyPatch, verified: bool, label: str | None
) -> None:
    """The service drops a second message of one label before anybody verifies the first."""
    asked: list[str | None] = []

    def read(*, subscription: str, id_label: str | None, with_attributes: bool) -> Any:
        asked.append(id_label)
        return beam.Create([])

    monkeypatch.setattr("apache_beam.io.gcp.pubsub.ReadFromPubSub", read)
    address = "projects/p/subscriptions/s"
    opened = source(address, "uploads", native=True, verified=verified)
    beam.Pipeline() | opened.transform()
    assert asked == [label]


class Broker:
    def __init__(self) -> None:
        self.messages: list[Any] = []

    def publish(self, request: Any, **_: Any) -> None:
        self.messages += request.messages


def published(monkeypatch: pytest.MonkeyPatch, made: PubSubSink) -> list[Any]:
    broker = Broker()
    monkeypatch.setattr(module, "publisher_client", lambda: broker)
    step = pickle.loads(pickle.dumps(made.transform().fn))
    step.setup()
    step.start_bundle()
    step.process(Outgoing((prediction("violence", 0.5),)))
    step.finish_bundle()
    return broker.messages


def test_a_job_signs_what_it_publishes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUORUM_SIGNING_KEY", OURS.text)
    made = PubSubSink("projects/p/topics/t", "/quorum/stream")
    assert OURS.text.split(":")[-1].encode() not in pickle.dumps(made.transform().fn)
    (sent,) = published(monkeypatch, made)
    admitted = ADMISSION.admit(Prediction, sent.data, dict(sent.attributes))
    assert admitted.detector == "violence"


def test_without_a_key_nothing_is_signed(monkeypatch: pytest.MonkeyPatch) -> None:
    (sent,) = published(monkeypatch, PubSubSink("projects/p/topics/t", "/quorum/stream"))
    assert not any(name.startswith("quorum-") for name in sent.attributes)


def test_a_worker_without_the_jobs_key_publishes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUORUM_SIGNING_KEY", OURS.text)
    made = PubSubSink("projects/p/topics/t", "/quorum/stream")
    monkeypatch.delenv("QUORUM_SIGNING_KEY")
    with pytest.raises(ConfigurationError, match="this worker has no key"):
        published(monkeypatch, made)


def test_the_console_signs_its_reviews(monkeypatch: pytest.MonkeyPatch) -> None:
    from quorum.apps.console.desk import publishing

    desk = SigningKey.new("console", "k1")
    monkeypatch.setenv("QUORUM_SIGNING_KEY", desk.text)
    sent: list[Any] = []

    class Client:
        def publish(self, *, topic: str, messages: list[Any], **_: Any) -> None:
            sent.extend(messages)

    from quorum.pipeline.streams import pubsub_clients

    monkeypatch.setattr(pubsub_clients, "publisher_client", Client)
    may = {"console": publisher(desk, streams=["reviews"])}
    topic = "projects/p/topics/reviews"
    review = Review(
        upload_id="u", verdict_id="v", action="allow", reviewer="ada",
        at=datetime(2026, 3, 1, tzinfo=UTC),
    )  # fmt: skip
    opened = publishing.open_review_publisher(topic, None, policy(), may)  # type: ignore[arg-type]
    opened.publish([review])
    (one,) = sent
    assert Admission(may).admit(Review, one.data, dict(one.attributes)) == review
    monkeypatch.delenv("QUORUM_SIGNING_KEY")
    with pytest.raises(ConfigurationError, match="no key to sign reviews"):
        publishing.open_review_publisher(topic, None, policy(), may)  # type: ignore[arg-type]
